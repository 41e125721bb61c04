"""Runs tasks as processes: the laptop's backend (docs/architecture.md, Local tasks).

The path of an attempt: inputs -> task environment -> a free slot -> fork server -> exit on disk -> outputs -> outcome.
Invariants: what is on disk decides (`attempts`), so a restarted executor, or a second one, adopts what runs and
collects what ended; `parallelism` bounds what this executor starts; an attempt has what a container would give it: a
Python environment, inputs, variables, home and temporary files of its own. One that is ended before it runs ends at
once, whatever it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from penstock_ir.artifact import Artifact
from penstock_ir.backend_limits import LOCAL
from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStore, ArtifactStoreError, ContentError, OutsideRootsError
from penstock_store.files import path_of, uri_of

from penstock_executor.artifacts.output_files import OutputError, metadata_text, parameter_text
from penstock_executor.artifacts.outputs import CollectedOutputs, interpret_outputs
from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.base import HeldRuns, NotHeldError
from penstock_executor.backends.ends import last_lines
from penstock_executor.backends.local.attempts import AttemptDirectory, Exit, remove_tree, temporary_of_run
from penstock_executor.backends.local.connection import ForkServerConnection, ForkServerGoneError
from penstock_executor.backends.local.environment_pool import EnvironmentPool
from penstock_executor.backends.local.environments import EnvironmentFailedError, TaskEnvironments
from penstock_executor.backends.local.fork_servers import ForkServers
from penstock_executor.backends.local.inputs import LocalInputs, TaskFiles
from penstock_executor.backends.local.preparation import Preparation, Prepared
from penstock_executor.backends.local.unstartable import UnstartableError
from penstock_executor.backends.local.variables import machine_variables
from penstock_executor.backends.local.verdict import CANCELED, Ending, verdict
from penstock_executor.backends.local.views import why_no_view
from penstock_executor.backends.needs import unsupported
from penstock_executor.background import Background

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_CLEAR_SECONDS = 0.5
_FULL_BYTES = 64 * 1024
_NOT_STARTED = "the task was ended before it started"


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`root` is the artifact root when that is in files; `passed_variables` are names of variables of ours that tasks
    get; `python` is the interpreter task environments are made with."""

    work_dir: Path
    environments_dir: Path
    parallelism: int
    root: Path | None = None
    passed_variables: Collection[str] = ()
    python: str = ""
    grace_seconds: float = 10.0


@dataclass(slots=True, eq=False)
class _Attempt:
    task: TaskLaunch
    directory: AttemptDirectory
    files: TaskFiles | None = None
    preparing: asyncio.Task[Prepared] | None = None
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


