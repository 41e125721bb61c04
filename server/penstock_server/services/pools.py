"""Pools, limits and shares: made, changed, removed and shown (penstock.v1.PoolService).

Invariants: a name means a namespace's own pool, else everybody's; who is shown is of the namespace that was named;
every change is in the audit log, in its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from penstock_server.domain.pools import MAX_POOLS, MOST_SHOWN, NAMESPACE_LIMIT, Pool, PoolKey, SlotUse, check_pool
from penstock_server.errors import NotFoundError, ResourceExhaustedError
from penstock_server.services import audit
from penstock_server.services.ports import Clock, Storage, UnitOfWork
from penstock_server.services.tenancy import SINGLE_USER, Tenancy


class PoolState(NamedTuple):
    """`waiting` counts tasks, `taken` slots."""

    pool: Pool
    taken: int = 0
    waiting: int = 0


class PoolDetails(NamedTuple):
    state: PoolState
    holders: Sequence[SlotUse]
    waiters: Sequence[SlotUse]


class PoolService:
    def __init__(self, storage: Storage, clock: Clock, tenancy: Tenancy = SINGLE_USER) -> None:
        self._storage = storage
        self._clock = clock
        self._tenancy = tenancy

    def list(self, namespace: str) -> list[PoolState]:
        """Of a namespace its own pools, everybody's and its limit; all when none is named."""
        namespace = self._of(namespace)
        with self._storage.reading() as uow:
            pools, counts = uow.pools.all(), uow.pools.counts()
        shown = (pool for pool in pools.values() if not namespace or _is_shown(pool.key, namespace))
        return [
            PoolState(pool, *counts.get(pool.key, (0, 0)))
            for pool in sorted(shown, key=lambda one: (one.key.name, one.key.namespace))
        ]

    def get(self, namespace: str, name: str) -> PoolDetails:
        """Raises NotFoundError."""
        namespace = self._of(namespace)
        with self._storage.reading() as uow:
            pool = _find(uow, namespace, name)
            state = PoolState(pool, *uow.pools.counts().get(pool.key, (0, 0)))
            holders, waiters = (
                uow.pools.uses(pool.key, namespace or None, granted=granted, limit=MOST_SHOWN)
                for granted in (True, False)
            )
        return PoolDetails(state, holders, waiters)

    def put(self, pool: Pool) -> PoolState:
        """Raises InvalidArgumentError, ResourceExhaustedError."""
        pool = replace(pool, key=PoolKey(self._of(pool.key.namespace), pool.key.name))
        check_pool(pool)
        with self._storage.writing() as uow:
            there = uow.pools.all()
            if pool.key not in there and len(there) >= MAX_POOLS:
                raise ResourceExhaustedError(f"there are {MAX_POOLS} pools, as many as there may be")
            uow.pools.put(pool)
            self._note(uow, "update", pool.key)
            return PoolState(pool, *uow.pools.counts().get(pool.key, (0, 0)))

    def delete(self, namespace: str, name: str) -> None:
        """Raises NotFoundError."""
        key = PoolKey(self._of(namespace), name)
        with self._storage.writing() as uow:
            if not uow.pools.delete(key):
                raise NotFoundError("Pool", str(key))
            self._note(uow, "delete", key)

    def _of(self, namespace: str) -> str:
        """A server without namespaces has everybody's pools alone."""
        return namespace if self._tenancy.multi_user else ""

    def _note(self, uow: UnitOfWork, verb: str, key: PoolKey) -> None:
        audit.record(uow, self._clock.now_millis(), "pools", verb, "", key.namespace, key.name)


def _is_shown(key: PoolKey, namespace: str) -> bool:
    if key.is_limit:
        return key.name == f"{NAMESPACE_LIMIT}{namespace}"
    return key.namespace in ("", namespace)


def _find(uow: UnitOfWork, namespace: str, name: str) -> Pool:
    pools = uow.pools.all()
    pool = pools.get(PoolKey(namespace, name)) or pools.get(PoolKey("", name))
    if pool is None or (namespace and not _is_shown(pool.key, namespace)):
        raise NotFoundError("Pool", name)
    return pool
