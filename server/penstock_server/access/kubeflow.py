"""Identifies callers as Kubeflow does: by the header of a trusted proxy, then by a token that the cluster knows.

Why refused, not ignored: a header from a peer that is not trusted is a forgery or a proxy that nobody configured, and
in both cases the call must not go on under another identity.

Invariants: both headers come from the same trusted peer, each once at most; groups without a user are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import jwt

from penstock_server.access.credentials import Credentials
from penstock_server.access.names import group_names, user_name
from penstock_server.access.token_review import TokenReviews
from penstock_server.access.trusted_peers import TrustedPeers
from penstock_server.domain.api_token import is_api_token
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError

_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """`prefix` is what the value of the user's header begins with and the name does not have."""

    trusted: TrustedPeers
    user: str = "kubeflow-userid"
    prefix: str = ""
    groups: str = "kubeflow-groups"


class HeaderAuthenticator:
    def __init__(self, settings: HeaderSettings) -> None:
        self._settings = settings

    def authenticate(self, credentials: Credentials) -> Caller | None:
        settings = self._settings
        users = credentials.values(settings.user)
        groups = credentials.values(settings.groups) if settings.groups else ()
        if not users and not groups:
            return None
        if not settings.trusted.trusts(credentials):
            header = settings.user if users else settings.groups
            raise UnauthenticatedError(f"the header {header} is not from a trusted proxy")
        if len(users) != 1:
            raise UnauthenticatedError(f"the header {settings.user} has {len(users)} values where one is needed")
        if len(groups) > 1:
            raise UnauthenticatedError(f"the header {settings.groups} has {len(groups)} values")
        if not users[0].startswith(settings.prefix):
            raise UnauthenticatedError(f"the header {settings.user} does not begin with {settings.prefix!r}")
        names = [name.strip() for name in groups[0].split(",")] if groups else []
        return Caller(
            user_name(users[0].removeprefix(settings.prefix), f"the header {settings.user}"),
            group_names(filter(None, names), f"the header {settings.groups}"),
            Source.KUBEFLOW,
        )


class TokenReviewAuthenticator:
    """Tokens of service accounts, and others that the cluster knows. It cannot tell whether another authenticator knows
    a token that the cluster does not, so it refuses only what says that it is a service account's.
    """

    def __init__(self, reviews: TokenReviews) -> None:
        self._reviews = reviews

    def authenticate(self, credentials: Credentials) -> Caller | None:
        token = credentials.bearer()
        # Our own secrets are nobody else's business.
        if not token or is_api_token(token):
            return None
        reviewed = self._reviews.review(token)
        if reviewed is not None:
            return Caller(reviewed.user, reviewed.groups, Source.TOKEN_REVIEW)
        if _claims_service_account(token):
            audiences = ", ".join(self._reviews.audiences)
            raise UnauthenticatedError(
                f"the cluster does not accept the service account's token: it has expired, or is not for {audiences}"
            )
        return None


def _claims_service_account(token: str) -> bool:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        return False
    return str(claims.get("sub") or "").startswith(_SERVICE_ACCOUNT)
