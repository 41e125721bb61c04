"""Pools of slots, and who gets slots next: a pure function of what is taken and what waits.

Words: a *pool* has slots that tasks share; a pool of one is a mutex. The pools `namespace/NAME` and `user/NAME` are
*limits*: every task of the namespace, of the user's runs, takes one slot. A *request* is one attempt of a task that
asks for slots of one or several pools; or a *gang*: attempts of a run that begin together (`together`), which get what
all of them ask for, or nothing.

Invariants of `grants`: no pool ever has more taken than it has slots; a request gets all that it asks for or nothing;
the first in line is not passed by in a pool that it waits for, unless a limit of its own is reached or it asks for more
than the pool has. A gang is not passed by at its limits either: who has the same waits behind it, or small tasks could
take what comes free there for ever. First is the namespace with the lowest dominant share (the greatest part of any
pool that it has, divided by its weight); within a namespace the request of the lowest rank (`penstock_ir.ranks`).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple

from penstock_ir.slots import MAX_SLOTS, POOL_NAME, Demand

from penstock_server.domain import limits
from penstock_server.errors import InvalidArgumentError

MAX_POOLS = 1000
MAX_WEIGHT = 1000
MOST_SHOWN = 100
NAMESPACE_LIMIT, USER_LIMIT = "namespace/", "user/"


class PoolKey(NamedTuple):
    """`namespace` is whose the pool is, empty: everybody's."""

    namespace: str
    name: str

    @property
    def is_limit(self) -> bool:
        return self.name.startswith((NAMESPACE_LIMIT, USER_LIMIT))

    def __str__(self) -> str:
        return f"{self.name} of namespace {self.namespace}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Pool:
    """`slots` None: a namespace without a limit, whose row says its weight alone."""

    key: PoolKey
    slots: int | None
    weight: int = 1


class AttemptId(NamedTuple):
    run_id: str
    task_id: str
    attempt: int


class PoolDemand(NamedTuple):
    pool: PoolKey
    slots: int


@dataclass(frozen=True, slots=True, order=True)
class SlotRequest:
    """What an attempt asks for; in the order of its namespace's requests. `position`: within what its run asked at
    once."""

    rank: int
    position: int
    attempt: AttemptId
    namespace: str = field(compare=False)
    demands: tuple[PoolDemand, ...] = field(compare=False)
    gang: str = field(default="", compare=False)
    """Of the attempt, within its run."""
    others: tuple[AttemptId, ...] = field(default=(), compare=False)
    """The attempts that begin with it and are part of this request."""

    @property
    def members(self) -> tuple[AttemptId, ...]:
        return (self.attempt, *self.others)


_PLACE = attrgetter("rank", "position", "attempt")


class SlotUse(NamedTuple):
    """A task that holds slots of a pool, or waits for them, to be shown. `since`: when it asked."""

    run_id: str
    run_name: str
    namespace: str
    path: str
    attempt: int
    slots: int
    since: int


@dataclass(slots=True)
class Levels:
    """The pools, and what is taken of them by namespace."""

    pools: Mapping[PoolKey, Pool]
    taken: dict[PoolKey, dict[str, int]] = field(default_factory=dict)

    def taken_of(self, key: PoolKey) -> int:
        return sum(self.taken.get(key, {}).values())

    def fits(self, demand: PoolDemand) -> bool:
        """Whether so many slots are free; of a pool that is gone none are."""
        pool = self.pools.get(demand.pool)
        if pool is None:
            return demand.pool.is_limit
        return pool.slots is None or self.taken_of(demand.pool) + demand.slots <= pool.slots

    def hopeless(self, demand: PoolDemand) -> bool:
        """Whether the pool is gone, or smaller than what is asked of it. One of no slots is closed for a while."""
        pool = self.pools.get(demand.pool)
        if demand.pool.is_limit:
            return self.above_limit(demand)
        return pool is None or 0 < (pool.slots or 0) < demand.slots

    def above_limit(self, demand: PoolDemand) -> bool:
        """Whether a gang has more members than its limit lets run, if nothing else does."""
        pool = self.pools.get(demand.pool)
        return demand.pool.is_limit and pool is not None and pool.slots is not None and 1 < demand.slots > pool.slots

    def take(self, request: SlotRequest) -> None:
        for demand in request.demands:
            of_pool = self.taken.setdefault(demand.pool, {})
            of_pool[request.namespace] = of_pool.get(request.namespace, 0) + demand.slots

    def share(self, namespace: str) -> float:
        """The dominant share of a namespace: its greatest part of a pool, by its weight. Limits do not count."""
        own = self.pools.get(PoolKey("", f"{NAMESPACE_LIMIT}{namespace}"))
        parts = (
            of_pool.get(namespace, 0) / pool.slots
            for key, of_pool in self.taken.items()
            if not key.is_limit and (pool := self.pools.get(key)) is not None and pool.slots
        )
        return max(parts, default=0.0) / (own.weight if own is not None else 1)


