"""Identifies callers by Penstock's own API tokens.

Invariants: whatever is wrong with a token, the caller is told the same, so that guessing teaches nothing but the form;
only who proves a token is told that it has expired or was revoked. That a text proves a token is kept no longer
than the token's row, and by a hash of the text, so that no secret is kept.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from penstock_server.access.credentials import Credentials
from penstock_server.domain.api_token import ApiToken, is_api_token, parse
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError
from penstock_server.services.kept import Kept
from penstock_server.services.remembered import SECONDS
from penstock_server.services.tokens import TokenService

_KEPT = 10_000


class _Proven(NamedTuple):
    token: ApiToken
    caller: Caller


class TokenAuthenticator:
    """Takes Bearer tokens that begin with `pst_`."""

    def __init__(self, tokens: TokenService) -> None:
        self._tokens = tokens
        self._proven: Kept[bytes, _Proven] = Kept(_KEPT, SECONDS)

    def authenticate(self, credentials: Credentials) -> Caller | None:
        text = credentials.bearer()
        # Faster than the hash that is stored, which OpenSSL makes.
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()
        proven = self._proven.get(key)
        if proven is None or proven.token is not self._tokens.find(proven.token.token_id):
            if not is_api_token(text):
                return None
            proven = self._prove(text)
            self._proven.put(key, proven)
        if not self._tokens.use(proven.token):
            raise UnauthenticatedError(f"the API token {proven.token.name!r} has expired or was revoked")
        return proven.caller

    def _prove(self, text: str) -> _Proven:
        """The token as it is remembered, and whose it is. Raises UnauthenticatedError."""
        parts = parse(text)
        token = None if parts is None else self._tokens.find(parts[0])
        if parts is None or token is None or not token.is_proven_by(parts[1]):
            raise UnauthenticatedError("there is no such API token")
        return _Proven(token, Caller(token.user, token.groups, Source.TOKEN, scope=token.scope))
