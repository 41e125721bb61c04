"""The local backend by itself: errors outside of the task's program end the task with a message and are never lost."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from penstock_executor.attempts import BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.backends.local.connection import ForkServerConnection
from penstock_executor.backends.local.directory import AttemptDirectory
from penstock_executor.backends.local.inputs import LocalInputs
from penstock_ir.event_log import FailureKind
from penstock_ir.loader import document_from_json
from penstock_store.base import ArtifactStoreError
from penstock_store.config import PROVIDERS, StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.router import RoutedStore

from tests.support.held_runs import Runs
from tests.support.launch import launch
from tools.testing import specs
from tools.testing.launches import launches_of

Ends: TypeAlias = Callable[[TaskLaunch], Awaitable[TaskOutcome]]
WRITES = ["sh", "-ec", 'mkdir -p "$(dirname "$0")"; echo x > "$0"', "{{$.outputs.artifacts['out'].path}}"]


# A fork server outlives who started it.
outlives = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


class BrokenStore:
    """Raises what it is given when something is brought to it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def for_root(self, root: str) -> BrokenStore:
        return self

    def local_path(self, uri: str) -> Path | None:
        return None

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        raise self._error


@asynccontextmanager
async def running(tmp_path: Path, environments: Path, store: object) -> AsyncIterator[Ends]:
    """A backend with one slot: a task that keeps it stops the next. Gives what a task's end is awaited with."""
    backend = LocalBackend(
        LocalSettings(tmp_path / "work", environments, 1),
        store,  # type: ignore[arg-type]
        {"PATH": os.defpath},
    )
    events: asyncio.Queue[BackendEvent] = asyncio.Queue()

    async def end_of(task: TaskLaunch) -> TaskOutcome:
        await asyncio.wait_for(backend.launch(task), 60)
        while not isinstance(event := await asyncio.wait_for(events.get(), 60), TaskOutcome):
            pass
        return event

    await backend.start(events.put_nowait, Runs())
    try:
        yield end_of
    finally:
        await backend.close()


@outlives
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ArtifactStoreError("the store is closed"), "the artifact 'out' cannot be stored: the store is closed"),
        (RuntimeError("nobody foresaw this"), "could not be dealt with: nobody foresaw this"),
    ],
)
async def test_a_store_that_fails(tmp_path: Path, environments: Path, error: Exception, said: str) -> None:
    async with running(tmp_path, environments, BrokenStore(error)) as end_of:
        ended = await end_of(launch(*WRITES, root="s3://bucket/root", artifacts=["out"]))
    assert ended.failure is FailureKind.INFRASTRUCTURE
    assert said in ended.error


async def test_a_root_whose_settings_are_wrong(tmp_path: Path, environments: Path) -> None:
    store = RoutedStore(StoreConfig(), {})
    task = replace(launch("true", root="gs://bucket/x"), pipeline_root="gs://bucket/x?region=here")
    async with running(tmp_path, environments, store) as end_of:
        outcome = await end_of(task)
    assert outcome.failure is FailureKind.CONFIGURATION
    assert "the pipeline root cannot be used: gs://bucket/x?region=here: unknown setting 'region'" in outcome.error


@outlives
async def test_launched_again_it_reports_its_start_again_and_is_canceled_once(
    tmp_path: Path, environments: Path
) -> None:
    """As when its run was lost and claimed again."""
    root = tmp_path / "root"
    settings = LocalSettings(tmp_path / "work", environments, 1, grace_seconds=0.2)
    backend = LocalBackend(settings, FileArtifactStore(root), {"PATH": os.defpath})
    events: list[BackendEvent] = []
    heard = asyncio.Event()

    def deliver(event: BackendEvent) -> None:
        events.append(event)
        if isinstance(event, TaskOutcome):
            heard.set()

    await backend.start(deliver, Runs())
    task = launch("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done", root=root.as_uri())
    try:
        await asyncio.wait_for(backend.launch(task), 60)
        await backend.launch(task)
        starts = [event for event in events if isinstance(event, TaskStarted)]
        assert len(starts) == 2
        assert starts[0] == starts[1]
        await backend.cancel(task.key)
        await backend.cancel(task.key)
        await asyncio.wait_for(heard.wait(), 60)
    finally:
        await backend.close()
    [outcome] = [event for event in events if isinstance(event, TaskOutcome)]
    assert outcome.failure is FailureKind.CANCELED
    assert isinstance(events[-1], TaskOutcome)


