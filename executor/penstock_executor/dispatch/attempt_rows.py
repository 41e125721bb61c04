"""What is known of a run's attempts and not told yet: when they came to their phases, and how they ended.

Why apart from the rows of tasks: a task has one row, made of the engine's state, which keeps nothing of earlier
attempts and knows no phases (docs/attempts.md). Shown only: nothing is decided by it, so it is in no log.

Invariants: an attempt's end goes with the report of its event, and with no other; that it was asked for may come later,
as far as a report has room. Whatever the clocks of nodes, programs and users say, the times of an attempt are in the
order of its phases, not before it was asked for and not in the future.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import AttemptEnded, AttemptStarted, Event

from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.dispatch.rows import storable
from penstock_executor.engine.effects import Effect, Launch

SUCCEEDED = "succeeded"
"""The outcome of an attempt that ended well; of any other it is the kind of its failure."""
_told_from_start = attrgetter("started", "finished", "stored")
_FROM_START = ("started_at_millis", "finished_at_millis", "stored_at_millis")
# Backwards.
_told_before_start = attrgetter("fetched", "prepared", "scheduled", "placed")
_BEFORE_START = ("fetched_at_millis", "prepared_at_millis", "scheduled_at_millis", "placed_at_millis")
_INT32 = range(-(2**31), 2**31)
_NAME = 253
_PLACEMENT = 200
_LOG_MARK = re.compile(r"[a-z0-9]{1,63}")


class AttemptRows:
    def __init__(self) -> None:
        # Those of which more is known than that they were asked for.
        self._rows: dict[tuple[str, int], pb.AttemptRow] = {}
        self._asked: dict[tuple[str, int], pb.AttemptRow] = {}
        # When each attempt that has not ended was asked for.
        self._created: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._rows) + len(self._asked)

    def asked(self, effects: Iterable[Effect], at: int) -> None:
        """What the engine asks for, the launches among it."""
        for effect in effects:
            if isinstance(effect, Launch):
                key = (effect.path, effect.attempt)
                self._created[key] = at
                self._asked[key] = pb.AttemptRow(path=effect.path, attempt=effect.attempt, created_at_millis=at)

    def note(self, event: Event, now: int, times: AttemptTimes) -> None:
        """An event that the engine took; `times` of the attempt that it is about."""
        if isinstance(event, AttemptEnded):
            row = self._timed(event.path, event.attempt, now, times)
            row.ended_at_millis = max(now, self._created.pop((event.path, event.attempt), 0))
            row.outcome = SUCCEEDED if event.failure is None else event.failure.value
            row.error = storable(event.error)
            if event.exit_code is not None and event.exit_code in _INT32:
                row.exit_code = event.exit_code
        elif isinstance(event, AttemptStarted):
            row = self._timed(event.path, event.attempt, now, times)
        else:
            return
        if event.pod_name:
            row.pod_name = event.pod_name
        if event.log_uri:
            row.log_uri = storable(event.log_uri)

    def reached(self, path: str, attempt: int, now: int, times: AttemptTimes) -> None:
        """How far an attempt is that has not ended."""
        if times != NO_TIMES:
            self._timed(path, attempt, now, times)

    def take(self, most: int) -> list[pb.AttemptRow]:
        """What the next report says: everything but attempts that were only asked for, of which it may say less."""
        rows = list(self._rows.values())
        self._rows = {}
        room = max(0, most - len(rows))
        if len(self._asked) <= room:
            rows.extend(self._asked.values())
            self._asked = {}
        else:
            rows.extend([self._asked.pop(key) for key in list(islice(self._asked, room))])
        return rows

    def _timed(self, path: str, attempt: int, now: int, times: AttemptTimes) -> pb.AttemptRow:
        key = (path, attempt)
        row = self._rows.get(key)
        if row is None:
            asked = self._asked.pop(key) if key in self._asked else pb.AttemptRow(path=path, attempt=attempt)
            row = self._rows[key] = asked
        if times is NO_TIMES:
            return row
        created = self._created.get(key, 0)
        latest = max(now, created)
        # Start and end of the program are of one clock and exact, so the rest makes room for them.
        earliest, first = created, 0
        for told, field in zip(_told_from_start(times), _FROM_START, strict=True):
            at = told if told > 0 else getattr(row, field)
            if at:
                earliest = max(earliest, min(at, latest))
                first = first or earliest
                setattr(row, field, earliest)
        latest = first or latest
        for told, field in zip(_told_before_start(times), _BEFORE_START, strict=True):
            at = told if told > 0 else getattr(row, field)
            if at:
                latest = max(created, min(at, latest))
                setattr(row, field, latest)
        if times.node:
            row.node = storable(times.node)[:_NAME]
        if times.placement:
            row.placement = storable(times.placement)[:_PLACEMENT]
        # The server takes no report with another one.
        if _LOG_MARK.fullmatch(times.log_mark):
            row.log_mark = times.log_mark
        return row
