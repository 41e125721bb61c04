"""Asks a Kubernetes cluster whose a token is (TokenReview): a service account's, mostly.

Invariants: a token is accepted only when the cluster names every audience of the server's as one of the token's, since
one for another program must not be good here. Accepted tokens are remembered for seconds by their hash, never beyond
their own end. Refused ones are remembered apart from them, so that no number of wrong tokens drives good ones out, and
that a token which is another authenticator's is not asked about at every call.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jwt
from cachetools import TLRUCache, TTLCache
from penstock_kube.config import Cluster

from penstock_server.access.cluster import ClusterReviews

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
MAX_TOKEN = 16 * 1024
CACHE_SECONDS = 10.0
_CACHE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Whose a token is: `system:serviceaccount:NAMESPACE:NAME` and its groups, as the cluster says them."""

    user: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """`until` on the clock of the cache."""

    reviewed: Reviewed
    until: float


def _until(_: str, entry: _Remembered, __: float) -> float:
    return entry.until


class TokenReviews:
    """`audiences`: all of those that a token must be for, at least one. `clock` counts seconds."""

    def __init__(self, cluster: Cluster, audiences: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        if not audiences:
            raise ValueError("without an audience any token of the cluster would be accepted")
        self._audiences = tuple(audiences)
        self._reviews = ClusterReviews(cluster)
        self._clock = clock
        self._known: TLRUCache[str, _Remembered] = TLRUCache(_CACHE_SIZE, ttu=_until, timer=clock)
        self._refused: TTLCache[str, bool] = TTLCache(_CACHE_SIZE, CACHE_SECONDS, timer=clock)
        self._lock = threading.Lock()

    @property
    def audiences(self) -> tuple[str, ...]:
        """What a token must be for."""
        return self._audiences

    def close(self) -> None:
        """Closes the connections to the cluster."""
        self._reviews.close()

    def review(self, token: str) -> Reviewed | None:
        """None when the cluster does not accept the token. Raises UnavailableError when the cluster does not answer."""
        if not token or len(token) > MAX_TOKEN:
            return None
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            known = self._known.get(key)
            refused = key in self._refused
        if known is not None or refused:
            return None if known is None else known.reviewed
        asked_at = self._clock()
        reviewed = self._ask(token)
        with self._lock:
            if reviewed is None:
                self._refused[key] = True
            else:
                until = asked_at + min(CACHE_SECONDS, _seconds_left(token))
                self._known[key] = _Remembered(reviewed, until)
        return reviewed

    def _ask(self, token: str) -> Reviewed | None:
        review = self._reviews.create(
            PATH,
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": list(self._audiences)},
            },
        )
        status = review.get("status")
        if not isinstance(status, dict) or status.get("authenticated") is not True:
            return None
        accepted, user = status.get("audiences"), status.get("user")
        # A cluster that knows nothing of audiences names none.
        if not isinstance(accepted, list) or not set(self._audiences) <= {str(name) for name in accepted}:
            return None
        name = user.get("username") if isinstance(user, dict) else None
        if not isinstance(user, dict) or not isinstance(name, str) or not name:
            return None
        groups = user.get("groups")
        return Reviewed(name, tuple(str(group) for group in groups) if isinstance(groups, list) else ())


def _seconds_left(token: str) -> float:
    """How long a token that the cluster accepted is good for, as it says itself; without end if it says nothing."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
        return float(claims["exp"]) - time.time()
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return float("inf")
