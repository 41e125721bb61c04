"""What the queue of runs holds, and what executors and the server tell each other of runs.

Why it exists: the dispatch service, the queue's repository and the converters of `penstock.internal.v1` exchange these
values. Names are those of the messages where there is one (`Lease`, `RunTransitions`, `RunReport`, `RunHold`).

Invariant: values alone. A fence is the fencing token of a lease: it grows with every claim of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

from penstock_ir.slots import Demand

from penstock_server.domain.attempts import AttemptRow
from penstock_server.domain.limits import check_length
from penstock_server.domain.run import Run
from penstock_server.domain.task import Artifact, CacheEntry, Task
from penstock_server.errors import InvalidArgumentError

MAX_EXECUTOR_ID = 110


def owner_of(executor_id: str, identity: str) -> str:
    """Under which an executor holds leases: its id `name/incarnation`, behind a hash of who it proved to be.

    So one cannot take the runs of another by its name, nor report them, whatever it calls itself. Without an identity,
    where nobody is asked or all share a secret, the id is all that tells executors apart. Raises InvalidArgumentError.
    """
    check_length(executor_id, "executor_id", MAX_EXECUTOR_ID)
    if not executor_id.isprintable() or executor_id.strip("/") == "":
        raise InvalidArgumentError("it is not the id of an executor", "executor_id")
    return f"{sha256(identity.encode()).hexdigest()[:16]}:{executor_id}" if identity else executor_id


# --- rows of the queue ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A run that waits for an executor, with the lease it had last; times in milliseconds since 1970."""

    run_id: str
    fence: int
    lease_expires_at: int


class QueueDepth(NamedTuple):
    """How many runs wait for an executor, and how many one holds."""

    waiting: int
    held: int


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease of a run, the end of its event log and the number of its latest change. `owner` as of `owner_of`, empty
    when there is none.

    `finished`: the run has left the queue, with the last report of the executor that had this fence. `takes_slots`:
    attempts of it may hold slots of pools, or wait for them.
    """

    run_id: str
    fence: int
    owner: str
    next_sequence: int
    terminate_requested: bool
    finished: bool
    changes: int = 0
    takes_slots: bool = False


class LogEnd(NamedTuple):
    """The sequence number of a run's next event, and the number of its latest change."""

    next_sequence: int
    changes: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event of a run's log, at its sequence number (from 0)."""

    run_id: str
    sequence: int
    event: bytes


class HoldState(Enum):
    """How a run stands with executors. UNKNOWN: it was deleted, or is of another installation."""

    UNKNOWN = 1
    FINISHED = 2
    WAITING = 3
    HELD = 4


@dataclass(frozen=True, slots=True)
class RunHold:
    """`executor_id` is empty unless the run is held."""

    run_id: str
    state: HoldState
    executor_id: str = ""


# --- claims and heartbeats -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run with its new fence, its documents (JSON) and its event log so far."""

    run: Run
    fence: int
    pipeline_spec: str
    platform_spec: str
    events: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """`waited_millis`: how long after the call, at least, the leases began. `limited`: slots are to be asked for every
    attempt, because namespaces or users have limits.
    """

    runs: Sequence[ClaimedRun] = ()
    waited_millis: int = 0
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """What an executor believes to hold: a run, under this fence. `unrenewed`: a heartbeat leaves its end as it is."""

    run_id: str
    fence: int
    unrenewed: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """Ids of the runs that are not (or no longer) held, whose users wish their end, and that were deleted; `limited` as
    of `Claim`.
    """

    lost: list[str] = field(default_factory=list)
    terminate: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    limited: bool = False


# --- slots ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlotAsk:
    """An attempt that is to begin, and what it asks for itself. `adopt`: an earlier owner may have begun it. `gang`:
    the name of those with which it begins. `log_length`: so many events were committed when it was asked, by which it
    had not ended; 0: not told.
    """

    run_id: str
    fence: int
    path: str
    attempt: int
    demands: tuple[Demand, ...]
    adopt: bool = False
    gang: str = ""
    log_length: int = 0


class SlotState(Enum):
    """UNKNOWN: the task's row is not there yet, or tells of another attempt. Names are those of the messages."""

    UNKNOWN = 0
    GRANTED = 1
    WAITING = 2
    REFUSED = 3
    FENCED = 4


class SlotAnswer(NamedTuple):
    """`text`: why it waits, or was refused."""

    state: SlotState
    text: str = ""


# --- reports -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunTransitions:
    """What an executor commits of one run: events for its log, and the rows they change.

    `first_sequence` is the number of the first event. `state` empty: the run's state is unchanged. `at`: milliseconds
    since 1970. `waits`: why tasks do not run yet, by path.
    """

    run_id: str
    fence: int
    first_sequence: int
    events: Sequence[bytes] = ()
    tasks: Sequence[Task] = ()
    artifacts: Sequence[Artifact] = ()
    cache_entries: Sequence[CacheEntry] = ()
    execution_ids: Mapping[str, int] = field(default_factory=dict)
    artifact_ids: Mapping[str, int] = field(default_factory=dict)
    state: str = ""
    error: str = ""
    at: int = 0
    finished: bool = False
    pipeline_context_id: int = 0
    pipeline_run_context_id: int = 0
    waits: Mapping[str, str] = field(default_factory=dict)
    attempts: Sequence[AttemptRow] = ()


class Outcome(Enum):
    """What became of a run's transitions. FENCED: their fence is old, and nothing of them was taken."""

    COMMITTED = 1
    FENCED = 2
    DELETED = 3


@dataclass(frozen=True, slots=True)
class RunReport:
    """The answer to one run's transitions. `terminate_requested`: a user wishes that the run ends."""

    run_id: str
    outcome: Outcome
    terminate_requested: bool = False
