"""What is known of the executors: each tells of itself whenever it asks for runs or renews its leases.

Invariant: it is another program's word, so it is cut to what can be stored, and decides nothing but what is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What `owner_of` puts before the id.
_IDENTITY = re.compile(r"[0-9a-f]{16}:")
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ExecutorStatus:
    """`backend` is empty for an executor that does not say, `places` then 0; `open_attempts` beyond the places wait."""

    backend: str = ""
    version: str = ""
    places: int = 0
    open_attempts: int = 0


@dataclass(frozen=True, slots=True)
class ConnectedExecutor:
    """`owner` as of its leases; `seen_at` in milliseconds."""

    owner: str
    status: ExecutorStatus
    held_runs: int
    seen_at: int

    @property
    def name(self) -> str:
        """What it was started with: the owner without who it proved to be, and without its incarnation."""
        executor_id = _IDENTITY.sub("", self.owner)
        return executor_id.rpartition("/")[0] or executor_id


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """Runs that have not ended. Of those that no executor holds, `waiting` is the number and `waiting_since` when the
    oldest was created, 0 for none. All was so `at`. Times in milliseconds.
    """

    by_state: Mapping[str, int]
    waiting: int
    waiting_since: int
    at: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`problems` say what to do; `schema` is the revision of the database's."""

    runs: OpenRuns
    executors: Sequence[ConnectedExecutor]
    problems: Sequence[str]
    version: str
    database: str
    schema: str


def told(backend: str, version: str, places: int, open_attempts: int) -> ExecutorStatus:
    """What is kept of what an executor said."""
    return ExecutorStatus(_text(backend, 32), _text(version, 64), _count(places), _count(open_attempts))


def _text(text: str, length: int) -> str:
    return "".join(one for one in text[:length] if one.isprintable())


def _count(number: int) -> int:
    return min(max(number, 0), _MOST)
