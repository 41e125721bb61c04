"""What a Pod's status means: Pods as an API server sends them, failures in words."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.give_up import Deadlines, when_to_give_up
from penstock_executor.backends.kubernetes.pod_warnings import PodWarning
from penstock_executor.backends.kubernetes.verdict import Failure, failure_of
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_ir.event_log import FailureCause, FailureKind

# A kubelet was killed while it had a container started.
SHIM = "failed to create containerd task: failed to start shim: start failed: : signal: killed: unknown"
CANCELED = "failed to create containerd task: failed to create shim task: context canceled: unknown"
# A kubelet that has not read the object yet, whether or not there is one.
KUBELET_BEHIND = "failed to sync configmap cache: timed out waiting for the condition"
CREATED = "2026-01-01T00:00:00Z"
AT = 1767225600000


def pod(*containers: dict[str, Any], **status: Any) -> PodView:
    return view_of(
        {
            "metadata": {
                "name": "p",
                "namespace": "n",
                "uid": "u",
                "creationTimestamp": CREATED,
                "labels": {"pipeline/runid": "r"},
                "annotations": {"penstock.dev/path": "loop[2]/t", "penstock.dev/attempt": "2"},
            },
            "status": {"phase": "Failed", "containerStatuses": list(containers), **status},
        }
    )


def waiting(reason: str, message: str = "", name: str = "main") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def running(name: str = "main") -> dict[str, Any]:
    return {"name": name, "state": {"running": {"startedAt": CREATED}}}


def ended(code: int, reason: str = "Error", message: str = "", name: str = "main") -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}


def failure(view: PodView, result: AttemptResult | None = None, deadline: float = 0.0) -> Failure:
    found = failure_of(view, result, deadline_seconds=deadline, image="image")
    assert found is not None
    return found


def test_what_is_read_of_a_pod() -> None:
    view = pod(running())
    assert view.key == AttemptKey("r", "loop[2]/t", 2)
    assert (view.created_at, view.started_at, view.finished_at) == (AT, AT, 0)


@pytest.mark.parametrize("document", [{}, {"metadata": None, "status": []}, {"metadata": {"labels": 3}, "status": 1}])
def test_nonsense_is_read_as_nothing(document: dict[str, Any]) -> None:
    view = view_of(document)
    assert view.key is None and not view.ended and view.started_at == 0


@pytest.mark.parametrize(
    ("reason", "message", "kind", "after"),
    [
        ("InvalidImageName", "no", FailureKind.CONFIGURATION, 0),
        ("ErrImagePull", "x: not found", FailureKind.CONFIGURATION, AT + 600_000),
        ("ImagePullBackOff", "Back-off: x: not found", FailureKind.CONFIGURATION, 0),
        ("ImagePullBackOff", "Back-off: connection refused", FailureKind.CONFIGURATION, AT + 600_000),
        ("CreateContainerConfigError", 'secret "s" not found', FailureKind.CONFIGURATION, AT + 30_000),
        ("CreateContainerConfigError", "container has runAsNonRoot", FailureKind.CONFIGURATION, 0),
        ("CreateContainerConfigError", KUBELET_BEHIND, FailureKind.INFRASTRUCTURE, AT + 3_600_000),
        ("RunContainerError", "error while dialing: dial unix", FailureKind.INFRASTRUCTURE, AT + 30_000),
    ],
)
@pytest.mark.parametrize("name", ["main", "agent"])
def test_containers_that_do_not_start(reason: str, message: str, kind: FailureKind, after: int, name: str) -> None:
    """The agent's counts while the program runs already: it would wait for its inputs for ever."""
    others = [] if name == "main" else [running()]
    found = when_to_give_up(pod(*others, waiting(reason, message, name), phase="Pending"), "image", Deadlines())
    assert found is not None
    assert (found.failure.kind, found.at) == (kind, after)
    assert ("'image'" if name == "main" and "Image" in reason else name) in found.failure.text


def test_a_pod_that_no_node_takes_is_given_up_in_time() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    found = when_to_give_up(pod(phase="Pending", conditions=[condition]), "image", Deadlines(pending=60))
    assert found is not None
    assert found.at == AT + 60_000
    assert found.failure.kind is FailureKind.INFRASTRUCTURE and "0/3 nodes" in found.failure.text


def placed(at: str = CREATED) -> dict[str, Any]:
    return {"type": "PodScheduled", "status": "True", "lastTransitionTime": at}


def test_a_registry_that_does_not_answer_costs_the_deadline_once() -> None:
    """Whatever the kubelet says meanwhile, from when the Pod had a node on; and no attempt after it."""
    for said in (waiting("ContainerCreating"), waiting("ErrImagePull", "i/o timeout"), waiting("PodInitializing")):
        found = when_to_give_up(
            pod(said, phase="Pending", conditions=[placed("2026-01-01T00:10:00Z")]), "image", Deadlines()
        )
        assert found is not None
        assert (found.failure.kind, found.at) == (FailureKind.CONFIGURATION, AT + 600_000 + 600_000), said
        assert "'image'" in found.failure.text


