"""Group commit: what gathered while the last report was under way goes out as one report, one transaction.

Invariants: at most one report of a run is under way, so sequence numbers are in order. Effects and lineage of a batch
are released only after the server said COMMITTED. A report without an answer is sent again as it was; the server
recognises it by its sequence numbers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from penstock_api.internal.v1 import dispatch_pb2 as pb

from penstock_executor.backoff import retried
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.dispatch.session import Batch, RunSession
from penstock_executor.errors import ServerRejectedError

log = logging.getLogger(__name__)

_RUNS_PER_REPORT = 100
_PATIENCE_SECONDS = 0.1
"""How long what nothing waits for, such as that a task has started, may wait for company."""


class Committer:
    """`committed(session, batch, terminate)`, `fenced(session)`, `deleted(session)` and `rejected(session, reason)` are
    called on the event loop. Rejected is a report that cannot be made or that the server will never take.
    `reported(seconds, runs, events)` hears of every report, with all tries it took.
    """

    def __init__(
        self,
        client: DispatchClient,
        committed: Callable[[RunSession, Batch, bool], None],
        fenced: Callable[[RunSession], None],
        deleted: Callable[[RunSession], None],
        rejected: Callable[[RunSession, str], None],
        reported: Callable[[float, int, int], None],
    ) -> None:
        self._client = client
        self._committed = committed
        self._fenced = fenced
        self._deleted = deleted
        self._rejected = rejected
        self._reported = reported
        self._dirty: dict[str, RunSession] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._patience: asyncio.TimerHandle | None = None

    def mark(self, session: RunSession) -> None:
        """The session has something to commit."""
        if not session.has_pending or session.lost:
            return
        self._dirty[session.run_id] = session
        self._idle.clear()
        if session.urgent:
            self._wake.set()
        elif self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._lose_patience)

    async def flushed(self) -> None:
        """Waits until nothing is pending."""
        self._wake.set()
        await self._idle.wait()

    async def work(self) -> None:
        """Commits until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken = list(self._dirty)[:_RUNS_PER_REPORT]
            sessions = [session for session in map(self._dirty.pop, taken) if not session.lost]
            if self._dirty:
                self._wake.set()
            if sessions:
                await self._commit(self._taken(sessions))
                for session in sessions:
                    self.mark(session)
                # Lets events that came meanwhile be applied, so that they share the next report.
                await asyncio.sleep(0)
            if not self._dirty:
                self._idle.set()

    def _taken(self, sessions: Sequence[RunSession]) -> list[tuple[RunSession, Batch]]:
        batches = []
        for session in sessions:
            try:
                batches.append((session, session.take()))
            except Exception as error:
                log.exception("run %s: its report cannot be made", session.run_id)
                self._rejected(session, f"its report cannot be made: {error}")
        return batches

    def _lose_patience(self) -> None:
        self._patience = None
        self._wake.set()

    async def _commit(self, batches: Sequence[tuple[RunSession, Batch]]) -> None:
        if not batches:
            return
        began = time.monotonic()
        reports = await self._report([batch.transitions for _, batch in batches])
        self._reported(time.monotonic() - began, len(batches), sum(batch.events for _, batch in batches))
        for (session, batch), report in zip(batches, reports, strict=True):
            if session.lost:
                continue
            if report.outcome == pb.RunReport.OUTCOME_COMMITTED:
                session.committed(batch)
                self._committed(session, batch, report.terminate_requested)
            elif report.outcome == pb.RunReport.OUTCOME_UNSPECIFIED:
                self._rejected(session, "the server does not take its report")
            elif report.outcome == pb.RunReport.OUTCOME_DELETED:
                self._deleted(session)
            else:
                self._fenced(session)

    async def _report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        try:
            return await retried(
                lambda: self._client.report(runs),
                failed=lambda error: log.warning("report waits for the server: %s", error),
            )
        except ServerRejectedError as error:
            if len(runs) == 1:
                log.error("run %s: report refused: %s", runs[0].run_id, error)
                return [pb.RunReport(run_id=runs[0].run_id, outcome=pb.RunReport.OUTCOME_UNSPECIFIED)]
            # One bad run must not take the others down with it.
            return [(await self._report([one]))[0] for one in runs]
