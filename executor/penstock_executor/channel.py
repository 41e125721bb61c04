"""The way to the server, of which several may run: several addresses, or a name that has several.

Why not one gRPC channel: it takes one name. A name with several addresses is spread over by gRPC itself; of several
names in a list one is current, and a call that finds it away makes the next one current, for all.

Invariants: a server that is gone is noticed within seconds even when nobody says so (a dead machine sends no FIN):
connections are pinged, and when a call was not answered until its deadline, whatever else waits for the same server is
told to come again. No call is repeated here: only its caller knows whether it still matters.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

_MESSAGE_BYTES = 128 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    # Earlier servers allow a ping every 10 seconds; one that complains is pinged half as often from then on.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Servers that were replaced have other addresses.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
]
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def addresses_of(text: str) -> list[str]:
    """Of `host:port,host:port`. Raises ValueError."""
    addresses = [part.strip() for part in text.split(",") if part.strip()]
    for address in addresses:
        if not address.rpartition(":")[2].isdecimal():
            raise ValueError(f"{address!r} is no HOST:PORT")
    if not addresses:
        raise ValueError("no address is given")
    return addresses


class ServerChannel:
    """`servers` is one address or several, separated by commas. Made for stubs: it has what they use of a channel."""

    def __init__(self, servers: str) -> None:
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for address in addresses_of(servers)]
        self._current = 0
        self._under_way: list[set[Any]] = [set() for _ in self._channels]
        self._given_up: set[Any] = set()

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Awaitable[Any]]:
        """What a stub calls: a coroutine function `(request, *, timeout)` that raises grpc.aio.AioRpcError."""
        methods: list[Any] = [channel.unary_unary(method, *serializers, **options) for channel in self._channels]

        async def call(request: Any, *, timeout: float) -> Any:
            at = self._current
            under_way = methods[at](request, timeout=timeout)
            self._under_way[at].add(under_way)
            try:
                return await under_way
            except grpc.aio.AioRpcError as error:
                if error.code() in _AWAY:
                    self._leave(at, hangs=error.code() is grpc.StatusCode.DEADLINE_EXCEEDED)
                raise
            except asyncio.CancelledError:
                if under_way not in self._given_up:
                    raise
                details = "the server does not answer; try again"
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details, "") from None
            finally:
                self._under_way[at].discard(under_way)
                self._given_up.discard(under_way)

        return call

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)

    def _leave(self, at: int, *, hangs: bool) -> None:
        if len(self._channels) == 1:
            return
        if at == self._current:
            self._current = (at + 1) % len(self._channels)
        if hangs:
            for call in self._under_way[at]:
                if call.cancel():
                    self._given_up.add(call)