def test_an_init_container_that_works_is_no_image_that_is_awaited() -> None:
    fetching = {"name": "agent-fetch", "started": False, **running("agent-fetch")}
    view = pod(waiting("PodInitializing"), phase="Pending", conditions=[placed()], initContainerStatuses=[fetching])
    found = when_to_give_up(view, "image", Deadlines())
    assert found is not None and found.at == AT + 3600_000
    fetched = ended(0, "Completed", name="agent-fetch")
    fetched["state"]["terminated"].update(startedAt=CREATED, finishedAt="2026-01-01T00:30:00Z")
    view = pod(waiting("PodInitializing"), phase="Pending", conditions=[placed()], initContainerStatuses=[fetched])
    found = when_to_give_up(view, "image", Deadlines())
    assert found is not None and found.at == AT + 1800_000 + 600_000


def warning(reason: str, message: str, count: int = 1) -> PodWarning:
    return PodWarning("e", "p", "u", reason, message, count)


@pytest.mark.parametrize(
    ("message", "kind", "after"),
    [
        ('MountVolume.SetUp failed for volume "s" : secret "no" not found', FailureKind.CONFIGURATION, 30_000),
        ('MountVolume.SetUp failed for volume "c" : configmap "no" not found', FailureKind.CONFIGURATION, 30_000),
        ("AttachVolume.Attach failed: the disk is attached elsewhere", FailureKind.INFRASTRUCTURE, 3600_000),
    ],
)
def test_a_volume_that_cannot_be_mounted(message: str, kind: FailureKind, after: int) -> None:
    view = pod(waiting("ContainerCreating"), phase="Pending", conditions=[placed()])
    found = when_to_give_up(view, "image", Deadlines(), [warning("FailedMount", message)])
    assert found is not None
    assert (found.failure.kind, found.at) == (kind, AT + after)
    assert message in found.failure.text


