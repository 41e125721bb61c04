"""Pools as their administrators and users see them, on every database."""

from __future__ import annotations

import pytest
from penstock_ir.slots import Demand
from penstock_server.domain.pools import MAX_POOLS, Pool, PoolKey
from penstock_server.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError
from penstock_server.runtime import SystemClock
from penstock_server.services import pools
from penstock_server.services.pools import PoolService
from penstock_server.services.tenancy import Tenancy
from penstock_server.storage.database import Database

from tests.support.slots import GRANTED, WAITING, Scene, pool


def service(database: Database, *, multi_user: bool = True) -> PoolService:
    return PoolService(database, SystemClock(), Tenancy(multi_user))


def names(made: PoolService, namespace: str = "") -> list[str]:
    return [str(state.pool.key) for state in made.list(namespace)]


def test_a_namespace_sees_its_own_pools_everybodys_and_its_limit(database: Database) -> None:
    made = service(database)
    for one in (
        pool(1, "gpu"),
        pool(2, "gpu", "team-a"),
        pool(3, "tpu", "team-b"),
        pool(4, "namespace/team-a"),
        pool(5, "namespace/team-b"),
        pool(6, "user/ann"),
    ):
        made.put(one)
    assert names(made, "team-a") == ["gpu", "gpu of namespace team-a", "namespace/team-a"]
    assert len(names(made)) == 6
    assert made.get("team-a", "gpu").state.pool.slots == 2, "its own comes first"
    assert made.get("team-b", "gpu").state.pool.slots == 1
    for name in ("tpu", "user/ann", "namespace/team-b"):
        with pytest.raises(NotFoundError):
            made.get("team-a", name)
    made.delete("team-a", "gpu")
    assert made.get("team-a", "gpu").state.pool.slots == 1
    with pytest.raises(NotFoundError):
        made.delete("team-a", "gpu")


def test_who_holds_and_waits_is_shown_to_the_own_namespace_alone(database: Database) -> None:
    scene, made = Scene(database, pool(1)), service(database)
    scene.run("a1", namespace="team-a")
    scene.run("b1", namespace="team-b")
    assert scene.states("a1/t0", "a1/t1", "b1/t0") == [GRANTED, WAITING, WAITING]
    everywhere, own = made.get("", "gpu"), made.get("team-b", "gpu")
    assert [(one.run_id, one.path, one.slots) for one in everywhere.holders] == [("a1", "t0", 1)]
    assert [(one.run_id, one.path) for one in everywhere.waiters] == [("a1", "t1"), ("b1", "t0")]
    assert (own.state.taken, own.state.waiting) == (1, 2)
    assert (list(own.holders), [one.run_id for one in own.waiters]) == ([], ["b1"])


def test_a_namespaces_own_pool_is_what_its_tasks_take(database: Database) -> None:
    scene = Scene(database, pool(1), pool(2, "gpu", "team-a"))
    scene.run("a1", namespace="team-a")
    scene.run("b1", namespace="team-b")
    asked = scene.states("a1/t0", "a1/t1", "a1/t2", "b1/t0", "b1/t1", demands=(Demand("gpu", 1),))
    assert asked == [GRANTED, GRANTED, WAITING, GRANTED, WAITING]


def test_a_server_without_namespaces_has_everybodys_pools(database: Database) -> None:
    made = service(database, multi_user=False)
    made.put(pool(1, "gpu", "team-a"))
    assert names(made, "anything") == ["gpu"]


@pytest.mark.parametrize(
    "wrong",
    [
        Pool(PoolKey("", ""), 1),
        Pool(PoolKey("", "GPU"), 1),
        Pool(PoolKey("", "a/b"), 1),
        Pool(PoolKey("", "user/"), 1),
        Pool(PoolKey("team-a", "user/ann"), 1),
        Pool(PoolKey("x" * 64, "gpu"), 1),
        Pool(PoolKey("", "gpu"), None),
        Pool(PoolKey("", "user/ann"), None),
        Pool(PoolKey("", "gpu"), -1),
        Pool(PoolKey("", "gpu"), 100_001),
        Pool(PoolKey("", "gpu"), 1, weight=2),
        Pool(PoolKey("", "namespace/a"), 1, weight=0),
    ],
)
def test_what_is_no_pool_is_refused(database: Database, wrong: Pool) -> None:
    with pytest.raises(InvalidArgumentError, match="pool"):
        service(database).put(wrong)


def test_there_are_only_so_many_pools(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_POOLS", 1)
    made = service(database)
    made.put(pool(1))
    made.put(pool(2))
    with pytest.raises(ResourceExhaustedError):
        made.put(pool(1, "tpu"))
    assert MAX_POOLS > 1
