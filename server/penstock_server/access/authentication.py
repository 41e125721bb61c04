"""Tells who calls, by a chain of authenticators.

Invariants: the first authenticator that recognises its kind of credentials decides; a wrong credential is refused and
never passed on as if it were absent. A caller whom no authenticator recognises is refused, unless the chain is empty:
then nobody is asked, as on a laptop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Caller
from penstock_server.errors import NoCredentialsError


class Authenticator(Protocol):
    """One way to prove an identity. It may block for seconds, and is called from many threads."""

    def authenticate(self, credentials: Credentials) -> Caller | None:
        """None when there are no credentials of this kind.

        Raises UnauthenticatedError for credentials of this kind that do not hold, UnavailableError when whoever knows
        does not answer.
        """
        ...


class Authentication:
    def __init__(self, chain: Sequence[Authenticator] = ()) -> None:
        self._chain = tuple(chain)

    @property
    def asks(self) -> bool:
        """Whether callers have to identify themselves."""
        return bool(self._chain)

    def authenticate(self, credentials: Credentials) -> Caller:
        """Raises UnauthenticatedError, UnavailableError."""
        for authenticator in self._chain:
            caller = authenticator.authenticate(credentials)
            if caller is not None:
                return Caller(caller.user, caller.groups, caller.source, credentials.address, caller.scope)
        if self._chain:
            raise NoCredentialsError("the call carries no credentials that are accepted here; log in or send a token")
        return Caller("", address=credentials.address)