def test_a_pod_that_a_queue_holds_back_is_not_given_up() -> None:
    gated = {"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}
    document = {"metadata": {"name": "p", "creationTimestamp": CREATED}, "status": {"phase": "Pending"}}
    assert when_to_give_up(view_of({**document, **gated}), "image", Deadlines()) is None
    found = when_to_give_up(view_of(document), "image", Deadlines(), ungated_at=AT + 7200_000)
    assert found is not None and found.at == AT + 7200_000 + 3600_000


def test_an_hour_in_the_queue_is_not_counted_by_an_executor_that_did_not_see_it() -> None:
    """Only Kueue's last write to the Pod tells; what others wrote, or wrote to its status, says nothing of gates."""
    written = [
        {"manager": "penstock-executor", "time": CREATED},
        {"manager": "kueue", "time": "2026-01-01T01:00:00Z"},
        {"manager": "kueue", "time": "2026-01-01T05:00:00Z", "subresource": "status"},
        {"manager": "somebody", "time": "2026-01-01T06:00:00Z"},
    ]
    metadata = {"name": "p", "creationTimestamp": CREATED, "managedFields": written}
    document: dict[str, Any] = {"metadata": metadata, "status": {"phase": "Pending"}}
    found = when_to_give_up(view_of(document), "image", Deadlines())
    assert found is not None and found.at == AT + 3600_000 + 3600_000
    gated = {**document, "spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}
    assert when_to_give_up(view_of(gated), "image", Deadlines()) is None


@pytest.mark.parametrize(
    ("kind", "reason", "cause"),
    [
        ("TerminationTarget", "WorkloadEvictedDueToPreempted", FailureCause.PREEMPTED),
        ("TerminationTarget", "WorkloadEvictedDueToClusterQueueStopped", FailureCause.PREEMPTED),
        ("TerminationTarget", "WorkloadEvictedDueToPodsReadyTimeout", None),
        ("TerminationTarget", "WorkloadDeleted", None),
        ("DisruptionTarget", "PreemptionByScheduler", FailureCause.PREEMPTED),
        ("DisruptionTarget", "EvictionByEvictionAPI", None),
    ],
)
def test_who_gave_the_place_to_others(kind: str, reason: str, cause: FailureCause | None) -> None:
    condition = {"type": kind, "status": "True", "reason": reason, "message": "to make room"}
    found = failure_of(pod(ended(143), conditions=[condition]), None, deadline_seconds=0, image="image")
    assert found is not None
    assert (found.kind, found.cause) == (FailureKind.INFRASTRUCTURE, cause)
    assert "to make room" in found.text
    untrue = {**condition, "status": "False"}
    other = failure_of(pod(ended(143), conditions=[untrue]), None, deadline_seconds=0, image="image")
    assert other is not None and other.cause is None and "to make room" not in other.text


def test_a_pod_that_runs_is_not_stuck() -> None:
    assert when_to_give_up(pod(running(), phase="Running"), "image", Deadlines()) is None


@pytest.mark.parametrize(
    ("containers", "kind", "after", "text"),
    [
        ([running(), ended(137, name="agent")], FailureKind.INFRASTRUCTURE, 15_000, "the agent"),
        ([ended(128, "StartError", "no such file"), running("agent")], FailureKind.CONFIGURATION, 15_000, "no such"),
        ([ended(137), running("agent")], FailureKind.INFRASTRUCTURE, 120_000, "killed (SIGKILL) from outside"),
    ],
)
def test_a_pod_of_which_one_half_is_gone_does_not_wait_for_ever(
    containers: list[dict[str, Any]], kind: FailureKind, after: int, text: str
) -> None:
    for one in containers:
        if (terminated := one["state"].get("terminated")) is not None:
            # As containerd has it.
            began = "1970-01-01T00:00:00Z" if terminated["reason"] == "StartError" else CREATED
            terminated.update(startedAt=began, finishedAt=CREATED)
    found = when_to_give_up(pod(*containers, phase="Running"), "image", Deadlines())
    assert found is not None
    assert (found.failure.kind, found.at) == (kind, AT + after)
    assert text in found.failure.text


@pytest.mark.parametrize("end", [ended(0, "Completed"), ended(1), ended(137, "OOMKilled")])
def test_an_agent_has_all_the_time_it_needs_after_a_program_that_ran(end: dict[str, Any]) -> None:
    end["state"]["terminated"].update(startedAt=CREATED, finishedAt=CREATED)
    assert when_to_give_up(pod(end, running("agent"), phase="Running"), "image", Deadlines()) is None


def test_a_result_counts_more_than_what_befell_the_pod() -> None:
    view = pod(ended(0, "Completed"), reason="Evicted", message="low on memory")
    assert failure_of(view, AttemptResult(ProcessExit(0)), deadline_seconds=0, image="image") is None


@pytest.mark.parametrize(
    ("view", "result", "kind", "text"),
    [
        (pod(ended(3)), AttemptResult(ProcessExit(3)), "user", "exited with code 3"),
        (pod(ended(137)), AttemptResult(ProcessExit(137, 9)), "user", "signal 9 (SIGKILL)"),
        (pod(ended(127)), AttemptResult(ProcessExit(127, errno=2, command="x")), "configuration", "'x' does not exist"),
        (pod(ended(137, "OOMKilled")), None, "user", "more memory than its limit"),
        (pod(ended(137)), None, "infrastructure", "killed (SIGKILL) from outside"),
        (pod(ended(128, "StartError", "exec: no")), None, "configuration", "cannot run: exec: no"),
        # A runtime was killed while it started the container.
        (pod(ended(1)), None, "infrastructure", "exited with code 1 before its program"),
        (pod(ended(1), ended(137, name="agent")), None, "user", "exited with code 1"),
        (pod(ended(128, "StartError", CANCELED)), None, "infrastructure", "context canceled"),
        (pod(ended(128, "StartError", SHIM)), None, "infrastructure", "failed to start shim"),
        (pod(ended(255, "Unknown", ""), ended(255, "Unknown", "", "agent")), None, "infrastructure", "is not known"),
        (pod(ended(137, "ContainerStatusUnknown", "")), None, "infrastructure", "is not known"),
        (pod(reason="Evicted", message="disk"), None, "infrastructure", "evicted from its node: disk"),
        (pod(reason="OutOfcpu", message="full"), None, "infrastructure", "no room left"),
        (pod(reason="DeadlineExceeded"), None, "user", "deadline of 2 seconds"),
        (pod(ended(1, name="agent")), None, "infrastructure", "'agent' exited with code 1"),
        (pod(ended(0, "Completed")), None, "infrastructure", "result was not left behind"),
        (pod(ended(0)), AttemptResult(ProcessExit(0), failure=("infrastructure", "no S3")), "infrastructure", "no S3"),
        (pod(), None, "infrastructure", "ended before its program"),
    ],
)
def test_whose_fault_it_was(view: PodView, result: AttemptResult | None, kind: str, text: str) -> None:
    found = failure(view, result, 2.0)
    assert found.kind.value == kind, found.text
    assert text in found.text


@pytest.mark.parametrize(
    ("finished", "kind"), [(AT + 10_500, FailureKind.INFRASTRUCTURE), (AT + 5_000, FailureKind.USER)]
)
def test_a_program_that_ends_because_its_pod_was_deleted(finished: int, kind: FailureKind) -> None:
    """Asked to go ten seconds after it began, with 30 seconds of grace."""
    left = AttemptResult(ProcessExit(143, 15, finished_at=finished))
    document = {
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:40Z", "deletionGracePeriodSeconds": 30},
        "status": {"phase": "Failed", "containerStatuses": [ended(143)]},
    }
    assert failure(view_of(document), left).kind is kind


def test_the_code_of_an_entrypoint_is_its_own() -> None:
    found = failure_of(pod(ended(1)), None, deadline_seconds=0, image="image", wrapped=False)
    assert found is not None and found.kind is FailureKind.USER


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("PreemptionByScheduler", "preempted"),
        ("TerminationByKubelet", "evicted"),
        ("DeletionByTaintManager", "node was lost"),
        ("DeletionByPodGC", "disrupted (DeletionByPodGC)"),
    ],
)
def test_disruptions(reason: str, text: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "why"}
    found = failure(pod(ended(143), conditions=[condition]), AttemptResult(ProcessExit(143, 15)))
    assert found.kind is FailureKind.INFRASTRUCTURE
    assert text in found.text
