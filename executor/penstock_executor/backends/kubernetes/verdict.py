"""Why an attempt failed, from the status of its ended Pod.

Invariants: pure. The kind of a failure decides whether and from which budget it is retried: what the platform did
(eviction, preemption, a lost node, a deleted Pod) is INFRASTRUCTURE, what the program did (exit code, memory, deadline)
is USER, what no retry can mend (image, configuration) is CONFIGURATION. Its cause is PREEMPTED when a scheduler or a
queue gave the place to others, and not when the Pod itself was why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_ir.event_log import FailureCause, FailureKind

from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.backends.exit_texts import describe_exit, describe_failed_start
from penstock_executor.backends.kubernetes.view import PodView, Terminated

# Said of a start that a kubelet or a runtime which ended or hung left undone.
_INTERRUPTED = re.compile(
    r"context canceled|deadline exceeded|error while dialing|connection (refused|reset|error)|closing|ttrpc: closed|"
    r"shim (is )?(disconnected|exited)|failed to start shim|signal: killed|code = Unavailable",
    re.I,
)
NEVER_RAN = {"ContainerCannotRun", "StartError"}
# What runtime and kubelet say of a container that they lost sight of; the code they give is their own.
_LOST_SIGHT = {"Unknown", "ContainerStatusUnknown"}
_LOST_NODE = {"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity", "UnexpectedAdmissionError"}
# Why Kueue evicts a Workload that did nothing wrong. Not among them: one that was not ready in time (PodsReadyTimeout)
# or whose node failed.
_FOR_OTHERS = {
    f"WorkloadEvictedDueTo{reason}"
    for reason in ("Preempted", "ClusterQueueStopped", "LocalQueueStopped", "AdmissionCheck")
}


@dataclass(frozen=True, slots=True)
class Failure:
    """`wants_log`: the last lines of the program's log belong to the text."""

    kind: FailureKind
    text: str
    wants_log: bool = False
    cause: FailureCause | None = None


def disruption(view: PodView) -> Failure | None:
    """What the platform did to the Pod, None when it left it alone."""
    cause = None
    if view.queue_stop:
        reason = view.queue_stop.removeprefix("WorkloadEvictedDueTo")
        text = f"the queue {view.queue or 'of the Pod'} took its place back ({reason}): {view.queue_message}"
        cause = FailureCause.PREEMPTED if view.queue_stop in _FOR_OTHERS else None
    elif view.disruption == "PreemptionByScheduler":
        text = f"the Pod was preempted by one of higher priority: {view.disruption_message or view.message}"
        cause = FailureCause.PREEMPTED
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
    return Failure(FailureKind.INFRASTRUCTURE, text.rstrip(": "), cause=cause)


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
        return Failure(FailureKind.USER, _out_of_memory(ended), wants_log=True, cause=FailureCause.OUT_OF_MEMORY)
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
    return failure_without_result(view, ended, result, image)


def _ended_by_deletion(view: PodView, exit_: ProcessExit | None) -> bool:
    """Whether the program ended after its Pod was asked to go; the API server's clock has seconds only."""
    ended_at = (exit_.finished_at if exit_ is not None else 0) or view.finished_at
    return bool(view.delete_asked_at) and (not ended_at or ended_at + 1000 > view.delete_asked_at)


def _only_wrapper_could_report(view: PodView, ended: Terminated, result: AttemptResult | None) -> bool:
    """Whether only the wrapper could have left a result, and it did not. Then the wrapper did not run to its end, and
    the exit code is not that of the user's program."""
    return result is None and view.container("agent") is None and ended.reason not in NEVER_RAN


def failure_without_result(
    view: PodView, ended: Terminated | None, result: AttemptResult | None, image: str
) -> Failure:
    """Why it failed when nothing says how the program itself ended. `ended` is how `main` did, None when it never ran;
    `result` may hold the agent's failure."""
    if result is not None and result.failure is not None:
        return Failure(FailureKind(result.failure[0]), result.failure[1], wants_log=True)
    if ended is None:
        other = next((one for one in view.containers if one.terminated and one.terminated.exit_code), None)
        if other is not None and other.terminated is not None:
            ended_how = describe_exit(other.terminated.exit_code, other.terminated.signal)
            message = f": {other.terminated.message.strip()}" if other.terminated.message.strip() else ""
            return Failure(FailureKind.INFRASTRUCTURE, f"the container {other.name!r} {ended_how}{message}")
        return Failure(FailureKind.INFRASTRUCTURE, f"the Pod ended before its program: {view.message or view.reason}")
    if ended.reason in NEVER_RAN:
        text = f"the container of image {image!r} cannot run: {ended.message.strip()}"
        return Failure(kind_of_start_failure(ended.message), text)
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


def kind_of_start_failure(message: str) -> FailureKind:
    """Of a container that could not be started."""
    return FailureKind.INFRASTRUCTURE if _INTERRUPTED.search(message) else FailureKind.CONFIGURATION


def _not_started(exit_: ProcessExit, image: str) -> Failure:
    return Failure(FailureKind.CONFIGURATION, describe_failed_start(exit_, image))


def _out_of_memory(ended: Terminated) -> str:
    said = f" ({ended.message.strip()})" if ended.message.strip() and not ended.message.startswith("{") else ""
    return f"the program was killed because it used more memory than its limit (OOMKilled){said}"
