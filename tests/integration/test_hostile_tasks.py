"""Tasks that write into the files in which the local backend keeps their state: each ends, with words, and alone."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from penstock_executor.attempts import BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.local import connection
from penstock_executor.backends.local.backend import LocalBackend, LocalSettings
from penstock_executor.backends.local.directory import AttemptDirectory
from penstock_ir.event_log import FailureKind
from penstock_store.files import FileArtifactStore

from tests.support.held_runs import Runs
from tests.support.launch import launch

# A fork server outlives who started it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

_SECONDS = 30


@dataclass
class Executor:
    backend: LocalBackend
    events: asyncio.Queue[BackendEvent]

    async def begin(self, task: TaskLaunch) -> None:
        await asyncio.wait_for(self.backend.launch(task), _SECONDS)

    async def end(self) -> TaskOutcome:
        while not isinstance(event := await asyncio.wait_for(self.events.get(), _SECONDS), TaskOutcome):
            pass
        return event

    async def end_of(self, task: TaskLaunch) -> TaskOutcome:
        await self.begin(task)
        return await self.end()


@asynccontextmanager
async def executor(tmp_path: Path, environments: Path) -> AsyncIterator[Executor]:
    """With one slot: a task that kept it would stop the next."""
    settings = LocalSettings(tmp_path / "work", environments, 1, grace_seconds=0.2)
    backend = LocalBackend(settings, FileArtifactStore(tmp_path / "root"), {"PATH": os.defpath})
    events: asyncio.Queue[BackendEvent] = asyncio.Queue()
    await backend.start(events.put_nowait, Runs())
    try:
        yield Executor(backend, events)
    finally:
        await backend.close()
        # What warns of fork servers that live on does so here, not in another test.
        gc.collect()


def shell(tmp_path: Path, script: str, path: str = "task") -> TaskLaunch:
    """A task whose working directory is `cwd` in the attempt's own."""
    return launch("sh", "-c", script, root=(tmp_path / "root").as_uri(), path=path)


def directory_of(tmp_path: Path, task: TaskLaunch) -> AttemptDirectory:
    return AttemptDirectory(tmp_path / "work", task.key)


async def seen(path: Path) -> None:
    """Waits until the task has made it."""

    async def poll() -> None:
        while not path.exists():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(poll(), _SECONDS)


def kill_fork_server(directory: AttemptDirectory) -> None:
    """The parent of the attempt's process, by SIGKILL."""
    status = Path(f"/proc/{read_pid(directory)}/status").read_text()
    os.kill(int(status.split("PPid:")[1].split()[0]), signal.SIGKILL)


def read_pid(directory: AttemptDirectory) -> int:
    return int(json.loads((directory.path / "pid").read_text())["pid"])


@pytest.mark.parametrize(
    "script",
    [
        "mkdir ../exit",
        "mkdir ../exit; touch ../exit/inside",
        "ln -s /dev/zero ../exit",
        "mkfifo ../exit",
        "truncate -s 5G ../exit",
        "rm ../pid ../claim; mkdir ../pid ../claim",
        "rm ../claim; mkfifo ../claim",
        "touch -d '2200-01-01' ../claim",
        "chmod 000 ..",
        "mv .. ../../aside; mkdir ../../1; ln -s / ../../1/cwd",
    ],
)
async def test_its_own_end_is_what_counts(tmp_path: Path, environments: Path, script: str) -> None:
    before = time.time() * 1000
    async with executor(tmp_path, environments) as one:
        ended = await one.end_of(shell(tmp_path, f"{script}; exit 7"))
        following = await one.end_of(shell(tmp_path, "true", "following"))
    assert (ended.failure, ended.exit_code) == (FailureKind.USER, 7)
    assert before - 1000 <= ended.started_at_millis <= ended.finished_at_millis <= time.time() * 1000
    assert following.failure is None


async def test_a_directory_that_is_gone(tmp_path: Path, environments: Path) -> None:
    async with executor(tmp_path, environments) as one:
        ended = await one.end_of(shell(tmp_path, "rm -rf ../../1; exit 7"))
        following = await one.end_of(shell(tmp_path, "true", "following"))
    assert (ended.failure, ended.exit_code) == (FailureKind.USER, 7)
    assert following.failure is None


