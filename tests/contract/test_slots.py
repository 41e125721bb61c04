"""Slots of pools on every database: taken in order and back with the end, under a limit, by share, never too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import pytest
from penstock_ir.slots import Demand
from penstock_server.domain.dispatch import SlotAnswer, SlotAsk
from penstock_server.domain.pools import PoolKey
from penstock_server.errors import InvalidArgumentError
from penstock_server.storage.database import Database

from tests.support.slots import FENCED, GPU, GRANTED, LEASE, REFUSED, UNKNOWN, WAITING, Scene, pool


def test_slots_are_taken_once_and_given_back_with_the_end(database: Database) -> None:
    scene = Scene(database, pool(2))
    scene.run("r1")
    assert scene.states("r1/t0", "r1/t1", "r1/t2") == [GRANTED, GRANTED, WAITING]
    assert scene.states("r1/t2", "r1/t0") == [WAITING, GRANTED], "asked again, it is answered again"
    (answer,) = scene.ask("r1/t2")
    assert answer.text == "waits for 1 of 2 slots of the pool gpu: 2 are taken, 0 tasks wait before this one"
    assert scene.taken() == 2
    scene.end("r1", "t0")
    assert scene.taken() == 1, "in the transaction of the report"
    assert scene.states("r1/t2") == [GRANTED]
    assert scene.states("r1/t0") == [UNKNOWN], "an attempt that has ended gets nothing"
    scene.report("r1", [], finished=True)
    assert scene.taken() == 0


def test_who_came_first_is_first_unless_another_has_priority(database: Database) -> None:
    scene = Scene(database, pool(1))
    scene.run("first")
    scene.run("second")
    scene.run("urgent", priority=1)
    assert scene.states("first/t0", "first/t1", "second/t0") == [GRANTED, WAITING, WAITING]
    assert scene.states("urgent/t0") == [WAITING]
    order = []
    held = "first/t0"
    for _ in range(3):
        run_id, _, path = held.partition("/")
        scene.end(run_id, path)
        waiting = [one for one in ("second/t0", "first/t1", "urgent/t0") if one not in order]
        (held,) = (one for one, state in zip(waiting, scene.states(*waiting), strict=True) if state is GRANTED)
        order.append(held)
    assert order == ["urgent/t0", "first/t1", "second/t0"]


def test_nothing_is_held_while_something_else_is_waited_for(database: Database) -> None:
    scene = Scene(database, pool(1, "a"), pool(1, "b"))
    scene.run("r1")
    assert scene.states("r1/t0", demands=(Demand("b", 1),)) == [GRANTED]
    assert scene.states("r1/t1", demands=(Demand("a", 1), Demand("b", 1))) == [WAITING]
    assert scene.taken("a") == 0
    assert scene.states("r1/t2", demands=(Demand("a", 1),)) == [WAITING], "the one that asks for both is first"
    scene.end("r1", "t0")
    assert scene.states("r1/t2", demands=(Demand("a", 1),)) == [WAITING]
    assert (scene.taken("a"), scene.taken("b")) == (1, 1)


def test_what_cannot_be_had_is_refused_with_the_way_out(database: Database) -> None:
    scene = Scene(database, pool(2))
    scene.run("r1")
    nowhere, too_many = (
        scene.ask("r1/t0", demands=(Demand("tpu", 1),)),
        scene.ask("r1/t1", demands=(Demand("gpu", 3),)),
    )
    assert nowhere[0].state is too_many[0].state is REFUSED
    assert "penstock pools put tpu --slots 1" in nowhere[0].text
    assert "asks for 3 slots of the pool gpu, which has 2" in too_many[0].text
    assert scene.states("r1/t0", "r1/t1", "r1/t2") == [GRANTED, GRANTED, WAITING]
    with database.writing() as uow:
        uow.pools.delete(PoolKey("", "gpu"))
    assert scene.states("r1/t2") == [REFUSED]


def test_an_old_fence_and_another_executor_get_nothing(database: Database) -> None:
    scene = Scene(database, pool(2))
    scene.run("r1")
    ask = SlotAsk("r1", scene.fences["r1"], "t0", 1, GPU)
    assert scene.service.slots.take("e/2", [ask]) == [SlotAnswer(FENCED)]
    assert scene.service.slots.take("e/1", [replace(ask, fence=ask.fence - 1)]) == [SlotAnswer(FENCED)]
    assert scene.service.slots.take("e/1", [replace(ask, run_id="nobody")]) == [SlotAnswer(FENCED)]
    assert scene.service.slots.take("e/1", [replace(ask, attempt=2)])[0].state is UNKNOWN
    assert scene.taken() == 0


@pytest.mark.parametrize("row_is_late", [False, True], ids=["row in the report", "row in a later one"])
def test_a_call_that_is_carried_out_late_takes_nothing_for_what_has_ended(
    database: Database, row_is_late: bool
) -> None:
    """Its executor gave the call up, and ended the attempt; rows that a report has no room for come with the next."""
    scene = Scene(database, pool(1))
    scene.run("r1")
    late = scene.asking("r1/t0")
    scene.end("r1", "t0", row_is_late=row_is_late)
    assert [one.state for one in scene.service.slots.take("e/1", [late])] == [UNKNOWN]
    assert scene.taken() == 0
    assert scene.states("r1/t1") == [GRANTED], "nothing stands in line either"


def test_a_call_that_is_late_is_answered_while_its_attempt_lives(database: Database) -> None:
    scene = Scene(database, pool(1))
    scene.run("r1")
    late = scene.asking("r1/t1")
    scene.end("r1", "t0")
    assert [one.state for one in scene.service.slots.take("e/1", [late])] == [GRANTED]


def test_what_is_held_outlives_its_executor_and_what_waits_does_not(database: Database) -> None:
    scene = Scene(database, pool(1))
    scene.run("dead")
    scene.run("alive")
    assert scene.states("dead/t0", "dead/t1", "alive/t0") == [GRANTED, WAITING, WAITING]
    with database.writing() as uow:
        uow.queue.renew(["dead"], -1_000)
    assert scene.states("alive/t0") == [WAITING], "what the dead one began may still run"
    (claimed,) = scene.service.claim("e/1", 1, 0, LEASE).runs
    scene.fences["dead"] = claimed.fence
    assert [one.state for one in scene.ask("dead/t0", adopt=True)] == [GRANTED], "it is adopted with its slot"
    scene.end("dead", "t0")
    with database.writing() as uow:
        uow.queue.renew(["dead"], -1_000)
    assert scene.states("alive/t0") == [GRANTED], "nobody would begin dead/t1"
    assert scene.taken() == 1


def test_a_deleted_run_holds_nothing(database: Database) -> None:
    scene = Scene(database, pool(1))
    scene.run("r1")
    scene.run("r2")
    assert scene.states("r1/t0", "r2/t0") == [GRANTED, WAITING]
    with database.writing() as uow:
        uow.runs.delete("r1")
    assert scene.states("r2/t0") == [GRANTED]


def test_a_limit_holds_for_what_asks_for_no_pool(database: Database) -> None:
    scene = Scene(database, pool(1, "namespace/team-a"), pool(1, "user/ann"))
    scene.run("a1", namespace="team-a")
    scene.run("b1", namespace="team-b", user="ann")
    scene.run("c1", namespace="team-c")
    names = ("a1/t0", "a1/t1", "b1/t0", "b1/t1", "c1/t0", "c1/t1")
    assert scene.states(*names, demands=()) == [GRANTED, WAITING, GRANTED, WAITING, GRANTED, GRANTED]
    (answer,) = scene.ask("a1/t1", demands=())
    assert answer.text == "waits for the limit of namespace team-a: 1 of 1 tasks run, 0 wait before this one"
    assert scene.service.claim("e/1", 1, 0, LEASE).limited
    assert [one.state for one in scene.ask("a1/t2", demands=(), adopt=True)] == [GRANTED], "it may run already"
    assert scene.taken("namespace/team-a") == 2


def test_who_is_at_the_own_limit_holds_up_nobody_else(database: Database) -> None:
    scene = Scene(database, pool(2), pool(1, "namespace/team-a"))
    scene.run("a1", namespace="team-a")
    scene.run("b1", namespace="team-b")
    assert scene.states("a1/t0", "a1/t1", "b1/t0") == [GRANTED, WAITING, GRANTED]


def test_a_pool_is_shared_by_weight(database: Database) -> None:
    scene = Scene(database, pool(6), pool(None, "namespace/team-b", weight=2))
    scene.run("a1", 9, namespace="team-a")
    scene.run("b1", 9, namespace="team-b")
    flood = [f"a1/t{number}" for number in range(9)]
    assert scene.states(*flood) == [GRANTED] * 6 + [WAITING] * 3
    for number in range(9):
        assert scene.states(f"b1/t{number}") == [WAITING]
    for number in range(6):
        scene.end("a1", f"t{number}")
        scene.ask("a1/t8")
    with database.reading() as uow:
        assert uow.pools.levels().taken[PoolKey("", "gpu")] == {"team-a": 2, "team-b": 4}


def test_of_many_that_ask_at_once_no_more_get_slots_than_there_are(database: Database) -> None:
    scene = Scene(database, pool(3))
    for number in range(6):
        scene.run(f"r{number}", 4)
    with ThreadPoolExecutor(6) as threads:
        asked = [
            threads.submit(scene.states, *(f"r{number}/t{task}" for task in range(4))) for number in range(6)
        ]  # fmt: skip
        states = [state for one in asked for state in one.result()]
    assert states.count(GRANTED) <= 3
    assert scene.taken() == 3


@pytest.mark.parametrize(
    "demands", [(Demand("gpu", 0),), (Demand("gpu", 1), Demand("gpu", 1)), (Demand("user/ann", 1),), (Demand("", 1),)]
)
def test_what_no_executor_asks_is_refused(database: Database, demands: tuple[Demand, ...]) -> None:
    scene = Scene(database, pool(2))
    scene.run("r1")
    with pytest.raises(InvalidArgumentError):
        scene.ask("r1/t0", demands=demands)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_taken_is_what_runs_whatever_happens(database: Database, seed: int) -> None:
    """Asks, ends, takeovers, deletions and ends of runs; calls carried out long after they were made, rows of tasks
    that come later than the events that end them.
    """
    random = Random(seed)
    scene = Scene(database, pool(3), pool(2, "namespace/team-b"))
    running: set[str] = set()
    over: set[str] = set()
    ended: set[str] = set()
    calls: list[list[SlotAsk]] = []
    for step in range(60):
        live = [run_id for run_id in scene.fences if run_id not in over]
        deed = random.choice(["run", "ask", "ask", "ask", "late", "late", "end", "end", "takeover", "delete", "finish"])
        if deed == "run" or not live:
            scene.run(f"r{step}", 3, namespace=random.choice(("team-a", "team-b")))
        elif deed == "ask":
            # Of runs that are over, too, as a call that was under way.
            names = {f"{run_id}/t{number}" for run_id in scene.fences for number in range(3)} - ended
            asked = random.sample(sorted(names), min(len(names), 5))
            calls.append([scene.asking(name) for name in asked])
            states = scene.states(*asked)
            running.update(name for name, state in zip(asked, states, strict=True) if state is GRANTED)
        elif deed == "late":
            # What was granted is what the rows say: nobody waits for the answer any more.
            for call in random.sample(calls, min(len(calls), 2)):
                scene.service.slots.take("e/1", call)
            names = {f"{run_id}/t{number}" for run_id in live for number in range(3)} - ended
            calls.append([scene.asking(name) for name in random.sample(sorted(names), min(len(names), 3))])
        elif deed == "end":
            for name in random.sample(sorted(running), min(1, len(running))):
                running.discard(name)
                ended.add(name)
                run_id, _, path = name.partition("/")
                scene.end(run_id, path, row_is_late=random.random() < 0.5)
        elif deed == "takeover":
            scene.take_over(random.choice(live))
        else:
            run_id = random.choice(live)
            if deed == "finish":
                scene.report(run_id, [], finished=True)
            else:
                with database.writing() as uow:
                    uow.runs.delete(run_id)
            over.add(run_id)
            running = {name for name in running if not name.startswith(f"{run_id}/")}
        granted = scene.granted()
        assert running <= granted, "what runs has its slots"
        assert {name.partition("/")[0] for name in granted} <= set(scene.fences) - over, "what is over has none"
        assert not granted & ended, "what has ended has none"
        running |= granted
        assert scene.taken() == len(running) <= 3
    for name in sorted(running):
        run_id, _, path = name.partition("/")
        scene.end(run_id, path)
    assert scene.granted() == set()
