"""Pods that outlive their attempt: with foreign sidecars, of ended runs, or kept by the retention policy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.kubernetes.retention import RetentionPolicy
from penstock_executor.engine.names import attempt_id
from penstock_ir.model import JsonValue

from tests.support.kube_bench import RUN, Bench, bench, well
from tools.sim_kube.objects import PODS
from tools.sim_kube.outcome import Outcome


async def with_a_sidecar(b: Bench, task: TaskLaunch) -> dict[str, Any]:
    """Puts a container of somebody else's beside the program that runs, and ends the program. Gives the status."""

    async def started() -> bool:
        return any(isinstance(event, TaskStarted) for event in b.events)

    await b.until(started)
    stored = b.kube.store.get(PODS, "default", task.pod_name)
    assert stored is not None
    status: dict[str, Any] = json.loads(stored.status)
    running = status["containerStatuses"][0]["state"]
    ended = {"exitCode": 0, "reason": "Completed", "message": well(), "finishedAt": running["running"]["startedAt"]}
    status["containerStatuses"][0]["state"] = {"terminated": {**ended, "startedAt": ended["finishedAt"]}}
    status["containerStatuses"].append({"name": "mesh", "state": running})
    return status


def put_status(b: Bench, task: TaskLaunch, status: Mapping[str, Any]) -> None:
    stored = b.kube.store.get(PODS, "default", task.pod_name)
    assert stored is not None
    b.kube.store.put(stored._replace(status=json.dumps(status, separators=(",", ":")).encode()))


