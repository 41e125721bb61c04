"""The executor's shell: everything impure around the engine, on one event loop.

The straight path: claim -> `RunSession` -> events -> engine -> group commit -> effects (launch, cancel, timer) ->
backend -> events … -> root ended -> lineage drained -> last report -> session closed.

Invariants: effects follow commits and are carried out while the lease is certain (`leases`); a session whose lease has
lapsed waits until the server says whose the run is; a lost session is dropped without touching its attempts, because
their new owner adopts them; a drain hands leases back at once and leaves attempts running.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.errors import InvalidSpecError
from penstock_ir.event_log import BackoffElapsed, DeadlineExceeded, Event, FailureKind, TerminateRequested
from penstock_ir.task_rows import TaskPhase, TaskState

from penstock_executor.attempts import NO_TIMES, AttemptKey, AttemptTimes, BackendEvent, TaskOutcome, TaskWaiting
from penstock_executor.backends.base import Backend, BackendUnavailableError
from penstock_executor.background import Background
from penstock_executor.backoff import delays, retried
from penstock_executor.dispatch import convert, rows
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.committer import Committer
from penstock_executor.dispatch.existence import ExistenceChecks
from penstock_executor.dispatch.figures import Figures
from penstock_executor.dispatch.launches import LaunchQueue
from penstock_executor.dispatch.leases import Leases
from penstock_executor.dispatch.lineage import LineageQueue
from penstock_executor.dispatch.lookups import CacheLookups
from penstock_executor.dispatch.session import Batch, RunSession, open_session
from penstock_executor.dispatch.slots import SlotQueue
from penstock_executor.engine.effects import Cancel, FinishRun, Launch, LookUpCache, Wake, WakeRun
from penstock_executor.engine.names import execution_name
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError
from penstock_executor.metadata.base import RecordedIds, Recorder

log = logging.getLogger(__name__)

_TIMER_RECHECK_SECONDS = 60.0
_COUNTED_EVERY_SECONDS = 2.0
_OVER = (pb.RunHold.STATE_FINISHED, pb.RunHold.STATE_UNKNOWN)


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Times in seconds. `workspace_path` is where tasks find their run's workspace; `{run_id}` in it is replaced."""

    default_root: str
    workspace_path: str
    max_runs: int = 500
    lease: float = 15.0
    heartbeat: float = 0.5
    claim_wait: float = 20.0
    free_preemptions: bool = False
    """Whether logs say that an attempt was preempted, which the release before does not read."""


