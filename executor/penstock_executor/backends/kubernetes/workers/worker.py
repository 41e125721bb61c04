"""One worker as the backend sees it: its Pod, the stream to its agent, and what the agent last said.

Invariants: a worker is given an attempt only while it is ready, held by this program and has none. What it said counts
for as long as the stream is open over which it was said.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock_executor.agent.begun import MAX_KEPT
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.workers.link import AgentLink

if TYPE_CHECKING:
    from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt


def seconds_now() -> float:
    """By the clock of the event loop, which a simulation moves."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Pool:
    """Whose tasks a worker takes: those of one shape, and of one run unless `run_id` is empty."""

    namespace: str
    shape: str
    run_id: str


@dataclass(slots=True, eq=False)
class Worker:
    """`pool` is None for one that another program has made: attempts there are followed, and none is begun."""

    view: PodView
    pool: Pool | None
    link: AgentLink | None = None
    linking: asyncio.Task[None] | None = None
    held: bool = False
    """The agent takes attempts from this program."""
    ready: bool = False
    over: str = ""
    """Why it takes no attempt any more."""
    gone: bool = False
    """Its Pod has ended or is deleted."""
    attempt: WorkerAttempt | None = None
    """The one that runs there, or that it was told to begin."""
    followed: dict[str, WorkerAttempt] = field(default_factory=dict)
    """Attempts of this program whose end it has not told yet, by their ids there."""
    kept: set[str] = field(default_factory=set)
    """What it has begun for this program, or may have, and is not forgotten: until then its Pod says what ran in it."""
    left: dict[str, float] = field(default_factory=dict)
    """Since when what it has `kept` is another program's to take: the run is not held here any more."""
    forgetting: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Whose results it need not keep, by id: run and fence. Told when there is a stream."""
    settled: set[str] = field(default_factory=set)
    """What it had begun and whose outcomes are committed: nobody needs to be told of them."""
    is_told_to_forget: bool = False
    """Whether somebody is about to tell it of all of these."""
    taken: int = 0
    """How many attempts it has begun."""
    refusals: int = 0
    """How many requests in a row to begin an attempt it has refused."""
    awaited: int = 0
    """How many wait for its answer to what was begun there."""
    since: float = field(default_factory=seconds_now)
    """Since when it is as it is: being made, idle, or busy."""
    unreachable_since: float = 0.0
    alone_since: float = 0.0
    """Since when its agent is known to have ended, and its Pod has not."""
    removed_since: float = 0.0
    """Since when its Pod is to be removed."""
    retiring: bool = False

    @property
    def idle(self) -> bool:
        room = len(self.kept) < MAX_KEPT
        return self.usable and self.held and self.ready and self.attempt is None and room

    @property
    def usable(self) -> bool:
        """Whether it may take an attempt, now or later."""
        return self.pool is not None and not (self.gone or self.over or self.retiring)

    @property
    def coming(self) -> bool:
        """Whether it is expected to become ready for its first attempt."""
        return self.usable and not self.ready and self.attempt is None and not self.taken

    @property
    def needed(self) -> bool:
        """Whether a stream to it is of use, although another program has made it."""
        return bool(self.pool is not None or self.followed or self.forgetting or self.awaited)

    def has(self, attempt: WorkerAttempt) -> bool:
        """Whether it may have begun the attempt, and has not told its end yet."""
        return self.followed.get(attempt.identity) is attempt

    def take(self, attempt: WorkerAttempt) -> None:
        """It is to begin the attempt."""
        self.attempt = attempt
        self.followed[attempt.identity] = attempt
        self.kept.add(attempt.identity)
        # It says itself when it can take the next one.
        self.ready = False
        self.since = seconds_now()
        attempt.worker = self

    def adopt(self, attempt: WorkerAttempt) -> WorkerAttempt | None:
        """It has begun the attempt, which is followed from now on. Gives what stood for it before."""
        before = self.followed.get(attempt.identity)
        self.followed[attempt.identity] = attempt
        self.kept.add(attempt.identity)
        if before is not None and self.attempt is before:
            self.attempt = attempt
        attempt.worker = self
        return before

    def give_up(self, attempt: WorkerAttempt) -> None:
        """Another program follows the attempt, which goes on."""
        if self.attempt is attempt:
            self.attempt = None
        if self.has(attempt):
            del self.followed[attempt.identity]

    def let_go(self, attempt: WorkerAttempt) -> None:
        """The attempt is not its any more."""
        if self.attempt is attempt:
            self.attempt = None
        if self.followed.get(attempt.identity) is attempt:
            del self.followed[attempt.identity]
        self.kept.discard(attempt.identity)
        attempt.worker = None
