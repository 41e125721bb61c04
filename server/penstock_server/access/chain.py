"""Makes the chain of authenticators from what is set.

Invariants: their order is that of `--auth`, and whatever comes of a log-in (sessions) or of this server (API tokens) is
asked where its name stands; what is set so that everybody would be believed is refused at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock_kube.config import Cluster

from penstock_server.access.api_tokens import TokenAuthenticator
from penstock_server.access.authentication import Authentication, Authenticator
from penstock_server.access.id_tokens import TokenVerifier
from penstock_server.access.issuer import Issuer
from penstock_server.access.kubeflow import HeaderAuthenticator, HeaderSettings, TokenReviewAuthenticator
from penstock_server.access.oidc import DEFAULT_CLAIMS, ClaimSettings, OidcAuthenticator
from penstock_server.access.sessions import SessionAuthenticator
from penstock_server.access.token_review import TokenReviews
from penstock_server.access.trusted_peers import TrustedPeers
from penstock_server.services.sessions import SessionService
from penstock_server.services.tokens import TokenService

UPSTREAM_AUDIENCES = ("pipelines.kubeflow.org",)
MODES = ("none", "kubeflow", "oidc", "tokens")


@dataclass(frozen=True, slots=True)
class KubeflowSettings:
    """`trusted_proxies` are networks and names in certificates; `audiences` those that tokens must be for."""

    trusted_proxies: tuple[str, ...] = ()
    user_header: str = "kubeflow-userid"
    user_prefix: str = ""
    groups_header: str = "kubeflow-groups"
    audiences: tuple[str, ...] = UPSTREAM_AUDIENCES


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """`audiences` are the client's id unless given."""

    issuer: str = ""
    client_id: str = ""
    audiences: tuple[str, ...] = ()
    claims: ClaimSettings = DEFAULT_CLAIMS


@dataclass(frozen=True, slots=True)
class Parts:
    """What the chain asks. `cluster` returns the one that reviews tokens, None where there is none; it is called when
    tokens are to be reviewed, and may block.
    """

    tokens: TokenService
    sessions: SessionService
    cluster: Callable[[], Cluster | None]


@dataclass(frozen=True, slots=True)
class Chain:
    """`issuer` is None where nobody logs in, `reviews` where the cluster is not asked."""

    authentication: Authentication
    issuer: Issuer | None = None
    reviews: TokenReviews | None = None

    def close(self) -> None:
        """Closes the connections that it holds."""
        if self.reviews is not None:
            self.reviews.close()


def build(modes: Sequence[str], kubeflow: KubeflowSettings, oidc: OidcSettings, parts: Parts) -> Chain:
    """Raises ValueError that names the option which is missing or wrong."""
    unknown = set(modes) - set(MODES)
    if unknown:
        raise ValueError(f"--auth: {sorted(unknown)[0]!r} is none of {', '.join(MODES)}")
    if len(set(modes)) != len(modes) or ("none" in modes and len(modes) > 1):
        raise ValueError("--auth: a way to identify callers is named twice, or beside none")
    authenticators: list[Authenticator] = []
    issuer: Issuer | None = None
    reviews: TokenReviews | None = None
    for mode in modes:
        if mode == "kubeflow":
            authenticators.append(_headers(kubeflow))
            cluster = parts.cluster() if kubeflow.audiences else None
            if cluster is not None:
                reviews = TokenReviews(cluster, kubeflow.audiences)
                authenticators.append(TokenReviewAuthenticator(reviews))
        elif mode == "oidc":
            issuer, bearer = _oidc(oidc)
            authenticators += [bearer, SessionAuthenticator(parts.sessions)]
        elif mode == "tokens":
            authenticators.append(TokenAuthenticator(parts.tokens))
    return Chain(Authentication(authenticators), issuer, reviews)


def _headers(settings: KubeflowSettings) -> HeaderAuthenticator:
    if not settings.trusted_proxies:
        raise ValueError(
            "--trusted-proxy: --auth kubeflow needs to know whose header it may believe: the networks of the proxies, "
            "or the names in their certificates"
        )
    try:
        trusted = TrustedPeers.parse(settings.trusted_proxies)
    except ValueError as error:
        raise ValueError(f"--trusted-proxy: {error}") from error
    if not settings.user_header:
        raise ValueError("--user-header: --auth kubeflow needs the name of the header with the user")
    headers = HeaderSettings(trusted, settings.user_header, settings.user_prefix, settings.groups_header)
    return HeaderAuthenticator(headers)


def _oidc(settings: OidcSettings) -> tuple[Issuer, OidcAuthenticator]:
    if not settings.issuer:
        raise ValueError("--oidc-issuer: --auth oidc needs the URL of the issuer")
    try:
        issuer = Issuer(settings.issuer)
    except ValueError as error:
        raise ValueError(f"--oidc-issuer: {error}") from error
    audiences = settings.audiences or ((settings.client_id,) if settings.client_id else ())
    if not audiences:
        raise ValueError("--oidc-audience: --auth oidc needs to know whom tokens are for, or --oidc-client-id")
    return issuer, OidcAuthenticator(issuer, TokenVerifier(issuer, audiences), settings.claims)
