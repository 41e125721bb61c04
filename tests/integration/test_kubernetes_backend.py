"""The Kubernetes backend against the simulated API server: adoption, leases, lost answers, ends, orphans."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.backends.base import (
    AttemptKey,
    BackendEvent,
    FailureKind,
    NoPlaceError,
    NotHeldError,
    TaskLaunch,
    TaskOutcome,
    TaskStarted,
    TaskWaiting,
)
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.build import Surroundings, kubernetes_backend
from penstock_executor.backends.kubernetes.capacity import Bounds
from penstock_executor.backends.kubernetes.retention import RetentionPolicy
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.backends.kubernetes.verdict import Deadlines
from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map
from penstock_executor.engine.names import pod_name
from penstock_kube.client import KubeClient
from penstock_kube.config import Cluster
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore

from tools import object_stores
from tools.sim_kube.faults import Fault
from tools.sim_kube.node import Latency
from tools.sim_kube.objects import PODS
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.server import SimKube

RUN = "6c2a7b5e-0000-4000-8000-000000000001"


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def well(**parameters: str) -> str:
    return AttemptResult(exit=ProcessExit(0, started_at=1, finished_at=2), parameters=parameters).to_json()


class Runs:
    """The runs that the executor holds; everything is under way unless said otherwise."""

    def __init__(self) -> None:
        self.certain = True
        self.expected: bool | None = True
        self.finished: set[str] = set()

    def may_act(self, run_id: str) -> bool:
        return self.certain

    def expects(self, key: AttemptKey) -> bool | None:
        return self.expected

    async def over(self, run_ids: Collection[str]) -> set[str]:
        return self.finished & set(run_ids)


class Bench:
    """A simulated cluster, a backend on it, and what the backend said."""

    def __init__(self, kube: SimKube, directory: Path) -> None:
        self.kube = kube
        self.directory = directory
        self.runs = Runs()
        self.events: list[BackendEvent] = []
        self._heard = asyncio.Event()
        self.client = KubeClient(Cluster(kube.url, None, dict, "default"), deadline=2.0)

    async def backend(self, **settings: Any) -> KubernetesBackend:
        pods = PodSettings(
            agent_image="agent", instance="here", wrapper_config_map=str(wrapper_config_map()["metadata"]["name"])
        )
        stores = StoreConfig(default_root=self.directory.as_uri())
        surroundings = Surroundings(self.client, stores, {}, FileArtifactStore(self.directory))
        made = kubernetes_backend(surroundings, BackendSettings(pods=pods, **settings), 1000.0)
        await made.start(self._deliver, self.runs)
        return made

    def _deliver(self, event: BackendEvent) -> None:
        self.events.append(event)
        self._heard.set()

    async def outcome(self, key: AttemptKey) -> TaskOutcome:
        while True:
            for event in self.events:
                if isinstance(event, TaskOutcome) and event.key == key:
                    return event
            self._heard.clear()
            await asyncio.wait_for(self._heard.wait(), 20)

    async def wait(self, key: AttemptKey, *, within: float = 2.0) -> str:
        """What the attempt waits for, as soon as it is told."""

        def told() -> list[str]:
            return [one.text for one in self.events if isinstance(one, TaskWaiting) and one.key == key]

        async def look() -> None:
            while not told():
                self._heard.clear()
                await self._heard.wait()

        await asyncio.wait_for(look(), within)
        return told()[-1]

    async def pods(self) -> list[Mapping[str, Any]]:
        items: list[Mapping[str, Any]] = (await self.client.get("/api/v1/namespaces/default/pods"))["items"]
        return items

    async def until(self, holds: Any) -> None:
        async def wait() -> None:
            while not await holds():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(wait(), 20)

    def task(self, name: str = "t", attempt: int = 1, **fields: Any) -> TaskLaunch:
        key = AttemptKey(RUN, name, attempt)
        given: dict[str, Any] = {
            "key": key,
            "task_name": name,
            "pipeline_name": "p",
            "image": "image",
            "command": ("true",),
            "args": (),
            "env": (),
            "task_root": f"{self.directory.as_uri()}/p/{RUN}/{name}/{attempt}",
            "inputs": {},
            "defaults": {},
            "input_artifacts": {},
            "input_artifact_definitions": {},
            "output_parameters": {},
            "output_artifacts": {},
            "pod_name": pod_name("run", name, RUN, name, attempt),
        }
        return TaskLaunch(**{**given, **fields})


@asynccontextmanager
async def bench(tmp_path: Path, outcome: Outcome | None = None, latency: float = 0.05) -> AsyncIterator[Bench]:
    decided = outcome or Outcome(messages={"main": well()}, log="hello\n")
    async with SimKube(latency=Latency(latency, 0.1), decide=lambda _: decided) as kube:
        made = Bench(kube, tmp_path)
        try:
            yield made
        finally:
            await made.client.close()


@on_a_loop
async def test_a_task_ends_well_and_its_pod_goes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend = await b.backend()
        task = b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.succeeded, outcome.error
        assert [type(event) for event in b.events] == [TaskStarted, TaskOutcome]
        assert len(await b.pods()) == 1, "a Pod stays until its outcome is committed"
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        log = tmp_path / "p" / RUN / "t" / "1" / "executor-logs"
        assert log.read_text() == "hello\n"
        await backend.close()


@on_a_loop
async def test_whoever_launches_again_adopts(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=0.5) as b:
        first, task = await b.backend(), b.task()
        await first.launch(task)
        await first.close()
        second = await b.backend()
        await second.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert len(await b.pods()) == 1
        assert b.kube.stats()["pods_created"] == 1
        await second.close()


@pytest.mark.parametrize("action", ["drop-after", "hang-after"])
@on_a_loop
async def test_a_create_whose_answer_is_lost_makes_one_pod(tmp_path: Path, action: str) -> None:
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(action=action, method="POST", path="/pods$", times=1))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


@pytest.mark.parametrize("status", [429, 500, 503])
@on_a_loop
async def test_a_server_that_refuses_for_now_is_asked_again(tmp_path: Path, status: int) -> None:
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(status=status, method="POST|DELETE", times=3))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.close()


@on_a_loop
async def test_nothing_is_made_without_a_certain_lease(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend, task = await b.backend(), b.task()
        b.runs.certain = False
        with pytest.raises(NotHeldError):
            await backend.launch(task)
        assert await b.pods() == []
        b.runs.certain = True
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()


@on_a_loop
async def test_a_pod_made_while_the_lease_ran_out_is_the_next_holders(tmp_path: Path) -> None:
    """Who may be the same one, and finds it; taken back, it would be made twice."""
    async with bench(tmp_path, latency=0.5) as b:
        backend, task = await b.backend(), b.task()
        # Asked before the call the lease is certain, after it no more.
        answers = iter([True, False])
        b.runs.may_act = lambda run_id: next(answers, False)  # type: ignore[method-assign]
        await backend.launch(task)
        assert len(await b.pods()) == 1
        next_one = await b.backend()
        b.runs.may_act = lambda run_id: True  # type: ignore[method-assign]
        await next_one.launch(task)
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()
        await next_one.close()


@on_a_loop
async def test_a_pod_that_is_seen_before_its_create_is_answered_is_not_made_again(tmp_path: Path) -> None:
    """The first answer is lost, the second try hangs; meanwhile the task runs, ends and its Pod is removed."""
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(action="drop-after", method="POST", path="/pods$", times=1))
        b.kube.faults.add(Fault(action="hang", method="POST", path="/pods$", times=1))
        backend, task = await b.backend(), b.task()
        launching = asyncio.ensure_future(backend.launch(task))
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await launching
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


@on_a_loop
async def test_a_pod_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    """Between "it exists" and the look at it somebody removes it."""
    async with bench(tmp_path) as b:
        refusal = Fault(status=409, method="POST", path="/pods$", reason="AlreadyExists", times=1)
        b.kube.faults.add(refusal)
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "nobody saw how it ended" in outcome.error
        assert b.kube.stats()["pods_created"] == 0
        await backend.close()


@on_a_loop
async def test_a_task_canceled_while_its_create_waits_leaves_no_pod(tmp_path: Path) -> None:
    """The answer is lost, and no watch tells of the Pod either."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        b.kube.faults.add(Fault(action="hang", path="watch=1"))
        b.kube.faults.add(Fault(action="drop-after", method="POST", path="/pods$", times=1))
        b.kube.faults.add(Fault(status=500, method="POST", path="/pods$"))
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        launching = asyncio.ensure_future(backend.launch(task))

        async def made() -> bool:
            return len(await b.pods()) == 1

        await b.until(made)
        await backend.cancel(task.key)
        await launching

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.close()


