"""Places of this machine: in order, those of a gang together, none lost when somebody gives up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.places import PlaceRequest, Places
from penstock_ir.gangs import GangShare

from tests.support.launch import launch

ALONE = launch(root="file:///root")


def member(number: int, of: int, gang: str = "gang") -> TaskLaunch:
    key = AttemptKey("run", f"loop[{number}]/train", 1)
    return replace(ALONE, key=key, gang=GangShare(gang, of), together=of)


class Waiting:
    """Launches that wait, by name, until they have a place."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._launches: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, task: TaskLaunch = ALONE) -> None:
        async def wait(request: PlaceRequest) -> None:
            try:
                await request.wait()
            finally:
                request.close()

        self._launches[name] = asyncio.ensure_future(wait(self._places.request(task)))
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        self._launches[name].cancel()
        await asyncio.sleep(0)

    async def give_back(self) -> None:
        self._places.give_back()
        await asyncio.sleep(0)

    async def begun(self) -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return " ".join(name for name, one in self._launches.items() if one.done() and not one.cancelled())


async def test_what_was_found_running_counts() -> None:
    places = Places(2)
    waiting = Waiting(places)
    await waiting.ask("a")
    places.take()
    places.take()
    await waiting.ask("b")
    await waiting.ask("c")
    await waiting.give_back()
    assert await waiting.begun() == "a"
    await waiting.cancel("b")
    await waiting.give_back()
    assert await waiting.begun() == "a c"
    await waiting.give_back()
    await waiting.give_back()
    await waiting.ask("d")
    assert await waiting.begun() == "a c d"


async def test_a_turn_that_comes_with_the_cancellation_is_handed_on() -> None:
    places = Places(1)
    waiting = Waiting(places)
    await waiting.ask("a")
    await waiting.ask("b")
    await waiting.ask("c")
    places.give_back()
    await waiting.cancel("b")
    assert await waiting.begun() == "a c"


async def test_a_gang_gets_its_places_together_and_is_not_passed_by() -> None:
    waiting = Waiting(Places(3))
    await waiting.ask("a")
    await waiting.ask("b")
    for number in range(2):
        await waiting.ask(f"m{number}", member(number, 2))
    await waiting.ask("small")
    assert await waiting.begun() == "a b"
    await waiting.give_back()
    assert await waiting.begun() == "a b m0 m1"
    await waiting.give_back()
    assert await waiting.begun() == "a b m0 m1 small"


async def test_two_gangs_never_hold_a_part_each() -> None:
    waiting = Waiting(Places(3))
    for number in range(2):
        await waiting.ask(f"a{number}", member(number, 2, "a"))
        await waiting.ask(f"b{number}", member(number, 2, "b"))
    assert await waiting.begun() == "a0 a1"
    await waiting.give_back()
    assert await waiting.begun() == "a0 b0 a1 b1"


async def test_a_member_that_is_adopted_or_ended_is_not_waited_for() -> None:
    places = Places(2)
    waiting = Waiting(places)
    await waiting.ask("m0", member(0, 3))
    places.request(member(1, 3)).close()
    assert await waiting.begun() == ""
    await waiting.ask("m2", member(2, 3))
    assert await waiting.begun() == "m0 m2"


async def test_a_member_that_gives_up_in_line_leaves_the_others_their_turn() -> None:
    places = Places(1)
    waiting = Waiting(places)
    await waiting.ask("m0", member(0, 2))
    await waiting.ask("m1", member(1, 2))
    assert await waiting.begun() == ""
    await waiting.cancel("m1")
    assert await waiting.begun() == "m0"
