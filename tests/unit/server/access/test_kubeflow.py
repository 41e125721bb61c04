"""Callers as Kubeflow names them: the header of a trusted proxy, and nobody else's; then tokens of the cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt
import pytest
from penstock_server.access.credentials import Credentials
from penstock_server.access.kubeflow import HeaderAuthenticator, HeaderSettings, TokenReviewAuthenticator
from penstock_server.access.names import MAX_GROUPS
from penstock_server.access.token_review import TokenReviews
from penstock_server.access.trusted_peers import TrustedPeers
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError

from tests.support.token_reviews import ReviewServer, review_server

PROXY = "spiffe://cluster.local/ns/istio-system/sa/ingress"
TRUSTED = TrustedPeers.parse(["10.1.0.0/16", "fd00::/8", PROXY])
SETTINGS = HeaderSettings(TRUSTED)


def shown(address: str = "10.1.2.3", names: tuple[str, ...] = (), **headers: tuple[str, ...]) -> Credentials:
    return Credentials({key.replace("_", "-"): value for key, value in headers.items()}, address, names)


def identify(credentials: Credentials, settings: HeaderSettings = SETTINGS) -> Caller | None:
    return HeaderAuthenticator(settings).authenticate(credentials)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("10.1.2.3", ()),
        ("::ffff:10.1.2.3", ()),
        ("fd00::1%eth0", ()),
        ("192.0.2.1", ("other", PROXY)),
        ("", (PROXY,)),
    ],
)
def test_a_trusted_proxy_is_believed(address: str, names: tuple[str, ...]) -> None:
    caller = identify(shown(address, names, kubeflow_userid=("alice@example.com",), kubeflow_groups=("a, b,,a",)))
    assert caller == Caller("alice@example.com", ("a", "b"), Source.KUBEFLOW)


@pytest.mark.parametrize("headers", [{"kubeflow_userid": ("alice",)}, {"kubeflow_groups": ("admins",)}])
@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("10.2.0.1", ()),
        ("127.0.0.1", ()),
        ("::1", ()),
        ("", ()),
        ("not an address", ()),
        ("10.2.0.1", (PROXY + "x", PROXY.upper())),
        ("::ffff:10.2.0.1", ()),
    ],
)
def test_anybody_else_is_refused(address: str, names: tuple[str, ...], headers: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UnauthenticatedError, match="not from a trusted proxy"):
        identify(Credentials({name.replace("_", "-"): value for name, value in headers.items()}, address, names))


def test_nobody_is_trusted_unless_named() -> None:
    assert not TrustedPeers()
    with pytest.raises(UnauthenticatedError):
        identify(shown("127.0.0.1", (PROXY,), kubeflow_userid=("alice",)), HeaderSettings(TrustedPeers()))


@pytest.mark.parametrize(
    "headers",
    [
        {"kubeflow_userid": ("alice", "bob")},
        {"kubeflow_userid": ("alice", "alice")},
        {"kubeflow_userid": ("",)},
        {"kubeflow_userid": (" alice",)},
        {"kubeflow_userid": ("ali\nce",)},
        {"kubeflow_userid": ("a" * 256,)},
        {"kubeflow_groups": ("a",)},
        {"kubeflow_userid": ("alice",), "kubeflow_groups": ("a", "b")},
        {"kubeflow_userid": ("alice",), "kubeflow_groups": ("a\x00",)},
        {"kubeflow_userid": ("alice",), "kubeflow_groups": (",".join(map(str, range(MAX_GROUPS + 1))),)},
    ],
)
def test_a_trusted_proxy_says_one_thing(headers: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UnauthenticatedError):
        identify(shown("10.1.2.3", (), **headers))


def test_other_calls_are_for_others() -> None:
    assert identify(shown(authorization=("Bearer x",))) is None


@pytest.mark.parametrize("value", ["alice", "accounts.google.com", "Accounts.google.com:alice", "accounts.google.com:"])
def test_a_value_without_the_prefix_and_a_name_is_refused(value: str) -> None:
    settings = HeaderSettings(TRUSTED, "x-goog-authenticated-user-email", "accounts.google.com:")
    with pytest.raises(UnauthenticatedError):
        identify(shown(x_goog_authenticated_user_email=(value,)), settings)


def test_the_prefix_is_no_part_of_the_name() -> None:
    settings = HeaderSettings(TRUSTED, "X-Goog-Authenticated-User-Email", "accounts.google.com:")
    caller = identify(shown(x_goog_authenticated_user_email=("accounts.google.com:alice",)), settings)
    assert caller is not None and caller.user == "alice"


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "10.0.0.1/8", "10.0.0.256", "::1::2", "", "  ", "a/b", "1.2.3"])
def test_what_is_neither_a_network_nor_a_name_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        TrustedPeers.parse([entry])


@pytest.fixture
def server() -> Iterator[ReviewServer]:
    with review_server() as running:
        yield running


@pytest.fixture
def tokens(server: ReviewServer) -> Iterator[TokenReviewAuthenticator]:
    reviews = TokenReviews(server.cluster, ["pipelines.kubeflow.org"])
    yield TokenReviewAuthenticator(reviews)
    reviews.close()


def bearer(token: str) -> Credentials:
    return shown(authorization=(f"Bearer {token}",))


def test_a_token_that_the_cluster_knows(server: ReviewServer, tokens: TokenReviewAuthenticator) -> None:
    user = "system:serviceaccount:team-a:trainer"
    server.accept("good", user, "system:serviceaccounts", audiences=("pipelines.kubeflow.org",))
    assert tokens.authenticate(bearer("good")) == Caller(user, ("system:serviceaccounts",), Source.TOKEN_REVIEW)


def test_a_token_that_the_cluster_does_not_know_may_be_anothers(tokens: TokenReviewAuthenticator) -> None:
    assert tokens.authenticate(bearer("opaque")) is None
    assert tokens.authenticate(shown()) is None
    assert tokens.authenticate(shown(authorization=("Bearer a", "Bearer b"))) is None


def test_a_service_account_is_told_why(tokens: TokenReviewAuthenticator) -> None:
    claims = {"sub": "system:serviceaccount:team-a:trainer", "exp": time.time() - 5}
    token = jwt.encode(claims, "a secret of the test's own, long enough", algorithm="HS256")
    with pytest.raises(UnauthenticatedError, match=r"pipelines\.kubeflow\.org"):
        tokens.authenticate(bearer(token))


def test_api_tokens_are_not_shown_to_the_cluster(server: ReviewServer, tokens: TokenReviewAuthenticator) -> None:
    assert tokens.authenticate(bearer("pst_abc_def")) is None
    assert not server.asked
