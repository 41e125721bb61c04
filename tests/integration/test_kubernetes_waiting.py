"""The reasons why an attempt waits for its Pod to run, and the limits on numbers of Pods."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock_executor.attempts import TaskOutcome, TaskStarted
from penstock_executor.backends.base import NoCapacityError
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_ir.event_log import FailureKind

from tests.support.kube_bench import bench
from tools.sim_kube.faults import Fault
from tools.sim_kube.outcome import Outcome


async def test_why_a_pod_waits_is_told_within_two_seconds(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("unschedulable")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)
        assert await b.wait(task.key) == "no node takes the Pod: of 1 node 1 has too little cpu left"
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        await backend.close()


async def test_what_the_kubelet_complains_of_is_told(tmp_path: Path) -> None:
    """In an event alone: the status says ContainerCreating."""
    async with bench(tmp_path, latency=10) as b:
        backend, task = await b.backend(deadlines=Deadlines(configuration=1.0)), b.task()
        await backend.launch(task)
        (pod,) = await b.pods()

        async def placed() -> bool:
            return "containerStatuses" in (await b.pods())[0]["status"]

        await b.until(placed)
        about = {"kind": "Pod", "namespace": "default", "name": task.pod_name, "uid": pod["metadata"]["uid"]}
        said = 'MountVolume.SetUp failed for volume "s" : secret "no-such" not found'
        event = {"metadata": {"name": "e"}, "involvedObject": about, "type": "Warning", "reason": "FailedMount"}
        await b.client.create("/api/v1/namespaces/default/events", {**event, "message": said, "count": 2})
        text = await b.wait(task.key)
        assert "a volume cannot be mounted (tried 2 times)" in text and "no-such" in text
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.CONFIGURATION and "no-such" in outcome.error
        await backend.close()


async def test_a_pod_that_runs_soon_is_not_told_of(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=1.0) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert [type(one) for one in b.events] == [TaskStarted, TaskOutcome]
        await backend.close()


async def test_a_bound_counts_the_pods_that_are_there_whoever_made_them(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        first = await b.backend()
        await first.launch(b.task("a"))
        await first.launch(b.task("b"))
        await first.close()
        # A later executor, which begins with the Pods of its predecessor.
        backend = await b.backend(bounds=Bounds(2), cancel_grace_seconds=0)
        with pytest.raises(NoCapacityError, match="2 of 2 Pods run"):
            await backend.launch(b.task("c"))
        await backend.launch(b.task("a"))
        assert b.kube.stats()["pods_created"] == 2
        await backend.cancel(b.task("a").key)
        await b.outcome(b.task("a").key)

        async def free() -> bool:
            return backend.reserve(b.task("c").key, "") == ""

        await b.until(free)
        await backend.launch(b.task("c"))
        assert b.kube.stats()["pods_created"] == 3
        assert backend.reserve(b.task("d").key, "") != ""
        await backend.close()


async def test_a_quota_that_is_used_up_is_waited_for_in_words(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        said = "exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"
        b.kube.faults.add(Fault(status=403, method="POST", path="/pods$", reason="Forbidden", message=said, times=1))
        backend, task = await b.backend(), b.task()
        with pytest.raises(NoCapacityError, match="quota 'q': the Pod asks for pods=1, pods=5 of pods=5 is used"):
            await backend.launch(task)
        assert "quota 'q'" in backend.reserve(task.key, "")

        async def asked_again() -> bool:
            return backend.reserve(task.key, "") == ""

        await b.until(asked_again)
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()
