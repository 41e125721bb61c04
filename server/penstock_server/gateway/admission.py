"""Decides when a request is carried out: after its body came, within the bounds of requests under way.

Invariants: health checks and metrics are carried out whatever else is under way. One peer cannot take all places of
requests. Of requests with a large body only a few are taken apart and carried out at a time; the others wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import grpc
from aiohttp import web

from penstock_server.domain.places import NoPlaceError, Places
from penstock_server.gateway import connections, replies
from penstock_server.gateway.bodies import Bodies, Body, BodyEndedError, BusyError, TooLargeError
from penstock_server.gateway.limits import HttpLimits
from penstock_server.telemetry import Limit, Limited, count_nothing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Where the middleware leaves the body for handlers.
CONTENT = web.RequestKey("content", bytes)
BODY = web.RequestKey("body", Body)


class Admission:
    """`always` are handlers that are never refused; `streaming` are those that read the body themselves, from BODY.

    All others find the whole body in CONTENT. `limited` is told of what is refused or ended.
    """

    def __init__(self, limits: HttpLimits, max_body_bytes: int, limited: Limited = count_nothing) -> None:
        self._limited = limited
        self.bodies = Bodies(limits)
        self.always: list[Handler] = []
        self.streaming: list[Handler] = []
        self._limits = limits
        self._max_body_bytes = max_body_bytes
        self._requests: Places[object] = Places(limits.requests, limits.requests_per_address)
        self._large = asyncio.Semaphore(limits.large_requests)

    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The reply of `handler`, or a refusal. Raises what the handler raises."""
        peer = connections.of(request).peer
        try:
            chosen = request.match_info.handler
            if chosen in self.always:
                return await handler(request)
            async with self.bodies.receiving(request) as body:
                if chosen in self.streaming:
                    request[BODY] = body
                    return await handler(request)
                request[CONTENT] = await body.read(self._max_body_bytes)
                with self._place(peer):
                    async with self.turn(body):
                        return await handler(request)
        except TooLargeError:
            self._limited(Limit.BODY_SIZE)
            text = f"the body is larger than {self._max_body_bytes} bytes"
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, text, 413)
        except BusyError as error:
            self._limited(error.limit)
            return _closing(replies.busy(str(error)))
        except BodyEndedError as error:
            self._limited(Limit.BODY_PLACE if error.busy else Limit.BODY_RATE)
            return _closing(replies.busy("its place is needed") if error.busy else replies.request_timeout(str(error)))

    @contextmanager
    def _place(self, peer: str) -> Iterator[None]:
        place = object()
        try:
            self._requests.take(peer, place)
        except NoPlaceError as error:
            raise BusyError("too many requests are under way", Limit.REQUESTS) from error
        try:
            yield
        finally:
            self._requests.leave(place)

    @asynccontextmanager
    async def turn(self, body: Body) -> AsyncIterator[None]:
        """Around carrying out a request whose body is there: waits while too many with large bodies are."""
        if body.received <= self._limits.large_bytes:
            yield
            return
        async with self._large:
            yield


def _closing(reply: web.Response) -> web.Response:
    reply.force_close()
    return reply
