"""What a Pod's status means for its attempt: when to give it up, and why it failed.

Invariants: pure. The kind of a failure decides whether and from which budget it is retried: what the platform did
(eviction, preemption, a lost node, a deleted Pod) is INFRASTRUCTURE, what the program did (exit code, memory, deadline)
is USER, what no retry can mend (image, configuration) is CONFIGURATION.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_ir.event_log import FailureKind

from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import FailureKind
from penstock_executor.backends.exit_texts import describe_exit, describe_failed_start
from penstock_executor.backends.kubernetes.pod_warnings import SANDBOX, VOLUME, PodWarning
from penstock_executor.backends.kubernetes.view import PULLING, ContainerView, PodView, Terminated
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
_WRONG_FOR_GOOD = re.compile(r"runAsNonRoot|non-numeric user|invalid reference format|no command specified", re.I)
# Said of a start that a kubelet or a runtime which ended or hung left undone.
_INTERRUPTED = re.compile(
    r"context canceled|deadline exceeded|error while dialing|connection (refused|reset|error)|closing|ttrpc: closed|"
    r"shim (is )?(disconnected|exited)|failed to start shim|signal: killed|code = Unavailable",
    re.I,
)
_NEVER_RAN = {"ContainerCannotRun", "StartError"}
# What runtime and kubelet say of a container that they lost sight of; the code they give is their own.
_LOST_SIGHT = {"Unknown", "ContainerStatusUnknown"}
_ONE_HALF_SECONDS = 15.0
_AGENT_SECONDS = 120.0
_LOST_NODE = {"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity", "UnexpectedAdmissionError"}


@dataclass(frozen=True, slots=True)
class Failure:
    """`wants_log`: the last lines of the program's log belong to the text."""

    kind: FailureKind
    text: str
    wants_log: bool = False


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

    `warnings` are the kubelet's warnings, `ungated_at` is when the last scheduling gate was seen to go (milliseconds).
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
            wait = 0.0 if _WRONG_FOR_GOOD.search(message) else deadlines.configuration
            at = 0 if not wait else since + int(wait * 1000)
            return GiveUp(at, Failure(_kind_of_start_failure(message), text))
    if view.ended:
        return None
    # A container that never ran has ended without having started.
    if view.started_at or view.finished_at:
        return _one_half_ended(view, image)
    if view.gates:
        # A queue decides when it may start, and however long that takes is nobody's failure.
        return None
    missing = next((one for one in warnings if one.reason in VOLUME and _NO_SUCH_OBJECT.search(one.message)), None)
    if missing is not None:
        text = f"a volume of the Pod cannot be mounted: {missing.message}"
        return GiveUp(since + int(deadlines.configuration * 1000), Failure(FailureKind.CONFIGURATION, text))
    waits = wait_of(view, warnings, image)
    text = f"the Pod {view.name} waited {deadlines.pending:g} seconds: {waits.text if waits else 'it has not started'}"
    pending = GiveUp(
        max(view.created_at, ungated_at) + int(deadlines.pending * 1000), Failure(FailureKind.INFRASTRUCTURE, text)
    )
    pulling = _silent_pull(view, warnings, image, deadlines)
    return pulling if pulling is not None and pulling.at < pending.at else pending


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
        never = main.terminated.reason in _NEVER_RAN
        killed = main.terminated.exit_code == 137 and main.terminated.reason != "OOMKilled"
        if never or killed:
            seconds = _ONE_HALF_SECONDS if never else _AGENT_SECONDS
            failure = _without_result(view, main.terminated, None, image)
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


def disruption(view: PodView) -> Failure | None:
    """What the platform did to the Pod, None when it left it alone."""
    if view.disruption == "PreemptionByScheduler":
        text = f"the Pod was preempted by one of higher priority: {view.disruption_message or view.message}"
    elif view.reason == "Evicted" or view.disruption in ("TerminationByKubelet", "EvictionByEvictionAPI"):
        text = f"the Pod was evicted from its node: {view.message or view.disruption_message}"
    elif view.disruption == "DeletionByTaintManager" or view.reason in _LOST_NODE:
        text = f"the node was lost or shut down: {view.message or view.disruption_message or view.reason}"
    elif view.disruption:
        text = f"the Pod was disrupted ({view.disruption}): {view.disruption_message}"
    elif view.reason in ("OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage"):
        text = f"the node had no room left for the Pod: {view.message or view.reason}"
    else:
        return None
    return Failure(FailureKind.INFRASTRUCTURE, text.rstrip(": "))


