"""What a call in the process keeps of a stream until it is asked for."""

from __future__ import annotations

from penstock_server.rpc.inlet import Inlet


def inlet() -> Inlet:
    return Inlet(lambda message: message, lambda: None)


def test_few_bytes_are_kept() -> None:
    made, taken = inlet(), [0]

    def note() -> None:
        taken[0] += 1

    made.when_ready(note)
    made(bytes(200_000))
    assert made.ready()
    made(bytes(200_000))
    assert not made.ready()
    assert len(made.next().result(0)) == 200_000
    assert (made.ready(), taken) == (True, [1])


def test_few_messages_are_kept() -> None:
    made = inlet()
    for _ in range(8):
        assert made.ready()
        made(b"x")
    assert not made.ready()


def test_what_is_asked_for_is_not_kept() -> None:
    made = inlet()
    asked = made.next()
    made(bytes(1_000_000))
    assert asked.done()
    assert made.ready()


def test_what_is_kept_comes_before_the_end() -> None:
    made = inlet()
    made(b"x")
    made(None)
    assert [made.next().result(0), made.next().result(0)] == [b"x", None]
