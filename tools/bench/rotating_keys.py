"""Tokens of an issuer whose signing keys are replaced, and callers who bring them.

Invariants: every token is signed by the key that was the issuer's newest when it was made. A caller whose token is
refused makes another one and repeats the call once, which counts: where the issuer withdraws a key at once, a call that
was under way is refused rightly, and one with a new token never.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from penstock.client import Client, ClientError

from tools.testing.oidc_issuer import CLIENT, OidcIssuer, SigningKey

_T = TypeVar("_T")
LIST = "/kubeflow.pipelines.backend.api.v2beta1.RunService/ListRuns"


class RefusedError(Exception):
    """The server says that the token does not count."""


@dataclass
class Keys:
    """Signs with the issuer's newest key and keeps a token in `file`, as what renews tokens for programs does."""

    issuer: OidcIssuer
    file: Path
    keep: int
    """How many keys stay good after a newer one has come."""
    renewed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self) -> None:
        """Another key, and a token of it in the file."""
        self.issuer.rotate(self.keep)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(self.issuer.token() + "\n")
        fresh.replace(self.file)

    def repeated(self, call: Callable[[], _T]) -> _T:
        """What `call` returns, which brings a token that it makes or reads itself."""
        try:
            return call()
        except RefusedError:
            pass
        except ClientError as error:
            if error.code is not grpc.StatusCode.UNAUTHENTICATED:
                raise
        with self._lock:
            self.renewed += 1
        return call()

    def settings(self, directory: Path) -> Mapping[str, str]:
        """Of a server that believes this issuer, and lets its user do everything."""
        roles = directory / "roles.yaml"
        roles.write_text(f'roles: [{{role: admin, namespaces: ["*"], users: [{self.issuer.user}]}}]')
        return {
            "PENSTOCK_AUTH": "oidc",
            "PENSTOCK_OIDC_ISSUER": self.issuer.url,
            "PENSTOCK_OIDC_AUDIENCES": CLIENT,
            "PENSTOCK_ROLE_FILE": str(roles),
        }


class Caller(Client):
    """A client with the token of the file; a call that fails is remembered in `failures`, also one that polls."""

    def __init__(self, target: str, keys: Keys, failures: list[str], **options: Any) -> None:
        super().__init__(target, **options)
        self._keys = keys
        self._failures = failures

    def call(self, method: Callable[..., Any], request: Any, deadline: float | None = None) -> Any:
        try:
            return self._keys.repeated(lambda: super(Caller, self).call(method, request, deadline))
        except ClientError as error:
            self._failures.append(str(error))
            raise


@contextmanager
def strangers(target: Client, issuer: OidcIssuer, count: int) -> Iterator[dict[str, int]]:
    """So many callers at a time bring tokens with keys that nobody knows; yields how their calls ended, by status.

    `target` brings no token of its own.
    """
    ended: dict[str, int] = {}
    stop, lock = threading.Event(), threading.Lock()
    method: Any = target.channel.unary_unary(LIST, bytes, bytes)

    def call(number: int) -> None:
        turn = 0
        while not stop.wait(0.05):
            turn += 1
            token = issuer.token(key=SigningKey(f"unknown-{number}-{turn}", "ES256"))
            try:
                method(b"", timeout=30, metadata=[("authorization", f"Bearer {token}")])
                name = "OK"
            except grpc.RpcError as error:
                name = str(error.code().name)
            with lock:
                ended[name] = ended.get(name, 0) + 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        stop.set()
        for thread in threads:
            thread.join()
