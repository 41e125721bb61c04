"""Who hears of what, and who holds the worker."""

from __future__ import annotations

from typing import Any, cast

import pytest
from penstock_executor.agent import connections
from penstock_executor.agent.begun import RefusedError
from penstock_executor.agent.connections import Connections


class Writer:
    """Of a client that reads nothing."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.aborted = False
        self.transport = self

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.said))

    def abort(self) -> None:
        self.aborted = True


def writers(count: int) -> list[Any]:
    return [cast("Any", Writer()) for _ in range(count)]


def test_a_hold_is_one_connections() -> None:
    everybody = Connections()
    one, two = (everybody.join(writer) for writer in writers(2))
    everybody.check_hold(one)
    everybody.hold(one, "first")
    everybody.hold(one, "first")
    assert everybody.held
    for refused in (everybody.check_hold, lambda who: everybody.hold(who, "second")):
        with pytest.raises(RefusedError, match="first holds"):
            refused(two)
    assert not everybody.leave(two) and everybody.held
    assert everybody.leave(one) and not everybody.held


def test_an_end_is_told_once_to_who_follows() -> None:
    everybody = Connections()
    following, other = writers(2)
    everybody.join(following).following.add("a")
    everybody.join(other).following.add("b")
    everybody.tell_followers("a", b"ended")
    everybody.tell_followers("a", b"again")
    assert (following.said, other.said) == ([b"ended"], [])


def test_who_does_not_read_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "QUEUED_BYTES", 10)
    everybody = Connections()
    (writer,) = writers(1)
    everybody.join(writer)
    for _ in range(3):
        everybody.tell(b"12345678")
    assert writer.aborted and len(writer.said) == 2


def test_so_many_are_connected_and_no_more() -> None:
    everybody = Connections()
    joined = [everybody.join(writer) for writer in writers(connections.CLIENTS)]
    (late,) = writers(1)
    with pytest.raises(RefusedError):
        everybody.join(late)
    everybody.leave(joined[0])
    everybody.join(late)
