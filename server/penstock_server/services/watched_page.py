"""A page of the list of runs as it is looked at again and again: which of its runs came or changed, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from penstock_server.domain.changes import Position
from penstock_server.domain.listing import ListQuery
from penstock_server.services.ports import UnitOfWork

# A fiftieth of a processor at most goes into counting the runs of all pages of one list.
_COUNT_BY_WORK = 50.0


class Row(NamedTuple):
    """`mark` and `final` are those of the run, `since` is the look that first found it so."""

    mark: int
    since: int
    final: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found. `rows` are in the order of the page; `look` counts those that found something new."""

    look: int = 0
    rows: Mapping[str, Row] | None = None
    total: int = 0
    next_page_token: str = ""

    @property
    def run_ids(self) -> list[str]:
        return list(self.rows or ())

    @property
    def finished(self) -> bool:
        """Whether all have ended."""
        return all(row.final for row in (self.rows or {}).values())

    def behind(self, position: Position) -> list[tuple[Position, Row]]:
        """The runs that came or changed since, in the order in which they are told."""
        found = [(Position(row.since, run_id), row) for run_id, row in (self.rows or {}).items()]
        return sorted(one for one in found if one[0] > position)


class WatchedPage:
    """For all who watch it. One thread looks; others read what was `seen`, which never changes."""

    def __init__(self, query: ListQuery, clock: Callable[[], float] = time.monotonic) -> None:
        self.query = query
        self.seen = Seen()
        self.looked = float("-inf")
        self._clock = clock
        self._count_at = float("-inf")

    def look(self, uow: UnitOfWork) -> None:
        """Raises UnavailableError."""
        old, began = self.seen, self._clock()
        counts = began >= self._count_at
        found = uow.runs.marks(self.query, None if counts else old.total)
        self.looked = self._clock()
        if counts:
            self._count_at = self.looked + _COUNT_BY_WORK * (self.looked - began)
        known, look = old.rows or {}, old.look + 1
        rows = {
            run_id: known[run_id] if run_id in known and known[run_id].mark == mark else Row(mark, look, final)
            for run_id, mark, final in found.items
        }
        new = Seen(look, rows, found.total_size, found.next_page_token)
        if _is_news(old, new):
            self.seen = new


def _is_news(old: Seen, new: Seen) -> bool:
    if old.rows is None or new.rows is None or list(old.rows.items()) != list(new.rows.items()):
        return True
    return (old.total, old.next_page_token) != (new.total, new.next_page_token)
