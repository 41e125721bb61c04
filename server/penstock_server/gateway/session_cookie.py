"""The cookies of the web UI's log-in.

Invariants: scripts cannot read them; where the browser speaks TLS they are sent over nothing else, and no other host
can set them (`__Host-`); a page of another site does not make the browser send them with a request that changes
something.
"""

from __future__ import annotations

from aiohttp import web

SESSION = "penstock_session"
LOG_IN = "penstock_login"


def is_secure(request: web.Request) -> bool:
    """Whether the browser speaks TLS, with this server or with the proxy before it."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or forwarded == "https"


def session_of(request: web.Request) -> str:
    """The id in the session's cookie; empty when there is none."""
    return value_of(request, SESSION)


def value_of(request: web.Request, name: str) -> str:
    """The value of a cookie of the log-in; empty when there is none."""
    return request.cookies.get(_full_name(request, name), "")


def set_value(request: web.Request, reply: web.StreamResponse, name: str, value: str, seconds: int) -> None:
    """Sets a cookie of the log-in for so long."""
    secure = is_secure(request)
    reply.set_cookie(
        _full_name(request, name), value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="Lax"
    )


def remove(request: web.Request, reply: web.StreamResponse, name: str) -> None:
    """Has the browser forget a cookie of the log-in."""
    set_value(request, reply, name, "", 0)


def _full_name(request: web.Request, name: str) -> str:
    return f"__Host-{name}" if is_secure(request) else name
