"""Runs tasks in containers of this machine (docs/containers.md).

The path of an attempt: a free slot -> image and inputs (`preparation`) -> claim -> container -> its end (`endings`) ->
outputs (`conclusion`) -> outcome -> committed by the shell -> removed.

Invariants: a container's name is a function of its attempt, and a claim on disk comes before it, so an attempt never
has two, whoever launches it; nothing is made for a run whose lease is not certain; an outcome is delivered once, and
only when the container has ended or is gone; containers outlive this program.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from penstock_ir.backend_limits import CONTAINER
from penstock_ir.event_log import FailureKind
from penstock_ir.model import CREATE_CLAIM, DELETE_CLAIM
from penstock_store.base import ArtifactStore, ArtifactStoreError

from penstock_executor.agent.failures import AgentError
from penstock_executor.agent.protocol import AgentTask
from penstock_executor.agent.share import Share
from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome, TaskStarted
from penstock_executor.backends.base import HeldRuns, NotHeldError
from penstock_executor.backends.container.claims import Volumes
from penstock_executor.backends.container.command import Surroundings
from penstock_executor.backends.container.conclusion import collect, log_file, outcome_of
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.endings import Endings
from penstock_executor.backends.container.images import Images
from penstock_executor.backends.container.preparation import Preparation
from penstock_executor.backends.container.probe import Found
from penstock_executor.backends.container.removal import Removal
from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.container.settings import ContainerSettings
from penstock_executor.backends.container.slots import Slots
from penstock_executor.backends.container.state import ENDED, ContainerState, states_of
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.needs import unsupported
from penstock_executor.backends.orphans import OrphanCollector
from penstock_executor.background import Background
from penstock_executor.backoff import delays
from penstock_executor.engine.names import log_uri

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_APPEARS_SECONDS = 10.0
_STOP_SECONDS = 60.0
_CREATE_SECONDS = 10.0
_ENDS_SECONDS = 30.0
_TAKEN = re.compile(r"already in use", re.I)
# Said of what the same task will not do better the next time.
_NEVER = re.compile(r"argument list too long|(unable to find|no such) (user|group)|unknown flag|invalid", re.I)


@dataclass(slots=True, eq=False)
class _Attempt:
    task: TaskLaunch
    directory: AttemptDirectory
    holds_slot: bool = False
    preparing: asyncio.Task[Any] | None = None
    started_at: int = 0
    ended: bool = False
    """Its container was heard to end."""
    canceled: bool = False
    overdue: bool = False
    concluding: bool = False
    finished: bool = False
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> AttemptKey:
        return self.task.key

    @property
    def name(self) -> str:
        return self.task.pod_name


@dataclass(slots=True)
class _Failure(Exception):
    kind: FailureKind
    text: str


class ContainerBackend:
    def __init__(
        self,
        settings: ContainerSettings,
        found: Found,
        environ: Mapping[str, str],
        store: ArtifactStore,
        open_store: Callable[[AgentTask], ArtifactStore],
    ) -> None:
        """`environ` is for the runtime's program; `store` gives inputs, `open_store` the store that one task's outputs
        go to."""
        self._settings = settings
        self._store = store
        self._open_store = open_store
        self._runtime = runtime = ContainerRuntime(found, environ, settings.home)
        self._volumes = Volumes(runtime, settings.instance)
        self._removal = Removal(runtime)
        around = Surroundings(found, settings.instance, settings.passed, settings.grace_seconds)
        images = Images(runtime, settings.pull_seconds)
        self._preparation = Preparation(settings, around, store, images, self._volumes)
        self._endings = Endings(runtime, settings.instance, self._heard, self._looked, lambda: bool(self._by_name))
        self._slots = Slots(settings.parallelism)
        self._attempts: dict[AttemptKey, _Attempt] = {}
        self._by_name: dict[str, _Attempt] = {}
        self._background = Background("the container backend")
        self._creating: set[asyncio.Task[str]] = set()
        self._deliver: Callable[[BackendEvent], None] = lambda event: None
        self._runs: HeldRuns | None = None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver
        self._runs = runs
        self._settings.home.mkdir(parents=True, exist_ok=True)
        log.info("tasks run with %s", self._runtime.found)
        for lacking in self._runtime.found.lacking():
            log.warning("%s: %s", self._runtime.found.kind, lacking)
        orphans = OrphanCollector(runs, self._containers, self._is_busy, self._drop, self._settings.orphan_seconds)
        self._background.begin(self._endings.listen())
        self._background.begin(self._endings.look())
        self._background.begin(orphans.work())

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
        known = self._attempts.get(task.key)
        if known is not None and not known.finished:
            # The run was lost and claimed again meanwhile: what its log does not know yet is told again.
            if known.started_at:
                self._tell_start(known)
            return
        attempt = _Attempt(task, AttemptDirectory(self._settings.home, task.key))
        self._attempts[task.key] = attempt
        try:
            await self._launch(attempt)
        except NotHeldError:
            self._give_back_slot(attempt)
            del self._attempts[task.key]
            raise
        except _Failure as failure:
            self._end(attempt, failure.kind, failure.text)
        except TaskSpecError as error:
            self._end(attempt, FailureKind.CONFIGURATION, str(error))
        except AgentError as error:
            self._end(attempt, FailureKind(error.kind), error.text)
        except RuntimeFailedError as error:
            self._end(attempt, *self._whose(error))
        except (ArtifactStoreError, OSError) as error:
            self._end(attempt, FailureKind.INFRASTRUCTURE, f"the task could not be prepared: {error}")

    async def cancel(self, key: AttemptKey) -> None:
        attempt = self._attempts.get(key)
        if attempt is None or attempt.finished or attempt.canceled:
            return
        attempt.canceled = True
        if attempt.preparing is not None:
            attempt.preparing.cancel()
        elif attempt.started_at and not attempt.concluding:
            self._background.begin(self._stop(attempt))

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
        if self._creating:
            # A container is made whole or not at all.
            await asyncio.wait(self._creating, timeout=_CREATE_SECONDS)
        await self._background.close()

    # --- starting --------------------------------------------------------------------------------------------------

    async def _launch(self, attempt: _Attempt) -> None:
        task = attempt.task
        if task.image in (CREATE_CLAIM, DELETE_CLAIM):
            self._check_leave(attempt)
            self._finish(attempt, await self._volumes.outcome(task))
            return
        cannot = unsupported(task, CONTAINER)
        if cannot:
            raise _Failure(FailureKind.CONFIGURATION, cannot)
        if attempt.directory.claimed:
            await self._adopt(attempt)
        elif task.seen_running:
            raise _Failure(FailureKind.INFRASTRUCTURE, f"the container {attempt.name} is gone")
        else:
            await self._begin(attempt)

    async def _begin(self, attempt: _Attempt) -> None:
        await self._until_canceled(attempt, self._slots.wait())
        attempt.holds_slot = True
        self._check_leave(attempt)
        command = await self._until_canceled(attempt, self._preparation.command(attempt.task, attempt.directory))
        # It may have taken long.
        self._check_leave(attempt)
        if not attempt.directory.claim():
            await self._adopt(attempt)
            return
        self._by_name[attempt.name] = attempt
        creating = asyncio.ensure_future(self._runtime.call(*command))
        self._creating.add(creating)
        creating.add_done_callback(self._creating.discard)
        try:
            await asyncio.shield(creating)
        except RuntimeFailedError as error:
            if _TAKEN.search(str(error)):
                await self._adopt(attempt)
                return
            # It may have been made before it could not be started, or it starts only now.
            await self._removal.container(attempt.name)
            raise
        self._started(attempt, time.time_ns() // 1_000_000)

    async def _adopt(self, attempt: _Attempt) -> None:
        """Takes over an attempt that somebody began before us."""
        if not attempt.holds_slot:
            self._slots.take()
            attempt.holds_slot = True
        self._by_name[attempt.name] = attempt
        state = await self._appeared(attempt)
        if state is None or not state.begun:
            self._background.begin(self._removal.container(attempt.name))
            text = f"the container {attempt.name} never started, and nobody saw why"
            raise _Failure(FailureKind.INFRASTRUCTURE, text if state else f"the container {attempt.name} is gone")
        if state.key != attempt.key:
            text = f"a container named {attempt.name} exists on this machine that is not this task's; remove it"
            raise _Failure(FailureKind.CONFIGURATION, text)
        self._started(attempt, state.started_at)
        if state.ended:
            self._take_end(attempt)

    async def _appeared(self, attempt: _Attempt) -> ContainerState | None:
        """The container, once the call that makes it is over: whoever began it may have died meanwhile."""
        until = time.monotonic() + _APPEARS_SECONDS
        for delay in delays():
            state = await self._state(attempt.name)
            if (state is not None and state.begun) or time.monotonic() > until:
                return state
            if attempt.directory.share.joinpath("exit").exists():
                # It ran to its end and was removed by somebody.
                return state
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")

    async def _until_canceled(self, attempt: _Attempt, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` gives. Raises _Failure when the attempt is canceled before."""
        attempt.preparing = asyncio.ensure_future(work)
        try:
            if attempt.canceled:
                attempt.preparing.cancel()
            return await attempt.preparing
        except asyncio.CancelledError:
            if not attempt.canceled:
                attempt.preparing.cancel()
                raise
            raise _Failure(FailureKind.CANCELED, "the task was ended before it started") from None
        finally:
            attempt.preparing = None

    def _check_leave(self, attempt: _Attempt) -> None:
        """Raises NotHeldError, _Failure."""
        if attempt.canceled:
            raise _Failure(FailureKind.CANCELED, "the task was ended before it started")
        if self._runs is None or not self._runs.may_act(attempt.key.run_id):
            raise NotHeldError(attempt.name)

    def _started(self, attempt: _Attempt, at: int) -> None:
        attempt.started_at = at or time.time_ns() // 1_000_000
        self._tell_start(attempt)
        seconds = attempt.task.deadline_seconds
        if seconds > 0:
            left = max(0.0, attempt.started_at / 1000 + seconds - time.time())
            attempt.timer = asyncio.get_running_loop().call_later(left, self._expire, attempt)
        if attempt.ended:
            self._take_end(attempt)
        elif attempt.canceled:
            self._background.begin(self._stop(attempt))

    def _tell_start(self, attempt: _Attempt) -> None:
        live = log_file(attempt.task, attempt.directory) != attempt.directory.log
        uri = log_uri(attempt.task.task_root) if live else ""
        self._deliver(TaskStarted(attempt.key, attempt.started_at, uri, attempt.name))

    def _whose(self, error: RuntimeFailedError) -> tuple[FailureKind, str]:
        kind = FailureKind.CONFIGURATION if _NEVER.search(str(error)) else FailureKind.INFRASTRUCTURE
        return kind, f"the container cannot be started: {error}"

    # --- ending ----------------------------------------------------------------------------------------------------

    def _expire(self, attempt: _Attempt) -> None:
        if not attempt.finished and not attempt.concluding:
            attempt.overdue = True
            self._background.begin(self._stop(attempt))

    async def _stop(self, attempt: _Attempt) -> None:
        """SIGTERM, and SIGKILL after the grace period; its end is heard as any other."""
        grace = self._settings.grace_seconds
        try:
            await self._runtime.lasting("stop", "--time", str(grace), attempt.name, timeout=grace + _STOP_SECONDS)
        except RuntimeFailedError as error:
            log.warning("the container %s cannot be stopped: %s", attempt.name, error)

    def _heard(self, name: str) -> None:
        """An event: the container has ended, perhaps before the call that started it was over."""
        attempt = self._by_name.get(name)
        if attempt is not None:
            attempt.ended = True
            if attempt.started_at:
                self._take_end(attempt)

    def _take_end(self, attempt: _Attempt) -> None:
        if not attempt.concluding:
            attempt.concluding = True
            self._background.begin(self._conclude(attempt))

    def _looked(self, statuses: Mapping[str, str]) -> None:
        for name, attempt in list(self._by_name.items()):
            # One that began after the look is not in it.
            if attempt.started_at and statuses.get(name, "gone") in ("gone", *ENDED):
                self._background.begin(self._see(attempt))

    async def _see(self, attempt: _Attempt) -> None:
        state = await self._state(attempt.name)
        if state is None or state.ended:
            self._take_end(attempt)

    async def _conclude(self, attempt: _Attempt) -> None:
        try:
            state = await self._end_state(attempt)
            task, timeout = attempt.task, self._settings.transfer_seconds
            result = await asyncio.to_thread(collect, task, attempt.directory, self._open_store, timeout)
            outcome = outcome_of(
                task, attempt.directory, result, state, canceled=attempt.canceled, overdue=attempt.overdue
            )
        except Exception as error:
            # A defect of ours, or a state nobody has seen yet: one attempt's end, not the executor's.
            log.exception("container %s: its end cannot be understood", attempt.name)
            text = f"the end of the container was not understood: {error}"
            self._end(attempt, FailureKind.INFRASTRUCTURE, text)
            return
        self._finish(attempt, outcome)

    async def _end_state(self, attempt: _Attempt) -> ContainerState | None:
        """None of a container that is gone, or of which nobody needs to ask more than the wrapper wrote down.

        Raises RuntimeFailedError.
        """
        exit_ = Share(attempt.directory.share).read_exit()
        if attempt.ended and exit_ is not None and exit_.code == 0:
            return None
        until = time.monotonic() + _ENDS_SECONDS
        for delay in delays():
            state = await self._state(attempt.name)
            if state is None or state.ended or time.monotonic() > until:
                return state
            await asyncio.sleep(delay)
        raise AssertionError("delays end never")

    async def _state(self, name: str) -> ContainerState | None:
        """None when there is no such container. Raises RuntimeFailedError."""
        try:
            [state] = states_of(await self._runtime.call("container", "inspect", name))
        except RuntimeFailedError as error:
            if "no such container" in str(error).lower():
                return None
            raise
        return state

    def _end(self, attempt: _Attempt, kind: FailureKind, text: str) -> None:
        now = time.time_ns() // 1_000_000
        uri = log_uri(attempt.task.task_root) if attempt.started_at else ""
        self._finish(
            attempt,
            TaskOutcome(
                key=attempt.key,
                started_at_millis=attempt.started_at or now,
                finished_at_millis=now,
                failure=kind,
                error=text[:4096],
                log_uri=uri,
                pod_name=attempt.name,
            ),
        )

    def _finish(self, attempt: _Attempt, outcome: TaskOutcome) -> None:
        if attempt.finished:
            return
        attempt.finished = True
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._give_back_slot(attempt)
        self._by_name.pop(attempt.name, None)
        self._deliver(outcome)
        if self._runs is not None and self._runs.expects(attempt.key) is None:
            # Nobody here will release it: its container is the next holder's, or the collector's.
            self._attempts.pop(attempt.key, None)

    def _give_back_slot(self, attempt: _Attempt) -> None:
        if attempt.holds_slot:
            attempt.holds_slot = False
            self._slots.give_back()

    # --- orphans ---------------------------------------------------------------------------------------------------

    async def _containers(self) -> list[ContainerState]:
        """Containers, and directories of runs, which are shown as ones without a name."""
        try:
            names = [name for name in await self._endings.statuses() if name not in self._by_name]
            found = [state for name in names if (state := await self._state(name)) is not None]
        except RuntimeFailedError as error:
            log.warning("orphans are looked for again later: %s", error)
            return []
        directories = [path.name for path in self._settings.home.iterdir() if path.is_dir()]
        return [*found, *(ContainerState("", run_id, AttemptKey(run_id, "", 0), "") for run_id in directories)]

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
