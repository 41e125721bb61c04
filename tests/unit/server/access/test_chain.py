"""The chain that `--auth` names: its order, what it needs, and what it is not made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_server.access.chain import Chain, KubeflowSettings, OidcSettings, Parts, build
from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError
from penstock_server.services.sessions import SessionService
from penstock_server.services.tokens import NewToken, TokenService

from tests.support.identities import MovableClock, sqlite
from tests.support.token_reviews import ReviewServer, review_server
from tools.testing.oidc_issuer import CLIENT, OidcIssuer, oidc_issuer

KUBEFLOW = KubeflowSettings(("10.0.0.0/8",))


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture
def cluster() -> Iterator[ReviewServer]:
    with review_server() as running:
        yield running


@pytest.fixture
def parts(tmp_path: Path, cluster: ReviewServer) -> Iterator[Parts]:
    database, clock = sqlite(tmp_path), MovableClock()
    yield Parts(TokenService(database, clock), SessionService(database, clock), lambda: cluster.cluster)
    database.dispose()


def oidc(issuer: OidcIssuer) -> OidcSettings:
    return OidcSettings(issuer.url, CLIENT)


def bearer(token: str, **headers: str) -> Credentials:
    others = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    return Credentials({"authorization": (f"Bearer {token}",), **others}, "10.0.0.1")


@pytest.fixture
def chain(issuer: OidcIssuer, parts: Parts) -> Iterator[Chain]:
    made = build(["kubeflow", "oidc", "tokens"], KUBEFLOW, oidc(issuer), parts)
    yield made
    made.close()


def test_each_kind_of_credentials_has_its_authenticator(
    chain: Chain, parts: Parts, issuer: OidcIssuer, cluster: ReviewServer
) -> None:
    user = "system:serviceaccount:team-a:trainer"
    cluster.accept("projected", user, audiences=("pipelines.kubeflow.org",))
    clock = MovableClock()
    _, token = parts.tokens.create(Caller("carol"), NewToken("ci", clock.now + 1000))
    session = parts.sessions.begin("dave", ())
    shown = {
        Source.KUBEFLOW: bearer(issuer.token(), kubeflow_userid="erin"),
        Source.TOKEN_REVIEW: bearer("projected"),
        Source.OIDC: bearer(issuer.token()),
        Source.TOKEN: bearer(token),
        Source.SESSION: Credentials(session=session, verb="GET", address="10.0.0.1"),
    }
    for source, credentials in shown.items():
        caller = chain.authentication.authenticate(credentials)
        assert (caller.source, caller.address) == (source, "10.0.0.1")


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "pst_x", "x" * 20_000])
def test_who_shows_nothing_that_is_known_is_refused(chain: Chain, token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        chain.authentication.authenticate(bearer(token))
    with pytest.raises(UnauthenticatedError):
        chain.authentication.authenticate(Credentials())


def test_a_forged_header_beside_a_good_token_is_refused(chain: Chain, issuer: OidcIssuer) -> None:
    credentials = replace(bearer(issuer.token(), kubeflow_userid="root"), address="192.0.2.1")
    with pytest.raises(UnauthenticatedError, match="trusted proxy"):
        chain.authentication.authenticate(credentials)


def test_nobody_is_asked_where_nothing_is_set(parts: Parts) -> None:
    for modes in ([], ["none"]):
        chain = build(modes, KubeflowSettings(), OidcSettings(), parts)
        assert not chain.authentication.asks and chain.issuer is None
        assert chain.authentication.authenticate(bearer("x", kubeflow_userid="root")).user == ""


@pytest.mark.parametrize(
    ("modes", "kubeflow", "oidc", "option"),
    [
        (["basic"], KUBEFLOW, OidcSettings(), "--auth"),
        (["none", "tokens"], KUBEFLOW, OidcSettings(), "--auth"),
        (["tokens", "tokens"], KUBEFLOW, OidcSettings(), "--auth"),
        (["kubeflow"], KubeflowSettings(), OidcSettings(), "--trusted-proxy"),
        (["kubeflow"], KubeflowSettings(("10.0.0.1/8",)), OidcSettings(), "--trusted-proxy"),
        (["kubeflow"], replace(KUBEFLOW, user_header=""), OidcSettings(), "--user-header"),
        (["oidc"], KUBEFLOW, OidcSettings(client_id="x"), "--oidc-issuer"),
        (["oidc"], KUBEFLOW, OidcSettings("accounts.example.com", "x"), "--oidc-issuer"),
        (["oidc"], KUBEFLOW, OidcSettings("https://accounts.example.com"), "--oidc-audience"),
    ],
)
def test_what_would_believe_everybody_is_refused(
    parts: Parts, modes: list[str], kubeflow: KubeflowSettings, oidc: OidcSettings, option: str
) -> None:
    with pytest.raises(ValueError, match=option):
        build(modes, kubeflow, oidc, parts)


def test_tokens_of_a_cluster_are_reviewed_where_there_is_one(parts: Parts, cluster: ReviewServer) -> None:
    for without in (
        build(["kubeflow"], KUBEFLOW, OidcSettings(), replace(parts, cluster=lambda: None)),
        build(["kubeflow"], replace(KUBEFLOW, audiences=()), OidcSettings(), parts),
    ):
        with pytest.raises(UnauthenticatedError):
            without.authentication.authenticate(bearer("projected"))
    assert not cluster.asked