_Line = tuple[str, tuple[PoolDemand, ...], bool]
"""The namespace, what is asked for, and whether by a gang."""


def together(requests: Iterable[SlotRequest]) -> list[SlotRequest]:
    """The requests, those of each gang as one: it is in line where its oldest member is, and asks for what all ask."""
    alone: list[SlotRequest] = []
    gangs: dict[tuple[str, str], list[SlotRequest]] = defaultdict(list)
    for request in requests:
        if request.gang:
            gangs[request.attempt.run_id, request.gang].append(request)
        else:
            alone.append(request)
    return [*alone, *map(_as_one, gangs.values())]


def _as_one(members: list[SlotRequest]) -> SlotRequest:
    first, *others = sorted(members)
    slots: dict[PoolKey, int] = defaultdict(int)
    for member in members:
        for demand in member.demands:
            slots[demand.pool] += demand.slots
    demands = tuple(sorted(PoolDemand(pool, number) for pool, number in slots.items()))
    return replace(first, demands=demands, others=tuple(other.attempt for other in others))


def grants(levels: Levels, waiting: Iterable[SlotRequest]) -> list[SlotRequest]:
    """Those that get their slots now, in order; `levels` has them taken afterwards."""
    # Of requests of one namespace that ask for the same, when the first gets nothing, nobody does.
    lines: dict[_Line, list[SlotRequest]] = defaultdict(list)
    for request in waiting:
        lines[request.namespace, request.demands, bool(request.others)].append(request)
    for line in lines.values():
        heapq.heapify(line)
    granted: list[SlotRequest] = []
    while (chosen := _next(levels, lines)) is not None:
        request = heapq.heappop(lines[chosen])
        if not lines[chosen]:
            del lines[chosen]
        levels.take(request)
        granted.append(request)
    return granted


def _next(levels: Levels, lines: Mapping[_Line, Sequence[SlotRequest]]) -> _Line | None:
    """The line whose first request gets its slots. Each grant changes the shares, and with them the order."""
    shares = {namespace: levels.share(namespace) for namespace in {line[0] for line in lines}}
    closed: set[PoolKey] = set()
    for line in sorted(lines, key=lambda one: (shares[one[0]], lines[one][0])):
        _, demands, gang = line
        if any(map(levels.hopeless, demands)):
            continue
        limits_ = [demand for demand in demands if demand.pool.is_limit]
        at_limit = not all(levels.fits(one) and one.pool not in closed for one in limits_)
        if gang:
            closed.update(demand.pool for demand in limits_)
        if at_limit:
            continue
        shared = {demand.pool for demand in demands if not demand.pool.is_limit}
        if closed.isdisjoint(shared) and all(map(levels.fits, demands)):
            return line
        closed |= shared
    return None


def pools_of(demands: Iterable[Demand], namespace: str, user: str, pools: Mapping[PoolKey, Pool]) -> list[PoolDemand]:
    """What an attempt takes: of the namespace's own pool of each name, else everybody's, and of the limits on it."""
    found = []
    for demand in demands:
        own = PoolKey(namespace, demand.pool)
        found.append(PoolDemand(own if own in pools else PoolKey("", demand.pool), demand.slots))
    for limit in limits_on(namespace, user):
        pool = pools.get(limit)
        if pool is not None and pool.slots is not None:
            found.append(PoolDemand(limit, 1))
    return sorted(found)


