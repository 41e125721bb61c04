"""Logs a user in at an issuer of OpenID Connect: authorization code with PKCE, for a browser.

Invariants: what comes back is taken from the browser that was sent away (`state`, kept in its cookie under a key that
servers alone have), within minutes, once (the issuer ends a code that was exchanged), by a token that was made for this
log-in (`nonce`) and this client. Where the browser goes afterwards is a path of this server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from penstock_server.access.id_tokens import TokenVerifier
from penstock_server.access.issuer import Endpoints, Issuer
from penstock_server.access.issuer_http import IssuerError, get_json, post_form
from penstock_server.access.oidc import DEFAULT_CLAIMS, ClaimSettings, Identity, identity
from penstock_server.errors import UnauthenticatedError, UnavailableError

log = logging.getLogger(__name__)

MINUTES = 10
_MAX_KEPT = 4096
_MAX_PATH = 1024
_REASON = re.compile(r"[\w.-]{1,64}", re.ASCII)
_AGAIN = "begin the log-in again"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """This server as a client of the issuer. Without a secret it is a public client, proven by PKCE alone."""

    client_id: str
    client_secret: str = ""
    scopes: str = "openid email profile"
    claims: ClaimSettings = DEFAULT_CLAIMS


@dataclass(frozen=True, slots=True)
class Begun:
    """`url` is where the browser goes; `kept` is for its cookie."""

    url: str
    kept: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Who logged in, and the path where they wanted to go."""

    identity: Identity
    path: str


class LogIn:
    """Servers that have the same secret finish what another one began; without a secret each has a key of its own,
    or `key`, which its processes share.
    """

    def __init__(self, issuer: Issuer, client: ClientSettings, key: str = "") -> None:
        secret = client.client_secret or key
        self._issuer = issuer
        self._client = client
        self._verifier = TokenVerifier(issuer, [client.client_id])
        self._cookies = Fernet(_cookie_key(secret) if secret else Fernet.generate_key())

    def begin(self, redirect_uri: str, path: str) -> Begun:
        """`path` is where the user wants to go. Raises UnavailableError."""
        endpoints = self._issuer.endpoints()
        if not endpoints.authorization or not endpoints.token:
            raise UnavailableError("the issuer offers no log-in for browsers")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "uri": redirect_uri, "path": local_path(path)}
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._client.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        return Begun(
            _with_query(endpoints.authorization, query), self._cookies.encrypt(json.dumps(kept).encode()).decode()
        )

    def finish(self, kept: str, answer: Mapping[str, str]) -> Finished:
        """`answer` is the query with which the browser came back.

        Raises UnauthenticatedError with a reason for the user, UnavailableError.
        """
        begun = self._begun(kept)
        if not hmac.compare_digest(begun["state"].encode(), answer.get("state", "").encode("utf-8", "replace")):
            raise UnauthenticatedError(f"this is not the answer to the log-in that this browser began; {_AGAIN}")
        if answer.get("iss", self._issuer.url) != self._issuer.url:
            raise UnauthenticatedError(f"the answer is that of another issuer; {_AGAIN}")
        if not answer.get("code"):
            reason = answer.get("error", "")
            shown = reason if _REASON.fullmatch(reason) else ""
            raise UnauthenticatedError(f"the issuer did not log you in{': ' * bool(shown)}{shown}; {_AGAIN}")
        endpoints = self._issuer.endpoints()
        reply = self._exchange(endpoints, answer["code"], begun)
        claims = self._verifier.verify(str(reply.get("id_token") or ""))
        if not hmac.compare_digest(str(claims.get("nonce") or "").encode("utf-8", "replace"), begun["nonce"].encode()):
            raise UnauthenticatedError(f"the token is not that of this log-in; {_AGAIN}")
        if claims.get("azp", self._client.client_id) != self._client.client_id:
            raise UnauthenticatedError(f"the token was made for another client; {_AGAIN}")
        return Finished(identity(self._completed(claims, endpoints, reply), self._client.claims), begun["path"])

    def end_url(self, back: str) -> str:
        """Where the browser goes after a log-out, to end the issuer's own session, too; `back` when it offers none."""
        try:
            endpoint = self._issuer.endpoints().end_session
        except UnavailableError:
            endpoint = ""
        query = {"client_id": self._client.client_id, "post_logout_redirect_uri": back}
        return _with_query(endpoint, query) if endpoint else back

    def _begun(self, kept: str) -> dict[str, str]:
        if not kept or len(kept) > _MAX_KEPT:
            raise UnauthenticatedError(f"this browser began no log-in, or keeps no cookies; {_AGAIN}")
        try:
            document = json.loads(self._cookies.decrypt(kept.encode("utf-8", "replace"), ttl=MINUTES * 60))
        except InvalidToken as error:
            raise UnauthenticatedError(f"the log-in took longer than {MINUTES} minutes; {_AGAIN}") from error
        return {str(name): str(value) for name, value in document.items()}

    def _exchange(self, endpoints: Endpoints, code: str, begun: Mapping[str, str]) -> dict[str, Any]:
        client = self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun["uri"],
            "code_verifier": begun["verifier"],
        }
        headers = {}
        if client.client_secret and endpoints.basic:
            # RFC 6749, section 2.3.1: both are encoded first.
            pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = client.client_id
            if client.client_secret:
                form["client_secret"] = client.client_secret
        try:
            return post_form(endpoints.token, form, headers)
        except IssuerError as error:
            log.warning("the issuer does not exchange a code: %s %s", error, error.code)
            if error.code == "invalid_grant":
                raise UnauthenticatedError(f"the issuer does not know the code any more; {_AGAIN}") from error
            raise UnavailableError("the issuer does not answer as it should; try again later") from error

    def _completed(self, claims: dict[str, Any], endpoints: Endpoints, reply: Mapping[str, Any]) -> dict[str, Any]:
        """The claims with those that the issuer tells of the user besides: some put only an id into their tokens."""
        wanted = {self._client.claims.user, self._client.claims.groups} - {""}
        if wanted <= claims.keys() or not endpoints.userinfo or not reply.get("access_token"):
            return claims
        try:
            told = get_json(endpoints.userinfo, {"Authorization": f"Bearer {reply['access_token']}"})
        except (IssuerError, ValueError) as error:
            log.warning("the issuer does not tell of a user: %s", error)
            return claims
        if told.get("sub") != claims["sub"]:
            raise UnauthenticatedError(f"the issuer told of another user; {_AGAIN}")
        if "email" not in claims:
            # The two belong together.
            claims = {name: value for name, value in claims.items() if name != "email_verified"}
        else:
            told.pop("email_verified", None)
        return {**told, **claims}


def local_path(text: str) -> str:
    """`text` when it is a path of this server, with a query or not; `/` for everything else."""
    # A browser takes \\ for /, and leaves tabs and line ends out.
    plain = text.isascii() and text.isprintable() and "\\" not in text and len(text) <= _MAX_PATH
    if not plain or not text.startswith("/") or text.startswith("//"):
        return "/"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    return text if not parts.scheme and not parts.netloc else "/"


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _cookie_key(secret: str) -> bytes:
    derived = HKDF(SHA256(), 32, salt=None, info=b"penstock log-in cookie").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
