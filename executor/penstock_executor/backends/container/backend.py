"""Runs tasks in containers of this machine (docs/containers.md).

The path of an attempt: a free slot -> image and inputs (`preparation`) -> claim -> container (`launching`) -> its end
(`exit_watch`) -> outputs (`conclusion`) -> outcome -> committed by the shell -> removed. What follows from what is seen
of a container is decided in `attempt_life`; here is the I/O.

Invariants: an outcome is delivered once, and only when the container has ended or is gone; containers outlive this
program.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStore

from penstock_executor.agent.protocol import AgentTask
from penstock_executor.agent.share import Share
from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.attempt_life import Action, Observation, Phase, StopReason, step
from penstock_executor.backends.base import HeldRuns, LeaseUncertainError
from penstock_executor.backends.container.claims import ClaimVolumes
from penstock_executor.backends.container.command import RunOptions
from penstock_executor.backends.container.conclusion import collect, log_file, outcome_of
from penstock_executor.backends.container.container_attempt import ContainerAttempt
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.exit_watch import ExitWatch
from penstock_executor.backends.container.images import Images
from penstock_executor.backends.container.launching import ContainerLauncher
from penstock_executor.backends.container.preparation import Preparation
from penstock_executor.backends.container.probe import DetectedRuntime
from penstock_executor.backends.container.removal import Removal
from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.container.settings import ContainerSettings
from penstock_executor.backends.container.state import ENDED, ContainerState
from penstock_executor.backends.errors import LaunchFailedError
from penstock_executor.backends.observed_times import begun
from penstock_executor.backends.orphans import OrphanCollector
from penstock_executor.backends.places import PlaceRequest, Places
from penstock_executor.backends.withdrawable import WithdrawnError
from penstock_executor.background import Background
from penstock_executor.backoff import delays
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_STOP_SECONDS = 60.0
_ENDS_SECONDS = 30.0


class ContainerBackend:
    def __init__(
        self,
        settings: ContainerSettings,
        detected: DetectedRuntime,
        environ: Mapping[str, str],
        store: ArtifactStore,
        open_store: Callable[[AgentTask, str], ArtifactStore],
    ) -> None:
        """`environ` is for the runtime's program; `store` gives inputs, `open_store` the store that the outputs of
        a task of a pipeline root go to."""
        self._settings = settings
        self._store = store
        self._open_store = open_store
        self._runtime = runtime = ContainerRuntime(detected, environ, settings.home)
        volumes = ClaimVolumes(runtime, settings.instance)
        self._removal = Removal(runtime)
        options = RunOptions(detected, settings.instance, settings.passed, settings.grace_seconds)
        images = Images(runtime, settings.pull_seconds)
        self._exits = ExitWatch(
            runtime, settings.instance, self._exit_heard, self._statuses_listed, lambda: bool(self._by_name)
        )
        self._places = Places(settings.parallelism)
        self._attempts: dict[AttemptKey, ContainerAttempt] = {}
        self._by_name: dict[str, ContainerAttempt] = {}
        self._background = Background("the container backend")
        self._launcher = ContainerLauncher(
            runtime,
            Preparation(settings, options, store, images, volumes),
            volumes,
            self._removal,
            self._places,
            self._background,
            self._watch,
        )
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        self._settings.home.mkdir(parents=True, exist_ok=True)
        log.info("tasks run with %s", self._runtime.detected)
        for lacking in self._runtime.detected.lacking():
            log.warning("%s: %s", self._runtime.detected.kind, lacking)
        orphans = OrphanCollector(runs, self._containers, self._is_busy, self._drop, self._settings.orphan_seconds)
        self._background.begin(self._exits.listen())
        self._background.begin(self._exits.poll())
        self._background.begin(orphans.work())

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
        if known is not None and known.state.phase is not Phase.ENDED:
            self._observe(known, Observation.LAUNCHED_AGAIN)
            return
        attempt = ContainerAttempt(task, AttemptDirectory(self._settings.home, task.key))
        self._attempts[task.key] = attempt
        assert self._runs is not None
        try:
            launched = await self._launcher.launch(attempt, self._runs, place)
        except LaunchFailedError as error:
            self._observe(attempt, Observation.NOT_CREATED, attempt.failed(error.kind, error.text))
        except (LeaseUncertainError, WithdrawnError):
            if Action.HAND_BACK in self._observe(attempt, Observation.POSTPONED):
                raise
        else:
            if isinstance(launched, TaskOutcome):
                self._observe(attempt, Observation.NOT_CREATED, launched)
            else:
                self._started(attempt, launched.started_at)
                if launched.ended:
                    self._observe(attempt, Observation.ENDED)

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._observe(attempt, Observation.CANCEL_ASKED)

    def release(self, key: AttemptKey) -> None:
        attempt = self._attempts.pop(key, None)
        if attempt is not None and attempt.directory.claimed:
            self._background.begin(self._removal.container(attempt.name, attempt.directory.path))

    async def forget(self, run_id: str) -> None:
        """Removes the run's directory with its workspace, and containers of it whose end nobody took."""
        left = [attempt for key, attempt in self._attempts.items() if key.run_id == run_id]
        for attempt in left:
            self.release(attempt.key)
        await self._removal.tree(self._settings.home / run_id)

    async def close(self) -> None:
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
        await self._launcher.close()
        await self._background.close()

    # --- following: what is seen of containers ---------------------------------------------------------------------

    def _watch(self, attempt: ContainerAttempt) -> None:
        self._by_name[attempt.name] = attempt

    def _started(self, attempt: ContainerAttempt, at: int) -> None:
        attempt.started_at = at or time.time_ns() // 1_000_000
        self._observe(attempt, Observation.STARTED)
        seconds = attempt.task.deadline_seconds
        if seconds > 0:
            left = max(0.0, attempt.started_at / 1000 + seconds - time.time())
            loop = asyncio.get_running_loop()
            attempt.timer = loop.call_later(left, self._observe, attempt, Observation.DEADLINE_PASSED)
        if attempt.exit_heard:
            self._observe(attempt, Observation.ENDED)

    def _exit_heard(self, name: str) -> None:
        """An event: the container has ended, perhaps before the call that started it was answered."""
        attempt = self._by_name.get(name)
        if attempt is not None:
            attempt.exit_heard = True
            if attempt.state.phase is not Phase.CREATING:
                self._observe(attempt, Observation.ENDED)

    def _statuses_listed(self, statuses: Mapping[str, str]) -> None:
        for name, attempt in list(self._by_name.items()):
            # One that began after the look is not in it.
            runs = attempt.state.phase in (Phase.RUNNING, Phase.STOPPING)
            if runs and statuses.get(name, "gone") in ("gone", *ENDED):
                self._background.begin(self._inspect(attempt))

    async def _inspect(self, attempt: ContainerAttempt) -> None:
        state = await self._runtime.inspect(attempt.name)
        if state is None or state.ended:
            # Of one that is gone, too, the wrapper's files may tell how it ended.
            self._observe(attempt, Observation.ENDED)

    # --- acting: what follows from it ------------------------------------------------------------------------------

    def _observe(
        self, attempt: ContainerAttempt, observation: Observation, outcome: TaskOutcome | None = None
    ) -> tuple[Action, ...]:
        """`outcome` comes with observations that bring one. Gives the actions, which are carried out."""
        attempt.state, actions = step(attempt.state, observation)
        for action in actions:
            self._carry_out(attempt, action, outcome)
        return actions

    def _carry_out(self, attempt: ContainerAttempt, action: Action, outcome: TaskOutcome | None) -> None:
        if action is Action.REPORT_START:
            live = log_file(attempt.task, attempt.directory) != attempt.directory.log
            uri = log_uri(attempt.task.task_root) if live else ""
            times = replace(begun(attempt.times, attempt.started_at), started=attempt.started_at)
            self._deliver(TaskStarted(attempt.key, attempt.started_at, uri, attempt.name, times))
        elif action is Action.WITHDRAW:
            attempt.preparation.withdraw()
        elif action is Action.STOP:
            self._background.begin(self._stop(attempt))
        elif action is Action.READ_OUTCOME:
            self._background.begin(self._conclude(attempt))
        elif action is Action.DELIVER:
            assert outcome is not None
            self._end(attempt, outcome)
        elif action is Action.DELIVER_STOPPED:
            # Canceled before it was created: the end of any other is read.
            self._end(attempt, attempt.failed(FailureKind.CANCELED, "the task was ended before it started"))
        elif action is Action.HAND_BACK:
            self._give_back_slot(attempt)
            del self._attempts[attempt.key]
        else:
            # DELIVER_LOST: nobody observes GONE here. An action that is not carried out would never end the attempt.
            raise AssertionError(action)

    async def _stop(self, attempt: ContainerAttempt) -> None:
        """SIGTERM, and SIGKILL after the grace period; its end is heard as any other."""
        grace = self._settings.grace_seconds
        try:
            await self._runtime.lasting("stop", "--time", str(grace), attempt.name, timeout=grace + _STOP_SECONDS)
        except RuntimeFailedError as error:
            log.warning("the container %s cannot be stopped: %s", attempt.name, error)

    async def _conclude(self, attempt: ContainerAttempt) -> None:
        stop = attempt.state.stop
        try:
            state = await self._end_state(attempt)
            task, timeout = attempt.task, self._settings.transfer_seconds
            result = await asyncio.to_thread(collect, task, attempt.directory, self._open_store, timeout)
            canceled, overdue = stop is StopReason.CANCELED, stop is StopReason.DEADLINE
            outcome = outcome_of(
                task, attempt.directory, result, state, times=attempt.times, canceled=canceled, overdue=overdue
            )
        except Exception as error:
            # A defect of ours, or a state nobody has seen yet: one attempt's end, not the executor's.
            log.exception("container %s: its end cannot be understood", attempt.name)
            text = f"the end of the container was not understood: {error}"
            outcome = attempt.failed(FailureKind.INFRASTRUCTURE, text)
        self._observe(attempt, Observation.CONCLUDED, outcome)

    async def _end_state(self, attempt: ContainerAttempt) -> ContainerState | None:
        """None of a container that is gone, or of which nobody needs to ask more than the wrapper wrote down.

        Raises RuntimeFailedError.
        """
        exit_ = Share(attempt.directory.share).read_exit()
        if attempt.exit_heard and exit_ is not None and exit_.code == 0:
            return None
        until = time.monotonic() + _ENDS_SECONDS
        # No retry of a failed call: it polls for a state, and an error ends it.
        for delay in delays():
            state = await self._runtime.inspect(attempt.name)
            if state is None or state.ended or time.monotonic() > until:
                return state
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")

    def _end(self, attempt: ContainerAttempt, outcome: TaskOutcome) -> None:
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._give_back_slot(attempt)
        self._by_name.pop(attempt.name, None)
        self._deliver(outcome)
        if self._runs is not None and self._runs.expects(attempt.key) is None:
            # Nobody here will release it: its container is the next holder's, or the collector's.
            self._attempts.pop(attempt.key, None)

    def _give_back_slot(self, attempt: ContainerAttempt) -> None:
        if attempt.holds_slot:
            attempt.holds_slot = False
            self._places.give_back()

    # --- orphans ---------------------------------------------------------------------------------------------------

    async def _containers(self) -> list[ContainerState]:
        """Containers, and directories of runs, which are shown as ones without a name."""
        try:
            names = [name for name in await self._exits.statuses() if name not in self._by_name]
            containers = [state for name in names if (state := await self._runtime.inspect(name)) is not None]
        except RuntimeFailedError as error:
            log.warning("orphans are looked for again later: %s", error)
            return []
        directories = [path.name for path in self._settings.home.iterdir() if path.is_dir()]
        return [*containers, *(ContainerState("", run_id, AttemptKey(run_id, "", 0), "") for run_id in directories)]

    def _is_busy(self, state: ContainerState) -> bool:
        assert state.key is not None and self._runs is not None
        return state.key in self._attempts if state.name else self._runs.expects(state.key) is not None

    def _drop(self, state: ContainerState) -> None:
        assert state.key is not None
        if state.name:
            directory = AttemptDirectory(self._settings.home, state.key).path
            self._background.begin(self._removal.container(state.name, directory))
        else:
            self._background.begin(self._removal.tree(self._settings.home / state.key.run_id))
