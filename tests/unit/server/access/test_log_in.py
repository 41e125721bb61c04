"""The log-in at an issuer: what is taken back from a browser, and what is not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_server.access import log_in as module
from penstock_server.access.issuer import Issuer
from penstock_server.access.log_in import Begun, ClientSettings, LogIn, local_path
from penstock_server.access.oidc import ClaimSettings, Identity
from penstock_server.errors import UnauthenticatedError, UnavailableError

from tools.testing.oidc_issuer import CLIENT, SECRET, OidcIssuer, SigningKey, oidc_issuer

BACK = "https://pipelines.example.com/oauth2/callback"


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


def made(issuer: OidcIssuer, secret: str = SECRET, **claims: str) -> LogIn:
    return LogIn(Issuer(issuer.url), ClientSettings(CLIENT, secret, claims=ClaimSettings(**claims)))  # type: ignore[arg-type]


def answered(issuer: OidcIssuer, begun: Begun) -> dict[str, str]:
    """The query with which the browser comes back from the issuer."""
    back = issuer.authorize(dict(parse_qsl(urlsplit(begun.url).query)))
    assert back.startswith(BACK + "?")
    return dict(parse_qsl(urlsplit(back).query))


def test_who_logs_in_is_known(issuer: OidcIssuer) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/pipeline/?a=b")
    done = log_in.finish(begun.kept, answered(issuer, begun))
    assert done.identity == Identity("alice@example.com", ("team-a",)) and done.path == "/pipeline/?a=b"
    assert issuer.requests["/userinfo"] == 0


def test_a_secret_may_be_sent_in_the_form(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    sent: list[dict[str, str]] = []

    def exchange(form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        sent.append(form)
        return 400, {"error": "invalid_grant"}

    monkeypatch.setattr(issuer, "exchange", exchange)
    for secret in (SECRET, ""):
        log_in = made(issuer, secret)
        begun = log_in.begin(BACK, "/")
        with pytest.raises(UnauthenticatedError):
            log_in.finish(begun.kept, answered(issuer, begun))
        assert sent[-1]["client_id"] == CLIENT and sent[-1].get("client_secret", "") == secret


def test_another_server_finishes_what_one_began(issuer: OidcIssuer) -> None:
    begun = made(issuer).begin(BACK, "/")
    assert made(issuer).finish(begun.kept, answered(issuer, begun))


def test_a_server_with_another_secret_does_not(issuer: OidcIssuer) -> None:
    begun = made(issuer, "another").begin(BACK, "/")
    with pytest.raises(UnauthenticatedError):
        made(issuer).finish(begun.kept, answered(issuer, begun))


def test_a_code_is_good_once(issuer: OidcIssuer) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    answer = answered(issuer, begun)
    log_in.finish(begun.kept, answer)
    with pytest.raises(UnauthenticatedError, match="code"):
        log_in.finish(begun.kept, answer)


def test_the_answer_is_that_of_this_browser(issuer: OidcIssuer) -> None:
    log_in = made(issuer)
    begun, other = log_in.begin(BACK, "/"), log_in.begin(BACK, "/")
    answer = answered(issuer, begun)
    for kept in ("", "x", other.kept, begun.kept[:-4] + "AAAA", "é", "x" * 5000):
        with pytest.raises(UnauthenticatedError):
            log_in.finish(kept, answer)
    # A code of another log-in, with this one's state: the attacker's account, in the victim's browser, or the reverse.
    with pytest.raises(UnauthenticatedError):
        log_in.finish(begun.kept, {**answer, "code": answered(issuer, other)["code"]})


@pytest.mark.parametrize(
    "change",
    [
        {"state": ""},
        {"state": "x"},
        {"state": "é\ud800"},
        {"code": ""},
        {"code": "", "error": "access_denied"},
        {"code": "", "error": "<script>"},
        {"code": "guessed"},
        {"iss": "https://evil.example.com"},
    ],
)
def test_an_answer_that_is_not_right(issuer: OidcIssuer, change: dict[str, str]) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    with pytest.raises(UnauthenticatedError) as refused:
        log_in.finish(begun.kept, {**answered(issuer, begun), **change})
    assert ("access_denied" in refused.value.message) is (change.get("error") == "access_denied")
    assert "<" not in refused.value.message


def test_a_log_in_takes_minutes_at_most(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    monkeypatch.setattr(module, "MINUTES", -1)
    with pytest.raises(UnauthenticatedError, match="longer"):
        log_in.finish(begun.kept, answered(issuer, begun))


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"exp": 1},
        {"email_verified": False},
        {"iss": "https://evil.example.com"},
    ],
    ids=str,
)
def test_a_token_that_is_not_this_log_ins(issuer: OidcIssuer, claims: dict[str, Any]) -> None:
    log_in = made(issuer)
    issuer.claims = claims
    begun = log_in.begin(BACK, "/")
    with pytest.raises(UnauthenticatedError):
        log_in.finish(begun.kept, answered(issuer, begun))


def test_a_token_of_a_forger(issuer: OidcIssuer) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    assert log_in.finish(begun.kept, answered(issuer, begun))
    issuer.keys = [SigningKey("first", number=1)]
    begun = log_in.begin(BACK, "/")
    with pytest.raises(UnauthenticatedError, match="signature"):
        log_in.finish(begun.kept, answered(issuer, begun))


def test_what_a_token_lacks_is_asked_for(issuer: OidcIssuer) -> None:
    issuer.claims = {"email": None, "email_verified": None, "groups": None}
    issuer.userinfo = {"email": "alice@example.com", "email_verified": True, "groups": ["x"], "nonce": "y", "iss": "z"}
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    assert log_in.finish(begun.kept, answered(issuer, begun)).identity == Identity("alice@example.com", ("x",))


@pytest.mark.parametrize(
    ("claims", "userinfo"),
    [
        ({"groups": None, "email_verified": None}, {"email_verified": True}),
        ({"email": None}, {"email": "root@example.com"}),
        ({"email": None}, {"email": "alice@example.com", "email_verified": True, "sub": "id-of-another"}),
        ({"email": None}, {}),
    ],
)
def test_what_the_issuer_tells_besides_vouches_for_nothing_else(
    issuer: OidcIssuer, claims: dict[str, Any], userinfo: dict[str, Any]
) -> None:
    issuer.claims, issuer.userinfo = claims, userinfo
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    with pytest.raises(UnauthenticatedError):
        log_in.finish(begun.kept, answered(issuer, begun))


def test_an_issuer_that_is_away(issuer: OidcIssuer) -> None:
    log_in = made(issuer)
    begun = log_in.begin(BACK, "/")
    answer = answered(issuer, begun)
    issuer.away = True
    with pytest.raises(UnavailableError):
        log_in.finish(begun.kept, answer)
    with pytest.raises(UnavailableError):
        made(issuer).begin(BACK, "/")
    assert made(issuer).end_url(BACK) == BACK


def test_the_issuers_session_is_ended_too(issuer: OidcIssuer) -> None:
    url = urlsplit(made(issuer).end_url("https://pipelines.example.com/"))
    assert url.path == "/logout"
    assert dict(parse_qsl(url.query))["post_logout_redirect_uri"] == "https://pipelines.example.com/"


@pytest.mark.parametrize("path", ["/", "/pipeline/#/runs", "/a?b=https://c.example.com//d", "/a//b", "/:80", "/@x"])
def test_a_path_of_this_server(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example.com",
        "///evil.example.com",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "/\t/evil.example.com",
        "/\n/evil.example.com",
        "\t//evil.example.com",
        " //evil.example.com",
        "https://evil.example.com",
        "HTTPS:evil.example.com",
        "javascript:alert(1)",
        "evil.example.com",
        "//[",
        "/\x00x",
        "/a\x7f",
        "/\u2028/evil",
        "/" + "x" * 2000,
    ],
)
def test_no_path_leads_elsewhere(path: str) -> None:
    assert local_path(path) == "/"


@given(st.text(alphabet="/\\\t\r\n :@?#.ax%[]é"))
def test_whatever_is_asked_for_stays_here(text: str) -> None:
    found = local_path(text)
    assert found.startswith("/") and urlsplit(found).netloc == "" and not found.startswith(("//", "/\\"))


def test_processes_of_a_server_finish_what_another_began_without_a_secret(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = f"{quote(CLIENT, safe='')}:{quote(SECRET, safe='')}"
    as_it_is, confidential = issuer.exchange, base64.b64encode(pair.encode()).decode()
    sent: list[str] = []

    def exchange(form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Of an issuer that knows the client as a public one."""
        sent.append(authorization + form.get("client_secret", ""))
        return as_it_is(form, f"Basic {confidential}")

    monkeypatch.setattr(issuer, "exchange", exchange)
    client = ClientSettings(CLIENT)
    first, second = (LogIn(Issuer(issuer.url), client, "of this server's processes") for _ in range(2))
    begun = first.begin(BACK, "/")
    assert second.finish(begun.kept, answered(issuer, begun)).path == "/"
    assert sent == [""], "the key is not for the issuer"
    begun = LogIn(Issuer(issuer.url), client).begin(BACK, "/")
    with pytest.raises(UnauthenticatedError):
        second.finish(begun.kept, answered(issuer, begun))