def limits_on(namespace: str, user: str) -> list[PoolKey]:
    """The limits that there may be on a task."""
    named = ((NAMESPACE_LIMIT, namespace), (USER_LIMIT, user))
    return [PoolKey("", f"{kind}{name}") for kind, name in named if name]


def refusal(demands: Iterable[PoolDemand], levels: Levels, members: int = 1) -> str:
    """Why so many attempts that begin together never get their slots, and what to do; empty when they may. Who is above
    a limit waits until that is raised."""
    for pool, slots in demands:
        if levels.hopeless(PoolDemand(pool, slots)) and not pool.is_limit:
            there = levels.pools.get(pool)
            if there is None:
                return f"there is no pool {pool.name!r}; make it with: penstock pools put {pool.name} --slots {slots}"
            who = f"the {members} attempts that start together ask" if members > 1 else "the task asks"
            return (
                f"{who} for {slots} slots of the pool {pool}, which has {there.slots}; give it more with: "
                f"penstock pools put {pool.name} --slots {slots}"
            )
    return ""


def lines_of(waiting: Iterable[SlotRequest]) -> dict[PoolKey, list[SlotRequest]]:
    """Who waits for each pool, in order."""
    lines: dict[PoolKey, list[SlotRequest]] = defaultdict(list)
    for request in sorted(waiting, key=_PLACE):
        for demand in request.demands:
            lines[demand.pool].append(request)
    return lines


def reason(request: SlotRequest, levels: Levels, lines: Mapping[PoolKey, Sequence[SlotRequest]]) -> str:
    """Why a request waits: the first of its pools that has too little, else the first that it is not first in."""
    short = [demand for demand in request.demands if not levels.fits(demand)]
    # A limit may have been taken away since.
    pool, slots = (short or [demand for demand in request.demands if demand.pool in levels.pools])[0]
    before, taken, there = (
        bisect_left(lines[pool], _PLACE(request), key=_PLACE),
        levels.taken_of(pool),
        levels.pools[pool],
    )
    gang = f" ({len(request.members)} attempts start together)" if request.others else ""
    if pool.is_limit:
        kind, _, name = pool.name.partition("/")
        if levels.above_limit(PoolDemand(pool, slots)):
            return f"waits for a higher limit of {kind} {name}: {there.slots} tasks may run{gang}"
        return (
            f"waits for the limit of {kind} {name}: {taken} of {there.slots} tasks run, {before} wait before this "
            f"one{gang}"
        )
    return (
        f"waits for {slots} of {there.slots} slots of the pool {pool}: {taken} are taken, {before} tasks wait before "
        f"this one{gang}"
    )


def check_pool(pool: Pool) -> None:
    """Raises InvalidArgumentError for what is no pool."""
    namespace, name = pool.key
    field_ = "pool.name"
    limits.check_length(namespace, "pool.namespace", limits.NAMESPACE)
    limits.check_name(name, field_, 255)
    if pool.key.is_limit:
        if namespace:
            raise InvalidArgumentError("a limit is everybody's: it has no namespace", "pool.namespace")
        if not name.partition("/")[2]:
            raise InvalidArgumentError(f"{name} names nobody", field_)
    elif not POOL_NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name[:80]!r} is no name of a pool: up to 63 small letters, digits, dots and dashes, or namespace/NAME, "
            "or user/NAME",
            field_,
        )
    of_namespace = name.startswith(NAMESPACE_LIMIT)
    if pool.slots is None and not of_namespace:
        raise InvalidArgumentError("it is missing", "pool.slots")
    if pool.slots is not None and not 0 <= pool.slots <= MAX_SLOTS:
        raise InvalidArgumentError(f"it is {pool.slots}, it must be from 0 to {MAX_SLOTS}", "pool.slots")
    if not 1 <= pool.weight <= MAX_WEIGHT or (pool.weight != 1 and not of_namespace):
        text = f"it is {pool.weight}; of {NAMESPACE_LIMIT}NAME it may be from 1 to {MAX_WEIGHT}, of others 1"
        raise InvalidArgumentError(text, "pool.weight")
