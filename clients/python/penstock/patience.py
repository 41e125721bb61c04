"""Waits between the tries of a call that the server refused for its user's number of calls.

Why not gRPC's own retries: a server that has sent headers has answered, for gRPC, and ours always sends them.
Invariants: a call is tried again only where the server says when (RetryInfo), which it does when nothing was done, so
writes are tried again too; tries are never closer than the server says, and the pauses double; they end with the time
that the caller has for the call, before a pause that would be longer than what is left.
"""

from __future__ import annotations

import random
import time
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_FIRST_PAUSE = 0.1
_DETAILS = "grpc-status-details-bin"


class Patience:
    """For one call, of `seconds` together. `clock` returns seconds, `sleep` waits for them."""

    def __init__(self, seconds: float, clock: Any = time.monotonic, sleep: Any = time.sleep) -> None:
        self._clock, self._sleep = clock, sleep
        self._until = clock() + seconds
        self._pause = _FIRST_PAUSE

    def left(self) -> float:
        """Seconds that are left for the call."""
        return float(max(0.0, self._until - self._clock()))

    def waited(self, error: grpc.RpcError) -> bool:
        """Waits until the call may be tried again. False, at once, when it should not be."""
        said = retry_seconds(error)
        if said is None:
            return False
        # Those who were refused together do not come back together.
        pause = max(said, self._pause) * random.uniform(1, 1.5)  # noqa: S311 - a delay
        if pause >= self.left():
            return False
        self._pause *= 2
        self._sleep(pause)
        return True


def retry_seconds(error: grpc.RpcError) -> float | None:
    """In how many seconds a call that was refused may be tried again; None when the server does not say."""
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    trailing: Any = error.trailing_metadata() or ()
    retry = error_details_pb2.RetryInfo()
    for key, value in trailing:
        if key == _DETAILS:
            try:
                details = status_pb2.Status.FromString(value).details
                if any(detail.Unpack(retry) for detail in details):
                    return retry.retry_delay.ToMilliseconds() / 1000
            except DecodeError:
                return None
    return None
