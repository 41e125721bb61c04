"""An S3 store with temporary credentials: AssumeRole, and requests that the session policy of their key binds.

Why: the S3 server of the tests gives none. This stands in front of it, does what AWS does with a session policy, and
hands on what is allowed, signed anew with the server's own keys, which it accepts, too. Whether a request of a session
was signed with the session's secret is not checked: who has the key and the token has the secret as well.

Invariants: only what a statement allows is handed on. As at AWS, who may not list the whole bucket is not told that
nothing lies at a key: that is 403.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tools.object_stores import ObjectStore

ROLE = "arn:aws:iam::123456789012:role/tasks"
_KEY = re.compile(r"Credential=([^/,\s]+)/")
_HANDED_ON = ("content-type", "content-md5", "range", "if-match", "if-none-match", "x-amz-checksum-sha256")


@dataclass(slots=True)
class Session:
    """What was asked for and given. `asked` are the parameters of the request."""

    asked: Mapping[str, str]
    policy: Mapping[str, Any]
    token: str
    expires_at: float


@dataclass(slots=True)
class RoleStore:
    """`seconds`: for how long sessions hold, whatever is asked for. `refusals`: answers to the next AssumeRole calls
    instead of credentials, as (status, code)."""

    endpoint: str
    store: ObjectStore
    seconds: float = 3600.0
    refusals: list[tuple[int, str]] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    expired: int = 0
    """Requests that came with a session that had ended."""


@contextlib.contextmanager
def role_store(store: ObjectStore, host: str = "127.0.0.1") -> Iterator[RoleStore]:
    """A server of its own in front of `store`."""
    with ThreadingHTTPServer((host, 0), _Handler) as server:
        server.daemon_threads = True
        made = RoleStore(f"http://{host}:{server.server_port}", store)
        server.made = made  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str = "refused") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        made: RoleStore = self.server.made  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.command == "POST" and self.path == "/":
                self._answer(200, _assume_role(made, self._key(), body), "text/xml")
            else:
                self._hand_on(made, body)
        except _Refused as refused:
            text = f"<Error><Code>{refused.code}</Code><Message>{refused}</Message></Error>"
            if self.path == "/":
                text = f"<ErrorResponse>{text}</ErrorResponse>"
            self._answer(refused.status, text.encode(), "application/xml")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _key(self) -> str:
        found = _KEY.search(self.headers.get("Authorization", ""))
        if found is None:
            raise _Refused(403, "AccessDenied", "no key")
        return found[1]

    def _hand_on(self, made: RoleStore, body: bytes) -> None:
        key = self._key()
        session = made.sessions.get(key)
        if session is None and key != made.store.access_key:
            raise _Refused(403, "InvalidAccessKeyId")
        if session is not None:
            if self.headers.get("X-Amz-Security-Token") != session.token:
                raise _Refused(403, "InvalidToken")
            if session.expires_at <= time.time():
                made.expired += 1
                raise _Refused(400, "ExpiredToken", "The provided token has expired.")
            _check(session.policy, self.command, self.path, copies="x-amz-copy-source" in self.headers)
        headers = {name: self.headers[name] for name in _HANDED_ON if name in self.headers}
        request = AWSRequest(self.command, made.store.endpoint + self.path, headers, body)
        credentials = Credentials(made.store.access_key, made.store.secret_key)
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(urlsplit(made.store.endpoint).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, dict(request.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        if session is not None and answer.status == 404 and self.command in ("GET", "HEAD"):
            raise _Refused(403, "AccessDenied", "not authorized to perform: s3:ListBucket")
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in ("date", "server")}
        self._answer(answer.status, content, "", kept)

    def _answer(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"Content-Type": kind, "Content-Length": str(len(body))} if headers is None else headers
        for name, value in given.items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in given):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _assume_role(made: RoleStore, key: str, body: bytes) -> bytes:
    """Raises _Refused as STS refuses."""
    asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    if made.refusals:
        status, code = made.refusals.pop(0)
        raise _Refused(status, code)
    if key != made.store.access_key or asked["RoleArn"] != ROLE:
        raise _Refused(403, "AccessDenied", "not authorized to perform: sts:AssumeRole")
    if len(asked["Policy"]) > 2048:
        raise _Refused(400, "ValidationError", "a policy has at most 2048 characters")
    name = f"ASIA{uuid.uuid4().hex[:16].upper()}"
    expires_at = time.time() + made.seconds
    session = Session(asked, json.loads(asked["Policy"]), uuid.uuid4().hex, expires_at)
    made.sessions[name] = session
    until = datetime.fromtimestamp(expires_at, timezone.utc).isoformat()
    return (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        f"<AccessKeyId>{name}</AccessKeyId><SecretAccessKey>{uuid.uuid4().hex}</SecretAccessKey>"
        f"<SessionToken>{session.token}</SessionToken><Expiration>{until}</Expiration>"
        "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    ).encode()


def _check(policy: Mapping[str, Any], method: str, target: str, *, copies: bool) -> None:
    """Raises _Refused for what no statement allows."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
    action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject"}.get(method)
    if method == "DELETE":
        action = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    if not key:
        action = "s3:ListBucket" if method == "GET" else "s3:Other"
    if copies or not any(_allows(one, str(action), resource, query) for one in policy["Statement"]):
        raise _Refused(403, "AccessDenied", f"no session policy allows the {action} action")


def _allows(statement: Mapping[str, Any], action: str, resource: str, query: Mapping[str, str]) -> bool:
    conditions = statement.get("Condition", {}).get("StringLike", {})
    return (
        statement["Effect"] == "Allow"
        and action in _many(statement["Action"])
        and any(_like(one, resource) for one in _many(statement["Resource"]))
        and all(
            name.removeprefix("s3:") in query
            and any(_like(one, query[name.removeprefix("s3:")]) for one in _many(patterns))
            for name, patterns in conditions.items()
        )
    )


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _like(pattern: str, text: str) -> bool:
    """As IAM compares: `*` and `?` stand for any characters, slashes too."""
    parts = (".*" if one == "*" else "." if one == "?" else re.escape(one) for one in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
