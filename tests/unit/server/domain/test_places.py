"""Who gets a place, and who gives way for it."""

from __future__ import annotations

import ipaddress

import pytest
from penstock_server.domain.places import NoPlaceError, Places, peer_name

PROXY = ipaddress.ip_network("10.0.0.0/8")


def test_no_more_than_there_are() -> None:
    places: Places[str] = Places(3, 2)
    assert [places.take("a", "a1"), places.take("a", "a2"), places.take("b", "b1")] == [None, None, None]
    for peer in ("a", "b", "c"):
        with pytest.raises(NoPlaceError):
            places.take(peer, "x")
    places.leave("a1")
    assert places.take("c", "c1") is None
    assert set(places.holders()) == {"a2", "b1", "c1"}


def test_one_that_waits_gives_way_the_longest_first() -> None:
    places: Places[str] = Places(3, 3)
    for holder in ("1", "2", "3"):
        places.take("a", holder)
    places.waits("2")
    places.waits("1")
    assert places.take("a", "4") == "2"
    places.works("1")
    with pytest.raises(NoPlaceError):
        places.take("b", "5")
    assert len(places) == 3


def test_the_peer_with_most_gives_way_to_others_and_its_own_to_itself() -> None:
    places: Places[str] = Places(4, 3)
    for holder in ("a1", "a2", "a3"):
        places.take("a", holder)
    places.take("b", "b1")
    for holder in ("b1", "a1", "a2", "a3"):
        places.waits(holder)
    assert places.take("c", "c1") == "a1"
    assert places.take("a", "a4") == "a2"


def test_a_peer_at_its_share_takes_no_place_of_others() -> None:
    places: Places[str] = Places(4, 1)
    places.take("a", "a1")
    places.take("b", "b1")
    places.waits("b1")
    with pytest.raises(NoPlaceError):
        places.take("a", "a2")


def test_patience() -> None:
    places: Places[str] = Places(1, 1, patience=3600.0)
    places.take("a", "a1")
    places.waits("a1")
    with pytest.raises(NoPlaceError):
        places.take("a", "a2")


def test_leaving_twice_frees_one_place() -> None:
    places: Places[str] = Places(2, 2)
    places.take("a", "a1")
    places.take("a", "a2")
    for _ in range(2):
        places.leave("a1")
    places.waits("a1")
    assert places.take("a", "a3") is None
    with pytest.raises(NoPlaceError):
        places.take("a", "a4")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("10.1.2.3", "10.1.2.3 40000"),
        ("", ""),
    ],
)
def test_names_of_peers(address: str, name: str) -> None:
    assert peer_name(address, 40000, [PROXY]) == name
