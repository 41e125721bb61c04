"""Runs tasks as processes: the laptop's backend (design §5).

The path of an attempt: recognise its command -> task environment -> a free slot -> fork server -> exit on disk ->
outputs -> outcome. Invariants: what is on disk decides (`attempts`), so a restarted executor, or a second one, adopts
what runs and collects what ended; `parallelism` bounds what this executor starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penstock_store.base import ArtifactStore, ArtifactStoreError
from penstock_store.files import path_of, uri_of

from penstock_executor.artifacts.base import Artifact
from penstock_executor.artifacts.outputs import CollectedOutputs, interpret_outputs
from penstock_executor.artifacts.written import OutputError, metadata_text, parameter_text
from penstock_executor.backends.base import (
    AttemptKey,
    BackendEvent,
    FailureKind,
    HeldRuns,
    NotHeldError,
    TaskLaunch,
    TaskOutcome,
    TaskStarted,
)
from penstock_executor.backends.local.attempts import AttemptDirectory, Exit
from penstock_executor.backends.local.commands import recognise
from penstock_executor.backends.local.connection import ForkServerConnection, ForkServerGoneError
from penstock_executor.backends.local.environments import (
    EnvironmentFailedError,
    TaskEnvironments,
    clean_environment,
)
from penstock_executor.backends.local.inputs import LocalInputs, TaskFiles

log = logging.getLogger(__name__)

_EXECUTOR_MODULE = "kfp.dsl.executor_main"
_LOG_TAIL_BYTES = 2048
_POLL_SECONDS = 0.2
_FULL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`python` is the interpreter task environments are made with."""

    work_dir: Path
    environments_dir: Path
    parallelism: int
    python: str = ""
    grace_seconds: float = 10.0


@dataclass(slots=True, eq=False)
class _Attempt:
    task: TaskLaunch
    directory: AttemptDirectory
    files: TaskFiles | None = None
    connection: ForkServerConnection | None = None
    holds_slot: bool = False
    canceled: bool = False
    overdue: bool = False
    finished: bool = False
    timer: asyncio.TimerHandle | None = None
    reported_start: bool = False

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    @property
    def name(self) -> str:
        return str(self.directory.path)


@dataclass(slots=True)
class _Failure(Exception):
    kind: FailureKind
    text: str
    extra: dict[str, Any] = field(default_factory=dict)


