"""Why a Pod does not run yet, in plain words (docs/pods.md, "Why it waits").

Invariants: pure; what the cluster said is shortened, never invented: a message that is not understood is shown as it
is. `quiet` is what every Pod passes through, not worth telling before it has lasted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_executor.backends.kubernetes.pod_warnings import PULL, SANDBOX, VOLUME, PodWarning
from penstock_executor.backends.kubernetes.view import PULLING, ContainerView, PodView
from penstock_executor.backends.kubernetes.workloads import GATE

_MAX_TEXT = 600
_WRAPPED = re.compile(
    r"(rpc error: code = \w+ desc = |Err\w+: |Back-off pulling image \"[^\"]*\": |Failed to pull image \"[^\"]*\": |"
    r"failed to pull and unpack image \"[^\"]*\": |failed to resolve reference \"[^\"]*\": )"
)
_PLACES = re.compile(r"^0/(\d+) nodes are available: ")
_PREEMPTION = re.compile(r"\.? ?(no new claims to deallocate, )?preemption: .*$", re.S)
_PART = re.compile(r"(?P<count>\d+) (?P<what>.+?)(?=, \d+ |$)", re.S)
_CONSTRAINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Insufficient (\S+)"), r"too little \1 left"),
    (re.compile(r"Too many pods"), "as many Pods as it may have"),
    (re.compile(r"node\(s\) didn't match Pod's node affinity/selector"), "not the labels that the task selects"),
    (re.compile(r"node\(s\) had untolerated taints?(?:\(s\))? \{([^:}]+): ?([^}]*)\}"), r"the taint \1=\2"),
    (re.compile(r"node\(s\) had untolerated taint\(s\)"), "taints that the task does not tolerate"),
    (re.compile(r"node\(s\) were unschedulable"), "been cordoned"),
    (re.compile(r"node\(s\) had volume node affinity conflict"), "no way to the task's volume"),
    (re.compile(r"node\(s\) didn't find available persistent volumes to bind"), "no volume for the task's claim"),
    (re.compile(r"node\(s\) exceed max volume count"), "as many volumes as it may have"),
    (re.compile(r"node\(s\) didn't have free ports for the requested pod ports"), "the task's port in use"),
    (re.compile(r"node\(s\) didn't match pod (?:anti-)?affinity rules"), "other Pods than the task's affinity allows"),
    (re.compile(r"node\(s\) didn't match pod topology spread constraints.*"), "too many Pods of the task's kind"),
)
_CLAIMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r'persistentvolumeclaim "([^"]+)" not found'), r"the claim '\1' does not exist"),
    (re.compile(r'persistentvolumeclaim "([^"]+)" is being deleted'), r"the claim '\1' is being deleted"),
    (re.compile(r"pod has unbound immediate PersistentVolumeClaims"), "its claim has no volume yet"),
)


@dataclass(frozen=True, slots=True)
class Wait:
    text: str
    quiet: bool = False


def wait_of(view: PodView, warnings: Sequence[PodWarning], image: str, queued: str = "") -> Wait | None:
    """What keeps a Pod from running its program; None when it runs, has ended, or is being deleted. `image` is the
    task's, `queued` what Kueue says of a Pod in a queue."""
    if view.ended or view.deleted_at or view.started_at or view.finished_at:
        return None
    if view.gates:
        return _gated(view, queued)
    if view.unscheduled:
        return Wait(f"no node takes the Pod: {_cut(constraints(view.unscheduled))}")
    if not view.scheduled_at:
        return Wait("the Pod is made and waits for the scheduler", quiet=True)
    pulls = next((one for one in warnings if one.reason == PULL), None)
    for container in view.containers:
        if container.waiting_reason in PULLING:
            return Wait(_pull(container, pulls, image))
    for container in view.containers:
        if container.waiting_reason not in ("", "ContainerCreating", "PodInitializing"):
            said = container.waiting_message or container.waiting_reason
            return Wait(f"the container {container.name!r} cannot be created: {_cut(said)}")
    node = f"on the node {view.node}" if view.node else "on its node"
    for warning in warnings:
        if warning.reason in VOLUME:
            return Wait(f"{node} a volume cannot be mounted (tried {_times(warning.count)}): {_cut(warning.message)}")
        if warning.reason in SANDBOX:
            said = _cut(warning.message)
            return Wait(f"{node} the Pod's network cannot be set up (tried {_times(warning.count)}): {said}")
    busy = next((one.name for one in view.containers if one.initial and one.running_since and not one.started), "")
    if busy:
        return Wait(f"{node} its init container {busy!r} runs", quiet=True)
    return Wait(f"{node} its images are being pulled or its volumes mounted", quiet=True)


def _gated(view: PodView, queued: str) -> Wait:
    if GATE not in view.gates:
        names = ", ".join(view.gates)
        return Wait(f"the Pod is held back by the scheduling gate {names}: whoever set it decides when it may start")
    text = f"the Pod waits for Kueue to admit it{f' in the queue {view.queue!r}' if view.queue else ''}"
    return Wait(f"{text}: {_cut(queued)}" if queued else text)


def constraints(message: str) -> str:
    """The scheduler's message in plain words: how many nodes, and what is with each that it cannot take the Pod."""
    for pattern, words in _CLAIMS:
        match = pattern.search(message)
        if match is not None:
            return match.expand(words)
    head = _PLACES.match(message)
    if head is None:
        return message
    rest = _PREEMPTION.sub("", message[head.end() :]).rstrip(". ")
    parts = [_plain(one["count"], one["what"]) for one in _PART.finditer(rest)]
    return f"of {head[1]} node{'s' if head[1] != '1' else ''} {', '.join(parts)}" if parts else message


def _plain(count: str, what: str) -> str:
    for pattern, words in _CONSTRAINTS:
        match = pattern.fullmatch(what)
        if match is not None:
            return f"{count} {'has' if count == '1' else 'have'} {match.expand(words).removesuffix('=')}"
    return f"{count} {what}"


def _pull(container: ContainerView, pulls: PodWarning | None, image: str) -> str:
    name = repr(image) if container.name == "main" else f"of the container {container.name!r}"
    tries = f" (tried {_times(pulls.count)})" if pulls is not None else ""
    # The back-off repeats the error; the first try's status has nothing else.
    message = container.waiting_message or (pulls.message if pulls is not None else "") or container.waiting_reason
    return f"the image {name} cannot be pulled{tries}: {_cut(reduced(message))}"


def reduced(message: str) -> str:
    """An error of a pull without what every layer put before it."""
    return _WRAPPED.sub("", message)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