class LocalBackend:
    """`environ` are the variables that this program was started with."""

    def __init__(self, settings: LocalSettings, store: ArtifactStore, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._store = store
        self._python = settings.python or getattr(sys, "_base_executable", sys.executable) or sys.executable
        variables = machine_variables(environ, sys.prefix, settings.passed_variables)
        self._fork_servers = ForkServers(settings.work_dir, self._python, variables)
        self._slots = asyncio.Semaphore(settings.parallelism)
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._background = Background("the local backend")
        self._released: list[AttemptDirectory] = []
        self._pool = EnvironmentPool(settings.work_dir / ".environments", 2 * settings.parallelism)
        self._environments = TaskEnvironments(settings.environments_dir, self._python, variables)
        # Inputs are copied until the start has found out whether there can be views.
        inputs = LocalInputs(store, settings.work_dir, None, overlays=False)
        self._preparation = Preparation(inputs, self._environments, self._pool, self._fork_servers, variables)
        self._used: dict[AttemptKey, tuple[Path, Path]] = {}
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        work_dir, root = self._settings.work_dir, self._settings.root
        environments = self._environments.directory
        for directory in (work_dir, environments, root or environments):
            directory.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._pool.open)
        work_dir, root, environments = work_dir.resolve(), root.resolve() if root else None, environments.resolve()
        unprotected = await why_no_view(self._python, environments, work_dir, in_memory=True)
        if unprotected:
            log.info("cached packages are read-only files: %s", unprotected)
            self._environments.make_read_only()
        else:
            self._preparation.protected = environments
        copied = await why_no_view(self._python, root or environments, work_dir)
        if copied:
            log.info("inputs of tasks are copied: %s", copied)
        self._preparation.inputs = LocalInputs(self._store, work_dir, root, overlays=not copied)

    async def default_root(self, namespace: str) -> str:
        return ""

    async def store(self, namespace: str) -> ArtifactStore:
        return self._store

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        # Its slots are waited for by `launch`.
        return ""

    def unreserve(self, key: AttemptKey) -> None:
        return

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
        except UnstartableError as error:
            self._end(attempt, FailureKind.CONFIGURATION, str(error))
        except EnvironmentFailedError as error:
            kind = FailureKind.INFRASTRUCTURE if error.transient else FailureKind.CONFIGURATION
            self._end(attempt, kind, str(error))
        except NotHeldError:
            self._free_slot(attempt)
            del self._attempts[task.key]
            raise
        except ForkServerGoneError as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, str(error))
        except (ArtifactStoreError, OSError) as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, f"the task could not be prepared: {error}")
        except Exception as error:
            log.exception("run %s: the start of %s", task.key.run_id, task.key.path)
            self._end(attempt, FailureKind.INFRASTRUCTURE, f"the task could not be prepared: {error}")

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None and not attempt.finished:
            attempt.canceled = True
            if attempt.preparing is not None:
                attempt.preparing.cancel()
            else:
                self._kill(attempt)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
            if attempt.preparing is not None:
                attempt.preparing.cancel()
        self._background.cancel()
        await self._fork_servers.close()

    def release(self, key: AttemptKey) -> None:
        """Removes what the task had for itself; the rest of the run's directories go together, in `forget`."""
        directory = AttemptDirectory(self._settings.work_dir, key)
        used = self._used.pop(key, None)
        if used is not None:
            self._pool.give_back(directory.environment, *used)
        self._released.append(directory)
        if len(self._released) == 1:
            self._background.begin(self._clear())

    async def _clear(self) -> None:
        """Clears after those that are released meanwhile, too."""
        await asyncio.sleep(_CLEAR_SECONDS)
        released, self._released = self._released, []

        def clear() -> None:
            for directory in released:
                directory.clear()

        await asyncio.to_thread(clear)

    async def forget(self, run_id: str) -> None:
        """Removes the working directories of a run that is over; logs and artifacts lie elsewhere."""
        for key in [key for key in self._attempts if key.run_id == run_id]:
            del self._attempts[key]
        for key in [key for key in self._used if key.run_id == run_id]:
            del self._used[key]
        work_dir = self._settings.work_dir
        for directory in (work_dir / run_id, temporary_of_run(work_dir, run_id)):
            await asyncio.to_thread(remove_tree, directory)

    # --- starting --------------------------------------------------------------------------------------------------

    async def _begin(self, attempt: _Attempt) -> None:
        cannot = unsupported(attempt.task, LOCAL)
        if cannot:
            raise _Failure(FailureKind.CONFIGURATION, cannot)
        preparing = attempt.preparing = asyncio.create_task(self._prepare(attempt))
        try:
            prepared = await preparing
        except asyncio.CancelledError:
            preparing.cancel()
            if attempt.canceled:
                raise _Failure(FailureKind.CANCELED, _NOT_STARTED) from None
            raise
        finally:
            attempt.preparing = None
        if attempt.canceled:
            raise _Failure(FailureKind.CANCELED, _NOT_STARTED)
        # It may have waited for long.
        if self._runs is None or not self._runs.may_act(attempt.key.run_id):
            raise NotHeldError(attempt.name)
        attempt.connection = prepared.connection
        answer = await prepared.connection.launch(attempt.name, prepared.message, lambda: self._ended(attempt))
        if answer["event"] == "failed":
            raise _Failure(FailureKind.INFRASTRUCTURE, f"the task could not be started: {answer['error']}")
        if answer["event"] == "claimed":
            await self._adopt(attempt)
            return
        self._started(attempt, answer["at"])

    async def _prepare(self, attempt: _Attempt) -> Prepared:
        """Everything that may take long, the place among those that run included; it may be cancelled at any point."""
        prepared = await self._preparation.of(
            attempt.task, attempt.directory, lambda text: self._deliver(TaskWaiting(attempt.key, text))
        )
        attempt.files = prepared.files
        self._used[attempt.key] = prepared.layers
        await self._slots.acquire()
        attempt.holds_slot = True
        return prepared

    async def _adopt(self, attempt: _Attempt) -> None:
        """Takes over an attempt that somebody started before us."""
        if attempt.files is None:
            attempt.files = self._preparation.inputs.adopt(attempt.task, attempt.directory)
        if attempt.directory.exit() is not None:
            self._ended(attempt)
            return
        socket = Path(attempt.directory.claimed_by() or "")
        connection = self._fork_servers.at(socket)
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
        if not attempt.finished:
            self._background.begin(self._deal_with_end(attempt))

    async def _deal_with_end(self, attempt: _Attempt) -> None:
        """Whatever goes wrong with it ends the attempt."""
        try:
            found = attempt.directory.exit()
            if found is not None:
                await self._conclude(attempt, found)
            else:
                await self._outlive(attempt)
        except Exception as error:
            log.exception("run %s: the end of %s", attempt.key.run_id, attempt.key.path)
            self._end(attempt, FailureKind.INFRASTRUCTURE, f"the task's end could not be dealt with: {error}")

    async def _outlive(self, attempt: _Attempt) -> None:
        """Without a fork server nobody writes down how the process ends; wait for it and see."""
        if not attempt.reported_start:
            self._started(attempt, attempt.directory.started_at())
        attempt.connection = None
        while attempt.directory.live_pid() is not None and not attempt.finished:  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(_POLL_SECONDS)
        found = attempt.directory.exit()
        if found is not None:
            await self._conclude(attempt, found)
        elif attempt.canceled:
            self._end(attempt, FailureKind.CANCELED, CANCELED)
        else:
            self._end(
                attempt,
                FailureKind.INFRASTRUCTURE,
                "the process of the task is gone and nobody saw how it ended (its fork server was killed)",
            )

    async def _conclude(self, attempt: _Attempt, found: Exit) -> None:
        failure = verdict(attempt.task, found, self._ending(attempt) if found.code != 0 else Ending())
        if failure is not None:
            self._end(attempt, *failure, found)
            return
        task, files = attempt.task, attempt.files
        assert files is not None
        try:
            outputs = interpret_outputs(
                task,
                parameter_text=lambda name: parameter_text(name, attempt.directory.outputs / name),
                metadata_text=metadata_text(files.output_metadata),
                stored_uri=files.stored_uri,
                present=lambda uri: _present(files, uri),
            )
        except OutputError as error:
            self._end(attempt, FailureKind.USER, str(error), found)
            return
        if _is_elsewhere(task) or any(one.custom_path for many in outputs.artifacts.values() for one in many):
            await self._store_outputs(attempt, found, outputs)
        else:
            self._succeed(attempt, found, outputs)

    async def _store_outputs(self, attempt: _Attempt, found: Exit, outputs: CollectedOutputs) -> None:
        """Copies what the task left here or in places of its own to where artifacts are kept (executor.md §3.4)."""
        kept: dict[str, tuple[Artifact, ...]] = {}
        try:
            for port, many in outputs.artifacts.items():
                kept[port] = tuple([await self._stored(attempt, port, one) for one in many])
        except _Failure as failure:
            self._end(attempt, failure.kind, failure.text, found)
            return
        self._succeed(attempt, found, replace(outputs, artifacts=kept))

    async def _stored(self, attempt: _Attempt, port: str, artifact: Artifact) -> Artifact:
        """Raises _Failure."""
        what = f"the artifact {port!r} cannot be stored"
        if artifact.custom_path:
            what = f"what the task left at {artifact.custom_path!r} cannot be stored as the artifact {port!r}"
        try:
            return await self._brought(attempt, artifact)
        except ArtifactStoreError as error:
            chosen = not artifact.uri.startswith(f"{attempt.task.task_root}/")
            users = isinstance(error, ContentError) or (chosen and isinstance(error, OutsideRootsError))
            kind = FailureKind.USER if users else FailureKind.INFRASTRUCTURE
            raise _Failure(kind, f"{what}: {error}") from error

    async def _brought(self, attempt: _Attempt, artifact: Artifact) -> Artifact:
        """Raises ArtifactStoreError."""
        assert attempt.files is not None
        if artifact.custom_path:
            source = attempt.directory.working / artifact.custom_path
            there = await self._store.upload(source, artifact.uri)
            return replace(artifact, custom_path="", absent=artifact.absent and not there)
        if artifact.uri.startswith(f"{attempt.task.task_root}/") and _is_elsewhere(attempt.task):
            left = attempt.files.path_of(artifact.uri)
            if left is not None:
                await self._store.upload(left, artifact.uri)
        return artifact

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

    def _ending(self, attempt: _Attempt) -> Ending:
        files = attempt.files
        full = files is not None and _is_full(files.log.parent)
        return Ending(
            canceled=attempt.canceled,
            overdue=attempt.overdue,
            unstarted=attempt.directory.spawn_error(),
            tail=last_lines(files.log) if files else "",
            # Its own words may not have fitted into the log any more.
            log_trouble=f"the artifact store is full ({files.log.parent}: {os.strerror(errno.ENOSPC)})"
            if files and full
            else "",
        )

    def _end(self, attempt: _Attempt, failure: FailureKind, text: str, found: Exit | None = None) -> None:
        started = attempt.directory.started_at()
        now = found.at if found else time.time_ns() // 1_000_000
        # `Path.exists` raises what a task can bring about, as by taking its directories' permissions away.
        has_log = attempt.files is not None and os.path.exists(attempt.files.log)  # noqa: PTH110
        log_uri = uri_of(attempt.files.log) if attempt.files is not None and has_log else ""
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
        self._free_slot(attempt)
        if outcome.log_uri and _is_elsewhere(attempt.task):
            self._background.begin(self._archive_log(attempt, outcome))
        else:
            self._deliver_end(attempt, outcome)

    async def _archive_log(self, attempt: _Attempt, outcome: TaskOutcome) -> None:
        assert attempt.files is not None
        uri = f"{attempt.task.task_root}/{attempt.files.log.name}"
        try:
            await self._store.upload(attempt.files.log, uri, replace=True)
            outcome = replace(outcome, log_uri=uri)
        except (ArtifactStoreError, OSError) as error:
            log.warning("run %s: the log of %s is lost: %s", attempt.key.run_id, attempt.key.path, error)
        finally:
            self._deliver_end(attempt, outcome)

    def _deliver_end(self, attempt: _Attempt, outcome: TaskOutcome) -> None:
        self._attempts.pop(attempt.key, None)
        self._deliver(outcome)

    def _free_slot(self, attempt: _Attempt) -> None:
        if attempt.holds_slot:
            attempt.holds_slot = False
            self._slots.release()


def _is_elsewhere(task: TaskLaunch) -> bool:
    """Whether what the task leaves has to be brought to a store that is not in files."""
    return path_of(task.task_root) is None


def _present(files: TaskFiles, uri: str) -> bool:
    # What lies elsewhere was put there by the task itself, which knows.
    path = files.path_of(uri)
    return path is None or path.exists()


def _is_full(directory: Path) -> bool:
    try:
        return shutil.disk_usage(directory).free < _FULL_BYTES
    except OSError:
        return False
