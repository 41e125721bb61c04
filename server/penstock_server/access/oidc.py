"""Identifies callers by tokens of an issuer of OpenID Connect.

Invariants: an address that the issuer has not verified names nobody, unless it is said that it may; no token of an
issuer makes its owner a user or a group of the cluster (`system:…`). Whose a token is, is kept for seconds by a hash of
the token, never beyond its end and no longer than the issuer has the key that signed it; nothing is kept of a token
that was refused.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from penstock_server.access.credentials import Credentials
from penstock_server.access.id_tokens import MAX_TOKEN, SKEW_SECONDS, TokenVerifier, is_from
from penstock_server.access.issuer import Issuer
from penstock_server.access.names import group_names, user_name
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError
from penstock_server.services.kept import Kept
from penstock_server.services.remembered import SECONDS

_RESERVED = "system:"
_KEPT = 10_000
_TOKEN = "the token"  # noqa: S105 - words of a message


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """Which claims name a user and their groups. `prefix` is put before both, to tell them from those of others."""

    user: str = "email"
    groups: str = "groups"
    prefix: str = ""
    allow_unverified_email: bool = False


DEFAULT_CLAIMS = ClaimSettings()


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and their groups, with the prefix."""

    user: str
    groups: tuple[str, ...]


def identity(claims: Mapping[str, Any], settings: ClaimSettings) -> Identity:
    """Raises UnauthenticatedError for claims that name nobody."""
    name = claims.get(settings.user)
    if not isinstance(name, str):
        raise UnauthenticatedError(f"the token has no claim {settings.user} that is a text")
    # Some issuers send it as a text.
    verified = claims.get("email_verified") in (True, "true")
    if settings.user == "email" and not verified and not settings.allow_unverified_email:
        raise UnauthenticatedError("the token's e-mail address is not verified by its issuer")
    groups = claims.get(settings.groups) if settings.groups else None
    listed = [] if groups is None else groups if isinstance(groups, list) else [groups]
    found = Identity(
        user_name(settings.prefix + name, _TOKEN),
        group_names((_prefixed(group, settings.prefix) for group in listed), _TOKEN),
    )
    for known in (found.user, *found.groups):
        if known.startswith(_RESERVED):
            raise UnauthenticatedError(f"the token names a user or a group of the cluster, {known!r}")
    return found


def _prefixed(name: object, prefix: str) -> object:
    return prefix + name if isinstance(name, str) and name else name


class _Verified(NamedTuple):
    """`until` in seconds since 1970; `keys` are the issuer's of the time at which it was verified."""

    caller: Caller
    until: float
    keys: object


class OidcAuthenticator:
    """Takes Bearer tokens that name this issuer, and no others. `clock` counts seconds since 1970."""

    def __init__(
        self,
        issuer: Issuer,
        verifier: TokenVerifier,
        settings: ClaimSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._verifier = verifier
        self._settings = settings
        self._clock = clock
        self._verified: Kept[bytes, _Verified] = Kept(_KEPT, SECONDS)

    def authenticate(self, credentials: Credentials) -> Caller | None:
        token = credentials.bearer()
        if not token or len(token) > MAX_TOKEN:
            return None
        key = hashlib.blake2b(token.encode("utf-8", "surrogatepass")).digest()
        kept = self._verified.get(key)
        if kept is not None and self._clock() < kept.until and kept.keys is self._issuer.known_keys():
            return kept.caller
        if not is_from(token, self._issuer.url):
            return None
        keys = self._issuer.known_keys()
        claims = self._verifier.verify(token)
        known = identity(claims, self._settings)
        caller = Caller(known.user, known.groups, Source.OIDC)
        self._verified.put(key, _Verified(caller, int(claims["exp"]) + SKEW_SECONDS, keys))
        return caller
