"""How many streams that hold a thread are open at a time, over gRPC and HTTP, of all peers, of one and of one user.

Why: such streams send bytes (artifacts, objects, event logs), and some of the threads are reserved for other calls.
Invariant: a stream whose reader has not taken a message for seconds gives its place to another one; a stream that waits
for more to send keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import grpc

from penstock_server.access.user_limits import NO_LIMITS, UserLimits
from penstock_server.domain.caller import Caller
from penstock_server.domain.places import Network, NoPlaceError, Places, peer_name
from penstock_server.errors import ResourceExhaustedError
from penstock_server.telemetry import Limit, Limited, count_nothing

MAX_STREAMS = 48
_OF_ONE_PEER = 40
_PATIENCE_SECONDS = 5.0


def peer_of(context: grpc.ServicerContext, proxies: Sequence[Network]) -> str:
    """Whose places a call takes."""
    # Such as `ipv4:127.0.0.1:40000`, `ipv6:%5B::1%5D:40000`.
    _, _, address = unquote(str(context.peer())).partition(":")
    host, _, port = address.rpartition(":")
    return peer_name(host.strip("[]"), int(port) if port.isdecimal() else 0, proxies)


class StreamPlaces:
    """`limits` are those of users; `limited` is told of streams that are refused, or give way."""

    def __init__(
        self, proxies: Sequence[Network], limits: UserLimits = NO_LIMITS, limited: Limited = count_nothing
    ) -> None:
        self._proxies = proxies
        self._limits = limits
        self._limited = limited
        self._places: Places[StreamPlace] = Places(MAX_STREAMS, _OF_ONE_PEER, _PATIENCE_SECONDS)
        # The same streams by their users. The number of all is bounded above.
        of_one_user = limits.bounds.streams or sys.maxsize
        self._of_users: Places[StreamPlace] = Places(sys.maxsize, of_one_user, _PATIENCE_SECONDS)

    @contextmanager
    def taken(self, context: grpc.ServicerContext, caller: Caller) -> Iterator[StreamPlace]:
        """A place until the block ends. Raises ResourceExhaustedError."""
        place = StreamPlace(context, (self._places, self._of_users))
        try:
            self._take_of_user(caller, place)
            self._take_of_peer(context, place)
            yield place
        finally:
            place.leave()

    def _take_of_user(self, caller: Caller, place: StreamPlace) -> None:
        if not caller.user:
            return
        try:
            self._end(self._of_users.take(caller.user, place))
        except NoPlaceError as error:
            raise self._limits.no_stream_left(caller, f"{self._limits.bounds.streams} streams") from error

    def _take_of_peer(self, context: grpc.ServicerContext, place: StreamPlace) -> None:
        try:
            self._end(self._places.take(peer_of(context, self._proxies), place))
        except NoPlaceError as error:
            self._limited(Limit.STREAMS)
            text = f"{MAX_STREAMS} streams are open already, or {_OF_ONE_PEER} of one address"
            raise ResourceExhaustedError(f"{text}; try again when one has ended") from error

    def _end(self, displaced: StreamPlace | None) -> None:
        if displaced is not None:
            self._limited(Limit.STREAM_PLACE)
            displaced.leave()
            displaced.context.cancel()


class StreamPlace:
    """A stream's place in each of `places`."""

    def __init__(self, context: Any, places: Sequence[Places[StreamPlace]]) -> None:
        self._places = places
        self.context = context

    @contextmanager
    def given(self) -> Iterator[None]:
        """Around the yield of a message: until its reader wants the next one."""
        for places in self._places:
            places.waits(self)
        try:
            yield
        finally:
            for places in self._places:
                places.works(self)

    def leave(self) -> None:
        """Frees it; nothing happens if it is free already."""
        for places in self._places:
            places.leave(self)