@on_a_loop
async def test_a_task_that_was_seen_running_is_never_begun_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend, task = await b.backend(), replace(b.task(), seen_running=True)
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "is gone, and nobody saw how it ended" in outcome.error
        assert await b.pods() == []
        await backend.close()


@on_a_loop
async def test_somebody_elses_pod_of_that_name_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=5) as b:
        backend, task = await b.backend(), b.task()
        pod = {
            "metadata": {"name": task.pod_name, "labels": {"app": "theirs"}},
            "spec": {"containers": [{"name": "main", "image": "x"}]},
        }
        await b.client.create("/api/v1/namespaces/default/pods", pod)
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert "is not this task's" in outcome.error or "that is not" in outcome.error
        assert [one["metadata"]["labels"] for one in await b.pods()] == [{"app": "theirs"}]
        await backend.close()


@pytest.mark.parametrize(
    ("outcome", "failure", "text"),
    [
        (Outcome("exit", 1, {"main": AttemptResult(ProcessExit(1)).to_json()}), "user", "exited with code 1"),
        (Outcome("oom"), "user", "more memory than its limit"),
        (Outcome("deadline"), "user", "deadline"),
        (Outcome("evicted"), "infrastructure", "evicted"),
        (Outcome("preempted"), "infrastructure", "preempted"),
        (Outcome("image-pull"), "configuration", "cannot be pulled"),
        (Outcome("invalid-image"), "configuration", "cannot be used"),
        (Outcome("config-error"), "configuration", "cannot be created"),
        (Outcome("unschedulable"), "infrastructure", "too little cpu left"),
        (Outcome("exit", 0, {"main": "garbage"}), "infrastructure", "result was not left behind"),
        (Outcome("exit", 0, {"main": well()}), "", ""),
    ],
)
@on_a_loop
async def test_how_it_ended(tmp_path: Path, outcome: Outcome, failure: str, text: str) -> None:
    async with bench(tmp_path, outcome) as b:
        # An image is waited for the longest: a Pod of which nothing is said yet is taken to pull it.
        backend = await b.backend(deadlines=Deadlines(pending=2.0, image_pull=4.0, configuration=1.0))
        task = b.task()
        await backend.launch(task)
        found = await b.outcome(task.key)
        assert (found.failure.value if found.failure else "") == failure, found.error
        assert text in found.error
        await backend.close()


