"""An issuer of OpenID Connect in a thread of its user: discovery, keys that rotate, log-in by code with PKCE.

Why not a real one: tests and benchmarks make it go away, change its keys, and have it sign what no issuer would.

Invariant: whoever comes to its authorization endpoint is logged in as `user`, at once or, where it `asks`, after they
have pressed a button; then it knows their browser until they log out.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CLIENT = "penstock"
SECRET = "s3cr et/+%"  # noqa: S105 - of nothing but this issuer
_COOKIE = "issuer_session"
_MAKERS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@cache
def private_key(algorithm: str, number: int = 0) -> Any:
    """The same for the whole process, since an RSA key takes a while."""
    return _MAKERS[algorithm]()


@dataclass
class SigningKey:
    kid: str
    algorithm: str = "RS256"
    number: int = 0

    @property
    def private(self) -> Any:
        return private_key(self.algorithm, self.number)

    def jwk(self) -> dict[str, Any]:
        make = jwt.get_algorithm_by_name(self.algorithm)
        document: dict[str, Any] = json.loads(make.to_jwk(self.private.public_key()))
        return {**document, "kid": self.kid, "use": "sig", "alg": self.algorithm}


@dataclass
class OidcIssuer:
    """`keys`: those that it shows and signs with, the first one first. `away`: every answer is a 503. `codes` are those
    that may be exchanged, with what was asked for. `requests` counts what was asked, by path.
    """

    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey("first")])
    user: str = "alice@example.com"
    groups: tuple[str, ...] = ("team-a",)
    claims: dict[str, Any] = field(default_factory=dict)
    """Put over the claims of ID tokens; None removes one."""
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    """Put over the discovery document."""
    extra_keys: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False
    asks: bool = False
    seconds: int = 300
    """How long a token lasts."""
    known: set[str] = field(default_factory=set)
    """The cookies of browsers that are logged in."""
    rotations: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def token(self, claims: Mapping[str, Any] | None = None, *, key: SigningKey | None = None, **header: Any) -> str:
        """A signed token of `user`, with `claims` put over its own; None removes one."""
        now = int(time.time())
        document: dict[str, Any] = {
            "iss": self.url,
            "sub": "id-of-" + self.user,
            "aud": CLIENT,
            "iat": now,
            "exp": now + self.seconds,
            "email": self.user,
            "email_verified": True,
            "groups": list(self.groups),
            **self.claims,
            **(claims or {}),
        }
        signer = key or self.keys[0]
        payload = {name: value for name, value in document.items() if value is not None}
        return jwt.encode(payload, signer.private, signer.algorithm, {"kid": signer.kid, **header})

    def rotate(self, keep: int) -> None:
        """From now on signs with a new key; of those before it shows `keep`, the newest ones."""
        number = self.rotations = self.rotations + 1
        self.keys = [SigningKey(f"rotated-{number}", "ES256", number), *self.keys[:keep]]

    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/logout",
            "jwks_uri": f"{self.url}/keys",
            **self.discovery,
        }

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser is sent with a code."""
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT and "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = dict(query)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.url})}"

    def exchange(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        basic = base64.b64decode(authorization.removeprefix("Basic ") or "Og==").decode()
        client, _, secret = (unquote_plus(part) for part in basic.partition(":"))
        if (client, secret) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if asked is None or asked["code_challenge"] != challenge.rstrip("="):
            return 400, {"error": "invalid_grant"}
        if asked["redirect_uri"] != form["redirect_uri"] or form["grant_type"] != "authorization_code":
            return 400, {"error": "invalid_grant"}
        token = self.token({"nonce": asked["nonce"], **self.claims})
        answer = {"id_token": token, "access_token": "for-userinfo", "token_type": "Bearer"}
        return 200, {**answer, "expires_in": self.seconds}


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = OidcIssuer(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        state = self.server.state
        parts = urlsplit(self.path)
        state.requests[parts.path] += 1
        if state.away:
            self._send(503, {"error": "temporarily_unavailable"})
        elif parts.path == "/.well-known/openid-configuration":
            self._send(200, state.document())
        elif parts.path == "/keys":
            self._send(200, {"keys": [*state.extra_keys, *(key.jwk() for key in state.keys)]})
        elif parts.path == "/authorize" and state.asks and self._cookie() not in state.known:
            self._send_page("<title>Log in</title><form method=post><button>Log in</button></form>")
        elif parts.path == "/authorize":
            self._send(302, {}, Location=state.authorize(_query(parts.query)))
        elif parts.path == "/logout":
            state.known.discard(self._cookie())
            back = _query(parts.query).get("post_logout_redirect_uri", "")
            # Whoever is asked nothing would be logged in again at once.
            if back and state.asks:
                self._send(302, {}, Location=back)
            else:
                self._send_page("<title>Logged out</title>")
        elif parts.path == "/userinfo" and self.headers["Authorization"] == "Bearer for-userinfo":
            self._send(200, {"sub": "id-of-" + state.user, **state.userinfo})
        else:
            self._send(404, {})

    def do_POST(self) -> None:
        state = self.server.state
        state.requests[self.path] += 1
        parts = urlsplit(self.path)
        form = _query(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if parts.path == "/authorize" and not state.away:
            cookie = secrets.token_urlsafe(8)
            state.known.add(cookie)
            made = {"Set-Cookie": f"{_COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax"}
            self._send(303, {}, Location=state.authorize(_query(parts.query)), **made)
        elif state.away or self.path != "/token":
            self._send(503, {})
        else:
            self._send(*state.exchange(form, self.headers["Authorization"] or ""))

    def _cookie(self) -> str:
        found = SimpleCookie(self.headers["Cookie"] or "").get(_COOKIE)
        return found.value if found else ""

    def _send_page(self, text: str) -> None:
        self._send_bytes(200, f"<!doctype html>{text}".encode(), {"Content-Type": "text/html"})

    def _send(self, status: int, document: Mapping[str, Any], **headers: str) -> None:
        self._send_bytes(status, json.dumps(document).encode(), headers)

    def _send_bytes(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@contextlib.contextmanager
def oidc_issuer() -> Iterator[OidcIssuer]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()


def _query(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
