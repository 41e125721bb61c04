"""Pods of another executor: they are looked at, not read, and yet they count, are adopted and are collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from penstock_executor.attempts import TaskLaunch, TaskStarted
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.retention import RetentionPolicy
from penstock_executor.backends.kubernetes.view import PodGlance
from penstock_executor.engine.names import attempt_id, log_uri

from tests.support.kube_bench import RUN, Bench, bench
from tools.sim_kube.outcome import Outcome

KEEP = RetentionPolicy.parse("never")


async def watching(b: Bench, **settings: Any) -> KubernetesBackend:
    """Another executor, whose watch is open before anybody makes a Pod."""
    made = await b.backend(retention=KEEP, **settings)
    await made.default_root("")
    return made


def glances(backend: KubernetesBackend) -> list[PodGlance]:
    (reflector,) = backend._namespaces.watched().values()
    return [one for one in reflector.known() if isinstance(one, PodGlance)]


async def seen(b: Bench, backend: KubernetesBackend, phase: str) -> None:
    async def is_seen() -> bool:
        return [one.phase for one in glances(backend)] == [phase]

    await b.until(is_seen)


async def test_they_take_places_until_they_have_ended(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=0.3) as b:
        other = await watching(b, bounds=Bounds(installation=1))
        maker, task, next_one = await b.backend(retention=KEEP), b.task(), b.task("next")
        await maker.launch(task)

        async def full() -> bool:
            reason = other.reserve(next_one.key, "")
            other.unreserve(next_one.key)
            return bool(reason)

        await b.until(full)
        assert other.reserve(next_one.key, "") == "no place is free: 1 of 1 Pods run (--parallelism)"
        await b.outcome(task.key)
        await seen(b, other, "Succeeded")
        assert other.reserve(next_one.key, "") == ""
        for backend in (maker, other):
            await backend.close()


@pytest.mark.parametrize("ended", [False, True])
async def test_one_that_was_only_looked_at_is_adopted(tmp_path: Path, ended: bool) -> None:
    outcome = None if ended else Outcome("runs-forever")
    async with bench(tmp_path, outcome) as b:
        heir = await watching(b)
        maker, task = await b.backend(retention=KEEP), b.task()
        await maker.launch(task)
        await seen(b, heir, "Succeeded" if ended else "Running")
        await maker.close()
        b.events.clear()
        await heir.launch(task)
        if ended:
            assert (await b.outcome(task.key)).succeeded
        else:
            await _started(b, task)
            # From now on its events are read.
            assert glances(heir) == []
            await heir.cancel(task.key)
            assert not (await b.outcome(task.key)).succeeded
        assert b.kube.requests["POST pods"] == 1
        await heir.close()


async def test_one_of_a_run_that_is_over_is_collected_with_its_log(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        collector = await b.backend(orphan_seconds=0.1, retention=RetentionPolicy.parse("always"))
        await collector.default_root("")
        root = f"{tmp_path.as_uri()}/p/{RUN}/t/{attempt_id(RUN, 't', 1)}"
        maker, task = await b.backend(retention=KEEP), b.task(task_root=root)
        b.runs.expected = None
        await maker.launch(task)
        await b.outcome(task.key)
        await maker.close()
        await seen(b, collector, "Succeeded")
        b.runs.finished = {RUN}

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        assert Path(log_uri(task.task_root).removeprefix("file://")).read_text() == "hello\n"
        await collector.close()


async def _started(b: Bench, task: TaskLaunch) -> None:
    async def told() -> bool:
        return any(isinstance(one, TaskStarted) and one.key == task.key for one in b.events)

    await b.until(told)
