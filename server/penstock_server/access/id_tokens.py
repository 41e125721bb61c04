"""Verifies tokens of an issuer (JWTs): signature, issuer, audience, times.

Invariants: what a token says is believed after its signature was verified with a key of the issuer, by an algorithm
that fits the key and is asymmetric; so neither `none` nor a public key used as the secret of an HMAC passes. Nothing
but `kid` and `alg` is read of its header.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt

from penstock_server.access.issuer import ALGORITHMS, Issuer
from penstock_server.errors import UnauthenticatedError

MAX_TOKEN = 16 * 1024
SKEW_SECONDS = 60
# Not those of other kinds of tokens that issuers sign with the same keys, such as logout+jwt.
_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


def is_from(token: str, issuer: str) -> bool:
    """Whether the token names this issuer, which it may do wrongly."""
    if len(token) > MAX_TOKEN or token.count(".") != 2:
        return False
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except _UNREADABLE:
        return False
    return claims.get("iss") == issuer


class TokenVerifier:
    """`audiences`: one of them must be one of the token's."""

    def __init__(self, issuer: Issuer, audiences: Sequence[str]) -> None:
        if not audiences:
            raise ValueError("without an audience tokens for any other program would be accepted")
        self._issuer = issuer
        self._audiences = list(audiences)

    def verify(self, token: str) -> dict[str, Any]:
        """The claims. Raises UnauthenticatedError with the reason, UnavailableError."""
        if len(token) > MAX_TOKEN:
            raise UnauthenticatedError(f"the token has more than {MAX_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
        except _UNREADABLE as error:
            raise UnauthenticatedError("the token is no JWT") from error
        algorithm, kid, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise UnauthenticatedError(f"the token is not signed by one of {', '.join(sorted(ALGORITHMS))}")
        if not isinstance(kid, str) or not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise UnauthenticatedError("the token's header is not that of an ID token or an access token")
        key = self._issuer.key(kid, algorithm)
        if key is None:
            raise UnauthenticatedError("the token is signed by a key that its issuer does not have")
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=[name for name in key.algorithms if name == algorithm],
                audience=self._audiences,
                issuer=self._issuer.url,
                leeway=SKEW_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise UnauthenticatedError("the token has expired") from error
        except jwt.InvalidAudienceError as error:
            raise UnauthenticatedError(f"the token is not for {' or '.join(self._audiences)}") from error
        except jwt.InvalidSignatureError as error:
            raise UnauthenticatedError("the token's signature is wrong") from error
        except jwt.ImmatureSignatureError as error:
            raise UnauthenticatedError("the token is not valid yet; do the clocks differ?") from error
        except jwt.MissingRequiredClaimError as error:
            raise UnauthenticatedError(f"the token has no claim {error.claim}") from error
        except _UNREADABLE as error:
            raise UnauthenticatedError("the token cannot be verified") from error
