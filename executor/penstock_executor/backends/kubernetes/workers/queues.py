"""Attempts that wait for a worker of their shape, and the way by which a worker gets one.

Invariants: within a pool attempts are begun in their order. Whether an attempt may still be begun is asked at the
moment when the request is written. One that a worker may have begun waits for nobody else before it is known that it
has not. None waits for workers that do not come: it gets a Pod of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.attempt_life import Phase
from penstock_executor.backends.base import HeldRuns
from penstock_executor.backends.kubernetes.wait_reporter import WaitReporter
from penstock_executor.backends.kubernetes.waiting import Wait
from penstock_executor.backends.kubernetes.worker_policy import WorkerPolicy
from penstock_executor.backends.kubernetes.workers.fleet import Fleet, allows
from penstock_executor.backends.kubernetes.workers.instructions import Instructions
from penstock_executor.backends.kubernetes.workers.link import LinkDownError, LinkLostError, Message
from penstock_executor.backends.kubernetes.workers.worker import Pool, Worker, seconds_now
from penstock_executor.backends.kubernetes.workers.worker_attempt import WorkerAttempt
from penstock_executor.background import Background

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5
_WITHOUT_SECONDS = 30.0
"""After so long in a pool in which no worker takes attempts, one gets a Pod of its own."""
_REFUSALS = 3
_MOST = 2000
"""Attempts of a namespace that wait at a time."""


class Lives(Protocol):
    """What becomes of attempts is decided elsewhere (`attempts`)."""

    def unwanted(self, attempt: WorkerAttempt) -> bool:
        """Whether nobody wants it begun any more; then it is over."""
        ...

    def has_begun(self, attempt: WorkerAttempt, worker: Worker, number: object) -> None: ...

    def by_itself(self, attempt: WorkerAttempt, reason: str) -> None:
        """Launches it in a Pod of its own."""
        ...


@dataclass(slots=True)
class _Queue:
    """`told` has the instructions of each attempt that waits or is being given, `without_since` is since when no worker
    of the pool takes attempts."""

    policy: WorkerPolicy
    pod: Mapping[str, Any]
    waiting: deque[WorkerAttempt] = field(default_factory=deque)
    told: dict[AttemptKey, Instructions] = field(default_factory=dict)
    without_since: float = 0.0


class Queues:
    """`runs()` are the runs of this executor."""

    def __init__(self, fleet: Fleet, runs: Callable[[], HeldRuns], lives: Lives, waits: WaitReporter) -> None:
        self._fleet = fleet
        self._runs = runs
        self._lives = lives
        self._waits = waits
        self._queues: dict[Pool, _Queue] = {}
        self._length: Counter[str] = Counter()
        self._background = Background("the queues of workers")

    def start(self) -> None:
        self._background.begin(self._tick())

    def close(self) -> None:
        self._background.cancel()

    def full(self, namespace: str) -> str:
        """Why no more of the namespace's attempts may come, empty when they may."""
        waiting = self._length[namespace]
        return f"{waiting} tasks wait for workers already" if waiting >= _MOST else ""

    def decide(self, namespace: str, policy: WorkerPolicy) -> None:
        """What the namespace says of workers now: what it allows no more runs without."""
        for pool, queue in list(self._queues.items()):
            if pool.namespace == namespace:
                queue.policy = policy
                if queue.waiting and not allows(policy, pool):
                    self._without(pool, "the namespace does not allow it any more")

    def put(
        self, pool: Pool, pod: Mapping[str, Any], policy: WorkerPolicy, attempt: WorkerAttempt, told: Instructions
    ) -> None:
        """Has the attempt begun by a worker of the pool; one that has to be made is made like `pod`."""
        queue = self._queues.setdefault(pool, _Queue(policy, pod))
        queue.policy = policy
        queue.told[attempt.key] = told
        self._append(pool, queue, attempt)
        self.match(pool)

    def match(self, pool: Pool) -> None:
        """Gives the pool's idle workers what waits, and has workers made for the rest."""
        queue = self._queues.get(pool)
        if queue is None:
            return
        while queue.waiting and (worker := self._fleet.idle(pool)) is not None:
            attempt = self._taken(pool, queue)
            if attempt.state.phase is not Phase.CREATING or self._lives.unwanted(attempt):
                queue.told.pop(attempt.key, None)
                continue
            # At once: an end of the worker is told to those that it has.
            worker.take(attempt)
            attempt.being_given = True
            self._background.begin(self._give(pool, queue, worker, attempt))
        if not queue.waiting and not queue.told:
            del self._queues[pool]
            self._fleet.waits(pool, 0)
        else:
            self._fleet.want(pool, queue.pod, queue.policy, len(queue.waiting))

    def answered(self, worker: Worker, attempt: WorkerAttempt, answer: Message) -> None:
        """A worker says whether it has begun an attempt of which that was not known."""
        pool = worker.pool
        queue = self._queues.get(pool) if pool is not None else None
        if pool is not None and queue is not None and attempt.key in queue.told:
            self._answered(pool, queue, worker, attempt, answer)

    def not_begun(self, worker: Worker, attempt: WorkerAttempt) -> bool:
        """It is certain that the worker has not begun it: it waits again. False when it is not this object's."""
        pool = worker.pool
        queue = self._queues.get(pool) if pool is not None else None
        if pool is None or queue is None or attempt.key not in queue.told:
            return False
        self._back(pool, queue, worker, attempt)
        return True

    def begun(self, worker: Worker, attempt: WorkerAttempt) -> None:
        """The worker has begun it, as its end tells."""
        queue = self._queues.get(worker.pool) if worker.pool is not None else None
        if queue is not None:
            queue.told.pop(attempt.key, None)

    def no_worker(self, pool: Pool) -> None:
        """The fleet could not make one: what waits runs without, unless others of the pool work."""
        if not self._fleet.usable(pool):
            self._without(pool, self._fleet.trouble(pool))

    # --- giving ----------------------------------------------------------------------------------------------------

    async def _give(self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt) -> None:
        assert worker.link is not None
        runs, run_id = self._runs(), attempt.key.run_id

        def allowed() -> bool:
            return (
                worker.has(attempt)
                and not worker.gone
                and attempt.state.stop is None
                and runs.expects(attempt.key) is True
                and runs.fence(run_id) == attempt.fence
                and runs.may_act(run_id)
            )

        if not worker.has(attempt):
            # Its worker has ended before this began.
            return
        try:
            message = queue.told[attempt.key].message(worker.view, attempt.fence, attempt.log_mark)
            answer = await worker.link.ask(message, allowed)
        except LinkDownError:
            if worker.has(attempt):
                self._back(pool, queue, worker, attempt)
        except LinkLostError:
            # Asked again when there is a stream, or told by how the worker ends.
            if worker.has(attempt):
                attempt.being_given = False
        else:
            if not worker.has(attempt):
                # What became of it is known already, by the worker's end.
                return
            attempt.being_given = False
            if answer is None:
                # Nothing was sent, so it is as ready as before.
                worker.ready = worker.held
                self._back(pool, queue, worker, attempt)
            else:
                self._answered(pool, queue, worker, attempt, answer)

    def _answered(self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt, answer: Message) -> None:
        if answer["event"] in ("started", "known"):
            queue.told.pop(attempt.key, None)
            worker.refusals = 0
            self.match(pool)
            self._lives.has_begun(attempt, worker, answer.get("number"))
            return
        # One that hangs up whenever it is told to begin this one says so by not knowing it afterwards.
        why = str(answer.get("why"))[:200] if answer["event"] == "refused" else "the stream broke"
        log.info("worker %s has not begun an attempt: %s", worker.view.name, why)
        attempt.refusals += 1
        if answer["event"] == "refused":
            worker.refusals += 1
            if worker.refusals >= _REFUSALS:
                self._fleet.retire(worker)
            # It has nothing new to say of itself, and is as ready as before.
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._rested, worker)
        if attempt.refusals >= _REFUSALS:
            worker.let_go(attempt)
            queue.told.pop(attempt.key, None)
            attempt.being_given = False
            self._lives.by_itself(attempt, f"workers have not begun it: {why}")
            self.match(pool)
            return
        self._back(pool, queue, worker, attempt)

    def _rested(self, worker: Worker) -> None:
        if worker.usable and worker.held and worker.attempt is None and worker.pool is not None:
            worker.ready = True
            self.match(worker.pool)

    def _back(self, pool: Pool, queue: _Queue, worker: Worker, attempt: WorkerAttempt) -> None:
        worker.let_go(attempt)
        attempt.being_given = False
        if self._lives.unwanted(attempt):
            queue.told.pop(attempt.key, None)
            return
        queue.waiting.appendleft(attempt)
        self._length[pool.namespace] += 1
        # Not at once: its lease may not be certain for a moment, or the worker says what is the matter with it.
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self.match, pool)

    def _append(self, pool: Pool, queue: _Queue, attempt: WorkerAttempt) -> None:
        queue.waiting.append(attempt)
        self._length[pool.namespace] += 1

    def _taken(self, pool: Pool, queue: _Queue) -> WorkerAttempt:
        self._length[pool.namespace] -= 1
        return queue.waiting.popleft()

    # --- waiting ---------------------------------------------------------------------------------------------------

    def _without(self, pool: Pool, reason: str) -> None:
        queue = self._queues.get(pool)
        if queue is None:
            return
        while queue.waiting:
            attempt = self._taken(pool, queue)
            queue.told.pop(attempt.key, None)
            self._lives.by_itself(attempt, reason)
        self.match(pool)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                self._looked_after(seconds_now())
            except Exception:
                # A defect of ours that one queue brings to light must not stop all others.
                log.exception("the queues of workers could not be looked after")

    def _looked_after(self, now: float) -> None:
        """Says why attempts wait, and lets none wait that is not wanted, or for workers that do not come."""
        for pool, queue in list(self._queues.items()):
            working = self._fleet.working(pool)
            queue.without_since = 0.0 if working or not queue.waiting else queue.without_since or now
            text = f"waits for one of {working} workers" if working else "waits for a worker that is being made"
            # All at once: two thousand may be cancelled together.
            staying = deque(one for one in queue.waiting if not self._lives.unwanted(one))
            if len(staying) < len(queue.waiting):
                for attempt in set(queue.waiting).difference(staying):
                    queue.told.pop(attempt.key, None)
                self._length[pool.namespace] -= len(queue.waiting) - len(staying)
                queue.waiting = staying
            for attempt in queue.waiting:
                self._waits.update(attempt.key, Wait(text, quiet=True))
            if queue.without_since and now - queue.without_since > _WITHOUT_SECONDS:
                self._without(pool, f"no worker was ready within {_WITHOUT_SECONDS:g} seconds")
            self.match(pool)
