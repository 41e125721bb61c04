"""How long a client waits for a server that refuses it for its number of calls, on a clock of its own."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from penstock.patience import Patience, retry_seconds


class Refusal(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, trailing: tuple[tuple[str, Any], ...] = ()) -> None:
        self._code, self._trailing = code, trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def trailing_metadata(self) -> Any:
        return self._trailing


def refusal(seconds: float, code: grpc.StatusCode = grpc.StatusCode.RESOURCE_EXHAUSTED) -> Refusal:
    info, detail = error_details_pb2.RetryInfo(), any_pb2.Any()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    detail.Pack(info)
    status = status_pb2.Status(code=8, message="slowly", details=[any_pb2.Any(type_url="other"), detail])
    return Refusal(code, (("x", "y"), ("grpc-status-details-bin", status.SerializeToString())))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_waits_as_long_as_the_server_says(clock: Clock) -> None:
    assert Patience(30, clock, clock.sleep).waited(refusal(2))
    assert len(clock.pauses) == 1 and 2 <= clock.pauses[0] <= 3


def test_tries_are_bounded_and_grow_rarer(clock: Clock) -> None:
    patience = Patience(30, clock, clock.sleep)
    while patience.waited(refusal(0.001)):
        pass
    assert 5 <= len(clock.pauses) <= 9 and clock.now < 30
    assert clock.pauses[0] >= 0.1 and clock.pauses[4] >= 1.6


def test_a_pause_longer_than_what_is_left_is_not_waited_for(clock: Clock) -> None:
    assert not Patience(30, clock, clock.sleep).waited(refusal(31))
    assert clock.pauses == []


@pytest.mark.parametrize(
    "error",
    [
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED),
        Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, (("grpc-status-details-bin", b"\xff\xff"),)),
        refusal(1, grpc.StatusCode.UNAVAILABLE),
        Refusal(grpc.StatusCode.INTERNAL),
    ],
    ids=["without a time", "details that are none", "another code", "an error"],
)
def test_what_does_not_say_when_is_not_tried_again(clock: Clock, error: Refusal) -> None:
    assert retry_seconds(error) is None
    assert not Patience(30, clock, clock.sleep).waited(error)
    assert clock.pauses == []
