"""Warm workers on the simulated API server when something is not as it should be: settings that cannot be read, runs
that were another executor's for a while, namespaces that change their mind, Pods that pretend to be workers.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

from penstock_executor.attempts import TaskOutcome, TaskStarted
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.workers import attempts, fleet
from penstock_executor.backends.kubernetes.workers.worker import Worker
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_ir.event_log import FailureKind
from pytest import MonkeyPatch

from tests.support.kube_bench import Bench
from tests.support.kube_workers import placement, pods_of_workers, task, workers
from tools.sim_kube.faults import Fault


async def started(b: Bench, name: str) -> None:
    async def has() -> bool:
        return any(isinstance(event, TaskStarted) and event.key.path == name for event in b.events)

    await b.until(has)


async def test_settings_that_cannot_be_read_begin_nothing_twice(tmp_path: Path) -> None:
    """Whoever takes a run over does not know yet what its namespace says, nor what runs in its workers."""
    async with workers(tmp_path) as b:
        first = await b.backend()
        one = task(b, "t0", {"seconds": 1.0})
        await first.launch(one)
        await started(b, "t0")
        await first.close()
        b.events.clear()
        b.runs.held_as = 2
        b.kube.faults.add(Fault(status=500, method="GET", path="/configmaps/penstock$"))
        second = await b.backend()
        launching = asyncio.ensure_future(second.launch(replace(one, may_exist=True)))
        # Longer than the client tries by itself.
        await asyncio.sleep(2.5)
        b.kube.faults.clear()
        await launching
        assert (await b.outcome(one.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1, "it ran in the worker, and nowhere else"
        await second.close()


async def test_what_waited_while_its_run_was_anothers_is_looked_for(tmp_path: Path) -> None:
    """Another executor may have begun it meanwhile, in a Pod that has its name."""
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend(cancel_grace_seconds=1)
        runs, waits = task(b, "runs", {"kind": "runs-forever"}), task(b, "waits")
        await backend.launch(runs)
        await started(b, "runs")
        await backend.launch(waits)
        b.runs.held_as = 2
        await backend.launch(replace(waits, may_exist=True))
        assert (await b.outcome(waits.key)).succeeded, "it does not wait for the worker any more"
        assert "an executor before this one" in placement(b, "waits")
        await backend.cancel(runs.key)
        await b.outcome(runs.key)
        await backend.close()


async def test_what_ran_while_its_run_was_anothers_is_followed_again(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", {"seconds": 1.0})
        await backend.launch(one)
        await started(b, "t0")
        # The worker has seen the fence of the next holder, from which the run comes back.
        b.runs.held_as = 5
        await backend.launch(replace(one, may_exist=True, seen_running=True))
        b.runs.held_as, b.runs.expected = 0, None
        b.kube.execs.cut()
        await asyncio.sleep(0.4)
        b.runs.held_as, b.runs.expected = 6, True
        await backend.launch(replace(one, may_exist=True, seen_running=True))
        assert (await b.outcome(one.key)).succeeded
        await backend.close()


async def test_results_that_nobody_takes_stop_no_worker_for_good(tmp_path: Path) -> None:
    """An agent keeps 64 of them, and the server may take longer to commit."""
    async with workers(tmp_path, workersMax="1") as b:
        backend = await b.backend()
        tasks = [task(b, f"t{number}", {"seconds": 0.0}) for number in range(70)]
        for one in tasks:
            await backend.launch(one)
        for one in tasks[:64]:
            await b.outcome(one.key)
        await asyncio.sleep(0.5)
        assert sum(isinstance(event, TaskOutcome) for event in b.events) == 64
        for one in tasks[:64]:
            backend.release(one.key)
        for one in tasks[64:]:
            assert (await b.outcome(one.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


async def test_a_place_is_free_again_when_no_pod_could_be_made_instead(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        b.kube.faults.add(Fault(status=403, path="/exec", times=None))
        backend = await b.backend(bounds=Bounds(1))
        b.kube.faults.add(Fault(status=422, method="POST", path="/pods$", times=2, message="invalid"))
        one = task(b, "t0")
        assert not backend.reserve(one.key, "default")
        await backend.launch(one)
        assert (await b.outcome(one.key)).failure is FailureKind.CONFIGURATION
        backend.unreserve(one.key)
        backend.release(one.key)
        assert not backend.reserve(task(b, "t1").key, "default")
        await backend.close()


async def test_a_namespace_that_allows_no_workers_any_more(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_DECISIONS_SECONDS", 0.1)
    monkeypatch.setattr("penstock_executor.backends.kubernetes.namespaces._FRESH_SECONDS", 0.1)
    async with workers(tmp_path, workersMax="1", workersMin="1", workersIdleSeconds="3600") as b:
        backend = await b.backend()
        runs, waits = task(b, "runs", {"seconds": 1.0}), task(b, "waits")
        for one in (runs, waits):
            await backend.launch(one)
        await started(b, "runs")
        path = "/api/v1/namespaces/default/configmaps/penstock"
        await b.client.delete(path)
        await b.outcome(waits.key)
        assert "does not allow it any more" in placement(b, "waits")
        assert (await b.outcome(runs.key)).succeeded, "what runs goes on"
        for one in (runs, waits):
            backend.release(one.key)

        async def gone() -> bool:
            return await pods_of_workers(b) == []

        await b.until(gone)
        await backend.close()


async def test_a_deadline_is_one_whoever_holds_the_run(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    timers: list[float] = []
    after = WorkerAttempt.after

    def noted(self: WorkerAttempt, seconds: float, act: object) -> None:
        timers.append(seconds)
        after(self, seconds, act)

    monkeypatch.setattr(WorkerAttempt, "after", noted)
    async with workers(tmp_path) as b:
        first = await b.backend()
        one = task(b, "t0", {"kind": "runs-forever"}, deadline_seconds=3600.0)
        await first.launch(one)
        await started(b, "t0")
        await first.close()
        (before,) = [event for event in b.events if isinstance(event, TaskStarted)]
        b.events.clear()
        b.runs.held_as = 2
        # So long nobody holds the run, and the attempt runs.
        await asyncio.sleep(2.0)
        second = await b.backend()
        await second.launch(replace(one, may_exist=True, seen_running=True))
        await started(b, "t0")
        (again,) = [event for event in b.events if isinstance(event, TaskStarted)]
        assert again.at_millis - before.at_millis < 1900
        assert len(timers) == 2 and timers[1] <= timers[0] - 1.9
        await second.close()


async def test_what_was_begun_is_committed_before_the_pod_that_tells_it_goes(
    tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    """Otherwise whoever takes the run over would find neither, and begin it once more."""
    monkeypatch.setattr(fleet, "_ALONE_SECONDS", 0.2)
    async with workers(tmp_path) as b:
        b.runs.starts_committed = False
        first = await b.backend()
        one = task(b, "t0", {"kind": "runs-forever"})
        await first.launch(one)
        await started(b, "t0")
        (pod,) = await b.pods()
        b.kube.node.kill_agent(pod["metadata"]["name"])
        asked: list[bool] = []
        may_go = attempts.WorkerAttempts._may_go

        def observed(self: attempts.WorkerAttempts, worker: Worker) -> bool:
            asked.append(may_go(self, worker))
            return asked[-1]

        monkeypatch.setattr(first._workers._fleet, "_may_go", partial(observed, first._workers))

        async def asked_twice() -> bool:
            return len(asked) > 1

        await b.until(asked_twice)
        assert asked == [False] * len(asked) and len(await b.pods()) == 1
        # Whoever takes over now finds it.
        await first.close()
        b.events.clear()
        b.runs.held_as = 2
        second = await b.backend()
        await second.launch(replace(one, may_exist=True))
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        await second.close()


async def test_a_pod_goes_when_what_was_begun_there_is_committed(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_ALONE_SECONDS", 0.2)
    async with workers(tmp_path) as b:
        b.runs.starts_committed = False
        backend = await b.backend()
        one = task(b, "t0", {"kind": "runs-forever"})
        await backend.launch(one)
        await started(b, "t0")
        (pod,) = await b.pods()
        b.kube.node.kill_agent(pod["metadata"]["name"])
        (worker,) = backend._workers._fleet._workers.values()

        async def to_be_removed() -> bool:
            return bool(worker.removed_since)

        await b.until(to_be_removed)
        b.runs.starts_committed = True
        outcome = await b.outcome(one.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE and await b.pods() == []
        await backend.close()


async def test_a_pod_that_is_not_found_for_a_moment_is_not_gone(tmp_path: Path) -> None:
    """A proxy or a node may say so of a Pod that is there."""
    async with workers(tmp_path) as b:
        backend = await b.backend()
        one = task(b, "t0", {"seconds": 1.0})
        await backend.launch(one)
        await started(b, "t0")
        b.kube.faults.add(Fault(status=404, path="/exec", reason="NotFound", times=1))
        b.kube.execs.cut()
        outcome = await b.outcome(one.key)
        assert outcome.succeeded, outcome.error
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


async def test_a_worker_of_an_executor_that_is_gone_is_left_alone(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    """It ends by itself when nobody is connected to it."""
    monkeypatch.setattr("penstock_executor.backends.kubernetes.workers.fleet._UNNEEDED_SECONDS", 0.2)
    async with workers(tmp_path) as b:
        first = await b.backend()
        one = task(b, "t0", {"seconds": 0.5})
        await first.launch(one)
        await started(b, "t0")
        await first.close()
        b.events.clear()
        b.runs.held_as = 2
        second = await b.backend()
        await second.launch(replace(one, may_exist=True, seen_running=True))
        await b.outcome(one.key)
        second.release(one.key)

        async def nobody() -> bool:
            return b.kube.execs.open == 0

        await b.until(nobody)
        # What comes later of the same run is still found there.
        b.runs.held_as = 3
        await second.launch(replace(task(b, "t1"), may_exist=True))
        assert (await b.outcome(task(b, "t1").key)).succeeded
        await second.close()


async def test_a_cancellation_finds_what_is_gone_already(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    # So that the launch waits for what the namespace says.
    monkeypatch.setattr("penstock_executor.backends.kubernetes.namespaces._FRESH_SECONDS", 0.0)
    async with workers(tmp_path) as b:
        backend = await b.backend()
        before, one = task(b, "before"), task(b, "t0")
        await backend.launch(before)
        await b.outcome(before.key)
        backend.release(before.key)
        await asyncio.sleep(0.2)
        # A worker is idle, and would begin it at once.
        b.runs.expected = None
        launching = asyncio.ensure_future(backend.launch(one))
        await asyncio.sleep(0)
        await backend.cancel(one.key)
        await launching
        await backend.close()


async def test_an_outcome_that_is_committed_after_a_new_launch_frees_its_place(tmp_path: Path) -> None:
    async with workers(tmp_path) as b:
        backend = await b.backend(bounds=Bounds(1))
        one = task(b, "t0")
        await backend.launch(one)
        await b.outcome(one.key)
        b.kube.faults.add(Fault(status=500, method="GET", path="/pods$"))
        b.runs.held_as = 2
        await backend.launch(replace(one, may_exist=True, seen_running=True))
        assert backend.reserve(task(b, "t1").key, "default"), "it is looked for"
        backend.release(one.key)
        assert not backend.reserve(task(b, "t1").key, "default")
        await backend.close()
