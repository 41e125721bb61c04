"""One worker as the backend sees it: its Pod, the stream to its agent, and what the agent last said.

Invariants: a worker is given an attempt only while it is ready, held by this program and has none. What it said counts
for as long as the stream is open over which it was said.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    forgetting: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Whose results it need not keep, by id: run and fence. Told when there is a stream."""
    is_told_to_forget: bool = False
    """Whether somebody is about to tell it of all of these."""
    taken: int = 0
    """How many attempts it has begun."""
    since: float = field(default_factory=seconds_now)
    """Since when it is as it is: being made, idle, or busy."""
    unreachable_since: float = 0.0
    retiring: bool = False

    @property
    def idle(self) -> bool:
        return self.usable and self.held and self.ready and self.attempt is None

    @property
    def usable(self) -> bool:
        """Whether it may take an attempt, now or later."""
        return self.pool is not None and not (self.gone or self.over or self.retiring)

    @property
    def coming(self) -> bool:
        """Whether it is expected to become ready for its first attempt."""
        return self.usable and not self.ready and self.attempt is None and not self.taken

    def let_go(self, attempt: WorkerAttempt) -> None:
        """The attempt is not its any more."""
        if self.attempt is attempt:
            self.attempt = None
        if self.followed.get(attempt.identity) is attempt:
            del self.followed[attempt.identity]
        self.kept.discard(attempt.identity)
        attempt.worker = None
