"""Pools of slots under random requests, gangs, priorities, limits, shares, and executors that die: who gets slots, and
when.

The decisions are the server's own (`penstock_server.domain.pools`, `penstock_ir.ranks`); here are the rows around them,
as the transactions of the server change them: asking puts a request in line and decides, an end gives back, a lapsed
lease takes what waits out of line and leaves what is granted.

Invariants, the only list of them:

1. A pool never has more taken than it has slots, a limit never more tasks than it allows.
2. An attempt has all that it asked for, or nothing; so has a gang.
3. Nobody waits who is first: after a decision no request that is the first of its line, and at no limit, could be
   granted.
4. Within a namespace nobody is overtaken in one pool by a request that came later, unless that has a priority so much
   higher: by more than their distance in time divided by AGEING_MILLIS. This bounds how long anything waits.
5. A namespace is not passed by in a pool by one whose share, by its weight, was greater.
   The same holds for a gang at its limits: whoever is under the same limit and came later waits behind it.
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
    together,
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
    whole: bool = True
    """None of its gang has ended yet."""


class _Rows:
    """What the server keeps."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0
        self._runs = 0
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
        return together(task.request for task in self.tasks.values() if not task.granted and task.in_line)

    def ask(self) -> None:
        namespace = self.random.choice(_NAMESPACES)
        names = self.random.choice((("gpu",), ("gpu",), ("licence",), ("gpu", "licence"), ()))
        demands = [PoolDemand(PoolKey("", name), self.random.choice((1, 1, 1, 2, 3))) for name in names]
        limit = self.pools.get(PoolKey("", f"{NAMESPACE_LIMIT}{namespace}"))
        if limit is not None and limit.slots is not None:
            demands.append(PoolDemand(limit.key, 1))
        if demands:
            priority = self.random.choice((0, 0, 0, 1, -1, 5))
            run_id, asked = f"r{self._runs}", tuple(sorted(demands))
            self._runs += 1
            members = self.random.choice((1, 1, 1, 2, 3))
            for number in range(members):
                attempt = AttemptId(run_id, f"t{number}", 1)
                gang = "gang" if members > 1 else ""
                request = SlotRequest(rank(self.now, priority), number, attempt, namespace, asked, gang)
                self.tasks[attempt] = _Task(request, self.now, priority)

    def decide(self) -> None:
        before, waiting = self.levels(), self.waiting()
        after = self.levels()
        granted = grants(after, waiting)
        for request in granted:
            _grant_is_right(self, before, request)
            for attempt in request.members:
                self.tasks[attempt].granted = True
            before.take(request)
        assert _totals(after) == _totals(self.levels()), "what is taken is not what was granted"
        _gangs_are_whole(self)
        _levels_hold(self.levels())
        _nobody_waits_who_is_first(self.levels(), self.waiting())

    def end(self) -> None:
        running = [attempt for attempt, task in self.tasks.items() if task.granted]
        if running:
            self._remove(self.random.choice(running))

    def delete(self) -> None:
        if self.tasks:
            self._remove(self.random.choice(list(self.tasks)))

    def _remove(self, attempt: AttemptId) -> None:
        del self.tasks[attempt]
        for other, task in self.tasks.items():
            if other.run_id == attempt.run_id:
                task.whole = False

    def lapse(self) -> None:
        """An executor dies, or comes back: what waits leaves the line, what is granted stays."""
        toggled = {run_id for run_id in {attempt.run_id for attempt in self.tasks} if self.random.random() < 0.3}
        for attempt, task in self.tasks.items():
            if attempt.run_id in toggled:
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
    left = rows.waiting()
    assert all(any(map(levels.hopeless, one.demands)) for one in left), f"some wait for ever: {left}"


def _totals(levels: Levels) -> dict[PoolKey, int]:
    return {key: levels.taken_of(key) for key in levels.pools}


def _levels_hold(levels: Levels) -> None:
    for key, pool in levels.pools.items():
        taken = levels.taken_of(key)
        assert pool.slots is None or taken <= pool.slots, f"{key}: {taken} of {pool.slots} slots are taken"


def _gangs_are_whole(rows: _Rows) -> None:
    states: dict[str, set[bool]] = {}
    for attempt, task in rows.tasks.items():
        if task.whole:
            states.setdefault(attempt.run_id, set()).add(task.granted)
    parts = [run_id for run_id, granted in states.items() if len(granted) > 1]
    assert not parts, f"some of a gang have slots, and others have none: {parts}"


def _in_line(levels: Levels, request: SlotRequest) -> bool:
    at_limit = any(one.pool.is_limit and not levels.fits(one) for one in request.demands)
    return not at_limit and not any(map(levels.hopeless, request.demands))


def _pools(request: SlotRequest, *, limits: bool) -> set[PoolKey]:
    return {one.pool for one in request.demands if one.pool.is_limit == limits}


def _waits_for_a_gang(levels: Levels, request: SlotRequest, waiting: list[SlotRequest]) -> bool:
    """Whether a gang that came before it needs what comes free at the same limit. Namespaces alone have limits here."""
    return any(
        other.others
        and other < request
        and _pools(other, limits=True) & _pools(request, limits=True)
        and not any(map(levels.hopeless, other.demands))
        for other in waiting
    )


def _grant_is_right(rows: _Rows, levels: Levels, request: SlotRequest) -> None:
    """`levels` and the tasks are those right before this grant."""
    assert all(map(levels.fits, request.demands)), f"{request} gets more than there is"
    mine, waiting = rows.tasks[request.attempt], rows.waiting()
    for other in waiting:
        if other.attempt == request.attempt:
            continue
        theirs = rows.tasks[other.attempt]
        later = mine.since - theirs.since > (mine.priority - theirs.priority) * AGEING_MILLIS
        if other.others and not any(map(levels.hopeless, other.demands)) and mine.since > theirs.since:
            limits = _pools(other, limits=True) & _pools(request, limits=True)
            assert not (limits and later), f"{request} takes what the gang {other} waits for at its limit"
        if not _in_line(levels, other) or _waits_for_a_gang(levels, other, waiting):
            continue
        if not _pools(other, limits=False) & _pools(request, limits=False):
            continue
        if other.namespace != request.namespace:
            ours, share = levels.share(request.namespace), levels.share(other.namespace)
            assert ours <= share, f"{request} passes {other}, whose namespace has less"
        elif mine.since > theirs.since:
            assert not later, f"{request} overtakes {other}"


def _nobody_waits_who_is_first(levels: Levels, waiting: list[SlotRequest]) -> None:
    line = [one for one in waiting if _in_line(levels, one) and not _waits_for_a_gang(levels, one, waiting)]
    if line:
        first = min(line, key=lambda one: (levels.share(one.namespace), one))
        assert not all(map(levels.fits, first.demands)), f"{first} is first, and waits for nothing"