def says(root: Path, path: str, script: str = "", **entry: str) -> TaskLaunch:
    """A task that says `entry` of its output artifact `out` in its output_metadata.json, after `script`."""
    document = json.dumps({"artifacts": {"out": {"artifacts": [entry]}}})
    script = f'mkdir -p "$(dirname "$0")"; {script}\nprintf %s "$1" > "$0"'
    command = ("sh", "-ec", script, "{{$.outputs.output_file}}", document, "{{$.outputs.artifacts['out'].path}}")
    return launch(*command, root=root.as_uri(), path=path, artifacts=["out"])


@outlives
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://[::1", "the URI 'http://[::1' of artifact 'out' cannot be parsed: Invalid IPv6 URL"),
        (f"file:///tmp/{'x' * 300}", "File name too long"),
    ],
)
async def test_a_uri_that_names_no_place(tmp_path: Path, environments: Path, uri: str, said: str) -> None:
    root = tmp_path / "root"
    async with running(tmp_path, environments, FileArtifactStore(root)) as end_of:
        ended = await end_of(says(root, "wrong", uri=uri))
        following = await end_of(says(root, "right", uri="https://example.org/x"))
    assert (ended.failure, ended.exit_code) == (FailureKind.USER, 0)
    assert "'out'" in ended.error
    assert said in ended.error
    assert following.failure is None


@outlives
@pytest.mark.parametrize(
    ("script", "custom_path", "said"),
    [
        ("mkfifo left", "left", "it is neither a file nor a directory"),
        ("mkdir left; mkfifo left/inner", "left", "inner: it is neither a file nor a directory"),
        ("true", f"/tmp/{'x' * 300}", "File name too long"),
        ('echo one > "$2"; echo other > left', "left", "something else lies there already"),
    ],
)
async def test_a_custom_path_that_cannot_be_stored(
    tmp_path: Path, environments: Path, script: str, custom_path: str, said: str
) -> None:
    root = tmp_path / "root"
    async with running(tmp_path, environments, FileArtifactStore(root)) as end_of:
        ended = await end_of(says(root, "task", script, custom_path=custom_path))
    assert (ended.failure, ended.exit_code) == (FailureKind.USER, 0)
    assert f"what the task left at {custom_path!r} cannot be stored as the artifact 'out': " in ended.error
    assert said in ended.error


@outlives
async def test_a_custom_path_that_is_no_path(tmp_path: Path, environments: Path) -> None:
    """Nothing lies there, as in Pods, and what is missing is no failure."""
    root = tmp_path / "root"
    async with running(tmp_path, environments, FileArtifactStore(root)) as end_of:
        ended = await end_of(says(root, "task", "echo x > a", custom_path="a\0b"))
    assert ended.failure is None
    assert ended.artifacts["out"][0].absent


@outlives
@pytest.mark.parametrize(
    ("command", "env", "said"),
    [
        ([""], {}, "the first word of the command is empty: write the name of a program there"),
        (["true", "a\0b"], {}, "word 2 of the command holds a NUL character, which no program can be given: remove it"),
        (["true"], {"A=B": "x"}, "the environment variable 'A=B' has '=' in its name: write the value apart from it"),
        (["true"], {"": "x"}, "an environment variable has no name: write one, or remove the variable"),
        (["true"], {"A": "\0"}, "the environment variable 'A' holds a NUL character, which no program can be given"),
        (["true", "x" * 200_000], {}, "the command 'true' cannot be started: its arguments and environment variables"),
        (["no-such-program"], {}, "the command 'no-such-program' of image 'python:3.11' cannot run on this machine"),
    ],
)
async def test_a_command_that_cannot_be_started(
    tmp_path: Path, environments: Path, command: list[str], env: dict[str, str], said: str
) -> None:
    root = tmp_path / "root"
    async with running(tmp_path, environments, FileArtifactStore(root)) as end_of:
        ended = await end_of(launch(*command, root=root.as_uri(), env=tuple(env.items())))
    assert ended.failure is FailureKind.CONFIGURATION
    assert ended.error.startswith(said)
    assert "Traceback" not in ended.error