async def test_a_sidecar_that_a_webhook_added_does_not_keep_the_task(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever", log="hello\n")) as b:
        backend, task = await b.backend(retention=RetentionPolicy.parse("never")), b.task()
        await backend.launch(task)
        put_status(b, task, await with_a_sidecar(b, task))
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        # Whatever the retention: it would run for ever.
        await b.until(gone)
        assert (tmp_path / "p" / RUN / "t" / "1" / "executor-logs").read_text() == "hello\n"
        await backend.close()


async def test_a_sidecar_is_waited_for_where_it_is_wanted(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        backend, task = await b.backend(wait_for_sidecars=True), b.task()
        await backend.launch(task)
        status = await with_a_sidecar(b, task)
        put_status(b, task, status)

        async def seen() -> bool:
            view = backend._attempts[task.key].view
            return view is not None and view.only_sidecars_run

        await b.until(seen)
        assert not any(isinstance(event, TaskOutcome) for event in b.events)
        status["phase"] = "Succeeded"
        put_status(b, task, status)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()


async def test_an_agent_that_waits_for_the_end_of_its_pod_gets_it(tmp_path: Path) -> None:
    """Beside an image's own entrypoint it uploads at SIGTERM, which a sidecar that never ends would keep from it."""
    async with bench(tmp_path, Outcome("runs-forever"), latency=10) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        status = await with_a_sidecar(b, task)
        agent = {"name": "agent", "state": status["containerStatuses"][1]["state"], "started": True}
        status["initContainerStatuses"] = [agent]
        put_status(b, task, status)

        async def asked_to_go() -> bool:
            return "deletionTimestamp" in (await b.pods())[0]["metadata"]

        await b.until(asked_to_go)
        ended = status["containerStatuses"][0]["state"]
        status.update(phase="Succeeded", initContainerStatuses=[{**agent, "state": ended}])
        status["containerStatuses"][1]["state"] = ended
        put_status(b, task, status)
        outcome = await b.outcome(task.key)
        assert outcome.succeeded, outcome.error
        await backend.close()


async def test_pods_of_runs_that_are_over_are_collected(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        first, task = await b.backend(), b.task()
        await first.launch(task)
        await first.close()
        b.runs.expected = None
        second = await b.backend(orphan_seconds=0.1)
        # Somebody else's, as far as anybody knows.
        await asyncio.sleep(0.5)
        assert len(await b.pods()) == 1
        b.runs.finished = {RUN}

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await second.close()


@pytest.mark.parametrize("retention", ["always", "never"])
async def test_a_pod_that_runs_though_its_attempt_is_over_is_collected(tmp_path: Path, retention: str) -> None:
    """Its run is held here and goes on; whoever made it had lost the run."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        stale, task = await b.backend(), b.task()
        await stale.launch(task)
        await stale.close()
        holder = await b.backend(orphan_seconds=0.1, retention=RetentionPolicy.parse(retention))
        b.runs.expected, b.runs.certain = False, False
        # Another holder's, as far as anybody knows.
        await asyncio.sleep(0.5)
        assert len(await b.pods()) == 1
        b.runs.certain = True

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await holder.close()


async def test_retention_keeps_failed_pods(tmp_path: Path) -> None:
    bad = Outcome("exit", 1, {"main": AttemptResult(ProcessExit(1)).to_json()})
    async with bench(tmp_path) as b:
        backend = await b.backend(retention=RetentionPolicy.parse("success"))
        good, failing = b.task("good"), replace(b.task("bad"))
        annotated: dict[str, JsonValue] = {
            "annotations": {"sim-kube/outcome": json.dumps({"kind": "exit", "exit_code": 1, "messages": bad.messages})}
        }
        await backend.launch(good)
        await backend.launch(replace(failing, kubernetes=annotated))
        for task in (good, failing):
            await b.outcome(task.key)
            backend.release(task.key)

        async def one_left() -> bool:
            return [pod["metadata"]["name"] for pod in await b.pods()] == [failing.pod_name]

        await b.until(one_left)
        await backend.close()


async def test_a_pipelines_time_to_live_goes_before_the_policy(tmp_path: Path) -> None:
    """Also for an executor that starts anew and finds the Pod of a run that is over."""
    async with bench(tmp_path) as b:
        settings: dict[str, Any] = {"retention": RetentionPolicy.parse("never"), "orphan_seconds": 0.1}
        first = await b.backend(**settings)
        short, long = b.task("short", ttl_succeeded=1.0), b.task("long", ttl_succeeded=3600.0, ttl_failed=1.0)
        silent = b.task("silent", ttl_failed=1.0)
        for task in (short, long, silent):
            await first.launch(task)
            await b.outcome(task.key)
            first.release(task.key)

        async def short_has_gone() -> bool:
            return sorted(pod["metadata"]["name"] for pod in await b.pods()) == sorted([long.pod_name, silent.pod_name])

        await b.until(short_has_gone)
        await first.close()
        last = b.task("last", ttl_succeeded=1.0)
        another = await b.backend(**settings)
        await another.launch(last)
        await b.outcome(last.key)
        await another.close()
        b.runs.finished.add(RUN)
        b.runs.expected = None
        third = await b.backend(**settings)
        await b.until(short_has_gone)
        await third.close()
    async with bench(tmp_path) as b:
        kept = await b.backend(retention=RetentionPolicy.parse("always"))
        task, gone = b.task(ttl_succeeded=3600.0), b.task("gone")
        for one in (task, gone):
            await kept.launch(one)
            await b.outcome(one.key)
            kept.release(one.key)

        async def one_left() -> bool:
            return [pod["metadata"]["name"] for pod in await b.pods()] == [task.pod_name]

        await b.until(one_left)
        await kept.close()


@pytest.mark.parametrize("forged", [False, True])
async def test_the_log_of_an_orphan_goes_to_its_attempts_own_place(tmp_path: Path, forged: bool) -> None:
    """Whoever may make Pods in the namespace can make one with our labels, and the credentials would be ours."""
    root = f"{tmp_path.as_uri()}/p/{RUN}/t/{attempt_id(RUN, 't', 1)}"
    log = tmp_path / "p" / RUN / "t" / attempt_id(RUN, "t", 1) / "executor-logs"
    async with bench(tmp_path) as b:
        first, task = await b.backend(), b.task(task_root=f"{tmp_path.as_uri()}/models/t" if forged else root)
        await first.launch(task)
        await b.outcome(task.key)
        await first.close()
        b.runs.expected, b.runs.finished = None, {RUN}
        second = await b.backend(orphan_seconds=0.1)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await second.close()
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert kept == ([] if forged else [log])
