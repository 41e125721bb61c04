"""How many watches and logs are open at a time: of all peers, of one and of one user.

Why apart from `stream_places`: such a stream holds no thread, only memory and a part of the work of looking, so there
may be many. Invariant: a place is left when the call ends, however it ends.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence

import grpc

from penstock_server.access.user_limits import NO_LIMITS, UserLimits
from penstock_server.domain.caller import Caller
from penstock_server.domain.places import Network
from penstock_server.errors import ResourceExhaustedError
from penstock_server.rpc.stream_places import peer_of
from penstock_server.telemetry import Limit, Limited, count_nothing

MAX_WATCHES = 4096
_OF_ONE_PEER = 3072
# One costs so much less than a stream that holds a thread.
_FOR_ONE_STREAM = 10


class WatchPlaces:
    """`limits` are those of users; `limited` is told of streams that are refused."""

    def __init__(
        self, proxies: Sequence[Network] = (), limits: UserLimits = NO_LIMITS, limited: Limited = count_nothing
    ) -> None:
        self._proxies = proxies
        self._limits = limits
        self._limited = limited
        self._lock = threading.Lock()
        self._all = 0
        self._of_peers: Counter[str] = Counter()
        self._of_users: Counter[str] = Counter()

    def taken(self, context: grpc.ServicerContext, caller: Caller) -> str:
        """Takes a place until the call ends. The peer that has it. Raises ResourceExhaustedError."""
        peer = peer_of(context, self._proxies)
        of_one_user = self._limits.bounds.streams * _FOR_ONE_STREAM
        with self._lock:
            if caller.user and self._of_users[caller.user] >= (of_one_user or sys.maxsize):
                raise self._limits.no_stream_left(caller, f"{of_one_user} watches and logs")
            if self._all >= MAX_WATCHES or self._of_peers[peer] >= _OF_ONE_PEER:
                self._limited(Limit.STREAMS)
                text = f"{MAX_WATCHES} watches and logs are open already, or {_OF_ONE_PEER} of one address"
                raise ResourceExhaustedError(f"{text}; try again when one has ended")
            self._count(peer, caller.user, 1)
        if not context.add_callback(lambda: self._leave(peer, caller.user)):
            self._leave(peer, caller.user)
        return peer

    def _leave(self, peer: str, user: str) -> None:
        with self._lock:
            self._count(peer, user, -1)

    def _count(self, peer: str, user: str, number: int) -> None:
        self._all += number
        for counter, key in ((self._of_peers, peer), (self._of_users, user)):
            counter[key] += number
            if not counter[key]:
                del counter[key]
