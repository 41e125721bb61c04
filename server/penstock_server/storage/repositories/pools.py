"""Rows of `pools` and `slot_demands`.

Invariants: whoever reads pools in order to write holds the rows of all of them, in one order, until the transaction
ends, so two never decide at the same time who gets slots. Rows of an attempt are granted, and go, together. What waits
counts while the lease of its run lasts, by the database's clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, case, delete, func, insert, or_, select, update

from penstock_server.domain.pools import (
    NAMESPACE_LIMIT,
    USER_LIMIT,
    AttemptId,
    Levels,
    Pool,
    PoolDemand,
    PoolKey,
    SlotRequest,
    SlotUse,
)
from penstock_server.storage.clock import now_millis
from penstock_server.storage.tables import pools, runs, slot_demands, tasks
from penstock_server.storage.upsert import upsert

_CHUNK = 500
_KEY = (slot_demands.c.run_id, slot_demands.c.task_id, slot_demands.c.attempt)
_DEMAND = (slot_demands.c.pool_namespace, slot_demands.c.pool_name, slot_demands.c.slots)
_OF_POOL = and_(slot_demands.c.pool_namespace == pools.c.namespace, slot_demands.c.pool_name == pools.c.name)
_ONE = and_(_KEY[0] == bindparam("the_run"), _KEY[1] == bindparam("the_task"), _KEY[2] == bindparam("the_attempt"))
_LEASED = and_(runs.c.run_id == slot_demands.c.run_id, runs.c.lease_expires_at > now_millis())


class SqlPoolRepository:
    def __init__(self, connection: Connection, *, lock: bool) -> None:
        self._connection = connection
        self._lock = lock

    def put(self, pool: Pool) -> None:
        row = {**pool.key._asdict(), "slots": pool.slots, "weight": pool.weight}
        upsert(self._connection, pools, [row])

    def delete(self, key: PoolKey) -> bool:
        wanted = and_(pools.c.namespace == key.namespace, pools.c.name == key.name)
        return self._connection.execute(delete(pools).where(wanted)).rowcount > 0

    def all(self) -> dict[PoolKey, Pool]:
        statement = select(pools).order_by(pools.c.namespace, pools.c.name)
        if self._lock:
            statement = statement.with_for_update()
        found = {}
        for row in self._connection.execute(statement):
            key = PoolKey(row.namespace, row.name)
            found[key] = Pool(key, row.slots, row.weight)
        return found

    def any_limit(self) -> bool:
        """Whether a namespace or a user has one."""
        kinds = [pools.c.name.startswith(kind, autoescape=True) for kind in (NAMESPACE_LIMIT, USER_LIMIT)]
        statement = select(pools.c.name).where(pools.c.namespace == "", pools.c.slots.is_not(None), or_(*kinds))
        return self._connection.execute(statement.limit(1)).first() is not None

    def levels(self) -> Levels:
        """All pools, with what is taken of them."""
        levels = Levels(self.all())
        taken = func.sum(slot_demands.c.slots).label("taken")
        statement = (
            select(*_DEMAND[:2], slot_demands.c.namespace, taken)
            .where(slot_demands.c.granted.is_(True))
            .group_by(*_DEMAND[:2], slot_demands.c.namespace)
        )
        for row in self._connection.execute(statement):
            of_pool = levels.taken.setdefault(PoolKey(row.pool_namespace, row.pool_name), {})
            of_pool[row.namespace] = int(row.taken)
        return levels

    def waiting(self) -> list[SlotRequest]:
        """Requests of runs that are held, in no order."""
        columns = (
            slot_demands.c.queue_rank,
            slot_demands.c.position,
            slot_demands.c.namespace,
            slot_demands.c.gang,
        )
        statement = (
            select(*_KEY, *columns, *_DEMAND)
            .select_from(slot_demands.join(runs, _LEASED))
            .where(slot_demands.c.granted.is_(False))
            .order_by(*_KEY, *_DEMAND[:2])
        )
        demands: dict[AttemptId, list[PoolDemand]] = {}
        about: dict[AttemptId, tuple[int, int, str, str]] = {}
        for *attempt, rank, position, namespace, gang, pool_of, pool, slots in self._connection.execute(statement):
            key = AttemptId(*attempt)
            demands.setdefault(key, []).append(PoolDemand(PoolKey(pool_of, pool), slots))
            about[key] = rank, position, namespace, gang
        return [
            SlotRequest(rank, position, key, namespace, tuple(demands[key]), gang)
            for key, (rank, position, namespace, gang) in about.items()
        ]

    def granted(self, run_ids: Sequence[str]) -> dict[AttemptId, bool]:
        """The attempts of these runs that have asked: whether they got what they asked for."""
        found: dict[AttemptId, bool] = {}
        for start in range(0, len(run_ids), _CHUNK):
            wanted = slot_demands.c.run_id.in_(run_ids[start : start + _CHUNK])
            for *key, granted in self._connection.execute(select(*_KEY, slot_demands.c.granted).where(wanted)):
                found[AttemptId(*key)] = granted
        return found

    def now(self) -> int:
        return int(self._connection.execute(select(now_millis())).scalar_one())

    def ask(self, requests: Sequence[SlotRequest], at: int, *, granted: bool = False) -> None:
        rows = [
            {
                **request.attempt._asdict(),
                "pool_namespace": demand.pool.namespace,
                "pool_name": demand.pool.name,
                "slots": demand.slots,
                "namespace": request.namespace,
                "queue_rank": request.rank,
                "position": request.position,
                "asked_at": at,
                "granted": granted,
                "gang": request.gang,
            }
            for request in requests
            for demand in request.demands
        ]
        if rows:
            self._connection.execute(insert(slot_demands), rows)

    def grant(self, attempts: Sequence[AttemptId]) -> None:
        if attempts:
            self._connection.execute(update(slot_demands).where(_ONE).values(granted=True), _bound(attempts))

    def give_back(self, attempts: Sequence[AttemptId]) -> None:
        if attempts:
            self._connection.execute(delete(slot_demands).where(_ONE), _bound(attempts))

    def give_back_all(self, run_ids: Sequence[str]) -> None:
        for start in range(0, len(run_ids), _CHUNK):
            wanted = slot_demands.c.run_id.in_(run_ids[start : start + _CHUNK])
            self._connection.execute(delete(slot_demands).where(wanted))

    def counts(self) -> dict[PoolKey, tuple[int, int]]:
        """Of each pool the slots that are taken and the tasks that wait."""
        taken = func.sum(case((slot_demands.c.granted, slot_demands.c.slots), else_=0))
        waiting = func.sum(case((slot_demands.c.granted, 0), else_=1))
        statement = (
            select(pools.c.namespace, pools.c.name, taken, waiting)
            .select_from(pools.join(slot_demands, _OF_POOL))
            .group_by(pools.c.namespace, pools.c.name)
        )
        return {
            PoolKey(namespace, name): (int(slots), int(tasks))
            for namespace, name, slots, tasks in self._connection.execute(statement)
        }

    def uses(self, key: PoolKey, namespace: str | None, *, granted: bool, limit: int) -> list[SlotUse]:
        """The tasks that hold slots of a pool, or wait for them, by rank; those of one namespace or of all."""
        of_pool = and_(
            slot_demands.c.granted.is_(granted),
            slot_demands.c.pool_name == key.name,
            slot_demands.c.pool_namespace == key.namespace,
        )
        same = and_(tasks.c.run_id == slot_demands.c.run_id, tasks.c.task_id == slot_demands.c.task_id)
        statement = (
            select(
                slot_demands.c.run_id,
                runs.c.display_name,
                slot_demands.c.namespace,
                tasks.c.path,
                slot_demands.c.attempt,
                slot_demands.c.slots,
                slot_demands.c.asked_at,
            )
            .select_from(slot_demands.join(tasks, same).join(runs, runs.c.run_id == slot_demands.c.run_id))
            .where(of_pool)
            .order_by(slot_demands.c.queue_rank, slot_demands.c.position)
            .limit(limit)
        )
        if namespace is not None:
            statement = statement.where(slot_demands.c.namespace == namespace)
        return [SlotUse(*row) for row in self._connection.execute(statement)]


def _bound(attempts: Sequence[AttemptId]) -> list[dict[str, object]]:
    return [{"the_run": one.run_id, "the_task": one.task_id, "the_attempt": one.attempt} for one in attempts]
