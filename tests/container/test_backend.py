"""The container backend against a real runtime: adoption, leases, ends, inputs, volumes, orphans."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.stores import open_store
from penstock_executor.attempts import NO_TIMES, AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.base import LeaseUncertainError
from penstock_executor.backends.container import launching
from penstock_executor.backends.container.backend import ContainerBackend
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.exit_watch import ExitWatch
from penstock_executor.backends.container.probe import PODMAN, DetectedRuntime
from penstock_executor.backends.container.settings import ContainerSettings
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import FailureKind
from penstock_store.files import FileArtifactStore

from tests.support.held_runs import Runs
from tests.support.launch import launch

Podman = Callable[..., str]


class Bench:
    """A backend, what it said, and what its containers did in `shared`."""

    def __init__(self, found: DetectedRuntime, podman: Podman, image: str, directory: Path) -> None:
        self.found, self.podman, self.image = found, podman, image
        self.home = directory / "containers"
        self.artifacts = directory / "artifacts"
        self.shared = directory / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o777)
        self.instance = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
        self.run = str(uuid.uuid4())
        self.runs = Runs()
        self.events: list[BackendEvent] = []
        self._heard = asyncio.Event()
        self._backends: list[ContainerBackend] = []

    async def backend(self, **settings: Any) -> ContainerBackend:
        given: dict[str, Any] = {"parallelism": 4, "passed": {}, "grace_seconds": 1, "orphan_seconds": 3600.0}
        found = replace(
            self.found, run_options=(*self.found.run_options, f"--volume={self.shared}:/shared", "--network=none")
        )
        made = ContainerBackend(
            ContainerSettings(self.home, self.instance, **{**given, **settings}),
            found,
            dict(os.environ),
            FileArtifactStore(self.artifacts),
            lambda task, root: open_store(task, {}),
        )
        await made.start(self._deliver, self.runs)
        self._backends.append(made)
        return made

    def task(self, script: str, **fields: Any) -> TaskLaunch:
        given = {"command": ("sh", "-c", script), "image": self.image, "run": self.run, **fields}
        return launch(root=f"file://{self.artifacts}", **given)

    async def outcome(self, key: AttemptKey, count: int = 1) -> TaskOutcome:
        while True:
            found = [event for event in self.events if isinstance(event, TaskOutcome) and event.key == key]
            if len(found) >= count:
                return found[count - 1]
            self._heard.clear()
            await asyncio.wait_for(self._heard.wait(), 60)

    async def ended(self, backend: ContainerBackend, task: TaskLaunch) -> TaskOutcome:
        await backend.launch(task)
        return await self.outcome(task.key)

    def skip_without(self, has: bool, what: str) -> None:
        """Only where it may be missing: root's podman has both, and a probe that says otherwise is wrong."""
        if not has:
            assert not (self.found.kind == PODMAN and os.geteuid() == 0), f"podman of root has {what}"
            pytest.skip(f"this runtime has no {what}")

    def names(self) -> list[str]:
        return self.podman(
            "ps", "--all", "--filter", f"label=penstock.dev/instance={self.instance}", "--format", "{{.Names}}"
        ).split()

    async def until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        for backend in self._backends:
            await backend.close()
        for name in self.names():
            self.podman("rm", "--force", name)

    def _deliver(self, event: BackendEvent) -> None:
        self.events.append(event)
        self._heard.set()


@asynccontextmanager
async def bench_of(found: DetectedRuntime, podman: Podman, image: str, directory: Path) -> AsyncIterator[Bench]:
    made = Bench(found, podman, image, directory)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
def bench(found: DetectedRuntime, podman: Podman, image: str, tmp_path: Path) -> Callable[[], Any]:
    return lambda: bench_of(found, podman, image, tmp_path)


