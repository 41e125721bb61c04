"""An issuer of OpenID Connect: where its endpoints are, and the keys that it signs with now.

Why not PyJWKClient: when its keys are older than their lifespan it has none, should the issuer be away just then, and
it reads an answer of any size.

Invariants: keys are those of the issuer's own document, never of a token's header (`jku`, `x5u`, `jwk`), and public
keys alone. A key counts as one that the issuer does not have only by an answer to a question that was asked after the
token came, so a token with a new key is never refused, whenever keys were read last. One thread at a time asks the
issuer, and no more often than every `PAUSE_SECONDS`, however many tokens name keys that nobody knows: they wait for the
same answer, a bounded number of them. While the issuer is away the keys that are known stay good.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from penstock_server.access.issuer_http import IssuerError, get_json, is_web_url
from penstock_server.errors import UnavailableError

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Between two questions; after questions without an answer it grows to `RETRY_SECONDS`."""
RETRY_SECONDS = 10.0
REFRESH_SECONDS = 600.0
"""After which a key that the issuer took back is not good any more."""
_WAIT_SECONDS = 3.0
MAX_WAITING = 48
"""So many calls wait for the issuer at a time; each holds one of the server's threads."""
_WELL_KNOWN = "/.well-known/openid-configuration"
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048
_ALGORITHMS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""The algorithms for a key of a type and curve: asymmetric ones alone."""
ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and what it may verify. `kid` is empty when it has no id."""

    kid: str
    algorithms: tuple[str, ...]
    public: Any


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The issuer's document; empty for what it does not offer. `basic`: whether the token endpoint takes a client's
    secret by HTTP's own authentication."""

    keys: str
    authorization: str = ""
    token: str = ""
    userinfo: str = ""
    end_session: str = ""
    basic: bool = True


class Issuer:
    """`url` is the issuer's name as tokens have it. `clock` counts seconds, `sleep` waits for so many."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises ValueError for what is no URL of an issuer."""
        if not is_web_url(url) or "?" in url or "#" in url:
            raise ValueError(f"{url!r} is not the URL of an issuer, such as https://accounts.example.com")
        self.url = url
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._endpoints: Endpoints | None = None
        self._keys: tuple[Key, ...] = ()
        self._asked_at = float("-inf")
        self._read_at = float("-inf")
        """When the question was asked whose answer the keys are."""
        self._failures = 0

    def endpoints(self) -> Endpoints:
        """Raises UnavailableError while the issuer never answered."""
        if self._endpoints is None:
            self._wait_until(lambda: self._endpoints is not None)
        else:
            self._refresh()
        if self._endpoints is None:
            raise _unavailable()
        return self._endpoints

    def key(self, kid: str, algorithm: str) -> Key | None:
        """The key with this id, or the only one for the algorithm when the token names none; None when there is none.

        Raises UnavailableError when it may be a new key and the issuer does not answer, or as many wait as may.
        """
        came = self._clock()
        if self._keys:
            self._refresh()
        found = self._known(kid, algorithm)
        if found is None:
            self._wait_until(lambda: self._read_at >= came or self._known(kid, algorithm) is not None)
            found = self._known(kid, algorithm)
            if found is None and self._read_at < came:
                raise _unavailable() if self._failures else _busy()
        return found

    def known_keys(self) -> object:
        """The keys as they are known, another object after each answer of the issuer; it is not waited for."""
        if self._keys:
            self._refresh()
        return self._keys

    def _known(self, kid: str, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if algorithm in key.algorithms and (not kid or key.kid == kid)]
        return fitting[0] if len(fitting) == 1 else None

    def _refresh(self) -> None:
        """Asks the issuer when what is known is old and no other thread is asking."""
        since = self._clock() - REFRESH_SECONDS
        self._ask(lambda: self._read_at > since, 0)

    def _wait_until(self, enough: Callable[[], bool]) -> None:
        """Returns when enough is known, or without that when it takes too long."""
        if self._waiting.acquire(blocking=False):
            try:
                self._ask(enough, _WAIT_SECONDS)
            finally:
                self._waiting.release()

    def _ask(self, enough: Callable[[], bool], wait: float) -> None:
        """Asks the issuer unless enough is known.

        While another thread asks it, waits for so many seconds. The pause between two questions is waited for, but not
        the one after a failure: then whoever comes is told at once.
        """
        if enough() or not self._lock.acquire(timeout=wait):
            return
        try:
            if enough():
                return
            rest = self._asked_at + self._pause() - self._clock()
            if rest > 0 and self._failures:
                return
            if rest > 0:
                self._sleep(rest)
            self._asked_at = self._clock()
            self._read(self._asked_at)
        finally:
            self._lock.release()

    def _pause(self) -> float:
        # The exponent is bounded, or it were too large for a float one day.
        return min(PAUSE_SECONDS * 2.0 ** min(self._failures, 10), RETRY_SECONDS)

    def _read(self, now: float) -> None:
        try:
            self._endpoints = _endpoints(get_json(self.url.rstrip("/") + _WELL_KNOWN), self.url)
            self._keys = _keys(get_json(self._endpoints.keys))
        except IssuerError as error:
            self._failures += 1
            log.warning("the issuer %s does not answer as it should: %s", self.url, error)
        else:
            self._failures, self._read_at = 0, now


def _endpoints(document: Mapping[str, Any], issuer: str) -> Endpoints:
    """Raises IssuerError."""
    if document.get("issuer") != issuer:
        raise IssuerError(f"its document is that of {str(document.get('issuer'))[:200]!r}")

    def url(name: str) -> str:
        value = document.get(name)
        if value is None:
            return ""
        if not is_web_url(value) or (issuer.startswith("https:") and not value.startswith("https:")):
            raise IssuerError(f"its document has no usable URL as {name}")
        return str(value)

    keys = url("jwks_uri")
    if not keys:
        raise IssuerError("its document names no jwks_uri")
    methods = document.get("token_endpoint_auth_methods_supported")
    return Endpoints(
        keys,
        url("authorization_endpoint"),
        url("token_endpoint"),
        url("userinfo_endpoint"),
        url("end_session_endpoint"),
        basic=not isinstance(methods, list) or "client_secret_basic" in methods,
    )


def _keys(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """The keys of a JWKS that can verify; others, such as those for encryption, are left out. Raises IssuerError."""
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise IssuerError(f"its keys are no list of at most {_MAX_KEYS}")
    found = [key for key in map(_key, entries) if key is not None]
    if not found:
        raise IssuerError("it has no key that verifies signatures")
    return tuple(found)


def _key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use") not in (None, "sig"):
        return None
    curve = "" if entry.get("kty") == "RSA" else entry.get("crv")
    algorithms = _ALGORITHMS.get((str(entry.get("kty")), str(curve)), ())
    if entry.get("alg") is not None:
        algorithms = tuple(name for name in algorithms if name == entry["alg"])
    kid = entry.get("kid", "")
    if not algorithms or not isinstance(kid, str):
        return None
    try:
        public = jwt.PyJWK({name: value for name, value in entry.items() if name != "d"}, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        log.warning("a key of the issuer cannot be read: %s", type(error).__name__)
        return None
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        return None
    return Key(kid, algorithms, public)


def _unavailable() -> UnavailableError:
    return UnavailableError("the issuer of tokens does not answer; try again later")


def _busy() -> UnavailableError:
    return UnavailableError("many tokens wait until the keys of their issuer are read; try again in a second")
