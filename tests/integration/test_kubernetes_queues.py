"""Pods in a queue of Kueue, on a simulated cluster: they wait for as long as it takes, and what it says is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from penstock_executor.attempts import TaskLaunch, TaskOutcome
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_ir.event_log import FailureCause, FailureKind

from tests.support.kube_bench import Bench, bench
from tools.sim_kube.faults import Fault
from tools.sim_kube.outcome import Outcome

PODS = "/api/v1/namespaces/default/pods"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/default/workloads"
FULL = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 1 more needed"
TEMPLATE = """
metadata: {labels: {kueue.x-k8s.io/queue-name: team-a}}
spec: {schedulingGates: [{name: kueue.x-k8s.io/admission}]}
"""


class Clock:
    """The machine's clock, and how far a test has put it forward."""

    def __init__(self) -> None:
        self.ahead = 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made, real, real_ns = Clock(), time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() + made.ahead)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + made.ahead * 1_000_000_000)
    yield made


async def gated(b: Bench) -> None:
    """What Kueue's webhook does to every Pod of the namespace."""
    config = {"metadata": {"name": "penstock"}, "data": {"podTemplate": TEMPLATE}}
    await b.client.create("/api/v1/namespaces/default/configmaps", config)


async def queued(b: Bench, task: TaskLaunch, message: str) -> None:
    """What Kueue's controller does when it sees a Pod that does not fit."""
    (pod,) = [one for one in await b.pods() if one["metadata"]["name"] == task.pod_name]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": task.pod_name, "uid": pod["metadata"]["uid"]}
    condition = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message}
    workload = {"metadata": {"name": "pod-a", "ownerReferences": [owner]}, "status": {"conditions": [condition]}}
    await b.client.create(WORKLOADS, workload)


async def admitted(b: Bench, task: TaskLaunch) -> None:
    """The API server notes who wrote that."""
    url, change = f"{b.kube.url}{PODS}/{task.pod_name}", {"spec": {"schedulingGates": None}}
    async with (
        aiohttp.ClientSession() as http,
        http.patch(url, json=change, params={"fieldManager": "kueue"}) as answer,
    ):
        assert answer.status == 200


async def touched(b: Bench, task: TaskLaunch) -> None:
    """An event of the watch, after which the backend looks again."""
    await b.client.patch_merge(f"{PODS}/{task.pod_name}", {"metadata": {"annotations": {"touched": "yes"}}})


def outcomes(b: Bench) -> list[Any]:
    return [event for event in b.events if isinstance(event, TaskOutcome)]


async def test_an_hour_in_the_queue(tmp_path: Path, clock: Clock) -> None:
    async with bench(tmp_path) as b:
        await gated(b)
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert await b.wait(task.key) == "the Pod waits for Kueue to admit it in the queue 'team-a'"
        await queued(b, task, FULL)

        async def told() -> bool:
            return (await b.wait(task.key)).endswith(f"in the queue 'team-a': {FULL}")

        await b.until(told)
        clock.ahead = 3700
        await touched(b, task)
        # A later executor, which did not see when the Pod was made.
        await backend.close()
        backend = await b.backend()
        await backend.launch(task)
        b.events.clear()
        assert (await b.wait(task.key)).endswith(FULL)
        assert outcomes(b) == []
        await admitted(b, task)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()


async def test_the_deadline_begins_with_the_admission(tmp_path: Path, clock: Clock) -> None:
    """Also for an executor that did not see it: what Kueue wrote to the Pod tells when that was."""
    async with bench(tmp_path, Outcome("unschedulable")) as b:
        await gated(b)
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        await b.wait(task.key)
        await backend.close()
        clock.ahead = 3700
        await admitted(b, task)
        b.events.clear()
        backend = await b.backend(cancel_grace_seconds=0)
        await backend.launch(task)
        assert "no node takes the Pod" in await b.wait(task.key)
        assert outcomes(b) == []
        clock.ahead = 3700 + 3700
        await touched(b, task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE and "waited 3600 seconds" in outcome.error
        await backend.close()


async def test_a_pod_whose_place_is_taken_back_was_preempted(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("taken-back")) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert (outcome.failure, outcome.cause) == (FailureKind.INFRASTRUCTURE, FailureCause.PREEMPTED)
        assert "took its place back (Preempted)" in outcome.error
        await backend.close()


async def test_so_was_one_that_had_no_node_yet(tmp_path: Path) -> None:
    """Nothing of it ever ran, so it is gone without having ended."""
    async with bench(tmp_path, Outcome("unschedulable")) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        await b.wait(task.key)
        reason = {"type": "TerminationTarget", "status": "True", "reason": "WorkloadEvictedDueToPreempted"}
        told = {**reason, "message": "Preempted to accommodate a workload"}
        await b.client.patch_merge(f"{PODS}/{task.pod_name}/status", {"status": {"conditions": [told]}})
        await b.client.delete(f"{PODS}/{task.pod_name}")
        outcome = await b.outcome(task.key)
        assert (outcome.failure, outcome.cause) == (FailureKind.INFRASTRUCTURE, FailureCause.PREEMPTED)
        assert "Preempted to accommodate a workload" in outcome.error
        await backend.close()


async def test_without_kueues_api_or_the_right_to_it_less_is_told(tmp_path: Path) -> None:
    for path, status in (("/apis/kueue.x-k8s.io$", 404), ("/workloads", 403)):
        async with bench(tmp_path) as b:
            b.kube.faults.add(Fault(status=status, method="GET", path=path, reason="No", message="no"))
            await gated(b)
            backend, task = await b.backend(deadlines=Deadlines(pending=1.0)), b.task()
            await backend.launch(task)
            assert await b.wait(task.key) == "the Pod waits for Kueue to admit it in the queue 'team-a'"
            await admitted(b, task)
            assert (await b.outcome(task.key)).succeeded
            await backend.close()


async def test_one_watch_serves_all_that_wait(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await gated(b)
        backend, tasks = await b.backend(), [b.task(f"t{number}") for number in range(5)]
        for task in tasks:
            await backend.launch(task)
        for task in tasks:
            assert "waits for Kueue" in await b.wait(task.key)
        await queued(b, tasks[0], FULL)

        async def told() -> bool:
            return (await b.wait(tasks[0].key)).endswith(FULL)

        await b.until(told)
        assert b.kube.requests["GET workloads"] == 2, "a list and a watch"
        await backend.close()


async def test_nothing_is_asked_of_kueue_while_nothing_waits_for_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert b.kube.requests["GET workloads"] == 0
        await backend.close()


async def test_what_no_quota_would_ever_take_fails_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        said = "exceeded quota: q, requested: requests.cpu=8, used: requests.cpu=0, limited: requests.cpu=4"
        b.kube.faults.add(Fault(status=403, method="POST", path="/pods$", reason="Forbidden", message=said))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert "quota 'q' allows requests.cpu=4 in all, and the Pod asks for 8" in outcome.error
        assert backend.reserve(b.task("other").key, "") == "", "nobody else has to wait for it"
        await backend.close()


async def test_an_end_for_lack_of_memory_is_told_apart(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("oom")) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert (outcome.failure, outcome.cause) == (FailureKind.USER, FailureCause.OUT_OF_MEMORY)
        await backend.close()
