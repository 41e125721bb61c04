"""API tokens: `pst_ID_SECRET`, where the id finds the token and the secret proves it.

Why a prefix: scanners of repositories and logs recognise it. Why a plain hash: the secret is 32 random bytes, so there
is nothing that a slow one would protect from guessing.

Invariant: the secret is shown once, when the token is made; what is kept is its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from penstock_server.domain.caller import Role, TokenScope

_PREFIX = "pst_"
_ID_BYTES = 10
_SECRET_BYTES = 32
_FORM = re.compile(r"pst_([a-z2-7]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """Times in milliseconds; `last_used_at` and `revoked_at` are 0 when it never was. `groups` are those of the user
    when the token was made."""

    token_id: str
    name: str
    user: str
    groups: tuple[str, ...]
    role: Role
    namespaces: tuple[str, ...]
    secret_hash: str
    created_at: int
    expires_at: int
    last_used_at: int = 0
    revoked_at: int = 0

    @property
    def scope(self) -> TokenScope:
        """What it bounds."""
        return TokenScope(self.token_id, self.role, self.namespaces)

    def is_proven_by(self, secret: str) -> bool:
        """Whether this is its secret; takes as long for one that is nearly right."""
        return hmac.compare_digest(self.secret_hash, hash_of(secret))


def is_api_token(text: str) -> bool:
    """Whether it means to be one, well-formed or not."""
    return text.startswith(_PREFIX)


def parse(text: str) -> tuple[str, str] | None:
    """Id and secret; None when it has not the form of a token."""
    match = _FORM.fullmatch(text)
    return None if match is None else (match.group(1), match.group(2))


def generate() -> tuple[str, str]:
    """A new id and a new secret."""
    identifier = base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower()
    return identifier, secrets.token_urlsafe(_SECRET_BYTES)


def text_of(identifier: str, secret: str) -> str:
    """What callers send as `Authorization: Bearer`."""
    return f"{_PREFIX}{identifier}_{secret}"


def hash_of(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
