"""Accepts HTTP connections and bounds what they may take: their number, and their time.

Why here: the web server bounds neither the number of connections nor the time in which headers come or a reply is read.
Its protocol is wrapped, so that every byte and every pause of a connection passes `Connection`.

Invariants: a connection counts from its acceptance, so an unfinished TLS handshake does too. One without a request
under way gives way to a newcomer (`domain/places.py`), and requests are bounded below connections: so a new connection
always finds a place, and health checks are answered whatever others hold open. Nothing is sent on a connection that
gives way; what was written before is sent for a few seconds more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, cast

from aiohttp import web

from penstock_server.domain.places import NoPlaceError, Places, peer_name
from penstock_server.gateway.limits import HttpLimits
from penstock_server.telemetry import Limit, Limited, count_nothing

log = logging.getLogger(__name__)

_BACKLOG = 1024
# Accepted before other work of the event loop goes on.
_ACCEPTED_AT_ONCE = 64
_SWEEP_SECONDS = 1.0
_LOG_SECONDS = 10.0
_FLUSH_SECONDS = 5.0
_NO_FILES_PAUSE_SECONDS = 1.0
_SHORTEST_METHOD = 3
# What the log says; connections that idled are not in it.
_REASONS = {
    Limit.CONNECTIONS: "there was no place for it",
    Limit.CONNECTION_PLACE: "its place was needed",
    Limit.HEADER_TIME: "the headers of a request took too long",
    Limit.REPLY_RATE: "the reply was not read",
}
_NO_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection: passes everything on to the web server's protocol and notes when what happened.

    `peer` is whose places it takes; `address` and `port` are those of the other end.
    """

    def __init__(self, listener: Listener, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.peer = peer_name(address, port, listener.limits.proxies)
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._requests = 0
        self._in_headers = False
        self._since = self._loop.time()
        self._stalled_at: float | None = None
        self._unsent = 0

    def began(self) -> None:
        """A request's headers are there, and it is being handled."""
        self._requests += 1
        self._listener.places.works(self)

    def finished(self) -> None:
        """The request was handled; its reply may still be under way."""
        self._requests -= 1
        self._in_headers = False
        self._since = self._loop.time()
        self._listener.places.waits(self)

    def end(self) -> None:
        """Closes the connection, at once or when what was written is sent."""
        self._ended = True
        transport = self._transport
        if transport is not None:
            transport.close()
            self._loop.call_later(_FLUSH_SECONDS, transport.abort)

    def is_unused(self) -> bool:
        """Whether nothing was received on it."""
        return self._inner is None

    def overdue(self, now: float) -> Limit | None:
        """The bound for which the connection has to end; None while it may go on."""
        limits = self._listener.limits
        if self._stalled_at is not None:
            return self._unread(now, limits)
        if self._requests:
            return None
        if self._in_headers and now - self._since > limits.header_seconds:
            return Limit.HEADER_TIME
        if now - self._since > limits.idle_seconds:
            return Limit.IDLE
        return None

    def _unread(self, now: float, limits: HttpLimits) -> Limit | None:
        assert self._stalled_at is not None
        if now - self._stalled_at <= limits.slow_seconds or self._transport is None:
            return None
        unsent = self._transport.get_write_buffer_size()
        if self._unsent - unsent < limits.slow_seconds * limits.bytes_per_second:
            return Limit.REPLY_RATE
        self._stalled_at, self._unsent = now, unsent
        return None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._ended:
            self._transport.abort()
            return
        self._since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        if self._inner is None and not self._begin(data):
            return
        if not self._requests and not self._in_headers:
            self._in_headers = True
            self._since = self._loop.time()
        if self._inner is not None:
            self._inner.data_received(data)

    def _begin(self, data: bytes) -> bool:
        """Makes the web server's protocol; False for what does not begin as a request, which it is not asked for."""
        assert self._transport is not None
        begun = data[:_SHORTEST_METHOD]
        if not (begun.isalpha() and begun.isupper()) and not data.startswith((b"\r", b"\n")):
            self._transport.write(_NO_REQUEST)
            self._listener.places.leave(self)
            self.end()
            return False
        self._inner = self._listener.protocol()
        self._inner.connection_made(self._transport)
        return True

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.places.leave(self)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._stalled_at, self._unsent = self._loop.time(), self._transport.get_write_buffer_size()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._stalled_at = None
        if self._inner is not None:
            self._inner.resume_writing()


def of(request: web.Request) -> Connection:
    """The connection of a request. Raises ConnectionResetError when it is closed already."""
    transport = request.transport
    protocol = transport.get_protocol() if transport is not None else None
    if not isinstance(protocol, Connection):
        raise ConnectionResetError("the client is gone")
    return protocol


class Listener:
    """Accepts connections for `protocol`, which makes one protocol of the web server each.

    `limited` is told of connections that are refused or ended.
    """

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        limits: HttpLimits,
        tls: ssl.SSLContext | None = None,
        limited: Limited = count_nothing,
    ) -> None:
        self.protocol = protocol
        self.limits = limits
        self.places: Places[Connection] = Places(limits.connections, limits.connections_per_address)
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._limited = limited
        self._ended: Counter[Limit] = Counter()

    async def start(self, host: str, port: int, *, shared: bool = False) -> int:
        """Binds and accepts; returns the port, `shared` with other processes of this server.

        Raises OSError when the address cannot be used.
        """
        bound = await self._loop.create_server(asyncio.Protocol, host, port, reuse_port=shared, start_serving=False)
        # The event loop resolves and binds all addresses of a name; accepting is done here.
        self._sockets = [one.dup() for one in bound.sockets]
        bound.close()
        for listening in self._sockets:
            listening.setblocking(False)
            listening.listen(_BACKLOG)
            self._listen(listening)
        self._start(self._sweep())
        self._start(self._report())
        return int(self._sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Accepts nothing more, and closes connections that never had a request; others stay."""
        for listening in self._sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()
        self._sockets = []
        for connection in self.places.holders():
            if connection.is_unused():
                connection.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no connection can be accepted: %s", error.strerror or error)
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(_NO_FILES_PAUSE_SECONDS, self._listen, listening)
                return
            self._admit(accepted, str(address[0]), int(address[1]))

    def _admit(self, accepted: socket.socket, address: str, port: int) -> None:
        connection = Connection(self, address, port)
        try:
            displaced = self.places.take(connection.peer, connection)
        except NoPlaceError:
            accepted.close()
            self._note(Limit.CONNECTIONS)
            return
        self.places.waits(connection)
        if displaced is not None:
            displaced.end()
            self._note(Limit.CONNECTION_PLACE)
        self._start(self._connect(accepted, connection))

    async def _connect(self, accepted: socket.socket, connection: Connection) -> None:
        accepted.setblocking(False)
        handshake = self.limits.header_seconds if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._tls, ssl_handshake_timeout=handshake
            )
        except (OSError, asyncio.CancelledError):
            # What is sent before TLS, and is none, ends here too.
            self.places.leave(connection)
            accepted.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self._loop.time()
            for connection in self.places.holders():
                limit = connection.overdue(now)
                if limit is not None:
                    self._note(limit)
                    self.places.leave(connection)
                    connection.end()

    def _note(self, limit: Limit) -> None:
        self._ended[limit] += 1
        self._limited(limit)

    async def _report(self) -> None:
        """A line for many connections, because those who hold them open could fill the log otherwise."""
        while True:
            await asyncio.sleep(_LOG_SECONDS)
            counts, self._ended = self._ended, Counter()
            del counts[Limit.IDLE]
            if counts:
                reasons = ", ".join(f"{count} because {_REASONS[limit]}" for limit, count in counts.items())
                log.warning("connections ended in %d s: %s", _LOG_SECONDS, reasons)
