"""The local backend by itself: what goes wrong beside the task ends it with words, and is never lost."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from penstock_executor.attempts import BackendEvent, FailureKind, TaskOutcome
from penstock_executor.backends.local.attempts import AttemptDirectory
from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.backends.local.inputs import LocalInputs
from penstock_ir.loader import document_from_json
from penstock_store.base import ArtifactStoreError
from penstock_store.config import PROVIDERS
from penstock_store.files import FileArtifactStore

from tests.support.held_runs import Runs
from tests.support.launch import launch
from tools.testing import specs
from tools.testing.launches import launches_of

WRITES = ["sh", "-ec", 'mkdir -p "$(dirname "$0")"; echo x > "$0"', "{{$.outputs.artifacts['out'].path}}"]


class BrokenStore:
    """Raises what it is given when something is brought to it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def local_path(self, uri: str) -> Path | None:
        return None

    async def upload(self, source: Path, uri: str, *, replace: bool = False) -> bool:
        raise self._error


# A fork server outlives who started it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ArtifactStoreError("the store is closed"), "the store is closed"),
        (RuntimeError("nobody foresaw this"), "could not be dealt with: nobody foresaw this"),
    ],
)
async def test_a_store_that_fails(tmp_path: Path, environments: Path, error: Exception, said: str) -> None:
    async def outcome() -> TaskOutcome:
        settings = LocalSettings(tmp_path / "work", environments, 1)
        backend = LocalBackend(settings, BrokenStore(error), {"PATH": os.defpath})  # type: ignore[arg-type]
        events: asyncio.Queue[BackendEvent] = asyncio.Queue()
        await backend.start(events.put_nowait, Runs())
        await backend.launch(launch(*WRITES, root="s3://bucket/root", artifacts=["out"]))
        try:
            while not isinstance(event := await asyncio.wait_for(events.get(), 60), TaskOutcome):
                pass
            return event
        finally:
            await backend.close()

    ended = await outcome()
    assert ended.failure is FailureKind.INFRASTRUCTURE
    assert said in ended.error


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


class ObjectStore:
    """Has something wherever it is asked."""

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
