"""Bounds of watches: of one user and one address; a place is left when its call ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from penstock_server.access.user_limits import UserBounds, UserLimits
from penstock_server.domain.caller import Caller
from penstock_server.errors import ResourceExhaustedError
from penstock_server.rpc import watch_places
from penstock_server.rpc.watch_places import WatchPlaces


class Context:
    """A call from an address; `end` is what grpc does when it is over."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._callbacks: list[Callable[[], None]] = []

    def peer(self) -> str:
        return f"ipv4:{self._address}:4711"

    def add_callback(self, call: Callable[[], None]) -> bool:
        self._callbacks.append(call)
        return True

    def end(self) -> None:
        for call in self._callbacks:
            call()


def take(places: WatchPlaces, address: str, user: str = "") -> Context:
    context: Any = Context(address)
    places.taken(context, Caller(user))
    taken: Context = context
    return taken


def test_one_address_leaves_places_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_places, "_OF_ONE_PEER", 2)
    monkeypatch.setattr(watch_places, "MAX_WATCHES", 3)
    places = WatchPlaces()
    first, _ = take(places, "10.0.0.1"), take(places, "10.0.0.1")
    with pytest.raises(ResourceExhaustedError, match="of one address"):
        take(places, "10.0.0.1")
    take(places, "10.0.0.2")
    with pytest.raises(ResourceExhaustedError):
        take(places, "10.0.0.3")
    first.end()
    take(places, "10.0.0.3")


def test_a_user_has_ten_watches_for_each_stream() -> None:
    places = WatchPlaces(limits=UserLimits(UserBounds(streams=1)))
    taken = [take(places, f"10.0.0.{number}", "mia") for number in range(10)]
    with pytest.raises(ResourceExhaustedError, match="--max-streams-per-user"):
        take(places, "10.0.0.99", "mia")
    take(places, "10.0.0.99", "leo")
    taken[0].end()
    take(places, "10.0.0.99", "mia")
