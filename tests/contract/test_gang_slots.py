"""Slots of a gang on every database: for all of it in one transaction, or none; nobody holds a part and waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from penstock_ir.slots import Demand
from penstock_server.storage.database import Database

from tests.support.slots import GRANTED, REFUSED, UNKNOWN, WAITING, Scene, pool

GANG = "loop[*]/train"
NOTHING: tuple[Demand, ...] = ()


def gang(run_id: str, members: int = 3) -> list[str]:
    return [f"{run_id}/t{number}" for number in range(members)]


def test_all_or_none_and_each_gives_back_its_own(database: Database) -> None:
    scene = Scene(database, pool(3))
    scene.run("small")
    scene.run("large")
    assert scene.states("small/t0") == [GRANTED]
    answers = scene.ask(*gang("large"), gang=GANG)
    assert [answer.state for answer in answers] == [WAITING] * 3
    assert {answer.text for answer in answers} == {
        "waits for 3 of 3 slots of the pool gpu: 1 are taken, 0 tasks wait before this one (3 attempts start together)"
    }
    assert scene.granted() == {"small/t0"}, "two are free, and the gang holds neither"
    assert scene.states("small/t1") == [WAITING], "small ones do not pass it by"
    scene.end("small", "t0")
    assert scene.states("large/t1", gang=GANG) == [GRANTED], "who asks for one hears of the others' slots, too"
    assert scene.granted() == {*gang("large")}
    scene.end("large", "t0")
    assert scene.states("small/t1") == [GRANTED]


def test_a_member_that_begins_again_asks_alone(database: Database) -> None:
    scene = Scene(database, pool(3))
    scene.run("large")
    assert scene.states(*gang("large"), gang=GANG) == [GRANTED] * 3
    scene.end("large", "t0")
    assert scene.states(*gang("large")[1:], gang=GANG) == [GRANTED] * 2
    assert scene.taken() == 2


def test_two_gangs_that_ask_at_once_do_not_hold_a_part_each(database: Database) -> None:
    scene = Scene(database, pool(4))
    scene.run("one")
    scene.run("two")
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(scene.states, *gang(run_id), gang=GANG) for run_id in ("one", "two")]
        states = [future.result() for future in asked]
    assert sorted(states, key=lambda one: one[0].value) == [[GRANTED] * 3, [WAITING] * 3]


def test_one_that_no_pool_can_hold_is_refused_with_the_way_out(database: Database) -> None:
    scene = Scene(database, pool(2))
    scene.run("large")
    answers = scene.ask(*gang("large"), gang=GANG)
    assert [answer.state for answer in answers] == [REFUSED] * 3
    assert answers[0].text == (
        "the 3 attempts that start together ask for 3 slots of the pool gpu, which has 2; give it more with: "
        "penstock pools put gpu --slots 3"
    )


def test_one_that_is_above_a_limit_waits_and_holds_up_nobody(database: Database) -> None:
    scene = Scene(database, pool(2, "namespace/team"))
    scene.run("large", namespace="team")
    scene.run("small", namespace="team")
    (answer, *_) = scene.ask(*gang("large"), demands=NOTHING, gang=GANG)
    assert answer.state is WAITING
    assert answer.text == ("waits for a higher limit of namespace team: 2 tasks may run (3 attempts start together)")
    assert scene.states("small/t0", demands=NOTHING) == [GRANTED]


def test_small_tasks_do_not_pass_it_by_at_a_limit(database: Database) -> None:
    scene = Scene(database, pool(3, "namespace/team"))
    scene.run("small", namespace="team")
    scene.run("large", namespace="team")
    assert scene.states("small/t0", demands=NOTHING) == [GRANTED]
    assert scene.states(*gang("large"), demands=NOTHING, gang=GANG) == [WAITING] * 3
    assert scene.states("small/t1", demands=NOTHING) == [WAITING]
    scene.end("small", "t0")
    assert scene.states(*gang("large"), demands=NOTHING, gang=GANG) == [GRANTED] * 3


def test_it_waits_until_the_rows_of_all_are_there(database: Database) -> None:
    scene = Scene(database, pool(4))
    scene.run("large", tasks=2)
    assert scene.states(*gang("large"), gang=GANG) == [UNKNOWN] * 3
    assert scene.taken() == 0