@outlives
async def test_an_end_that_cannot_be_dealt_with(
    tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("nobody foresaw this")

    root = tmp_path / "root"
    async with running(tmp_path, environments, FileArtifactStore(root)) as end_of:
        with monkeypatch.context() as patch:
            patch.setattr("penstock_executor.backends.local.conclusion.interpret_outputs", fails)
            ended = await end_of(launch("true", root=root.as_uri(), path="first"))
        with monkeypatch.context() as patch:
            patch.setattr("penstock_executor.backends.local.launching.unsupported", fails)
            unbegun = await end_of(launch("true", root=root.as_uri(), path="second"))
        following = await end_of(launch("true", root=root.as_uri(), path="third"))
    assert ended.failure is unbegun.failure is FailureKind.INFRASTRUCTURE
    assert ended.error == "the task's end could not be dealt with: nobody foresaw this"
    assert unbegun.error == "the task could not be prepared: nobody foresaw this"
    assert following.failure is None


async def test_whoever_is_told_of_an_end_may_fail(tmp_path: Path) -> None:
    """The connection goes on, and others hear of theirs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            attempt = json.loads(line)["id"]
            for answer in ({"event": "watched", "known": True}, {"event": "exited"}):
                writer.write(json.dumps({"id": attempt, **answer}).encode() + b"\n")
        writer.close()

    def fails(_: object) -> None:
        raise ValueError("nobody foresaw this")

    server = await asyncio.start_unix_server(serve, tmp_path / "socket")
    connection = ForkServerConnection(tmp_path / "socket", sys.executable, "", {}, tmp_path / "log")
    heard = asyncio.Event()
    assert await connection.watch("first", fails)
    assert await asyncio.wait_for(connection.watch("second", lambda _: heard.set()), 10)
    await asyncio.wait_for(heard.wait(), 10)
    await connection.close()
    server.close()


async def test_inputs_that_are_copied_twice_are_there_once(tmp_path: Path) -> None:
    """An attempt that was prepared and not begun is prepared again: after a restart, or when its lease was away."""
    given = tmp_path / "given"
    (given / "inner").mkdir(parents=True)
    (given / "inner" / "file").write_text("original")
    spec = specs.imported(given.as_uri(), ["true"])
    (task,) = launches_of(document_from_json(spec), {}, root=(tmp_path / "root").as_uri())
    inputs = LocalInputs(FileArtifactStore(tmp_path / "root"), tmp_path / "work", tmp_path / "root", overlays=False)
    directory = AttemptDirectory(tmp_path / "work", task.key)

    async def prepared() -> set[str]:
        directory.prepare()
        files = await inputs.prepare(task, directory)
        (path,) = files.shown
        return {str(one.relative_to(path)) for one in Path(path).rglob("*")}

    assert await prepared() == await prepared() == {"inner", "inner/file"}


async def test_an_input_whose_name_no_file_can_have_is_missing(tmp_path: Path) -> None:
    uri = f"file:///tmp/{'x' * 300}"
    (task,) = launches_of(document_from_json(specs.imported(uri, ["true"])), {}, root=(tmp_path / "root").as_uri())
    store = FileArtifactStore(tmp_path / "root")
    inputs = LocalInputs(store, tmp_path / "work", tmp_path / "root", overlays=False)
    directory = AttemptDirectory(tmp_path / "work", task.key)
    directory.prepare()
    assert (await inputs.prepare(task, directory)).shown == {}


class ObjectStore:
    """Has something wherever it is asked."""

    def for_root(self, root: str) -> ObjectStore:
        return self

    def local_path(self, uri: str) -> Path | None:
        return None

    async def fetch(self, uri: str, target: Path) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(uri)
        return True


@pytest.mark.parametrize("scheme", PROVIDERS)
async def test_inputs_of_every_object_store_are_brought(tmp_path: Path, scheme: str) -> None:
    uri = f"{scheme}://bucket/given"
    (task,) = launches_of(document_from_json(specs.imported(uri, ["true"])), {}, root=(tmp_path / "root").as_uri())
    inputs = LocalInputs(ObjectStore(), tmp_path / "work", tmp_path / "root", overlays=False)  # type: ignore[arg-type]
    directory = AttemptDirectory(tmp_path / "work", task.key)
    directory.prepare()
    (shown,) = (await inputs.prepare(task, directory)).shown.items()
    assert Path(shown[0]).read_text() == shown[1] == uri
