"""A gRPC channel to one of several servers: a list of addresses, or a name with several.

Why not one gRPC channel: it takes one name. gRPC itself spreads calls over the addresses of a name; of several names in
a list one is current, and a call that cannot reach it makes the next one current, for all calls.

Invariants: a dead server is noticed within seconds even when it sends no FIN: connections are pinged, and when one call
misses its deadline, all other pending calls to that server fail as UNAVAILABLE. No call is repeated here: only its
caller knows whether it is still needed. Certificates that are replaced end no call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio
from penstock.secret_file import SecretFile
from penstock.tls_files import TlsFiles
from penstock.watched_files import INTERVAL_SECONDS, Watched

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


class _Connection:
    """The channel to one server, and the calls that are under way on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.pending: set[Any] = set()
        self._methods: dict[str, Any] = {}

    def method(self, name: str, *serializers: Any, **options: Any) -> Any:
        if name not in self._methods:
            self._methods[name] = self.channel.unary_unary(name, *serializers, **options)
        return self._methods[name]


class ServerChannel:
    """`servers` is one address or several, separated by commas. Has the methods of a channel that stubs call.

    With `tls` it speaks TLS. When the files change, calls go over new connections; those under way end on the ones they
    began on. The newest line of `secret` goes with every call, as `authorization: Bearer …`. Raises TlsFilesError.
    """

    def __init__(
        self,
        servers: str,
        tls: TlsFiles | None = None,
        secret: SecretFile | None = None,
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        """`interval` is how many seconds may pass until changed files of `tls` are seen."""
        self._secret = secret
        self._addresses = addresses_of(servers)
        credentials = partial(_credentials, tls)
        self._credentials = Watched("certificates", tls.paths() if tls else [], credentials, interval=interval)
        self._used = self._credentials.current()
        self._connections = self._connect()
        self._current = 0
        self._abandoned: set[Any] = set()
        # Those before the newest certificates, until their last call has ended.
        self._retired: set[_Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Callable[..., Awaitable[Any]]:
        """Called by stubs. Returns a coroutine function `(request, *, timeout)` that raises grpc.aio.AioRpcError."""

        async def call(request: Any, *, timeout: float) -> Any:
            self._renew()
            connection = self._connections[self._current]
            unary = connection.method(method, *serializers, **options)
            pending = unary(request, timeout=timeout, metadata=self._metadata())
            connection.pending.add(pending)
            try:
                return await pending
            except grpc.aio.AioRpcError as error:
                if error.code() in _UNREACHABLE:
                    self._switch_server(connection, unresponsive=error.code() is grpc.StatusCode.DEADLINE_EXCEEDED)
                raise
            except asyncio.CancelledError:
                if pending not in self._abandoned:
                    raise
                details = "the server does not answer; try again"
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details, "") from None
            finally:
                connection.pending.discard(pending)
                self._abandoned.discard(pending)
                self._close_if_done(connection)

        return call

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """Raises grpc.aio.AioRpcError, as of a server that cannot be called, when the secret cannot be read."""
        if self._secret is None:
            return ()
        try:
            return (("authorization", f"Bearer {self._secret.newest()}"),)
        except (OSError, ValueError) as error:
            nothing = grpc.aio.Metadata()
            details = f"the secret for the server cannot be read: {error}"
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details, "") from error

    async def close(self) -> None:
        for connection in (*self._connections, *self._retired):
            await connection.channel.close(None)
        await asyncio.gather(*self._closing)

    def _connect(self) -> list[_Connection]:
        """One to each address; the connection itself is made with the first call."""
        if self._used is None:
            return [_Connection(grpc.aio.insecure_channel(one, options=_OPTIONS)) for one in self._addresses]
        return [_Connection(grpc.aio.secure_channel(one, self._used, options=_OPTIONS)) for one in self._addresses]

    def _renew(self) -> None:
        newest = self._credentials.current()
        if newest is self._used:
            return
        self._used = newest
        replaced, self._connections = self._connections, self._connect()
        self._retired.update(replaced)
        for connection in replaced:
            self._close_if_done(connection)

    def _close_if_done(self, connection: _Connection) -> None:
        if connection not in self._retired or connection.pending:
            return
        self._retired.remove(connection)
        closing = asyncio.get_running_loop().create_task(connection.channel.close(None))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _switch_server(self, connection: _Connection, *, unresponsive: bool) -> None:
        if len(self._addresses) == 1:
            return
        if connection is self._connections[self._current]:
            self._current = (self._current + 1) % len(self._addresses)
        if unresponsive:
            for call in connection.pending:
                if call.cancel():
                    self._abandoned.add(call)


def _credentials(tls: TlsFiles | None) -> grpc.ChannelCredentials | None:
    if tls is None:
        return None
    content = tls.read()
    return grpc.ssl_channel_credentials(content.authorities, content.key, content.certificate)
