"""Identifies callers by the session of the web UI, whose id is in a cookie.

Why more than the cookie is asked for: a browser sends it along with whatever a page of another site makes it send. What
changes something must show that it is no such request: by a header that no page can make a browser send to another site
unasked. That is `X-Penstock-CSRF`, of any value, or one of those that the browser itself sets, `Origin` and
`Sec-Fetch-Site`, with which the web UI works as it is.

Invariant: the gateway has refused requests whose `Origin` is another site's before they come here
(`gateway/cross_site.py`), so that here the header's presence is enough.
"""

from __future__ import annotations

from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Caller, Source
from penstock_server.errors import UnauthenticatedError
from penstock_server.services.sessions import SessionService

CSRF_HEADER = "x-penstock-csrf"
_READING = ("GET", "HEAD", "OPTIONS")
_MAX_ID = 128


class SessionAuthenticator:
    """Takes the session's cookie, unless the call shows another credential as well."""

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    def authenticate(self, credentials: Credentials) -> Caller | None:
        identifier = credentials.session
        # Who sends a token means it, whatever cookies come along.
        if not identifier or credentials.values("authorization"):
            return None
        session = self._sessions.find(identifier) if len(identifier) <= _MAX_ID else None
        if session is None:
            raise UnauthenticatedError("the session has ended; log in again")
        if credentials.verb not in _READING and not _is_own(credentials):
            raise UnauthenticatedError(
                "a change that is made with the session's cookie needs the header X-Penstock-CSRF or a browser's Origin"
            )
        return Caller(session.user, session.groups, Source.SESSION)


def _is_own(credentials: Credentials) -> bool:
    if credentials.values(CSRF_HEADER) or credentials.values("origin"):
        return True
    return credentials.values("sec-fetch-site") == ("same-origin",)
