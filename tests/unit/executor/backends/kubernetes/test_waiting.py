"""Why a Pod does not run yet: statuses and events as a cluster of 1.34 writes them, and what people read of them."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.backends.kubernetes.pod_warnings import WATCH, PodWarning, warning_of
from penstock_executor.backends.kubernetes.view import PodView, view_of
from penstock_executor.backends.kubernetes.waiting import Wait, constraints, wait_of

AT = "2026-01-01T00:00:00Z"
NOT_FOUND = 'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/x/y:1": not found'
PULLED = PodWarning("e", "p", "u", "Failed", f'Failed to pull image "x/y:1": {NOT_FOUND}', 3)


def pod(*containers: dict[str, Any], placed: bool = True, **status: Any) -> PodView:
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": AT}] if placed else []
    spec = {"nodeName": "n1"} if placed else {}
    return view_of(
        {
            "metadata": {"name": "p", "uid": "u", "creationTimestamp": AT},
            "spec": spec,
            "status": {"phase": "Pending", "conditions": conditions, "containerStatuses": list(containers), **status},
        }
    )


def unscheduled(message: str) -> PodView:
    return pod(
        placed=False,
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}],
    )


def waiting(reason: str, message: str = "", name: str = "main") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def text(view: PodView, *warnings: PodWarning) -> str:
    found = wait_of(view, warnings, "x/y:1")
    assert found is not None
    return found.text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector. "
            "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not "
            "helpful for scheduling.",
            "of 3 nodes 1 has too little cpu left, 2 have not the labels that the task selects",
        ),
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 "
            "nodes are available: 1 Preemption is not helpful for scheduling.",
            "of 1 node 1 has too little nvidia.com/gpu left",
        ),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, 1 node(s) were unschedulable.",
            "of 2 nodes 1 has the taint dedicated=gpu, 1 has been cordoned",
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
            "of 1 node 1 has the taint node.kubernetes.io/not-ready",
        ),
        ("0/1 nodes are available: 1 Too many pods.", "of 1 node 1 has as many Pods as it may have"),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            "its claim has no volume yet",
        ),
        ('0/1 nodes are available: persistentvolumeclaim "data" not found.', "the claim 'data' does not exist"),
        ("0/1 nodes are available: 1 node(s) were odd.", "of 1 node 1 node(s) were odd"),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
    ],
)
def test_the_schedulers_message(message: str, words: str) -> None:
    assert constraints(message) == words
    assert text(unscheduled(message)) == f"no node takes the Pod: {words}"


def gated(gate: str, **labels: str) -> PodView:
    document = {
        "metadata": {"name": "p", "creationTimestamp": AT, "labels": labels},
        "spec": {"schedulingGates": [{"name": gate}]},
        "status": {"phase": "Pending"},
    }
    return view_of(document)


def test_a_scheduling_gate() -> None:
    assert "scheduling gate example.com/queue" in text(gated("example.com/queue"))


def test_a_queue_of_kueue() -> None:
    view = gated("kueue.x-k8s.io/admission", **{"kueue.x-k8s.io/queue-name": "team-a"})
    assert text(view) == "the Pod waits for Kueue to admit it in the queue 'team-a'"
    said = wait_of(view, (), "image", "couldn't assign flavors to pod set main: insufficient unused quota for cpu")
    assert said is not None
    assert said.text == (
        "the Pod waits for Kueue to admit it in the queue 'team-a': couldn't assign flavors to pod set main: "
        "insufficient unused quota for cpu"
    )
    assert text(gated("kueue.x-k8s.io/admission")) == "the Pod waits for Kueue to admit it"


def test_an_image_with_its_error_and_tries() -> None:
    short = "not found"
    first = pod(waiting("ErrImagePull", NOT_FOUND))
    assert text(first) == f"the image 'x/y:1' cannot be pulled: {short}"
    back_off = f'Back-off pulling image "x/y:1": ErrImagePull: {NOT_FOUND}'
    assert text(pod(waiting("ImagePullBackOff", back_off)), PULLED) == (
        f"the image 'x/y:1' cannot be pulled (tried 3 times): {short}"
    )
    assert "of the container 'agent'" in text(pod(waiting("ErrImagePull", NOT_FOUND, "agent")))


def test_a_container_that_cannot_be_created() -> None:
    view = pod(waiting("CreateContainerConfigError", 'secret "s" not found'))
    assert text(view) == "the container 'main' cannot be created: secret \"s\" not found"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("FailedMount", "on the node n1 a volume cannot be mounted (tried 2 times): why"),
        ("FailedAttachVolume", "on the node n1 a volume cannot be mounted (tried 2 times): why"),
        ("FailedCreatePodSandBox", "on the node n1 the Pod's network cannot be set up (tried 2 times): why"),
    ],
)
def test_what_the_kubelet_complains_of(reason: str, words: str) -> None:
    assert text(pod(waiting("ContainerCreating")), PodWarning("e", "p", "u", reason, "why", 2)) == words


@pytest.mark.parametrize(
    "view", [pod(placed=False), pod(waiting("ContainerCreating")), pod(waiting("PodInitializing"))], ids=str
)
def test_what_every_pod_passes_through_is_quiet(view: PodView) -> None:
    found = wait_of(view, (), "image")
    assert found is not None and found.quiet


@pytest.mark.parametrize(
    "view",
    [
        pod({"name": "main", "state": {"running": {"startedAt": AT}}}),
        pod({"name": "main", "state": {"terminated": {"exitCode": 0, "startedAt": AT, "finishedAt": AT}}}),
        pod(phase="Failed"),
    ],
    ids=["runs", "has ended", "failed"],
)
def test_what_waits_no_more(view: PodView) -> None:
    assert wait_of(view, (), "image") is None


def test_which_events_count() -> None:
    def event(**fields: Any) -> dict[str, Any]:
        about = {"kind": "Pod", "name": "p", "uid": "u"}
        return {"metadata": {"name": "e"}, "involvedObject": about, "type": "Warning", "message": "m", **fields}

    assert warning_of(event(reason="FailedMount", count=2)) == PodWarning("e", "p", "u", "FailedMount", "m", 2)
    assert warning_of(event(reason="FailedMount", series={"count": 4})) == PodWarning(
        "e", "p", "u", "FailedMount", "m", 4
    )
    assert warning_of(event(reason="Failed", message='Failed to pull image "x": no')) is not None
    assert warning_of(event(reason="Failed", message="Error: ErrImagePull")) is None
    assert warning_of(event(reason="Unhealthy")) is None
    assert warning_of(event(reason="FailedMount", type="Normal")) is None


def test_nothing_is_longer_than_people_read() -> None:
    assert len(text(pod(waiting("CreateContainerError", "x" * 5000)))) < 700
    assert wait_of(pod(placed=False), (), "i") == Wait("the Pod is made and waits for the scheduler", quiet=True)


def test_a_watch_of_quiet_events_ends_before_it_counts_as_stalled() -> None:
    assert max(WATCH.lifetime) < WATCH.stall