@on_a_loop
async def test_the_last_lines_are_read_again_when_the_server_falters(tmp_path: Path) -> None:
    failed = Outcome("exit", 3, {"main": AttemptResult(ProcessExit(3)).to_json()}, log="the reason\n")
    async with bench(tmp_path, failed) as b:
        b.kube.faults.add(Fault(status=500, method="GET", path="/log", times=2))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert "the reason" in (await b.outcome(task.key)).error
        await backend.close()


@on_a_loop
async def test_a_canceled_task_ends_as_such_and_its_pod_goes(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever", log="so far\n")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)

        async def started() -> bool:
            return any(isinstance(event, TaskStarted) for event in b.events)

        await b.until(started)
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        assert await b.pods() == []
        assert (tmp_path / "p" / RUN / "t" / "1" / "executor-logs").read_text() == "so far\n"
        await backend.close()


@on_a_loop
async def test_a_conflict_does_not_mean_that_the_pod_is_gone(tmp_path: Path) -> None:
    """The server's storage may say so too, when others write to the Pod at the same time."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)
        b.kube.faults.add(Fault(status=409, method="DELETE", times=2))
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        assert await b.pods() == []
        await backend.close()


@on_a_loop
async def test_a_program_whose_agent_died_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever", log="so far\n")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)

        async def started() -> bool:
            return any(isinstance(event, TaskStarted) for event in b.events)

        await b.until(started)
        stored = b.kube.store.get(PODS, "default", task.pod_name)
        assert stored is not None
        ended = {"exitCode": 137, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}
        status = json.loads(stored.status)
        status["containerStatuses"].append({"name": "agent", "state": {"terminated": ended}})
        b.kube.store.put(stored._replace(status=json.dumps(status).encode()))
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "the agent beside the program was killed by signal 9" in outcome.error
        assert (tmp_path / "p" / RUN / "t" / "1" / "executor-logs").read_text() == "so far\n"
        await backend.close()


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


@on_a_loop
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


@on_a_loop
async def test_a_sidecar_is_waited_for_where_it_is_wanted(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        backend, task = await b.backend(wait_for_sidecars=True), b.task()
        await backend.launch(task)
        status = await with_a_sidecar(b, task)
        put_status(b, task, status)

        async def seen() -> bool:
            view = backend._attempts[task.key].view
            return view is not None and view.left_over

        await b.until(seen)
        assert not any(isinstance(event, TaskOutcome) for event in b.events)
        status["phase"] = "Succeeded"
        put_status(b, task, status)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()


@on_a_loop
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


@on_a_loop
async def test_a_watch_that_was_cut_misses_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=0.3) as b:
        backend = await b.backend()
        tasks = [b.task(f"t{number}") for number in range(20)]
        for task in tasks:
            await backend.launch(task)
        await b.kube.stop()
        await b.kube.start(int(b.kube.url.rsplit(":", 1)[1]))
        for task in tasks:
            assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 20
        await backend.close()


@on_a_loop
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
@on_a_loop
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


@on_a_loop
async def test_retention_keeps_failed_pods(tmp_path: Path) -> None:
    bad = Outcome("exit", 1, {"main": AttemptResult(ProcessExit(1)).to_json()})
    async with bench(tmp_path) as b:
        backend = await b.backend(retention=RetentionPolicy.parse("success"))
        good, failing = b.task("good"), replace(b.task("bad"))
        annotated = {
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


@on_a_loop
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


@on_a_loop
async def test_the_store_of_a_namespace_is_reached_with_its_own_credentials(tmp_path: Path) -> None:
    """What cached results are looked at with; a namespace without a store of its own has the deployment's."""
    async with bench(tmp_path) as b:
        with object_stores.s3(["team"]) as server:
            (server.directory / "team" / "model").write_text("x")
            provider = {
                "endpoint": server.endpoint,
                "credentials": {
                    "fromEnv": False,
                    "secretRef": {"secretName": "keys", "accessKeyKey": "access", "secretKeyKey": "secret"},
                },
            }
            keys = {"access": server.access_key, "secret": server.secret_key}
            secret = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
            await b.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
            providers = json.dumps({"s3": {"default": provider}})
            for kind, name, data in (
                ("secrets", "keys", secret),
                ("configmaps", "kfp-launcher", {"providers": providers}),
            ):
                await b.client.create(f"/api/v1/namespaces/team/{kind}", {"metadata": {"name": name}, "data": data})
            backend = await b.backend()
            team = await backend.store("team")
            assert await team.exists("s3://team/model")
            assert not await team.exists("s3://team/nothing")
            with pytest.raises(ArtifactStoreError):
                await (await backend.store("")).exists("s3://team/model")
            await backend.close()


@on_a_loop
async def test_why_a_pod_waits_is_told_within_two_seconds(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("unschedulable")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)
        assert await b.wait(task.key) == "no node takes the Pod: of 1 node 1 has too little cpu left"
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        await backend.close()


@on_a_loop
async def test_what_the_kubelet_complains_of_is_told(tmp_path: Path) -> None:
    """In an event alone: the status says ContainerCreating."""
    async with bench(tmp_path, latency=30) as b:
        backend, task = await b.backend(deadlines=Deadlines(configuration=3.0)), b.task()
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


@on_a_loop
async def test_a_pod_that_runs_soon_is_not_told_of(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=1.0) as b:
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert [type(one) for one in b.events] == [TaskStarted, TaskOutcome]
        await backend.close()


@on_a_loop
async def test_a_bound_counts_the_pods_that_are_there_whoever_made_them(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        first = await b.backend()
        await first.launch(b.task("a"))
        await first.launch(b.task("b"))
        await first.close()
        # A later executor, which begins with the Pods of its predecessor.
        backend = await b.backend(bounds=Bounds(2), cancel_grace_seconds=0)
        with pytest.raises(NoPlaceError, match="2 of 2 Pods run"):
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


@on_a_loop
async def test_a_quota_that_is_used_up_is_waited_for_in_words(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        said = "exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5"
        b.kube.faults.add(Fault(status=403, method="POST", path="/pods$", reason="Forbidden", message=said, times=1))
        backend, task = await b.backend(), b.task()
        with pytest.raises(NoPlaceError, match="quota 'q': the Pod asks for pods=1, pods=5 of pods=5 is used"):
            await backend.launch(task)
        assert "quota 'q'" in backend.reserve(task.key, "")

        async def asked_again() -> bool:
            return backend.reserve(task.key, "") == ""

        await b.until(asked_again)
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()
