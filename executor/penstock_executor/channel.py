"""A gRPC channel to one of several servers: a list of addresses, or a name with several.

Why not one gRPC channel: it takes one name. gRPC itself spreads calls over the addresses of a name; of several names in
a list one is current, and a call that cannot reach it makes the next one current, for all calls.

Invariants: a dead server is noticed within seconds even when it sends no FIN: connections are pinged, and when one call
misses its deadline, all other pending calls to that server fail as UNAVAILABLE. No call is repeated here: only its
caller knows whether it is still needed.
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
    # Earlier servers allow a ping every 10 seconds; gRPC halves the rate for a server that complains.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Servers that replaced others have new addresses.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
]
_UNREACHABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


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
    """`servers` is one address or several, separated by commas. Has the methods of a channel that stubs call."""

    def __init__(self, servers: str) -> None:
        self._channels = [grpc.aio.insecure_channel(address, options=_OPTIONS) for address in addresses_of(servers)]
        self._current = 0
        self._pending: list[set[Any]] = [set() for _ in self._channels]
        self._abandoned: set[Any] = set()

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Awaitable[Any]]:
        """Called by stubs. Returns a coroutine function `(request, *, timeout)` that raises grpc.aio.AioRpcError."""
        methods: list[Any] = [channel.unary_unary(method, *serializers, **options) for channel in self._channels]

        async def call(request: Any, *, timeout: float) -> Any:
            index = self._current
            pending = methods[index](request, timeout=timeout)
            self._pending[index].add(pending)
            try:
                return await pending
            except grpc.aio.AioRpcError as error:
                if error.code() in _UNREACHABLE:
                    self._switch_server(index, unresponsive=error.code() is grpc.StatusCode.DEADLINE_EXCEEDED)
                raise
            except asyncio.CancelledError:
                if pending not in self._abandoned:
                    raise
                details = "the server does not answer; try again"
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details, "") from None
            finally:
                self._pending[index].discard(pending)
                self._abandoned.discard(pending)

        return call

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)

    def _switch_server(self, index: int, *, unresponsive: bool) -> None:
        if len(self._channels) == 1:
            return
        if index == self._current:
            self._current = (index + 1) % len(self._channels)
        if unresponsive:
            for call in self._pending[index]:
                if call.cancel():
                    self._abandoned.add(call)
