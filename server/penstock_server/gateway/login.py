"""The web UI's log-in: `/login`, `/oauth2/callback`, `/logout`.

Why a page before the log-out: following a link changes nothing on this server (`gateway/cross_site.py`), so ending a
session takes a request that no link is.

Invariants: the issuer is asked on threads of its own, a few, so that one which hangs holds up nothing else; no reply is
kept by a browser or a proxy; where a reply leads to is a path of this server or an endpoint of the issuer; who is not
let in, and who is, has a line in the audit log.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import web

from penstock_server.access.authentication import Authentication
from penstock_server.access.log_in import MINUTES, LogIn
from penstock_server.domain.caller import Call, Caller, Source, calling
from penstock_server.errors import PenstockError, UnauthenticatedError, UnavailableError
from penstock_server.gateway import calls, replies, session_cookie
from penstock_server.services.refusals import Refused
from penstock_server.services.sessions import SessionService

_T = TypeVar("_T")
_THREADS = 8
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PREFIX = "/pipeline"


class Login:
    """`redirect_uri` is where the issuer sends browsers back to; made of the request's own address when it is empty.

    `refused` is told of those who are not let in.
    """

    def __init__(
        self,
        log_in: LogIn,
        sessions: SessionService,
        authentication: Authentication,
        redirect_uri: str = "",
        refused: Refused = lambda _call, _error: None,
    ) -> None:
        self._log_in = log_in
        self._sessions = sessions
        self._authentication = authentication
        self._redirect_uri = redirect_uri
        self._refused = refused
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="login")

    def add_routes(self, app: web.Application, prefix: str) -> None:
        """Below `prefix`, as all routes."""
        app.router.add_get(f"{prefix}/login", self.begin)
        app.router.add_get(f"{prefix}/oauth2/callback", self.finish)
        app.router.add_get(f"{prefix}/logout", self.ask)
        app.router.add_post(f"{prefix}/logout", self.end)

    async def page_of_log_in(self, request: web.Request) -> web.StreamResponse | None:
        """Leads a browser that opens a page to the log-in; None when it need not: somebody is known, or it is a
        program.
        """
        if request.method != "GET" or "text/html" not in request.headers.get("Accept", ""):
            return None
        try:
            await self._apart(self._authentication.authenticate, calls.credentials(request))
        except UnauthenticatedError:
            return _to(f"{_prefix(request)}/login?next={quote(request.raw_path, safe='')}")
        except UnavailableError as error:
            return _page(request, error)
        return None

    async def begin(self, request: web.Request) -> web.StreamResponse:
        try:
            uri = self._redirect_uri or f"{_own(request)}/oauth2/callback"
            path = request.query.get("next", f"{_prefix(request)}/")
            begun = await self._apart(self._log_in.begin, uri, path)
        except PenstockError as error:
            return _page(request, error)
        reply = _to(begun.url)
        session_cookie.set_value(request, reply, session_cookie.LOG_IN, begun.kept, MINUTES * 60)
        return reply

    async def finish(self, request: web.Request) -> web.StreamResponse:
        kept = session_cookie.value_of(request, session_cookie.LOG_IN)
        try:
            done = await self._apart(self._log_in.finish, kept, dict(request.query))
            user, groups = done.identity.user, done.identity.groups
            identifier = await self._apart(_as_call(request, self._sessions.begin), user, groups)
        except PenstockError as error:
            if isinstance(error, UnauthenticatedError):
                self._refused(_call(request), error)
            reply = _page(request, error)
        else:
            reply = _to(done.path)
            session_cookie.set_value(request, reply, session_cookie.SESSION, identifier, self._sessions.seconds)
        session_cookie.remove(request, reply, session_cookie.LOG_IN)
        return reply

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """A page with the button that ends the session."""
        return _html("<form method=post><button>Log out</button></form>", 200)

    async def end(self, request: web.Request) -> web.StreamResponse:
        identifier = session_cookie.session_of(request)
        try:
            if identifier:
                await self._apart(_as_call(request, self._sessions.end), identifier)
            reply = _to(await self._apart(self._log_in.end_url, f"{_own(request)}/"))
        except PenstockError as error:
            return _page(request, error)
        session_cookie.remove(request, reply, session_cookie.SESSION)
        return reply

    async def _apart(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _call(request: web.Request) -> Call:
    """What a request is in the audit log, which has methods and no routes: `/oauth2/callback`, `/logout`."""
    caller = Caller("", source=Source.SESSION, address=calls.credentials(request).address)
    return Call(caller, request.path.removeprefix(_prefix(request)), calls.request_id(request))


def _as_call(request: web.Request, work: Callable[..., _T]) -> Callable[..., _T]:
    """`work`, on whatever thread, as part of the request."""

    def carried_out(*arguments: Any) -> _T:
        with calling(_call(request)):
            return work(*arguments)

    return carried_out


def _prefix(request: web.Request) -> str:
    return _PREFIX if request.path == _PREFIX or request.path.startswith(f"{_PREFIX}/") else ""


def _own(request: web.Request) -> str:
    """This server as the browser sees it, up to the prefix."""
    return f"{'https' if session_cookie.is_secure(request) else 'http'}://{request.host}{_prefix(request)}"


def _to(location: str) -> web.Response:
    return replies.as_page(web.Response(status=303, headers={**_HEADERS, "Location": location}))


def _page(request: web.Request, error: PenstockError) -> web.Response:
    """What went wrong, for the user."""
    status = 503 if isinstance(error, UnavailableError) else 401
    return _html(f'<p>{html.escape(error.message)}</p><p><a href="{_prefix(request)}/login">Log in</a></p>', status)


def _html(body: str, status: int) -> web.Response:
    text = f"<!doctype html><html lang=en><meta charset=utf-8><title>Penstock</title>{body}</html>"
    return replies.as_page(web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS))
