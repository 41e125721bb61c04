"""The routes of the log-in: a browser's cookies through `/login`, the issuer, `/oauth2/callback` and `/logout`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import ClientResponse, ClientSession, DummyCookieJar, web
from penstock_server.access.chain import KubeflowSettings, OidcSettings, Parts, build
from penstock_server.access.log_in import ClientSettings, LogIn
from penstock_server.domain.audit import AuditQuery
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.login import Login
from penstock_server.gateway.server import GatewayServer, Site
from penstock_server.gateway.ui import UiSettings
from penstock_server.rpc.access_control import note_nothing
from penstock_server.services.audit import AuditService
from penstock_server.services.sessions import SessionService
from penstock_server.services.tokens import TokenService
from penstock_server.storage.database import Database

from tests.support.identities import MovableClock, sqlite
from tools.testing.oidc_issuer import CLIENT, SECRET, OidcIssuer, oidc_issuer

# aiohttp prefers typed keys for what a request keeps; the gateway uses names.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
TLS = {"X-Forwarded-Proto": "https"}
PAGE = {"Accept": "text/html,*/*"}


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer() as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = sqlite(tmp_path)
    yield database
    database.dispose()


@pytest.fixture
def sessions(database: Database) -> SessionService:
    return SessionService(database, MovableClock())


class Browser:
    """Keeps cookies as it is told, follows no redirect by itself, and reads every answer to its end.

    A connection whose answer nobody read is found by the garbage collector, in whichever test comes later.
    """

    def __init__(self, session: ClientSession, url: str) -> None:
        self.cookies: dict[str, str] = {}
        self._session = session
        self.url = url

    async def get(self, path: str, headers: dict[str, str] | None = None, verb: str = "GET") -> ClientResponse:
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = await self._session.request(verb, self.url + path, headers=sent, allow_redirects=False)
        await reply.read()
        for name, morsel in reply.cookies.items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        return reply

    async def ask_the_issuer(self, away: ClientResponse) -> str:
        """Goes where `away` leads, without cookies; returns the path and the query that the issuer sends back to."""
        async with self._session.get(away.headers["Location"], allow_redirects=False) as back:
            parts = urlsplit(back.headers["Location"])
        return f"{parts.path}?{parts.query}"


@asynccontextmanager
async def opened(
    issuer: OidcIssuer,
    sessions: SessionService,
    ui: Path | None = None,
    audit: AuditService | None = None,
    bundle: Path | None = None,
) -> AsyncIterator[Browser]:
    parts = Parts(TokenService(None, None), sessions, lambda: None)  # type: ignore[arg-type]
    chain = build(["oidc"], KubeflowSettings(), OidcSettings(issuer.url, CLIENT), parts)
    assert chain.issuer is not None
    log_in = LogIn(chain.issuer, ClientSettings(CLIENT, SECRET))
    refused = audit.refused if audit is not None else note_nothing
    login = Login(log_in, sessions, chain.authentication, refused=refused)
    calls: Any = None
    app: web.Application = create_app(calls, GatewaySettings(login=login, ui=UiSettings(ui), bundle=bundle))
    gateway = GatewayServer([Site(app, "127.0.0.1", 0)])
    (port,) = gateway.start()
    try:
        async with ClientSession(cookie_jar=DummyCookieJar()) as client:
            yield Browser(client, f"http://127.0.0.1:{port}")
    finally:
        gateway.stop(0)


async def logged_in(browser: Browser, issuer: OidcIssuer, path: str = "/login", **headers: str) -> ClientResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    away = await browser.get(path, sent)
    assert away.status == 303 and away.headers["Location"].startswith(issuer.url + "/authorize?")
    return await browser.get(await browser.ask_the_issuer(away), sent)


async def test_a_browser_is_logged_in_and_out(issuer: OidcIssuer, sessions: SessionService) -> None:
    async with opened(issuer, sessions) as browser:
        reply = await logged_in(browser, issuer, "/login?next=/a%3Fb")
        assert reply.status == 303 and reply.headers["Location"] == "/a?b"
        assert list(browser.cookies) == ["penstock_session"]
        cookie = reply.cookies["penstock_session"]
        assert cookie["httponly"] and not cookie["secure"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
        assert cookie["max-age"] == str(sessions.seconds)
        session = sessions.find(cookie.value)
        assert session is not None and session.user == "alice@example.com"

        asked = await browser.get("/logout")
        assert asked.status == 200 and "form" in await asked.text() and sessions.find(cookie.value) == session
        ended = await browser.get("/logout", verb="POST")
        assert ended.status == 303 and ended.headers["Location"].startswith(issuer.url + "/logout?")
        assert not browser.cookies and sessions.find(cookie.value) is None


async def test_the_audit_log_has_who_is_let_in_and_who_is_not(
    issuer: OidcIssuer, sessions: SessionService, database: Database
) -> None:
    audit = AuditService(database, MovableClock())
    async with opened(issuer, sessions, audit=audit) as browser:
        await browser.get("/pipeline/oauth2/callback?code=x&state=y", {"X-Request-Id": "guessed"})
        assert audit.flush() == 1
        await logged_in(browser, issuer, X_Request_Id="mine")
        await browser.get("/logout", {"X-Request-Id": "away"}, verb="POST")
        # A session that is over already ends without a line.
        await browser.get("/logout", verb="POST")
    away, mine, guessed = audit.list(AuditQuery(), 10)
    for line, verb, method, request_id in (
        (mine, "create", "/oauth2/callback", "mine"),
        (away, "delete", "/logout", "away"),
    ):
        assert (line.user, line.address) == ("alice@example.com", "127.0.0.1")
        assert (line.resource, line.verb, line.result) == ("sessions", verb, "OK")
        assert (line.method, line.request_id) == (method, request_id)
    assert mine.object_id == away.object_id
    assert (guessed.user, guessed.result, guessed.method) == ("", "UNAUTHENTICATED", "/oauth2/callback")
    assert "began no log-in" in guessed.reason and guessed.request_id == "guessed"


async def test_cookies_of_a_browser_with_tls(issuer: OidcIssuer, sessions: SessionService) -> None:
    async with opened(issuer, sessions) as browser:
        reply = await logged_in(browser, issuer, "/pipeline/login", **TLS)
        assert reply.headers["Location"] == "/pipeline/"
        cookie = reply.cookies["__Host-penstock_session"]
        assert cookie["secure"] and cookie["httponly"] and cookie["path"] == "/" and not cookie["domain"]


async def test_the_address_that_the_issuer_sends_back_to(issuer: OidcIssuer, sessions: SessionService) -> None:
    async with opened(issuer, sessions) as browser:
        for prefix, headers, scheme in (("", {}, "http"), ("/pipeline", TLS, "https")):
            away = await browser.get(f"{prefix}/login", headers)
            query = dict(parse_qsl(urlsplit(away.headers["Location"]).query))
            address = browser.url.removeprefix("http")
            assert query["redirect_uri"] == f"{scheme}{address}{prefix}/oauth2/callback"
            assert away.headers["Cache-Control"] == "no-store"


async def test_an_answer_without_the_cookie_is_refused(issuer: OidcIssuer, sessions: SessionService) -> None:
    async with opened(issuer, sessions) as browser:
        reply = await browser.get("/oauth2/callback?code=x&state=<script>")
        assert reply.status == 401 and "<script>" not in await reply.text()
        away = await browser.get("/login")
        stolen = await browser.ask_the_issuer(away)
        browser.cookies.clear()
        assert (await browser.get(stolen)).status == 401
        assert not browser.cookies


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/%5Cevil.example", "/%09/evil.example"])
async def test_no_log_in_leads_elsewhere(issuer: OidcIssuer, sessions: SessionService, path: str) -> None:
    async with opened(issuer, sessions) as browser:
        reply = await logged_in(browser, issuer, f"/login?next={path}")
        assert reply.headers["Location"] == "/"


async def test_an_issuer_that_is_away(issuer: OidcIssuer, sessions: SessionService) -> None:
    issuer.away = True
    async with opened(issuer, sessions) as browser:
        assert (await browser.get("/login")).status == 503
        assert (await browser.get("/livez")).status == 200


async def test_a_page_leads_to_the_log_in_and_a_program_does_not(
    issuer: OidcIssuer, sessions: SessionService, tmp_path: Path
) -> None:
    ui = tmp_path / "ui"
    ui.mkdir()
    (ui / "index.html").write_text("<html><head></head></html>")
    async with opened(issuer, sessions, ui) as browser:
        for path, login in (("/", "/login?next=%2F"), ("/pipeline/", "/pipeline/login?next=%2Fpipeline%2F")):
            reply = await browser.get(path, PAGE)
            assert reply.status == 303 and reply.headers["Location"] == login
        assert (await browser.get("/")).status == 200
        assert (await browser.get("/nothing-here", PAGE)).status == 404
        await logged_in(browser, issuer)
        assert (await browser.get("/", PAGE)).status == 200
        await browser.get("/logout", verb="POST")
        assert (await browser.get("/", PAGE)).status == 303


async def test_pages_of_the_own_ui_lead_to_the_log_in(
    issuer: OidcIssuer, sessions: SessionService, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<title>Penstock</title>")
    async with opened(issuer, sessions, bundle=tmp_path) as browser:
        reply = await browser.get("/runs/one?view=graph", PAGE)
        assert reply.status == 303
        assert reply.headers["Location"] == "/login?next=%2Fruns%2Fone%3Fview%3Dgraph"
        await logged_in(browser, issuer)
        reply = await browser.get("/runs/one", PAGE)
        assert (reply.status, await reply.text()) == (200, "<title>Penstock</title>")


async def test_a_page_of_another_site_logs_nobody_out(issuer: OidcIssuer, sessions: SessionService) -> None:
    async with opened(issuer, sessions) as browser:
        reply = await logged_in(browser, issuer)
        identifier = reply.cookies["penstock_session"].value
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.get("/logout", headers, verb="POST")).status == 403
        assert sessions.find(identifier) is not None
