"""How executors prove themselves on the dispatch port: one authenticator for each way.

Invariants: secrets are compared in constant time, and each with all of them. The user of the `Caller` is the identity
that owners of runs are kept apart by (`rpc/dispatch_servicer.py`): a service account or a name of a certificate. A
shared secret tells nobody apart, so its user is empty and all who hold it are one trust domain.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import NoCredentialsError, UnauthenticatedError

if TYPE_CHECKING:
    from penstock_server.access.token_review import Reviewed

AUDIENCE = "penstock-dispatch"
_ACCOUNT = "system:serviceaccount:"


class SharedSecret:
    """`accepted` returns the secrets that hold now, and raises UnavailableError when they cannot be told."""

    def __init__(self, accepted: Callable[[], Sequence[str]]) -> None:
        self._accepted = accepted

    def authenticate(self, credentials: Credentials) -> Caller:
        shown = _shown(credentials, "the executor shows no secret: name its file with --dispatch-secret-file")
        equal = [hmac.compare_digest(shown, secret.encode()) for secret in self._accepted()]
        if not any(equal):
            raise UnauthenticatedError("the secret of the executor is none of those that the server accepts")
        return Caller("", source=Source.EXECUTOR)


class ServiceAccounts:
    """`review` tells whose token for AUDIENCE it is, None when it is nobody's. `accounts` are `namespace:name`.

    It raises UnavailableError when the cluster does not tell.
    """

    def __init__(self, review: Callable[[str], Reviewed | None], accounts: Collection[str]) -> None:
        self._review = review
        self._accounts = frozenset(accounts)

    def authenticate(self, credentials: Credentials) -> Caller:
        shown = _shown(credentials, "the executor shows no token: name its file with --token-file")
        reviewed = self._review(shown.decode("utf-8", "replace"))
        if reviewed is None:
            raise UnauthenticatedError(f"the token of the executor is not valid for the audience {AUDIENCE!r}")
        user = reviewed.user
        account = user.removeprefix(_ACCOUNT)
        if account == user or account not in self._accounts:
            raise UnauthenticatedError(f"{user!r} is no account of executors: see --executor-account of the server")
        return Caller(account, source=Source.EXECUTOR)


class Certificates:
    """`names` are alternative names or common names, of which a client's verified certificate has to have one."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def authenticate(self, credentials: Credentials) -> Caller:
        if not credentials.certificate_names:
            raise NoCredentialsError("the executor shows no certificate that the server can verify")
        for name in credentials.certificate_names:
            if name in self._names:
                return Caller(name, source=Source.EXECUTOR)
        raise UnauthenticatedError(
            "the certificate of the executor has none of the names that the server accepts: see "
            "--executor-certificate-name of the server"
        )


def _shown(credentials: Credentials, missing: str) -> bytes:
    shown = credentials.bearer()
    if not shown:
        raise NoCredentialsError(missing)
    return shown.encode()
