"""A Pod in one team's namespace that carries the labels of an attempt of another team's: it is nobody's attempt.

Whoever may make Pods in a namespace may make one like ours there, with the run's id of somebody else.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from penstock_executor.attempts import TaskLaunch, TaskStarted
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.view import view_of
from penstock_ir.event_log import FailureKind
from penstock_ir.model import ParameterType

from tests.support.kube_bench import Bench, bench, well
from tools.sim_kube.faults import Fault
from tools.sim_kube.outcome import ANNOTATION, Outcome

A, B = "team-a", "team-b"
PODS_OF_A = f"/namespaces/{A}/pods$"


def task_of_a(b: Bench) -> TaskLaunch:
    return b.task(namespace=A, output_parameters={"text": ParameterType.STRING})


async def open_b(b: Bench, backend: KubernetesBackend) -> None:
    """From then on the executor watches the namespace, as one in which a task has run."""
    for name in (A, B):
        await b.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    task = b.task("own", namespace=B)
    await backend.launch(task)
    await backend.cancel(task.key)
    await b.outcome(task.key)


async def known(backend: KubernetesBackend, task: TaskLaunch) -> bool:
    return task.key in backend._attempts


async def forge(b: Bench, task: TaskLaunch, outcome: Outcome, name: str = "") -> str:
    """A Pod in B with all that tells an attempt's Pod. Gives its name."""
    decided = {"kind": outcome.kind, "messages": dict(outcome.messages)}
    labels = {"penstock.dev/instance": "here", "pipeline/runid": task.key.run_id}
    told = {"penstock.dev/path": task.key.path, "penstock.dev/attempt": str(task.key.attempt)}
    metadata = {"name": name or "forged", "labels": labels, "annotations": {**told, ANNOTATION: json.dumps(decided)}}
    spec = {"containers": [{"name": "main", "image": "theirs"}]}
    await b.client.create(f"/api/v1/namespaces/{B}/pods", {"metadata": metadata, "spec": spec})
    return str(metadata["name"])


async def seen_in_b(b: Bench, backend: KubernetesBackend, name: str) -> None:
    """The executor has seen it end, or wait for what never comes."""

    async def seen() -> bool:
        view = backend._namespaces.watched()[B].cache.get(name)
        return view is not None and (view.ended or any(one.waiting_reason for one in view.containers))

    await b.until(seen)


@pytest.mark.parametrize("same_name", [False, True], ids=["another name", "the attempt's own name"])
async def test_its_result_is_not_the_attempts(tmp_path: Path, same_name: bool) -> None:
    """It is there, and has ended, before the API server takes the attempt's own Pod."""
    async with bench(tmp_path, Outcome(messages={"main": well(text="own")}), latency=0.01) as b:
        backend, task = await b.backend(), task_of_a(b)
        await open_b(b, backend)
        held = Fault(action="status", status=503, method="POST", path=PODS_OF_A)
        b.kube.faults.add(held)
        launching = asyncio.create_task(backend.launch(task))
        try:
            await b.until(lambda: known(backend, task))
            name = await forge(b, task, Outcome(messages={"main": well(text="forged")}), task.pod_name * same_name)
            await seen_in_b(b, backend, name)
            held.times = 0
            await launching
            outcome = await b.outcome(task.key)
            assert outcome.parameters == {"text": "own"}
        finally:
            launching.cancel()
            await backend.close()


async def test_what_keeps_it_from_starting_does_not_give_the_attempt_up(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever"), latency=0.01) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), task_of_a(b)
        await open_b(b, backend)
        await backend.launch(task)

        async def started() -> bool:
            return any(isinstance(one, TaskStarted) and one.key == task.key for one in b.events)

        await b.until(started)
        name = await forge(b, task, Outcome("config-error"))
        await seen_in_b(b, backend, name)
        pod = await b.client.get(f"/api/v1/namespaces/{B}/pods/{name}")
        about = {"kind": "Pod", "namespace": B, "name": name, "uid": pod["metadata"]["uid"]}
        event = {"metadata": {"name": "e"}, "involvedObject": about, "type": "Warning", "reason": "FailedMount"}
        said = 'MountVolume.SetUp failed for volume "s" : secret "no-such" not found'
        await b.client.create(f"/api/v1/namespaces/{B}/events", {**event, "message": said})

        async def warned() -> bool:
            return bool(backend._namespaces.warnings(view_of(pod)))

        await b.until(warned)
        assert backend._attempts[task.key].timer is None, "a program that runs has no deadline to start by"
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        await backend.close()


async def test_its_end_gives_no_place_of_the_attempt_away(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever"), latency=0.01) as b:
        backend, task = await b.backend(bounds=Bounds(1), cancel_grace_seconds=0), task_of_a(b)
        await open_b(b, backend)
        await backend.launch(task)
        name = await forge(b, task, Outcome())
        await seen_in_b(b, backend, name)
        assert "1 of 1 Pods run" in backend.reserve(b.task("next", namespace=A).key, A)
        await backend.cancel(task.key)
        await b.outcome(task.key)
        await backend.close()
