"""When to give up a Pod that does not start, or does not end, by itself.

Invariants: pure. A Pod that a scheduling gate holds back is never given up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_ir.event_log import FailureKind

from penstock_executor.backends.exit_texts import describe_exit
from penstock_executor.backends.kubernetes.own_names import SESSION_SECRETS
from penstock_executor.backends.kubernetes.pod_warnings import SANDBOX, VOLUME, PodWarning
from penstock_executor.backends.kubernetes.verdict import (
    NEVER_RAN,
    Failure,
    failure_without_result,
    kind_of_start_failure,
)
from penstock_executor.backends.kubernetes.view import PULLING, ContainerView, PodView
from penstock_executor.backends.kubernetes.waiting import reduced, wait_of

_UNUSABLE_IMAGE = {"InvalidImageName", "ErrImageNeverPull"}
_CANNOT_CREATE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CreatePodSandboxError"}
# Said by registries and runtimes of what will not be there the next time either.
_NO_SUCH_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|pull access denied|unauthorized|authentication required|denied", re.I
)
_NO_SUCH_OBJECT = re.compile(
    r"(secret|configmap) \"[^\"]+\" not found|references non-existent (secret|config) key", re.I
)
# Of a kubelet that has not read the object yet, be it there or not: it asks again by itself.
_NOT_READ_YET = re.compile(r"failed to sync (secret|configmap) cache|timed out waiting for the condition", re.I)
_WRONG_FOR_GOOD = re.compile(r"runAsNonRoot|non-numeric user|invalid reference format|no command specified", re.I)
_ONE_HALF_SECONDS = 15.0
_AGENT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. `pending` from the Pod's creation, or the end of its scheduling gates, until it has a node and runs;
    `image_pull` from when it has a node until its images are there, whatever is said of them meanwhile: a registry that
    does not answer says nothing, and pulling is what the kubelet repeats by itself."""

    pending: float = 3600.0
    image_pull: float = 600.0
    configuration: float = 30.0


@dataclass(frozen=True, slots=True)
class GiveUp:
    """When a Pod that does not start, or does not end, is given up: `at` in milliseconds since the epoch (0: at once),
    with `failure` as its outcome."""

    at: int
    failure: Failure


def when_to_give_up(
    view: PodView, image: str, deadlines: Deadlines, warnings: Sequence[PodWarning] = (), ungated_at: int = 0
) -> GiveUp | None:
    """When to give up a Pod that may never start, or never end by itself; None for one that needs no deadline.

    `warnings` are the kubelet's warnings, `ungated_at` is when the last scheduling gate was seen to go (milliseconds),
    0 when nobody saw that.
    """
    since = view.scheduled_at or view.created_at
    for container in view.containers:
        if view.started_at and container.name != "agent":
            # The pipeline's sidecars may be restarted at any time.
            continue
        reason, message = container.waiting_reason, container.waiting_message
        if reason in _UNUSABLE_IMAGE:
            text = f"the image {_image(container, image)} cannot be used: {message or reason}"
            return GiveUp(0, Failure(FailureKind.CONFIGURATION, text))
        if reason in PULLING:
            return _not_pulled(container, image, _pulls_since(view), deadlines)
        if reason in _CANNOT_CREATE:
            text = f"the container {container.name!r} cannot be created: {message or reason}"
            if _NOT_READ_YET.search(message):
                at = since + int(deadlines.pending * 1000)
                return GiveUp(at, Failure(FailureKind.INFRASTRUCTURE, text))
            wait = 0.0 if _WRONG_FOR_GOOD.search(message) else deadlines.configuration
            at = 0 if not wait else since + int(wait * 1000)
            return GiveUp(at, Failure(kind_of_start_failure(message), text))
    if view.ended:
        return None
    # A container that never ran has ended without having started.
    if view.started_at or view.finished_at:
        return _one_half_ended(view, image)
    if view.gates:
        # A queue decides when it may start, and however long that takes is nobody's failure.
        return None
    missing = next((one for one in warnings if one.reason in VOLUME and _is_missing(one.message)), None)
    if missing is not None:
        text = f"a volume of the Pod cannot be mounted: {missing.message}"
        return GiveUp(since + int(deadlines.configuration * 1000), Failure(FailureKind.CONFIGURATION, text))
    waits = wait_of(view, warnings, image)
    text = f"the Pod {view.name} waited {deadlines.pending:g} seconds: {waits.text if waits else 'it has not started'}"
    waits_since = max(view.created_at, view.ungated_at, ungated_at)
    pending = GiveUp(waits_since + int(deadlines.pending * 1000), Failure(FailureKind.INFRASTRUCTURE, text))
    pulling = _silent_pull(view, warnings, image, deadlines)
    return pulling if pulling is not None and pulling.at < pending.at else pending


