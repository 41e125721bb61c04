"""What is kept is given out for so long, and no more of it than is allowed."""

from __future__ import annotations

from penstock_server.access.attributes import Attributes, Decision
from penstock_server.access.authorizers import CachedAuthorizer
from penstock_server.domain.caller import Caller
from penstock_server.services.kept import Kept


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_ends() -> None:
    clock = Seconds()
    kept: Kept[str, int] = Kept(10, 5.0, clock)
    kept.put("one", 1)
    clock.now += 4.9
    assert kept.get("one") == 1
    # That it was asked for makes it no younger.
    clock.now += 0.1
    assert kept.get("one") is None
    kept.put("one", 2)
    assert kept.get("one") == 2
    kept.forget("one")
    kept.forget("one")
    assert kept.get("one") is None


def test_of_too_many_those_that_end_first_go() -> None:
    clock = Seconds()
    kept: Kept[int, int] = Kept(3, 5.0, clock)
    for key in (1, 2, 3):
        kept.put(key, key)
        clock.now += 1
    kept.put(1, 10)
    kept.put(4, 4)
    assert [kept.get(key) for key in (1, 2, 3, 4)] == [10, None, 3, 4]


class Asked:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.wanted: list[Attributes] = []

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        self.wanted.append(wanted)
        return Decision(wanted.name != "secret")


def test_answers_that_differ_by_name_are_kept_by_name() -> None:
    asked = Asked()
    cached = CachedAuthorizer(asked)
    for _ in range(2):
        assert cached.decide(Caller("ann"), Attributes("runs", "get", "team-a", name="open")).allowed
        assert not cached.decide(Caller("ann"), Attributes("runs", "get", "team-a", name="secret")).allowed
    assert len(asked.wanted) == 2


def test_whatever_else_is_asked_makes_another_answer() -> None:
    asked = Asked()
    cached = CachedAuthorizer(asked, by_name=False)
    first = Attributes("runs", "get", "team-a", "group", "one")
    others = [
        first._replace(resource="jobs"),
        first._replace(verb="delete"),
        first._replace(namespace="team-b"),
        first._replace(group="another"),
    ]
    for wanted in (first, *others, first._replace(name="two")):
        cached.decide(Caller("ann"), wanted)
    for caller in (Caller("bob"), Caller("ann", ("ml",))):
        cached.decide(caller, first)
    assert asked.wanted == [first, *others, first, first]
