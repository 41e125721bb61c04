"""Who calls: the identity under which a call is carried out, and the call that is under way on this thread.

Why a context variable: what a use case does is decided before it begins (`access`), so its signature does not name the
caller; but the audit log and the owner of what it creates need one. The interceptor sets it around every handler; what
the server does by itself (schedules) runs as `SYSTEM`.

Invariant: a caller is what authentication said; nothing of a request's message ever becomes part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum


class Source(str, Enum):
    """What identified a caller."""

    NONE = "none"
    """Nobody is asked: authentication is off."""
    KUBEFLOW = "kubeflow"
    TOKEN_REVIEW = "token-review"  # noqa: S105 - a name
    OIDC = "oidc"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a name
    EXECUTOR = "executor"
    SYSTEM = "system"


class Role(str, Enum):
    """What somebody may do in a namespace; each role includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class TokenScope:
    """What an API token may at most, of what its user may. No `namespaces`: all of them."""

    token_id: str
    role: Role
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """`user` is empty where nobody is asked. `address` is the peer's, without a port; empty inside this process."""

    user: str
    groups: tuple[str, ...] = ()
    source: Source = Source.NONE
    address: str = ""
    scope: TokenScope | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call under way. `method` is the full path of the RPC, `/package.Service/Method`."""

    caller: Caller
    method: str = ""
    request_id: str = ""


SYSTEM = Call(Caller("", source=Source.SYSTEM))
_current: ContextVar[Call] = ContextVar("current_call", default=SYSTEM)


def current_call() -> Call:
    """The call that this thread carries out; `SYSTEM` where there is none."""
    return _current.get()


@contextmanager
def calling(call: Call) -> Iterator[None]:
    """Makes `call` the current one within the block."""
    reset = _current.set(call)
    try:
        yield
    finally:
        _current.reset(reset)