@pytest.mark.parametrize(
    "script",
    [
        'echo \'{"at": 1, "code": 0}\' > ../exit',
        "mkfifo ../exit",
        "rm ../pid; mkfifo ../pid ../exit",
        "mkdir ../exit",
        "touch -d '2200-01-01' ../claim",
        "mkfifo ../shown",
    ],
)
async def test_another_executor_takes_over_what_runs(tmp_path: Path, environments: Path, script: str) -> None:
    """What a running task claims of its end is not believed."""
    go, wrote = tmp_path / "go", tmp_path / "wrote"
    task = shell(tmp_path, f"{script}; touch {wrote}; while ! test -e {go}; do sleep 0.02; done; exit 7")
    before = time.time() * 1000
    async with executor(tmp_path, environments) as one:
        await one.begin(task)
        await seen(wrote)
    async with executor(tmp_path, environments) as other:
        await other.begin(task)
        started = await asyncio.wait_for(other.events.get(), _SECONDS)
        assert isinstance(started, TaskStarted)
        assert before - 1000 <= started.at_millis <= time.time() * 1000
        assert other.events.empty()
        go.touch()
        ended = await other.end()
    assert (ended.failure, ended.exit_code) == (FailureKind.USER, 7)


@pytest.mark.parametrize(
    "script",
    [
        "mkfifo ../exit",
        "mkdir ../exit",
        "echo nonsense > ../exit",
        "echo '[]' > ../exit",
        "echo '{}' > ../exit",
        'echo \'{"at": "x", "code": "y"}\' > ../exit',
        "ln -s /dev/zero ../exit",
        "truncate -s 5G ../exit",
        "rm ../pid; mkfifo ../pid",
        'echo \'{"pid": -1, "start": 0}\' > ../pid',
        'echo \'{"pid": 1, "start": \'$(cut -d" " -f22 /proc/1/stat)\'}\' > ../pid',
        "rm ../claim; mkfifo ../claim",
    ],
)
async def test_nobody_saw_how_it_ended(tmp_path: Path, environments: Path, script: str) -> None:
    """Its fork server is killed, and so is it: there are its own files alone."""
    wrote = tmp_path / "wrote"
    task = shell(tmp_path, f"cp ../pid {tmp_path}/pid; {script}; touch {wrote}; exec sleep 600")
    directory = directory_of(tmp_path, task)
    async with executor(tmp_path, environments) as one:
        await one.begin(task)
        await seen(wrote)
        pid = int(json.loads((tmp_path / "pid").read_text())["pid"])
        status = Path(f"/proc/{pid}/status").read_text()
        os.kill(int(status.split("PPid:")[1].split()[0]), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        ended = await one.end()
        following = await one.end_of(shell(tmp_path, "true", "following"))
    assert ended.failure is FailureKind.INFRASTRUCTURE
    assert "nobody saw how it ended" in ended.error
    assert following.failure is None
    async with executor(tmp_path, environments) as other:
        again = await other.end_of(task)
    assert again.failure is FailureKind.INFRASTRUCTURE
    assert "nobody saw how it ended" in again.error
    assert directory.path.exists()


async def test_times_lie_within_the_attempt(tmp_path: Path, environments: Path) -> None:
    """An end that nobody saw is taken from its file, but not one that lies in the future."""
    wrote = tmp_path / "wrote"
    document = json.dumps({"at": 9 * 10**18, "code": 0})
    script = f"cp ../pid {tmp_path}/pid; echo '{document}' > ../exit; touch -d '2200-01-01' ../claim; touch {wrote}"
    task = shell(tmp_path, f"{script}; exec sleep 600")
    before = time.time() * 1000
    async with executor(tmp_path, environments) as one:
        await one.begin(task)
        await seen(wrote)
        pid = int(json.loads((tmp_path / "pid").read_text())["pid"])
        kill_fork_server(directory_of(tmp_path, task))
        os.kill(pid, signal.SIGKILL)
        await one.end()
    async with executor(tmp_path, environments) as other:
        ended = await other.end_of(task)
    assert before - 1000 <= ended.started_at_millis <= ended.finished_at_millis <= time.time() * 1000


async def test_a_socket_that_never_answers(tmp_path: Path, environments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that names a socket of the task's own."""
    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 0.5)
    task = shell(tmp_path, "true")
    directory = directory_of(tmp_path, task)
    directory.path.mkdir(parents=True)
    silent = tmp_path / "work" / "silent.sock"
    server = await asyncio.start_unix_server(lambda reader, writer: asyncio.sleep(3600), silent)
    (directory.path / "claim").write_text(str(silent))
    async with executor(tmp_path, environments) as one:
        ended = await one.end_of(task)
    server.close()
    assert ended.failure is FailureKind.INFRASTRUCTURE
    assert "nobody saw how it ended" in ended.error


async def test_nonsense_in_its_fork_servers_socket(tmp_path: Path, environments: Path) -> None:
    """Whoever says it is hung up on; the fork server goes on, and so do connections of others."""
    source = (
        "import socket, sys, glob\n"
        f"for path in glob.glob('{tmp_path}/work/*.sock'):\n"
        "    for said in (b'nonsense\\n', b'[]\\n', b'{}\\n', b'{\"op\": \"launch\"}\\n'):\n"
        "        one = socket.socket(socket.AF_UNIX); one.connect(path); one.sendall(said)\n"
        "        assert one.recv(1) == b''\n"
        "    kept = [socket.socket(socket.AF_UNIX) for _ in range(300)]\n"
        "    for one in kept:\n"
        "        one.connect(path)\n"
        "    print('said')\n"
    )
    task = launch("python3", "-c", source, root=(tmp_path / "root").as_uri())
    async with executor(tmp_path, environments) as one:
        ended = await one.end_of(task)
        following = await one.end_of(shell(tmp_path, "true", "following"))
    log = Path(ended.log_uri.removeprefix("file://")).read_text()
    assert (ended.failure, log) == (None, "said\n")
    assert following.failure is None


async def test_cleaning_stays_in_the_directory(tmp_path: Path, environments: Path) -> None:
    """Links that a task put in place of its directories lead nowhere when they are removed."""
    precious = tmp_path / "precious"
    (precious / "1" / "cwd").mkdir(parents=True)
    (precious / "1" / "cwd" / "file").write_text("kept")
    (precious / "cwd").mkdir()
    (precious / "cwd" / "file").write_text("kept")
    attempt = shell(tmp_path, f"mv ../../1 ../../aside; ln -s {precious} ../../1", "first")
    above = shell(
        tmp_path,
        f"cd ../../..; mv $OLDPWD/../../../$(basename $(dirname $(dirname $OLDPWD))) aside; "
        f"ln -s {precious} $(basename $(dirname $(dirname $OLDPWD)))",
        "second",
    )
    temporary = shell(tmp_path, f"cd $TMPDIR/..; rm -rf *; ln -s {precious} $(basename $TMPDIR)", "third")
    async with executor(tmp_path, environments) as one:
        for task in (attempt, above, temporary):
            await one.end_of(task)
            directory_of(tmp_path, task).clear()
        await one.backend.forget(attempt.key.run_id)
    assert not (tmp_path / "work" / attempt.key.run_id).exists()
    assert {str(path.relative_to(precious)) for path in precious.rglob("*")} == {
        *("1", "1/cwd", "1/cwd/file", "cwd", "cwd/file"),
    }


async def test_a_deep_tree_is_removed(tmp_path: Path, environments: Path) -> None:
    """Deeper than a path can be long, and than Python's stack and a process's open files reach."""
    source = "import os\nfor _ in range(3000):\n    os.mkdir('inner'); os.chdir('inner')\nos.mkdir('\\x1b[2J\\n')\n"
    task = launch("python3", "-c", source, root=(tmp_path / "root").as_uri())
    async with executor(tmp_path, environments) as one:
        ended = await one.end_of(task)
        await one.backend.forget(task.key.run_id)
    assert ended.failure is None
    assert not (tmp_path / "work" / task.key.run_id).exists()


@pytest.mark.parametrize("killed", [False, True], ids=["fork server lives", "fork server killed"])
async def test_what_leaves_its_session_ends_with_it(tmp_path: Path, environments: Path, killed: bool) -> None:
    """By a double fork into a session of its own; also when nobody is left but a new executor."""
    wrote, left = tmp_path / "wrote", tmp_path / "left"
    daemon = f"echo $$ > {left}.part; mv {left}.part {left}; exec sleep 600"
    script = f"(setsid sh -c '{daemon}' &) ; touch {wrote}; sleep 600"
    task = shell(tmp_path, script)
    async with executor(tmp_path, environments) as one:
        await one.begin(task)
        await seen(wrote)
        await seen(left)
        if killed:
            kill_fork_server(directory_of(tmp_path, task))
    async with executor(tmp_path, environments) as other:
        await other.begin(task)
        while not isinstance(await asyncio.wait_for(other.events.get(), _SECONDS), TaskStarted):
            pass
        await other.backend.cancel(task.key)
        await other.end()

    async def gone() -> None:
        while is_alive(int(left.read_text())):
            await asyncio.sleep(0.05)

    await asyncio.wait_for(gone(), _SECONDS)


def is_alive(pid: int) -> bool:
    """A zombie is not: nobody may be there who collects it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