class LocalBackend:
    def __init__(self, settings: LocalSettings, store: ArtifactStore) -> None:
        self._settings = settings
        self._inputs = LocalInputs(store)
        self._store = store
        self._environment = clean_environment(os.environ, sys.prefix)
        python = settings.python or getattr(sys, "_base_executable", sys.executable) or sys.executable
        self._python = python
        self._environments = TaskEnvironments(settings.environments_dir, python, self._environment)
        self._slots = asyncio.Semaphore(settings.parallelism)
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._connections: dict[Path, ForkServerConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        self._settings.work_dir.mkdir(parents=True, exist_ok=True)

    async def default_root(self, namespace: str) -> str:
        return ""

    async def launch(self, task: TaskLaunch) -> None:
        if task.key in self._attempts:
            return
        attempt = _Attempt(task, AttemptDirectory(self._settings.work_dir, task.key))
        self._attempts[task.key] = attempt
        try:
            if attempt.directory.claimed_by() is not None:
                await self._adopt(attempt)
            else:
                await self._begin(attempt)
        except _Failure as failure:
            self._end(attempt, failure.kind, failure.text)
        except NotHeldError:
            self._slots.release()
            del self._attempts[task.key]
            raise
        except ForkServerGoneError as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, str(error))
        except (ArtifactStoreError, OSError) as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, f"the task could not be prepared: {error}")

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None and not attempt.finished:
            attempt.canceled = True
            self._kill(attempt)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
        for task in self._tasks:
            task.cancel()
        for connection in self._connections.values():
            await connection.close()

    def release(self, key: AttemptKey) -> None:
        """Nothing: directories of a run go together, in `forget`."""

    async def forget(self, run_id: str) -> None:
        """Removes the working directories of a run that is over; logs and artifacts lie elsewhere."""
        for key in [key for key in self._attempts if key.run_id == run_id]:
            del self._attempts[key]
        await asyncio.to_thread(shutil.rmtree, self._settings.work_dir / run_id, ignore_errors=True)

    # --- starting --------------------------------------------------------------------------------------------------

    async def _begin(self, attempt: _Attempt) -> None:
        attempt.directory.prepare()
        files = attempt.files = await self._inputs.prepare(attempt.task, attempt.directory)
        argv = files.argv
        lightweight = recognise(argv)
        try:
            environment = await self._environments.get(lightweight.installs if lightweight else ())
        except EnvironmentFailedError as error:
            kind = FailureKind.INFRASTRUCTURE if error.transient else FailureKind.CONFIGURATION
            raise _Failure(kind, str(error)) from error
        variables = self._variables(attempt.task, environment)
        message: dict[str, Any] = {
            "dir": str(attempt.directory.path),
            "log": str(files.log),
            "cwd": str(attempt.directory.working),
            "env": variables,
        }
        if lightweight:
            module = attempt.directory.path / "ephemeral_component.py"
            module.write_text(lightweight.source)
            message["module"] = _EXECUTOR_MODULE
            message["argv"] = ["--component_module_path", str(module), *lightweight.args]
            connection = self._connection(environment, str(environment / "bin" / "python"), _EXECUTOR_MODULE)
        else:
            message["argv"] = list(argv)
            connection = self._connection(self._settings.work_dir, self._python, "")
        await self._slots.acquire()
        attempt.holds_slot = True
        if attempt.canceled:
            raise _Failure(FailureKind.CANCELED, "the task was ended before it started")
        # It may have waited for long.
        if self._runs is None or not self._runs.may_act(attempt.key.run_id):
            raise NotHeldError(str(attempt.directory.path))
        attempt.connection = connection
        answer = await connection.launch(attempt.name, message, lambda: self._ended(attempt))
        if answer["event"] == "failed":
            raise _Failure(FailureKind.INFRASTRUCTURE, f"the task could not be started: {answer['error']}")
        if answer["event"] == "claimed":
            await self._adopt(attempt)
            return
        self._started(attempt, answer["at"])

    async def _adopt(self, attempt: _Attempt) -> None:
        """Takes over an attempt that somebody started before us."""
        if attempt.files is None:
            attempt.files = await self._inputs.prepare(attempt.task, attempt.directory, adopt=True)
        if attempt.directory.exit() is not None:
            self._ended(attempt)
            return
        socket = Path(attempt.directory.claimed_by() or "")
        connection = self._connections.get(socket) or self._new_connection(socket, self._python, "")
        try:
            known = await connection.watch(attempt.name, lambda: self._ended(attempt))
        except ForkServerGoneError:
            known = False
        if known:
            attempt.connection = connection
            self._started(attempt, attempt.directory.started_at())
        else:
            self._ended(attempt)

    def _started(self, attempt: _Attempt, at: int) -> None:
        attempt.reported_start = True
        assert attempt.files is not None
        self._deliver(TaskStarted(attempt.key, at, uri_of(attempt.files.log), attempt.task.pod_name))
        seconds = attempt.task.deadline_seconds
        if seconds > 0:
            left = max(0.0, at / 1000 + seconds - time.time())
            attempt.timer = asyncio.get_running_loop().call_later(left, self._expire, attempt)
        if attempt.canceled:
            self._kill(attempt)

    def _expire(self, attempt: _Attempt) -> None:
        attempt.overdue = True
        self._kill(attempt)

    def _kill(self, attempt: _Attempt) -> None:
        if attempt.connection is not None:
            try:
                attempt.connection.cancel(attempt.name, self._settings.grace_seconds)
                return
            except ForkServerGoneError:
                pass
        pid = attempt.directory.live_pid()
        if pid is not None:
            try:
                os.killpg(pid, signal.SIGTERM)
            except ProcessLookupError:
                return
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.grace_seconds, self._kill_hard, attempt)

    def _kill_hard(self, attempt: _Attempt) -> None:
        pid = attempt.directory.live_pid()
        if pid is not None and not attempt.finished:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    # --- ending ----------------------------------------------------------------------------------------------------

    def _ended(self, attempt: _Attempt) -> None:
        """The fork server says so, or has gone: what is on disk decides."""
        if attempt.finished:
            return
        found = attempt.directory.exit()
        if found is not None:
            self._conclude(attempt, found)
        else:
            self._spawn(self._outlive(attempt))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _outlive(self, attempt: _Attempt) -> None:
        """Without a fork server nobody writes down how the process ends; wait for it and see."""
        if not attempt.reported_start:
            self._started(attempt, attempt.directory.started_at())
        attempt.connection = None
        while attempt.directory.live_pid() is not None and not attempt.finished:
            await asyncio.sleep(_POLL_SECONDS)
        found = attempt.directory.exit()
        if found is not None:
            self._conclude(attempt, found)
        elif attempt.canceled:
            self._end(attempt, FailureKind.CANCELED, "the run was terminated")
        else:
            self._end(
                attempt,
                FailureKind.INFRASTRUCTURE,
                "the process of the task is gone and nobody saw how it ended (its fork server was killed)",
            )

    def _conclude(self, attempt: _Attempt, found: Exit) -> None:
        failure, text = self._verdict(attempt, found)
        if failure is not None:
            self._end(attempt, failure, text, found)
            return
        task, files = attempt.task, attempt.files
        assert files is not None
        try:
            outputs = interpret_outputs(
                task,
                parameter_text=lambda name: parameter_text(name, attempt.directory.outputs / name),
                metadata_text=metadata_text(files.output_metadata),
                stored_uri=_stored_uri,
                present=_present,
            )
        except OutputError as error:
            self._end(attempt, FailureKind.USER, str(error), found)
            return
        if any(one.custom_path for many in outputs.artifacts.values() for one in many):
            self._spawn(self._keep_custom_paths(attempt, found, outputs))
        else:
            self._succeed(attempt, found, outputs)

    async def _keep_custom_paths(self, attempt: _Attempt, found: Exit, outputs: CollectedOutputs) -> None:
        """Copies what the task left in places of its own to where its artifacts are kept (executor.md §3.4)."""
        kept: dict[str, tuple[Artifact, ...]] = {}
        try:
            for port, many in outputs.artifacts.items():
                kept[port] = tuple([await self._kept(attempt, one) for one in many])
        except ArtifactStoreError as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, str(error), found)
            return
        self._succeed(attempt, found, replace(outputs, artifacts=kept))

    async def _kept(self, attempt: _Attempt, artifact: Artifact) -> Artifact:
        if not artifact.custom_path:
            return artifact
        source = attempt.directory.working / artifact.custom_path
        there = await self._store.upload(source, artifact.uri)
        return replace(artifact, custom_path="", absent=artifact.absent and not there)

    def _succeed(self, attempt: _Attempt, found: Exit, outputs: CollectedOutputs) -> None:
        assert attempt.files is not None
        self._finish(
            attempt,
            TaskOutcome(
                key=attempt.key,
                started_at_millis=attempt.directory.started_at(),
                finished_at_millis=found.at,
                exit_code=found.code,
                parameters=outputs.parameters,
                artifacts=outputs.artifacts,
                log_uri=uri_of(attempt.files.log),
                pod_name=attempt.task.pod_name,
            ),
        )

    def _verdict(self, attempt: _Attempt, found: Exit) -> tuple[FailureKind | None, str]:
        if found.error:
            return FailureKind.INFRASTRUCTURE, f"the task could not be started: {found.error}"
        if found.code == 0:
            return None, ""
        if attempt.canceled:
            return FailureKind.CANCELED, "the run was terminated"
        if attempt.overdue:
            return FailureKind.USER, f"the deadline of {attempt.task.deadline_seconds:g} seconds was exceeded"
        missing = attempt.directory.spawn_error()
        if missing is not None:
            command, reason = missing
            return FailureKind.CONFIGURATION, (
                f"the command {command!r} of image {attempt.task.image!r} cannot run on this machine ({reason}): "
                "run the pipeline on Kubernetes, or install the command here or a container runtime that has the image"
            )
        how = (
            f"was killed by signal {found.signal} ({_signal_name(found.signal)})"
            if found.signal is not None
            else f"exited with code {found.code}"
        )
        tail = attempt.files.tail(_LOG_TAIL_BYTES) if attempt.files else ""
        if attempt.files and _is_full(attempt.files.log.parent):
            # Its own words may not have fitted into the log any more.
            how += f" and the artifact store is full ({attempt.files.log.parent}: {os.strerror(errno.ENOSPC)})"
        return FailureKind.USER, f"the command {how}" + (f"; its last lines:\n{tail}" if tail else "")

    def _end(self, attempt: _Attempt, failure: FailureKind, text: str, found: Exit | None = None) -> None:
        started = attempt.directory.started_at()
        now = found.at if found else time.time_ns() // 1_000_000
        log_uri = uri_of(attempt.files.log) if attempt.files and attempt.files.log.exists() else ""
        self._finish(
            attempt,
            TaskOutcome(
                key=attempt.key,
                started_at_millis=started or now,
                finished_at_millis=now,
                exit_code=found.code if found else None,
                failure=failure,
                error=text[:4096],
                log_uri=log_uri,
                pod_name=attempt.task.pod_name,
            ),
        )

    def _finish(self, attempt: _Attempt, outcome: TaskOutcome) -> None:
        if attempt.finished:
            return
        attempt.finished = True
        if attempt.timer is not None:
            attempt.timer.cancel()
        if attempt.holds_slot:
            self._slots.release()
        self._attempts.pop(attempt.key, None)
        self._deliver(outcome)

    # --- fork servers ----------------------------------------------------------------------------------------------

    def _connection(self, home: Path, python: str, preload: str) -> ForkServerConnection:
        # A path of its own in a short directory: socket names have 108 bytes.
        digest = hashlib.sha256(f"{self._settings.work_dir}\n{home}".encode()).hexdigest()[:16]
        socket = self._settings.work_dir / f"{digest}.sock"
        if len(str(socket).encode()) > 100:
            directory = Path(f"/tmp/penstock-{os.getuid()}")
            directory.mkdir(mode=0o700, exist_ok=True)
            socket = directory / f"{digest}.sock"
        return self._connections.get(socket) or self._new_connection(socket, python, preload)

    def _new_connection(self, socket: Path, python: str, preload: str) -> ForkServerConnection:
        environment = {**self._environment, "_KFP_RUNTIME": "true"}
        log_file = self._settings.work_dir / "fork-servers.log"
        connection = ForkServerConnection(socket, python, preload, environment, log_file)
        self._connections[socket] = connection
        return connection

    def _variables(self, task: TaskLaunch, environment: Path) -> Mapping[str, str]:
        path = f"{environment / 'bin'}{os.pathsep}{self._environment.get('PATH', os.defpath)}"
        return {
            **self._environment,
            "PATH": path,
            "VIRTUAL_ENV": str(environment),
            "PYTHONUNBUFFERED": "1",
            "_KFP_RUNTIME": "true",
            **dict(task.env),
        }


def _stored_uri(shown: str) -> str:
    """A URI as the task saw it, a plain path for files, as it is kept."""
    path = path_of(shown)
    return uri_of(path) if path is not None else shown


def _present(uri: str) -> bool:
    # What lies elsewhere was put there by the task itself, which knows.
    path = path_of(uri)
    return path is None or path.exists()


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _FULL_BYTES
    except OSError:
        return False


def _signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return "unknown"