class Executor:
    def __init__(
        self,
        client: DispatchClient,
        backend: Backend,
        recorder: Recorder,
        settings: ExecutorSettings,
        reported: Callable[[float, int, int], None] = lambda seconds, runs, events: None,
    ) -> None:
        self._client = client
        self._backend = backend
        self._recorder = recorder
        self._settings = settings
        self._sessions: dict[str, RunSession] = {}
        self._background = Background("the executor")
        self._committer = Committer(client, self._committed, self._lose, self._deleted, self._quarantine, reported)
        self._leases = Leases()
        self._transitions = 0
        self._leases_lost = 0
        self._away = "it was not reached yet"
        self._counted = float("-inf"), 0
        self._lineage = LineageQueue(recorder, self._recorded, self._leases.left)
        self._lookups = CacheLookups(client, ExistenceChecks(backend.store), self._deliver, now_millis)
        self._launches = LaunchQueue(
            backend, self._leases, self._deliver, lambda session, text: self._note_wait(session, "", text), now_millis
        )
        self._slots = SlotQueue(
            client, self._launches.put, self._deliver, self._note_wait, now_millis, self._leases.now
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then drains: commits what is pending and hands the leases back."""
        await self._backend.start(self._backend_event, self)
        loops = [
            asyncio.create_task(work)
            for work in (
                self._committer.work(),
                self._lineage.work(),
                self._lookups.work(),
                self._launches.work(),
                self._slots.work(),
                self._beat(),
            )
        ]
        claiming = asyncio.create_task(self._claim())
        loops.append(claiming)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *loops], return_when=asyncio.FIRST_COMPLETED)
        claiming.cancel()
        try:
            await self._drain()
        finally:
            for task in (*loops, stopped):
                task.cancel()
            await asyncio.gather(*loops, self._background.close(), return_exceptions=True)
            await self._backend.close()
            await self._recorder.close()
            await self._client.close()
        for task in done - {stopped}:
            # A loop never ends by itself: this is a defect, and the supervisor restarts us.
            task.result()

    # --- what backends ask (`HeldRuns`) ----------------------------------------------------------------------------

    def may_act(self, run_id: str) -> bool:
        return self._leases.certain(run_id)

    def fence(self, run_id: str) -> int:
        session = self._sessions.get(run_id)
        return session.fence if session is not None else 0

    def expects(self, key: AttemptKey) -> bool | None:
        session = self._sessions.get(key.run_id)
        if session is None:
            return None
        node = session.node(key.path)
        return node is not None and node.attempt == key.attempt

    def start_committed(self, key: AttemptKey) -> bool:
        session = self._sessions.get(key.run_id)
        return session is not None and session.start_committed(key.path, key.attempt)

    async def over(self, run_ids: Collection[str]) -> set[str]:
        try:
            holds = await self._client.filter_runs(list(run_ids))
        except ServerRejectedError as error:
            # A server of the release before has no such call: then nothing is certain to be over.
            log.warning("which runs are over cannot be asked: %s", error)
            return set()
        return {one.run_id for one in holds if one.state in _OVER}

    # --- what supervisors ask --------------------------------------------------------------------------------------

    def figures(self) -> Figures:
        phases = self._phases()
        return Figures(
            runs=len(self._sessions),
            suspended=sum(not self._leases.certain(run_id) for run_id in self._sessions),
            attempts={phase.value: phases[phase.value] for phase in TaskPhase},
            transitions=self._transitions,
            launches=self._launches.launched,
            leases_lost=self._leases_lost,
            lineage_waiting=self._lineage.waiting,
        )

    def _phases(self) -> Counter[str]:
        return Counter(
            node.phase.value for session in self._sessions.values() for node in session.state.open_tasks.values()
        )

    def _open_attempts(self) -> int:
        """Of a few seconds ago at most: it is told all the time, and counting costs with the tasks that are open."""
        now = self._leases.now()
        if now >= self._counted[0] + _COUNTED_EVERY_SECONDS:
            phases = self._phases()
            self._counted = now, phases[TaskPhase.LAUNCHED.value] + phases[TaskPhase.CANCELING.value]
        return self._counted[1]

    def problems(self) -> list[str]:
        """Why it cannot do its work, empty when it can."""
        return [f"server: {self._away}"] if self._away else []

    # --- leases ----------------------------------------------------------------------------------------------------

    async def _claim(self) -> None:
        retry = delays()
        # No retry of one call: how many runs it asks for is counted anew before each try.
        while True:
            room = self._settings.max_runs - len(self._sessions)
            if room <= 0:
                await asyncio.sleep(self._settings.heartbeat)
                continue
            sent = self._leases.now()
            try:
                reply = await self._client.claim(
                    min(room, 50), self._settings.claim_wait, self._settings.lease, self._open_attempts()
                )
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("claim waits for the server: %s", error)
                self._away = str(error)
                await asyncio.sleep(next(retry))
                continue
            self._away = ""
            self._slots.limited = reply.limited
            retry = delays()
            for claimed in reply.runs:
                try:
                    root = await self._root(claimed)
                except (BackendUnavailableError, asyncio.TimeoutError) as error:
                    # Its lease runs out, whoever can open it then does.
                    log.warning("run %s: its pipeline root cannot be had: %s", claimed.run_id, error)
                    continue
                self._open(claimed, root, sent + reply.waited_millis / 1000)

    async def _root(self, claimed: pb.ClaimedRun) -> str:
        """What holds for the run when neither its request nor its log says."""
        if claimed.events or claimed.pipeline_root:
            return self._settings.default_root
        root = await asyncio.wait_for(self._backend.default_root(claimed.namespace), self._settings.lease / 3)
        return root or self._settings.default_root

    def _open(self, claimed: pb.ClaimedRun, root: str, sent: float) -> None:
        known = self._sessions.get(claimed.run_id)
        if known is not None:
            # Our own lease had ended and we got the run again: the log is what counts.
            self._lose(known)
        try:
            session = open_session(
                claimed,
                default_root=root,
                workspace_path=self._settings.workspace_path.replace("{run_id}", claimed.run_id),
                look_up=self._look_up,
            )
        except (InvalidSpecError, ValueError) as error:
            log.error("run %s cannot be executed: %s", claimed.run_id, error)
            self._background.begin(self._fail(claimed.run_id, claimed.fence, str(error)))
            return
        self._sessions[session.run_id] = session
        self._leases.granted([session.run_id], sent, self._settings.lease)
        try:
            records = session.resume(list(claimed.events), now_millis(), terminate=claimed.terminate_requested)
        except Exception as error:
            log.exception("run %s: its log cannot be replayed", claimed.run_id)
            self._quarantine(session, f"its log cannot be replayed: {error}")
            return
        if records:
            log.info("run %s: taken over at event %d", session.run_id, session.next_sequence)
            self._lineage.put(records)
        self._committer.mark(session)

    def _quarantine(self, session: RunSession, reason: str) -> None:
        """A defect of ours that one run brings to light must not end this program, and every other one after it."""
        keys = [AttemptKey(session.run_id, node.path, node.attempt) for node in session.state.open_tasks.values()]
        self._remove(session)
        error = f"an internal error of Penstock ended the run: {reason}"
        self._background.begin(self._fail(session.run_id, session.fence, error, keys))

    async def _fail(self, run_id: str, fence: int, error: str, keys: Sequence[AttemptKey] = ()) -> None:
        """Ends a run, and then its attempts: of a run that is another executor's by now nothing is touched."""
        update = pb.RunUpdate(
            state=TaskState.FAILED.value, error=rows.storable(error), at_millis=now_millis(), finished=True
        )
        transitions = pb.RunTransitions(run_id=run_id, fence=fence, run=update)
        (report,) = await retried(lambda: self._client.report([transitions]))
        if report.outcome != pb.RunReport.OUTCOME_FENCED:
            await self._end_attempts(keys)

    async def _beat(self) -> None:
        # No retry of one call: the next heartbeat is due anyway, for the runs that are held by then.
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            if not self._sessions:
                continue
            renewal = self._leases.renewal()
            leases = [
                pb.Lease(run_id=one.run_id, fence=one.fence, unrenewed=one.run_id not in renewal.run_ids)
                for one in self._sessions.values()
            ]
            try:
                reply = await self._client.heartbeat(leases, self._settings.lease, self._open_attempts())
            except (ServerUnavailableError, ServerRejectedError) as error:
                log.warning("heartbeat failed: %s", error)
                self._away = str(error)
                continue
            self._away = ""
            self._slots.limited = reply.limited
            fences = {lease.run_id: lease.fence for lease in leases}
            for run_id in reply.deleted_run_ids:
                self._with_session(run_id, fences, self._deleted)
            for run_id in reply.lost_run_ids:
                self._with_session(run_id, fences, self._lose)
            ours = (one.run_id for one in self._sessions.values() if one.fence == fences.get(one.run_id))
            self._leases.renewed(renewal, ours, self._settings.lease)
            for run_id in reply.terminate_run_ids:
                self._with_session(run_id, fences, self._terminate)

    def _with_session(self, run_id: str, fences: dict[str, int], act: Any) -> None:
        session = self._sessions.get(run_id)
        # An answer about an older claim of ours says nothing about the present one.
        if session is not None and session.fence == fences.get(run_id):
            act(session)

    async def _drain(self) -> None:
        try:
            await asyncio.wait_for(self._committer.flushed(), 5)
        except asyncio.TimeoutError:
            log.warning("drain: not everything could be committed; the next owner decides it again")
        try:
            await asyncio.wait_for(self._lineage.stop(), 3)
        except asyncio.TimeoutError:
            log.warning("drain: the metadata store does not answer; the next owner writes the lineage again")
        sessions = list(self._sessions.values())
        for session in sessions:
            # From here on the runs are others': what waits for its turn must not be done any more.
            self._remove(session)
        leases = [pb.Lease(run_id=one.run_id, fence=one.fence) for one in sessions]
        try:
            await asyncio.wait_for(self._client.heartbeat(leases, self._settings.lease, release=True), 3)
        except (ServerUnavailableError, ServerRejectedError, asyncio.TimeoutError) as error:
            log.warning("drain: leases run out by themselves: %s", error)

    # --- events ----------------------------------------------------------------------------------------------------

    def _deliver(self, session: RunSession, event: Event, times: AttemptTimes = NO_TIMES) -> None:
        try:
            self._transitions += session.deliver(event, now_millis(), times)
        except Exception as error:
            log.exception("run %s: an event cannot be decided", session.run_id)
            self._quarantine(session, f"an event cannot be decided: {error}")
            return
        self._committer.mark(session)

    def _backend_event(self, event: BackendEvent) -> None:
        session = self._sessions.get(event.key.run_id)
        if isinstance(event, TaskWaiting):
            node = session.node(event.key.path) if session is not None else None
            if session is not None and node is not None and node.attempt == event.key.attempt:
                session.note_times(event.key.path, event.key.attempt, now_millis(), event.times)
                self._note_wait(session, event.key.path, event.text)
            return
        if isinstance(event, TaskOutcome):
            self._launches.over(event.key)
            if event.failure is FailureKind.INFRASTRUCTURE:
                key = event.key
                log.warning(
                    "run %s: infrastructure failure in attempt %d of %s: %s",
                    key.run_id,
                    key.attempt,
                    key.path,
                    event.error,
                )
        if session is not None:
            node = session.node(event.key.path)
            causes = convert.written_causes(node, free_preemptions=self._settings.free_preemptions)
            self._deliver(session, convert.engine_event(event, causes), event.times)

    def _note_wait(self, session: RunSession, path: str, text: str) -> None:
        session.note_wait(path, rows.storable(text))
        self._committer.mark(session)

    def _look_up(self, session: RunSession, effect: LookUpCache) -> None:
        self._lookups.put(session, effect)

    def _terminate(self, session: RunSession) -> None:
        if not session.state.terminating and not session.state.finished:
            self._deliver(session, TerminateRequested(now_millis()))

    # --- after a commit --------------------------------------------------------------------------------------------

    def _committed(self, session: RunSession, batch: Batch, terminate: bool) -> None:
        self._lineage.put(batch.records)
        for effect in batch.effects:
            if isinstance(effect, Launch):
                self._slots.put(session, effect, adopt=session.adopting)
            elif isinstance(effect, Cancel):
                if not self._slots.cancel(session, effect):
                    self._spawn_for(session, self._launches.cancel(session, effect))
            elif isinstance(effect, Wake):
                self._spawn_for(session, self._wake(session, effect))
            elif isinstance(effect, WakeRun):
                self._spawn_for(session, self._wake_run(session, effect))
            elif isinstance(effect, FinishRun) and not session.finishing:
                session.finishing = True
                self._spawn_for(session, self._finish(session))
        session.adopting = False
        if batch.released:
            self._slots.freed()
        for ended in batch.released:
            self._backend.release(AttemptKey(session.run_id, ended.path, ended.attempt))
        if batch.final:
            self._close(session)
        elif terminate:
            self._terminate(session)

    async def _wake(self, session: RunSession, effect: Wake) -> None:
        await asyncio.sleep(max(0.0, (effect.at - now_millis()) / 1000))
        self._deliver(session, BackoffElapsed(effect.path, effect.attempt, now_millis()))

    async def _wake_run(self, session: RunSession, effect: WakeRun) -> None:
        while not session.lost and not session.state.finished:
            left = (effect.at - now_millis()) / 1000
            if left <= 0:
                self._deliver(session, DeadlineExceeded(now_millis()))
                return
            # A run that is over does not keep its timer for the rest of a long deadline.
            await asyncio.sleep(min(left, _TIMER_RECHECK_SECONDS))

    async def _finish(self, session: RunSession) -> None:
        contexts = await self._lineage.drained(session.run_id)
        if not session.lost:
            session.finish(contexts, now_millis())
            self._committer.mark(session)

    def _recorded(self, run_id: str, ids: RecordedIds) -> None:
        session = self._sessions.get(run_id)
        if session is not None:
            prefix = execution_name(run_id, "")
            paths = {name[len(prefix) + 1 :]: id_ for name, id_ in ids.executions.items() if name.startswith(prefix)}
            session.note_ids(paths, ids.artifacts)

    # --- the end of a session --------------------------------------------------------------------------------------

    def _close(self, session: RunSession) -> None:
        self._remove(session)
        self._background.begin(self._backend.forget(session.run_id))

    def _lose(self, session: RunSession) -> None:
        log.warning("run %s: the lease is lost, another executor goes on with it", session.run_id)
        self._leases_lost += 1
        self._remove(session)

    def _deleted(self, session: RunSession) -> None:
        log.info("run %s was deleted, its tasks are ended", session.run_id)
        keys = [AttemptKey(session.run_id, node.path, node.attempt) for node in session.state.open_tasks.values()]
        self._remove(session)
        self._background.begin(self._end_attempts(keys))

    async def _end_attempts(self, keys: Sequence[AttemptKey]) -> None:
        for key in keys:
            await self._backend.cancel(key)

    def _remove(self, session: RunSession) -> None:
        session.lost = True
        if self._sessions.get(session.run_id) is session:
            del self._sessions[session.run_id]
            self._leases.ended(session.run_id)
        self._launches.forget(session.run_id)
        self._slots.forget(session.run_id)
        self._lineage.forget(session.run_id)

    def _spawn_for(self, session: RunSession, work: Coroutine[Any, Any, None]) -> None:
        """A step without which the run would hang: when it fails, the run fails."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                log.exception("run %s: a step failed", session.run_id)
                if not session.lost:
                    self._quarantine(session, f"a step failed: {error}")

        self._background.begin(guarded())


def now_millis() -> int:
    """Milliseconds since 1970 by the clock of this machine."""
    return time.time_ns() // 1_000_000
