"""Receives the bodies of requests within bounds: their number, bytes and rate.

Invariants: a request is admitted as one only when its body is there, so bodies that never come hold up no request. A
body that comes whole with its headers needs no place. A slow body gives its place, and its memory, to another one, and
one that stays slower than the least rate is ended. Bytes count until the request is answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from penstock_server.domain.places import NoPlaceError, Places
from penstock_server.gateway import connections
from penstock_server.gateway.limits import HttpLimits
from penstock_server.telemetry import Limit

_SWEEP_SECONDS = 1.0
# A body that brings less in a second gives way to others; over a shorter time nothing is said of it.
_BRISK_BYTES = 32 * 1024
_SHORTEST_SECONDS = 0.1


class BusyError(Exception):
    """There is no room for the request now; the same one may be sent again. `limit` is the bound."""

    def __init__(self, message: str, limit: Limit) -> None:
        super().__init__(message)
        self.limit = limit


class BodyEndedError(Exception):
    """The server does not wait for the rest of the body: `busy`, because others need its place, else it was slow."""

    def __init__(self, *, busy: bool) -> None:
        super().__init__("the body came too slowly")
        self.busy = busy


class TooLargeError(Exception):
    """The body has more bytes than are taken."""


class Body:
    """A body that is being received, or was."""

    def __init__(self, request: web.Request, bodies: Bodies, peer: str) -> None:
        self.peer = peer
        self.received = 0
        self.arrived = False
        self._request = request
        self._bodies = bodies
        self._looked_at = self._window_at = asyncio.get_running_loop().time()
        self._looked_from = self._window_from = 0
        self._slow = False

    async def read(self, max_bytes: int) -> bytes:
        """All of it. Raises TooLargeError, BusyError, BodyEndedError."""
        declared = self._request.content_length
        if declared is not None and declared > max_bytes:
            raise TooLargeError
        parts = []
        while part := await self._request.content.readany():
            self.count(len(part))
            if self.received > max_bytes:
                raise TooLargeError
            parts.append(part)
        self.whole()
        return b"".join(parts)

    def count(self, size: int) -> None:
        """Notes bytes that were received. Raises BusyError when there is no memory for them."""
        self.received += size
        self._bodies.charge(self, size)

    def whole(self) -> None:
        """Everything was received."""
        self.arrived = True
        self._bodies.places.works(self)

    def end(self, *, busy: bool) -> None:
        self._request.content.set_exception(BodyEndedError(busy=busy))

    def is_slow(self, now: float) -> bool:
        """Whether it has brought little lately."""
        seconds = now - self._looked_at
        if seconds >= _SHORTEST_SECONDS:
            brought, self._looked_from, self._looked_at = self.received - self._looked_from, self.received, now
            self._slow = brought < _BRISK_BYTES * seconds
        return self._slow and not self.arrived

    def is_too_slow(self, now: float, limits: HttpLimits) -> bool:
        if self.arrived or now - self._window_at < limits.slow_seconds:
            return False
        brought, self._window_from, self._window_at = self.received - self._window_from, self.received, now
        return brought < limits.bytes_per_second * limits.slow_seconds


class Bodies:
    def __init__(self, limits: HttpLimits) -> None:
        self.places: Places[Body] = Places(limits.bodies, limits.bodies_per_address)
        self._limits = limits
        self._bytes: Counter[str] = Counter()
        self._total = 0
        self._slow: set[Body] = set()
        self._looked_at = float("-inf")

    async def sweeping(self, app: web.Application) -> AsyncIterator[None]:
        """A cleanup context of the application."""
        task = asyncio.create_task(self._sweep())
        yield
        task.cancel()

    @asynccontextmanager
    async def receiving(self, request: web.Request) -> AsyncIterator[Body]:
        """A place for the body until the block ends. Raises BusyError."""
        body = Body(request, self, connections.of(request).peer)
        if not request.content.is_eof():
            displaced = self._take_place(body)
            if displaced is not None:
                displaced.end(busy=True)
        try:
            yield body
        finally:
            self.places.leave(body)
            self._slow.discard(body)
            self._charge(body.peer, -body.received)

    def _take_place(self, body: Body) -> Body | None:
        """The body that lost its place for this one. Raises BusyError."""
        with suppress(NoPlaceError):
            return self.places.take(body.peer, body)
        # Who is slow may have become so since the last sweep: hundreds can come within a second. Not for each of those
        # that are refused: what a look costs grows with the places.
        if asyncio.get_running_loop().time() - self._looked_at >= _SHORTEST_SECONDS:
            self._look()
        try:
            return self.places.take(body.peer, body)
        except NoPlaceError as error:
            raise BusyError("too many bodies are being received", Limit.BODIES) from error

    def charge(self, body: Body, size: int) -> None:
        """Raises BusyError."""
        self._charge(body.peer, size)
        while self._bytes[body.peer] > self._limits.body_bytes_per_address or self._total > self._limits.body_bytes:
            of_peer = self._bytes[body.peer] > self._limits.body_bytes_per_address
            slow = [one for one in self._slow if one is not body and (one.peer == body.peer or not of_peer)]
            if not slow:
                raise BusyError("there is no memory for the body", Limit.BODY_MEMORY)
            largest = max(slow, key=lambda one: one.received)
            self._slow.discard(largest)
            self._charge(largest.peer, -largest.received)
            largest.received = 0
            largest.end(busy=True)

    def _charge(self, peer: str, size: int) -> None:
        self._total += size
        self._bytes[peer] += size
        if not self._bytes[peer]:
            del self._bytes[peer]

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._look()
            for body in self.places.holders():
                if body.is_too_slow(loop.time(), self._limits):
                    body.end(busy=False)

    def _look(self) -> None:
        """Finds out which bodies give way."""
        now = self._looked_at = asyncio.get_running_loop().time()
        for body in self.places.holders():
            if body.is_slow(now):
                self.places.waits(body)
                self._slow.add(body)
            else:
                self.places.works(body)
                self._slow.discard(body)