def _is_missing(message: str) -> bool:
    """Whether a volume's object is not there, and nobody is known who will make it: we make the attempt's Secret."""
    return _NO_SUCH_OBJECT.search(message) is not None and SESSION_SECRETS not in message


def _silent_pull(view: PodView, warnings: Sequence[PodWarning], image: str, deadlines: Deadlines) -> GiveUp | None:
    """A Pod on a node, without warnings and with no container that runs yet, is taken to be pulling an image."""
    if not view.scheduled_at or any(one.reason in VOLUME or one.reason in SANDBOX for one in warnings):
        return None
    if any(one.initial and one.running_since and not one.started for one in view.containers):
        return None
    at = _pulls_since(view) + int(deadlines.image_pull * 1000)
    text = f"the image {image!r} was not there {deadlines.image_pull:g} seconds after the Pod had a node"
    return GiveUp(at, Failure(FailureKind.CONFIGURATION, text))


def _pulls_since(view: PodView) -> int:
    """Since when the image is pulled that is not there yet: the next one when an init container has ended, or runs
    beside the others."""
    initial = [one for one in view.containers if one.initial]
    begun = [one.terminated.finished_at if one.terminated else one.running_since for one in initial]
    return max([view.scheduled_at or view.created_at, *begun])


def _one_half_ended(view: PodView, image: str) -> GiveUp | None:
    """Of `main` and `agent` one has ended while the other runs. Each notices the other's end by a FIFO, unless the
    other died before it had opened that; then the one that is left would wait for ever."""
    main, agent = view.container("main"), view.container("agent")
    if main is None or agent is None:
        return None
    if agent.terminated is not None and main.running_since:
        ended = describe_exit(agent.terminated.exit_code, agent.terminated.signal)
        failure = Failure(FailureKind.INFRASTRUCTURE, f"the agent beside the program {ended} before it")
        return GiveUp(agent.terminated.finished_at + int(_ONE_HALF_SECONDS * 1000), failure)
    if main.terminated is not None and agent.running_since:
        # After a program that ran, the agent may have much to upload; after one that never ran it only waits.
        never = main.terminated.reason in NEVER_RAN
        killed = main.terminated.exit_code == 137 and main.terminated.reason != "OOMKilled"
        if never or killed:
            seconds = _ONE_HALF_SECONDS if never else _AGENT_SECONDS
            failure = failure_without_result(view, main.terminated, None, image)
            return GiveUp(main.terminated.finished_at + int(seconds * 1000), failure)
    return None


def _not_pulled(container: ContainerView, image: str, since: int, deadlines: Deadlines) -> GiveUp:
    message = reduced(container.waiting_message or container.waiting_reason)
    text = f"the image {_image(container, image)} cannot be pulled: {message}"
    if _NO_SUCH_IMAGE.search(message):
        # The first failure may be a registry that is not ready yet; the back-off says that it was tried again.
        again = container.waiting_reason == "ImagePullBackOff"
        wait = 0 if again else int(deadlines.image_pull * 1000)
        return GiveUp(since + wait if wait else 0, Failure(FailureKind.CONFIGURATION, text))
    # The kubelet has tried again all the time: another attempt would only double the deadline.
    return GiveUp(since + int(deadlines.image_pull * 1000), Failure(FailureKind.CONFIGURATION, text))


def _image(container: ContainerView, image: str) -> str:
    return repr(image) if container.name == "main" else f"of the container {container.name!r}"
