"""How executors prove themselves: what is accepted, as whom, and what is not."""

from __future__ import annotations

import pytest
from penstock_server.access.authentication import Authenticator
from penstock_server.access.credentials import NOBODY, Credentials
from penstock_server.access.executors import Certificates, ServiceAccounts, SharedSecret
from penstock_server.access.token_review import Reviewed
from penstock_server.domain.caller import Source
from penstock_server.errors import UnauthenticatedError

USERS = {"token": "system:serviceaccount:penstock:executor", "other": "system:serviceaccount:tasks:default"}


def review(token: str) -> Reviewed | None:
    user = {**USERS, "person": "penstock:executor"}.get(token)
    return Reviewed(user, ()) if user else None


SECRET = SharedSecret(lambda: ("new-secret", "old-secret"))
ACCOUNT = ServiceAccounts(review, ["penstock:executor", "penstock:second"])
CERTIFICATE = Certificates(["executor.penstock.svc", "second"])


def bearer(*values: str) -> Credentials:
    return Credentials({"authorization": values})


@pytest.mark.parametrize(
    ("authenticator", "shown", "user"),
    [
        (SECRET, bearer("Bearer new-secret"), ""),
        (SECRET, bearer("bearer old-secret"), ""),
        (ACCOUNT, bearer("Bearer token"), "penstock:executor"),
        (CERTIFICATE, Credentials(certificate_names=("other", "second")), "second"),
    ],
    ids=["the newest secret", "one that is being replaced", "an account", "a certificate"],
)
def test_who_is_accepted(authenticator: Authenticator, shown: Credentials, user: str) -> None:
    caller = authenticator.authenticate(shown)
    assert caller is not None
    assert (caller.user, caller.source) == (user, Source.EXECUTOR)


@pytest.mark.parametrize(
    ("authenticator", "shown", "says"),
    [
        (SECRET, NOBODY, "no secret"),
        (SECRET, bearer("Bearer new-secre"), "none of those"),
        (SECRET, bearer("Bearer "), "no secret"),
        (SECRET, bearer("Basic new-secret"), "no secret"),
        (SECRET, bearer("Bearer new-secret", "Bearer new-secret"), "no secret"),
        (SECRET, bearer("Bearer ünï"), "none of those"),
        (SharedSecret(tuple), bearer("Bearer new-secret"), "none of those"),
        (SECRET, Credentials(certificate_names=("second",)), "no secret"),
        (ACCOUNT, NOBODY, "no token"),
        (ACCOUNT, bearer("Bearer nobody's"), "not valid for the audience"),
        (ACCOUNT, bearer("Bearer other"), "no account of executors"),
        (ACCOUNT, bearer("Bearer person"), "no account of executors"),
        (CERTIFICATE, NOBODY, "no certificate"),
        (CERTIFICATE, bearer("Bearer second"), "no certificate"),
        (CERTIFICATE, Credentials(certificate_names=("SECOND", "executor")), "none of the names"),
    ],
)
def test_who_is_not(authenticator: Authenticator, shown: Credentials, says: str) -> None:
    with pytest.raises(UnauthenticatedError, match=says) as caught:
        authenticator.authenticate(shown)
    assert "new-secret" not in str(caught.value)
