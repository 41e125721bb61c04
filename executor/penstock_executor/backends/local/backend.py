"""Runs tasks as processes: the laptop's backend (docs/architecture.md, Local tasks).

The path of an attempt: inputs -> cached environment -> a free slot -> its own environment -> fork server (`launching`)
-> exit on disk -> outputs -> outcome (`conclusion`). What follows from what is seen of a process is decided in
`attempt_life`; here is the I/O.

Invariants: what is on disk decides (`directory`), so a restarted executor, or a second one, adopts what runs and
collects what ended; `parallelism` bounds what this executor starts; an attempt has what a container would give it: a
Python environment, inputs, variables, home and temporary files of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStore, ArtifactStoreError
from penstock_store.files import uri_of

from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted, TaskWaiting
from penstock_executor.backends.attempt_life import Action, Observation, Phase, step
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.backends.errors import LaunchFailedError
from penstock_executor.backends.local.conclusion import Conclusion, is_elsewhere
from penstock_executor.backends.local.connection import ForkServerGoneError
from penstock_executor.backends.local.directory import AttemptDirectory, Exit, millis
from penstock_executor.backends.local.environment_pool import EnvironmentPool
from penstock_executor.backends.local.environments import TaskEnvironments
from penstock_executor.backends.local.fork_servers import ForkServers
from penstock_executor.backends.local.inputs import LocalInputs
from penstock_executor.backends.local.launching import LocalLauncher
from penstock_executor.backends.local.local_attempt import LocalAttempt
from penstock_executor.backends.local.preparation import Preparation
from penstock_executor.backends.local.processes import descendants, kill_all
from penstock_executor.backends.local.temporary import temporary_of_run
from penstock_executor.backends.local.variables import machine_variables
from penstock_executor.backends.local.verdict import CANCELED
from penstock_executor.backends.local.views import why_no_view
from penstock_executor.backends.places import PlaceRequest, Places
from penstock_executor.backends.trees import remove_tree
from penstock_executor.backends.withdrawable import WithdrawnError
from penstock_executor.background import Background

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_CLEAR_SECONDS = 0.5


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


class LocalBackend:
    """`environ` are the variables that this program was started with."""

    def __init__(self, settings: LocalSettings, store: ArtifactStore, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._store = store
        self._python = settings.python or getattr(sys, "_base_executable", sys.executable) or sys.executable
        variables = machine_variables(environ, sys.prefix, settings.passed_variables)
        self._fork_servers = ForkServers(settings.work_dir, self._python, variables)
        self._places = Places(settings.parallelism)
        self._attempts: dict[AttemptKey, LocalAttempt] = {}
        self._background = Background("the local backend")
        self._released: list[AttemptDirectory] = []
        self._pool = EnvironmentPool(settings.work_dir / ".environments", 2 * settings.parallelism)
        self._environments = TaskEnvironments(settings.environments_dir, self._python, variables)
        # Inputs are copied until the start has found out whether there can be views.
        inputs = LocalInputs(store, settings.work_dir, None, overlays=False)
        self._preparation = Preparation(inputs, self._environments, self._pool, self._fork_servers, variables)
        self._launcher = LocalLauncher(
            self._preparation,
            self._fork_servers,
            lambda key, text: self._deliver(TaskWaiting(key, text)),
            self._heard_end,
        )
        self._conclusion = Conclusion(store)
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

    def places(self, namespace: str) -> int:
        return self._places.count

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        # Its places are waited for by `launch`.
        return ""

    def unreserve(self, key: AttemptKey) -> None:
        return

    async def launch(self, task: TaskLaunch) -> None:
        place = self._places.request(task)
        try:
            await self._launch(task, place)
        finally:
            place.close()

    async def _launch(self, task: TaskLaunch, place: PlaceRequest) -> None:
        known = self._attempts.get(task.key)
        if known is not None:
            self._observe(known, Observation.LAUNCHED_AGAIN)
            return
        attempt = LocalAttempt(task, AttemptDirectory(self._settings.work_dir, task.key))
        self._attempts[task.key] = attempt
        assert self._runs is not None
        try:
            started_at = await self._launcher.launch(attempt, self._runs, place)
        except LaunchFailedError as error:
            self._observe(attempt, Observation.NOT_CREATED, attempt.failed(error.kind, error.text))
        except (LeaseUncertainError, WithdrawnError):
            if Action.HAND_BACK in self._observe(attempt, Observation.POSTPONED):
                raise
        else:
            if started_at is None:
                self._heard_end(attempt)
            else:
                self._started(attempt, started_at)

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._observe(attempt, Observation.CANCEL_ASKED)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
            attempt.preparation.close()
        self._background.cancel()
        await self._fork_servers.close()

    def release(self, key: AttemptKey) -> None:
        """Removes what the task had for itself; the rest of the run's directories go together, in `forget`."""
        directory = AttemptDirectory(self._settings.work_dir, key)
        self._give_back(key, directory)
        self._released.append(directory)
        if len(self._released) == 1:
            self._background.begin(self._clear())

    def _give_back(self, key: AttemptKey, directory: AttemptDirectory) -> None:
        layers = self._launcher.layers.pop(key, None)
        if layers is not None:
            self._pool.give_back(directory.environment, *layers)

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
        for key in [key for key in self._launcher.layers if key.run_id == run_id]:
            del self._launcher.layers[key]
        work_dir = self._settings.work_dir
        for directory in (work_dir / run_id, temporary_of_run(work_dir, run_id)):
            await asyncio.to_thread(remove_tree, directory)

    # --- following: what is seen of processes ----------------------------------------------------------------------

    def _started(self, attempt: LocalAttempt, at: int) -> None:
        attempt.started_at = attempt.started_at or at
        if Action.REPORT_START not in self._observe(attempt, Observation.STARTED):
            return
        seconds = attempt.task.deadline_seconds
        if seconds > 0:
            left = max(0.0, at / 1000 + seconds - time.time())
            loop = asyncio.get_running_loop()
            attempt.timer = loop.call_later(left, self._observe, attempt, Observation.DEADLINE_PASSED)

    def _heard_end(self, attempt: LocalAttempt, said: object = None) -> None:
        """The fork server says so, or has gone: then what is on disk decides."""
        attempt.exit = attempt.exit or attempt.directory.exit_of(said)
        if attempt.state.phase is not Phase.ENDED:
            self._background.begin(self._find_end(attempt))

    async def _find_end(self, attempt: LocalAttempt) -> None:
        try:
            attempt.exit = attempt.exit or attempt.directory.exit() or await self._outlive(attempt)
            exited = attempt.exit is not None
        except Exception:
            # Whoever reads it again says what is wrong with it.
            log.exception("run %s: the end of %s", attempt.key.run_id, attempt.key.path)
            exited = True
        self._observe(attempt, Observation.ENDED if exited else Observation.GONE)

    async def _outlive(self, attempt: LocalAttempt) -> Exit | None:
        """Without a fork server nobody writes down how the process ends; waits for it. How, if it is on disk."""
        attempt.connection = None
        pid = attempt.directory.live_pid()
        # Its own process is the parent of all that it left, in sessions of their own too, for as long as it lives.
        left = await asyncio.to_thread(descendants, pid) if pid is not None else set()
        self._started(attempt, attempt.directory.started_at() or millis())
        running = (Phase.RUNNING, Phase.STOPPING)
        while (pid := attempt.directory.live_pid()) is not None and attempt.state.phase in running:
            found = await asyncio.to_thread(descendants, pid)
            # Those of one that ended meanwhile have another parent already.
            left = found if attempt.directory.live_pid() is not None else left
            await asyncio.sleep(_POLL_SECONDS)
        kill_all(left)
        return attempt.directory.exit()

    # --- acting: what follows from it ------------------------------------------------------------------------------

    def _observe(
        self, attempt: LocalAttempt, observation: Observation, outcome: TaskOutcome | None = None
    ) -> tuple[Action, ...]:
        """`outcome` comes with observations that bring one. Gives the actions, which are carried out."""
        attempt.state, actions = step(attempt.state, observation)
        for action in actions:
            self._carry_out(attempt, action, outcome)
        return actions

    def _carry_out(self, attempt: LocalAttempt, action: Action, outcome: TaskOutcome | None) -> None:
        if action is Action.REPORT_START:
            assert attempt.files is not None
            log_uri = uri_of(attempt.files.log)
            times = replace(attempt.times, started=attempt.started_at)
            self._deliver(TaskStarted(attempt.key, attempt.started_at, log_uri, attempt.task.pod_name, times))
        elif action is Action.WITHDRAW:
            attempt.preparation.withdraw()
            # The fork server may have been asked already.
            self._stop(attempt)
        elif action is Action.STOP:
            self._stop(attempt)
        elif action is Action.READ_OUTCOME:
            self._background.begin(self._conclude(attempt))
        elif action is Action.DELIVER:
            assert outcome is not None
            self._end(attempt, outcome)
        elif action is Action.DELIVER_STOPPED:
            text = CANCELED if attempt.state.start_reported else "the task was ended before it started"
            self._end(attempt, attempt.failed(FailureKind.CANCELED, text))
        elif action is Action.DELIVER_LOST:
            text = "the process of the task is gone and nobody saw how it ended (its fork server was killed)"
            self._end(attempt, attempt.failed(FailureKind.INFRASTRUCTURE, text))
        elif action is Action.HAND_BACK:
            self._free_slot(attempt)
            del self._attempts[attempt.key]

    def _stop(self, attempt: LocalAttempt) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
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
            asyncio.get_running_loop().call_later(self._settings.grace_seconds, self._kill, attempt)

    def _kill(self, attempt: LocalAttempt) -> None:
        pid = attempt.directory.live_pid()
        if pid is not None and attempt.state.phase is not Phase.ENDED:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    async def _conclude(self, attempt: LocalAttempt) -> None:
        """Whatever goes wrong with it ends the attempt."""
        try:
            outcome = await self._conclusion.outcome(attempt)
        except Exception as error:
            log.exception("run %s: the end of %s", attempt.key.run_id, attempt.key.path)
            text = f"the task's end could not be dealt with: {error}"
            outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
        self._observe(attempt, Observation.CONCLUDED, outcome)

    def _end(self, attempt: LocalAttempt, outcome: TaskOutcome) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
        if attempt.exit is not None:
            # Before its slot: whoever gets that takes an environment.
            self._give_back(attempt.key, attempt.directory)
        self._free_slot(attempt)
        if outcome.log_uri and is_elsewhere(attempt.task):
            self._background.begin(self._archive_log(attempt, outcome))
        else:
            self._deliver_outcome(attempt, outcome)

    async def _archive_log(self, attempt: LocalAttempt, outcome: TaskOutcome) -> None:
        assert attempt.files is not None
        uri = f"{attempt.task.task_root}/{attempt.files.log.name}"
        try:
            await self._store.for_root(attempt.task.pipeline_root).upload(attempt.files.log, uri, replace=True)
            outcome = replace(outcome, log_uri=uri, times=replace(outcome.times, stored=millis()))
        except (ArtifactStoreError, OSError) as error:
            log.warning("run %s: the log of %s is lost: %s", attempt.key.run_id, attempt.key.path, error)
            outcome = replace(outcome, times=replace(outcome.times, stored=0))
        finally:
            self._deliver_outcome(attempt, outcome)

    def _deliver_outcome(self, attempt: LocalAttempt, outcome: TaskOutcome) -> None:
        self._attempts.pop(attempt.key, None)
        self._deliver(outcome)

    def _free_slot(self, attempt: LocalAttempt) -> None:
        if attempt.holds_slot:
            attempt.holds_slot = False
            self._places.give_back()