def failure_of(
    view: PodView, result: AttemptResult | None, *, deadline_seconds: float, image: str, wrapped: bool = True
) -> Failure | None:
    """Why an ended Pod failed; None when its program exited with 0 and left a result that can be read."""
    main = view.container("main")
    ended = main.terminated if main is not None else None
    exit_ = result.exit if result is not None else None
    if exit_ is None and result is not None and ended is not None and ended.exit_code == 0:
        # An unwrapped container: nobody but the kubelet saw how it ended.
        exit_ = ProcessExit(0)
    if exit_ is not None and exit_.code == 0 and result is not None:
        return None if result.failure is None else Failure(FailureKind(result.failure[0]), result.failure[1])
    if view.reason == "DeadlineExceeded":
        text = f"the deadline of {deadline_seconds:g} seconds was exceeded" if deadline_seconds else view.message
        return Failure(FailureKind.USER, text or "the Pod's deadline was exceeded", wants_log=True)
    if ended is not None and ended.reason == "OOMKilled":
        return Failure(FailureKind.USER, _out_of_memory(ended), wants_log=True)
    done_by_platform = disruption(view)
    if done_by_platform is not None:
        return done_by_platform
    if _ended_by_deletion(view, exit_):
        text = f"the Pod {view.name} was deleted by somebody else while it ran"
        return Failure(FailureKind.INFRASTRUCTURE, text, wants_log=True)
    if exit_ is not None:
        if exit_.errno:
            return _not_started(exit_, image)
        if result is not None and result.failure is not None:
            return Failure(FailureKind(result.failure[0]), result.failure[1], wants_log=True)
        return Failure(FailureKind.USER, f"the command {describe_exit(exit_.code, exit_.signal)}", wants_log=True)
    if (
        wrapped
        and ended is not None
        and ended.exit_code
        and ended.exit_code != 137
        and _only_wrapper_could_report(view, ended, result)
    ):
        text = f"the container exited with code {ended.exit_code} before its program could tell how it ended"
        return Failure(FailureKind.INFRASTRUCTURE, text, wants_log=True)
    return _without_result(view, ended, result, image)


def _ended_by_deletion(view: PodView, exit_: ProcessExit | None) -> bool:
    """Whether the program ended after its Pod was asked to go; the API server's clock has seconds only."""
    ended_at = (exit_.finished_at if exit_ is not None else 0) or view.finished_at
    return bool(view.delete_asked_at) and (not ended_at or ended_at + 1000 > view.delete_asked_at)


def _only_wrapper_could_report(view: PodView, ended: Terminated, result: AttemptResult | None) -> bool:
    """Whether only the wrapper could have left a result, and it did not. Then the wrapper did not run to its end, and
    the exit code is not that of the user's program."""
    return result is None and view.container("agent") is None and ended.reason not in _NEVER_RAN


def _without_result(view: PodView, ended: Terminated | None, result: AttemptResult | None, image: str) -> Failure:
    if result is not None and result.failure is not None:
        return Failure(FailureKind(result.failure[0]), result.failure[1], wants_log=True)
    if ended is None:
        others = next((one for one in view.containers if one.terminated and one.terminated.exit_code), None)
        if others is not None and others.terminated is not None:
            so = describe_exit(others.terminated.exit_code, others.terminated.signal)
            said = f": {others.terminated.message.strip()}" if others.terminated.message.strip() else ""
            return Failure(FailureKind.INFRASTRUCTURE, f"the container {others.name!r} {so}{said}")
        return Failure(FailureKind.INFRASTRUCTURE, f"the Pod ended before its program: {view.message or view.reason}")
    if ended.reason in _NEVER_RAN:
        text = f"the container of image {image!r} cannot run: {ended.message.strip()}"
        return Failure(_kind_of_start_failure(ended.message), text)
    if ended.reason in _LOST_SIGHT:
        text = "the node's container runtime lost the container: how its program ended is not known"
        return Failure(FailureKind.INFRASTRUCTURE, text, wants_log=True)
    if ended.exit_code == 0:
        text = "the program ended well, but its result was not left behind"
        return Failure(FailureKind.INFRASTRUCTURE, text, wants_log=True)
    if ended.exit_code == 137 and not ended.signal:
        # The wrapper itself was killed: by the kernel when the whole container is, by the runtime, or by hand.
        text = "the container was killed (SIGKILL) from outside"
        return Failure(FailureKind.INFRASTRUCTURE, text, wants_log=True)
    return Failure(FailureKind.USER, f"the command {describe_exit(ended.exit_code, ended.signal)}", wants_log=True)


def _kind_of_start_failure(message: str) -> FailureKind:
    """Of a container that could not be started."""
    return FailureKind.INFRASTRUCTURE if _INTERRUPTED.search(message) else FailureKind.CONFIGURATION


def _not_started(exit_: ProcessExit, image: str) -> Failure:
    return Failure(FailureKind.CONFIGURATION, describe_failed_start(exit_, image))


def _out_of_memory(ended: Terminated) -> str:
    said = f" ({ended.message.strip()})" if ended.message.strip() and not ended.message.startswith("{") else ""
    return f"the program was killed because it used more memory than its limit (OOMKilled){said}"
