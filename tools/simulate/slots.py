"""Pools of slots under random requests, priorities, limits, shares, and executors that die: who gets slots, and when.

The decisions are the server's own (`penstock_server.domain.pools`, `penstock_ir.ranks`); here are the rows around them,
as the transactions of the server change them: asking puts a request in line and decides, an end gives back, a lapsed
lease takes what waits out of line and leaves what is granted.

Invariants, the only list of them:

1. A pool never has more taken than it has slots, a limit never more tasks than it allows.
2. An attempt has all that it asked for, or nothing.
3. Nobody waits who is first: after a decision no request that is the first of its line, and at no limit, could be
   granted.
4. Within a namespace nobody is overtaken in one pool by a request that came later, unless that has a priority so much
   higher: by more than their distance in time divided by AGEING_MILLIS. This bounds how long anything waits.
5. A namespace is not passed by in a pool by one whose share, by its weight, was greater.
6. What was granted is exactly what runs: slots of attempts that have ended, or whose run is gone, are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from penstock_ir.ranks import AGEING_MILLIS, rank
from penstock_server.domain.pools import (
    NAMESPACE_LIMIT,
    AttemptId,
    Levels,
    Pool,
    PoolDemand,
    PoolKey,
    SlotRequest,
    grants,
)

_STEPS = 120
_NAMESPACES = ("a", "b", "c")


@dataclass(slots=True)
class _Task:
    request: SlotRequest
    since: int
    priority: int
    granted: bool = False
    in_line: bool = True
    """Its run is held by an executor."""


class _Rows:
    """What the server keeps."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0
        self.tasks: dict[AttemptId, _Task] = {}
        shared = {PoolKey("", name): random.choice((1, 1, 2, 5)) for name in ("gpu", "licence")}
        self.pools = {key: Pool(key, slots) for key, slots in shared.items()}
        for namespace in _NAMESPACES:
            if random.random() < 0.5:
                key = PoolKey("", f"{NAMESPACE_LIMIT}{namespace}")
                limit = random.choice((None, 1, 3))
                self.pools[key] = Pool(key, limit, random.choice((1, 1, 2, 4)))

    def levels(self) -> Levels:
        levels = Levels(self.pools)
        for task in self.tasks.values():
            if task.granted:
                levels.take(task.request)
        return levels

    def waiting(self) -> list[SlotRequest]:
        return [task.request for task in self.tasks.values() if not task.granted and task.in_line]

    def ask(self) -> None:
        namespace = self.random.choice(_NAMESPACES)
        names = self.random.choice((("gpu",), ("gpu",), ("licence",), ("gpu", "licence"), ()))
        demands = [PoolDemand(PoolKey("", name), self.random.choice((1, 1, 1, 2, 3))) for name in names]
        limit = self.pools.get(PoolKey("", f"{NAMESPACE_LIMIT}{namespace}"))
        if limit is not None and limit.slots is not None:
            demands.append(PoolDemand(limit.key, 1))
        if demands:
            priority = self.random.choice((0, 0, 0, 1, -1, 5))
            attempt = AttemptId(f"r{len(self.tasks)}-{self.now}", "t", 1)
            request = SlotRequest(rank(self.now, priority), 0, attempt, namespace, tuple(sorted(demands)))
            self.tasks[attempt] = _Task(request, self.now, priority)

    def decide(self) -> None:
        before, waiting = self.levels(), self.waiting()
        after = self.levels()
        granted = grants(after, waiting)
        for request in granted:
            _grant_is_right(self, before, request)
            self.tasks[request.attempt].granted = True
            before.take(request)
        assert _totals(after) == _totals(self.levels()), "what is taken is not what was granted"
        _levels_hold(self.levels())
        _nobody_waits_who_is_first(self.levels(), self.waiting())

    def end(self) -> None:
        running = [attempt for attempt, task in self.tasks.items() if task.granted]
        if running:
            del self.tasks[self.random.choice(running)]

    def delete(self) -> None:
        if self.tasks:
            del self.tasks[self.random.choice(list(self.tasks))]

    def lapse(self) -> None:
        """An executor dies, or comes back: what waits leaves the line, what is granted stays."""
        for task in self.tasks.values():
            if self.random.random() < 0.3:
                task.in_line = not task.in_line


def check(seed: int) -> None:
    """Raises AssertionError for what must not be."""
    random = Random(seed)
    rows = _Rows(random)
    for _ in range(_STEPS):
        rows.now += random.choice((0, 1, 100, AGEING_MILLIS // 2, AGEING_MILLIS, 3 * AGEING_MILLIS))
        random.choice((rows.ask, rows.ask, rows.ask, rows.end, rows.end, rows.delete, rows.lapse))()
        rows.decide()
    for task in rows.tasks.values():
        task.in_line = True
    rows.decide()
    # From now on nothing comes, and what runs ends: everything that can be had is had.
    for _ in range(len(rows.tasks) + 1):
        rows.end()
        rows.decide()
    levels = rows.levels()
    left = [task.request for task in rows.tasks.values() if not task.granted]
    assert all(any(map(levels.hopeless, one.demands)) for one in left), f"some wait for ever: {left}"


def _totals(levels: Levels) -> dict[PoolKey, int]:
    return {key: levels.taken_of(key) for key in levels.pools}


def _levels_hold(levels: Levels) -> None:
    for key, pool in levels.pools.items():
        taken = levels.taken_of(key)
        assert pool.slots is None or taken <= pool.slots, f"{key}: {taken} of {pool.slots} slots are taken"


def _in_line(levels: Levels, request: SlotRequest) -> bool:
    at_limit = any(one.pool.is_limit and not levels.fits(one) for one in request.demands)
    return not at_limit and not any(map(levels.hopeless, request.demands))


def _shared(request: SlotRequest) -> set[PoolKey]:
    return {one.pool for one in request.demands if not one.pool.is_limit}


def _grant_is_right(rows: _Rows, levels: Levels, request: SlotRequest) -> None:
    """`levels` and the tasks are those right before this grant."""
    assert all(map(levels.fits, request.demands)), f"{request} gets more than there is"
    mine = rows.tasks[request.attempt]
    for other in rows.waiting():
        if other.attempt == request.attempt or not _in_line(levels, other) or not _shared(other) & _shared(request):
            continue
        theirs = rows.tasks[other.attempt]
        if other.namespace != request.namespace:
            ours, share = levels.share(request.namespace), levels.share(other.namespace)
            assert ours <= share, f"{request} passes {other}, whose namespace has less"
        elif mine.since > theirs.since:
            ahead = mine.priority - theirs.priority
            assert mine.since - theirs.since <= ahead * AGEING_MILLIS, f"{request} overtakes {other}"


def _nobody_waits_who_is_first(levels: Levels, waiting: list[SlotRequest]) -> None:
    line = [one for one in waiting if _in_line(levels, one)]
    if line:
        first = min(line, key=lambda one: (levels.share(one.namespace), one))
        assert not all(map(levels.fits, first.demands)), f"{first} is first, and waits for nothing"