async def test_a_task_ends_well_and_nothing_of_it_stays(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend()
        task = here.task(
            "echo said; echo text > /tmp/kfp/outputs/score; mkdir -p {{$.outputs.artifacts['data'].path}};"
            "echo content > {{$.outputs.artifacts['data'].path}}/file",
            outputs=["score"],
            artifacts=["data", "none"],
        )
        outcome = await here.ended(backend, task)
        assert outcome.succeeded, outcome.error
        assert outcome.parameters == {"score": "text\n"}
        [data], [none] = outcome.artifacts["data"], outcome.artifacts["none"]
        assert (Path(data.uri.removeprefix("file://")) / "file").read_text() == "content\n"
        assert none.absent
        assert Path(outcome.log_uri.removeprefix("file://")).read_text() == "said\n"
        [started] = [event for event in here.events if isinstance(event, TaskStarted)]
        assert started.log_uri == outcome.log_uri
        assert outcome.started_at_millis <= outcome.finished_at_millis
        assert here.names() == [task.pod_name]
        backend.release(task.key)
        await here.until(lambda: not here.names())
        await backend.forget(task.key.run_id)
        assert not (here.home / task.key.run_id).exists()


async def test_whoever_launches_again_adopts(bench: Any) -> None:
    """The first executor is killed: nothing of it is closed. The second one has one container, and its end."""
    async with bench() as here:
        first = await here.backend()
        task = here.task("echo start >> /shared/starts; while ! test -e /shared/go; do sleep 0.05; done; exit 3")
        await first.launch(task)
        await first.launch(task)
        here.events.clear()
        second = await here.backend()
        await second.launch(replace(task, seen_running=True))
        [started] = [event for event in here.events if isinstance(event, TaskStarted)]
        assert abs(started.at_millis - time.time() * 1000) < 30_000
        (here.shared / "go").touch()
        # Both hear it, as both launched it.
        assert [(await here.outcome(task.key, count)).exit_code for count in (1, 2)] == [3, 3]
        third = await here.backend()
        assert (await here.ended(third, task)).exit_code == 3
        assert (here.shared / "starts").read_text().split() == ["start"]
        assert here.names() == [task.pod_name]


async def test_an_end_whose_event_was_lost_is_found(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hears_nothing(watch: ExitWatch) -> None:
        watch._listening = True
        await asyncio.Event().wait()

    monkeypatch.setattr(ExitWatch, "listen", hears_nothing)
    async with bench() as here:
        outcome = await here.ended(await here.backend(), here.task("exit 3"))
        assert outcome.exit_code == 3


async def test_outputs_are_taken_again_by_who_comes_after(bench: Any) -> None:
    async with bench() as here:
        first = await here.backend()
        task = here.task("echo content > {{$.outputs.artifacts['data'].path}}", artifacts=["data"])
        outcomes = [await here.ended(first, task)]
        here.events.clear()
        outcomes.append(await here.ended(await here.backend(), task))
        assert outcomes[0].succeeded
        # What came before the start only the first one saw, and each of them stores the outputs.
        alike = [replace(one, started_at_millis=0, times=NO_TIMES) for one in outcomes]
        assert alike[0] == alike[1]
        before, after = (one.times for one in outcomes)
        assert (after.started, after.finished) == (before.started, before.finished)
        assert before.placed and not after.placed
        assert before.finished <= before.stored <= after.stored


@pytest.mark.parametrize("seen_running", [True, False])
async def test_what_vanished_is_not_begun_again(
    bench: Any, monkeypatch: pytest.MonkeyPatch, seen_running: bool
) -> None:
    monkeypatch.setattr(launching, "_APPEARS_SECONDS", 0.5)
    async with bench() as here:
        backend = await here.backend()
        task = here.task("echo start >> /shared/starts; sleep 60")
        if not seen_running:
            # Killed between the claim on disk and the container.
            directory = AttemptDirectory(here.home, task.key)
            directory.prepare(workspace=False)
            directory.claim()
        outcome = await here.ended(backend, replace(task, seen_running=seen_running))
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "is gone" in outcome.error
        assert not (here.shared / "starts").exists()


async def test_a_container_that_was_made_and_not_started_is_no_second_try(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_APPEARS_SECONDS", 0.5)
    async with bench() as here:
        backend = await here.backend()
        task = here.task("true")
        directory = AttemptDirectory(here.home, task.key)
        directory.prepare(workspace=False)
        directory.claim()
        here.podman("create", "--name", task.pod_name, here.image, "true")
        outcome = await here.ended(backend, task)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "never started" in outcome.error
        await here.until(lambda: task.pod_name not in here.podman("ps", "-a", "--format", "{{.Names}}").split())


async def test_nothing_is_made_without_a_certain_lease(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend(parallelism=1)
        here.runs.certain = False
        task = here.task("echo start >> /shared/starts")
        for _ in range(2):
            with pytest.raises(LeaseUncertainError):
                await backend.launch(task)
        assert here.names() == []
        here.runs.certain = True
        assert (await here.ended(backend, task)).succeeded


async def test_no_more_at_once_than_may(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend(parallelism=2)
        script = (
            "mkdir /shared/running-$KFP_POD_NAME; ls -d /shared/running-* | seq -s, 1 1 > /tmp/x;"
            "echo /shared/running-* >> /shared/counts; sleep 0.3; rm -r /shared/running-$KFP_POD_NAME"
        )
        tasks = [here.task(script, path=f"task-{number}") for number in range(6)]
        await asyncio.gather(*(backend.launch(task) for task in tasks))
        for task in tasks:
            assert (await here.outcome(task.key)).succeeded
        counts = [len(line.split()) for line in (here.shared / "counts").read_text().splitlines()]
        assert len(counts) == 6
        assert max(counts) <= 2


async def test_canceled_while_it_runs(bench: Any) -> None:
    """SIGTERM, then SIGKILL for a program that does not listen."""
    async with bench() as here:
        backend = await here.backend()
        polite = here.task("trap 'echo asked; exit 0' TERM; touch /shared/a; while :; do sleep 0.05; done", path="a")
        deaf = here.task("trap '' TERM; touch /shared/b; while :; do sleep 0.05; done", path="b")
        for task in (polite, deaf):
            await backend.launch(task)
        await here.until(lambda: (here.shared / "a").exists() and (here.shared / "b").exists())
        started = time.monotonic()
        for task in (polite, deaf):
            await backend.cancel(task.key)
        ends = [await here.outcome(task.key) for task in (polite, deaf)]
        assert time.monotonic() - started < 15
        # A program that ends well when it is asked to has ended well.
        assert [end.failure for end in ends] == [None, FailureKind.CANCELED]
        assert Path(ends[0].log_uri.removeprefix("file://")).read_text().split().count("asked") == 1


async def test_canceled_while_it_waits(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend(parallelism=1)
        running = here.task("while ! test -e /shared/go; do sleep 0.05; done", path="a")
        waiting = here.task("true", path="b")
        await backend.launch(running)
        launching = asyncio.ensure_future(backend.launch(waiting))
        await asyncio.sleep(0)
        await backend.cancel(waiting.key)
        await asyncio.wait_for(launching, 1)
        assert (await here.outcome(waiting.key)).failure is FailureKind.CANCELED
        (here.shared / "go").touch()
        assert (await here.outcome(running.key)).succeeded


@pytest.mark.parametrize(
    ("script", "fields", "kind", "text"),
    [
        ("echo words; exit 3", {}, FailureKind.USER, "the command exited with code 3; its last lines:\nwords"),
        ("kill -9 $$", {}, FailureKind.USER, "was killed by signal 9 (SIGKILL)"),
        ("true", {"outputs": ["x"]}, FailureKind.USER, "did not write its output parameter 'x'"),
        ("true", {"command": ("none",)}, FailureKind.CONFIGURATION, "the command 'none' does not exist in the image"),
        ("true", {"image": "localhost/none:1"}, FailureKind.CONFIGURATION, "'localhost/none:1' cannot be pulled: "),
        ("sleep 60", {"deadline_seconds": 0.5}, FailureKind.USER, "the deadline of 0.5 seconds was exceeded"),
        (
            "true",
            {"kubernetes": {"imagePullPolicy": "Never"}, "image": "localhost/none:1"},
            FailureKind.CONFIGURATION,
            "is not on this machine",
        ),
        (
            "true",
            {"kubernetes": {"securityContext": {"runAsUser": 1000}}, "image": ""},
            None,
            "",
        ),
        (
            "dd if=/dev/zero of=/dev/null bs=200M count=1",
            {"resources": {"resourceMemoryLimit": "32Mi"}},
            FailureKind.USER,
            "used more memory than its limit",
        ),
        (
            "true",
            {"kubernetes": {"initContainers": [{"name": "first", "image": "i"}]}},
            FailureKind.CONFIGURATION,
            "has init containers: it cannot run in a container of this machine",
        ),
    ],
)  # fmt: skip
async def test_how_it_ended(
    bench: Any, script: str, fields: dict[str, Any], kind: FailureKind | None, text: str
) -> None:
    async with bench() as here:
        if "resources" in fields:
            here.skip_without(here.found.limits, "bounds of memory")
        backend = await here.backend()
        given = {**fields, "image": fields.get("image") or here.image}
        task = here.task(script, **given)
        outcome = await here.ended(backend, task)
        assert outcome.failure is kind, outcome.error
        assert text in outcome.error
        # What watches the container for podman writes where that was called.
        assert not Path("oom").exists()


@pytest.mark.parametrize("how", ["kill", "rm"])
async def test_what_somebody_else_ends(bench: Any, how: str) -> None:
    async with bench() as here:
        backend = await here.backend()
        task = here.task("touch /shared/runs; sleep 60")
        await backend.launch(task)
        await here.until(lambda: (here.shared / "runs").exists())
        here.podman(
            *(["kill", "--signal", "KILL"] if how == "kill" else ["rm", "--force", "--time", "0"]), task.pod_name
        )
        outcome = await here.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert ("was killed" if how == "kill" else "is gone") in outcome.error


async def test_inputs_are_the_tasks_own(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend()
        stored = here.artifacts / "given"
        (stored / "tree").mkdir(parents=True)
        (stored / "tree" / "inside").write_text("original")
        (stored / "file").write_text("original")
        reads = {
            "file": [Artifact("file", "system.Dataset", f"file://{stored}/file")],
            "tree": [Artifact("tree", "system.Dataset", f"file://{stored}/tree")],
        }
        file, tree = "{{$.inputs.artifacts['file'].path}}", "{{$.inputs.artifacts['tree'].path}}"
        script = (
            f"cat {file} {tree}/inside; echo spoilt > {file}; echo spoilt > {tree}/inside; touch {tree}/more;"
            f"cat {file} {tree}/inside"
        )
        for path in ("a", "b"):
            began = int(time.time() * 1000)
            outcome = await here.ended(backend, here.task(script, path=path, reads=reads))
            assert outcome.succeeded, outcome.error
            at = outcome.times
            assert began <= at.placed <= at.prepared <= at.fetched <= at.started <= at.finished <= time.time() * 1000
            log = Path(outcome.log_uri.removeprefix("file://")).read_text()
            assert log == "originaloriginalspoilt\nspoilt\n"
        assert (stored / "file").read_text() == (stored / "tree" / "inside").read_text() == "original"
        assert [path.name for path in (stored / "tree").iterdir()] == ["inside"]


async def test_a_large_input_is_not_copied(bench: Any) -> None:
    async with bench() as here:
        here.skip_without(here.found.overlays, "overlay mounts")
        backend = await here.backend()
        here.artifacts.mkdir()
        with (here.artifacts / "large").open("wb") as stream:
            stream.truncate(1 << 30)
        reads = {"x": [Artifact("x", "system.Dataset", f"file://{here.artifacts}/large")]}
        task = here.task("stat -c %s {{$.inputs.artifacts['x'].path}}", reads=reads)
        outcome = await here.ended(backend, task)
        assert Path(outcome.log_uri.removeprefix("file://")).read_text() == f"{1 << 30}\n"
        copies = [path for path in here.home.rglob("large") if not path.samefile(here.artifacts / "large")]
        assert copies == []


async def test_an_image_that_knows_what_to_run(bench: Any, entry_image: str) -> None:
    async with bench() as here:
        backend = await here.backend()
        said = {}
        for args in ((), ("given", "{{$.inputs.parameters['x']}}")):
            task = launch(
                root=f"file://{here.artifacts}",
                image=entry_image,
                args=args,
                run=here.run,
                inputs={"x": "too"},
                outputs=["said"],
                path=f"task-{len(args)}",
            )
            outcome = await here.ended(backend, task)
            assert outcome.succeeded, outcome.error
            said[args] = outcome.parameters["said"]
        assert list(said.values()) == ["by default\n", "given too\n"]


async def test_the_log_is_there_while_it_runs(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend()
        task = here.task("echo early; while ! test -e /shared/go; do sleep 0.05; done; echo late")
        await backend.launch(task)
        [started] = [event for event in here.events if isinstance(event, TaskStarted)]
        log = Path(started.log_uri.removeprefix("file://"))
        await here.until(lambda: log.read_text() == "early\n")
        (here.shared / "go").touch()
        await here.outcome(task.key)
        assert log.read_text() == "early\nlate\n"


async def test_claims_are_volumes(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend()
        inputs = {"size": "1Gi", "access_modes": ["ReadWriteOnce"], "pvc_name_suffix": "-data"}
        making = here.task("", image="argostub/createpvc", command=(), inputs=inputs, outputs=["name"], path="make")
        outcomes = [await here.ended(backend, making), await here.ended(backend, replace(making, seen_running=True))]
        name = outcomes[0].parameters["name"]
        assert [one.parameters for one in outcomes] == [{"name": name}] * 2
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: here.podman("volume", "rm", "--force", str(name)))
            mounts = [
                {"name": "v", "mountPath": "/data"},
                {"name": "v", "mountPath": "/part", "subPath": "deep/part"},
                {"name": "scratch", "mountPath": "/scratch"},
            ]
            settings = {
                "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}],
                "volumeMounts": mounts[:2],
                "ownVolumes": [{"name": "scratch", "emptyDir": {}}],
                "ownVolumeMounts": mounts[2:],
            }
            write = "echo one > /part/file; echo two > /scratch/x"
            first = await here.ended(backend, here.task(write, path="w", kubernetes=settings))
            assert first.succeeded, first.error
            read = "cat /data/deep/part/file; ls /scratch"
            second = await here.ended(backend, here.task(read, path="r", kubernetes=settings))
            assert Path(second.log_uri.removeprefix("file://")).read_text() == "one\n"
            # A volume that a container has cannot go.
            for task in ("w", "r"):
                backend.release(AttemptKey(making.key.run_id, task, 1))
            await here.until(lambda: not here.names())
            delete = {"image": "argostub/deletepvc", "command": (), "inputs": {"pvc_name": name}}
            assert (await here.ended(backend, here.task("", path="d", **delete))).succeeded
            again = await here.ended(backend, here.task("", path="e", **delete))
            assert again.failure is FailureKind.CONFIGURATION
            assert "there is no volume" in again.error


async def test_what_nobody_waits_for_is_collected(bench: Any) -> None:
    async with bench() as here:
        backend = await here.backend()
        task = here.task("touch /shared/runs; sleep 60")
        await backend.launch(task)
        here.runs.expected = None
        collecting = await here.backend(orphan_seconds=0.1)
        await asyncio.sleep(1)
        # Its run is neither held here nor known to be over.
        assert here.names() == [task.pod_name]
        here.runs.finished = {task.key.run_id}
        await here.until(lambda: not here.names() and not (here.home / task.key.run_id).exists())
        await collecting.close()
