"""Lets a call pass, or refuses it: tells who calls and asks whether they may, before the handler runs.

Invariants: no handler runs without it, over gRPC and in the process alike. What is PUBLIC is answered whatever the
caller shows. A message that cannot be decoded is refused before anybody's rights are asked, but after the caller was
identified, so that a stranger learns nothing. A caller's calls are counted as soon as it is known who they are. A
refusal is told once, whoever made it: the check before the handler or the handler itself, which alone knows some of
what a caller may not do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import grpc

from penstock_server.access import rules
from penstock_server.access.authentication import Authentication
from penstock_server.access.authorization import Authorization
from penstock_server.access.credentials import Credentials
from penstock_server.access.user_limits import NO_LIMITS, UserLimits
from penstock_server.domain.caller import Call, Caller
from penstock_server.errors import ConcealedError, PenstockError, PermissionDeniedError, UnauthenticatedError
from penstock_server.services.refusals import Refused
from penstock_server.tls import names_of_grpc_peer


def note_nothing(call: Call, error: PenstockError) -> None:
    """Where nobody keeps refusals."""


class AccessControl:
    """`authorization` is None where nothing is checked. `refused` is told of every call that was turned away for who
    made it; `limits` count those that are turned away for their number.
    """

    def __init__(
        self,
        authentication: Authentication | None = None,
        authorization: Authorization | None = None,
        refused: Refused = note_nothing,
        limits: UserLimits = NO_LIMITS,
    ) -> None:
        self.limits = limits
        self._authentication = authentication or Authentication()
        self._authorization = authorization
        self._refused = refused

    @contextmanager
    def admitted(
        self,
        method: str,
        request: Callable[[], Any],
        size: Callable[[], int],
        context: grpc.ServicerContext,
        request_id: str,
    ) -> Iterator[Call]:
        """Around a handler: the call with its caller. `request` returns the decoded message, `size` its bytes as they
        came, for which it need not be decoded.

        Raises what the handler raises, and before it UnauthenticatedError, PermissionDeniedError, NotFoundError,
        InvalidArgumentError, UnavailableError, ResourceExhaustedError.
        """
        credentials = credentials_of(context)
        call = Call(Caller("", address=credentials.address), method, request_id)
        try:
            if rules.rule_of(method) is not rules.Openness.PUBLIC:
                caller = self._authentication.authenticate(credentials)
                call = Call(caller, method, request_id)
                if not credentials.continues:
                    self.limits.admit(caller, size)
                if self._authorization is not None:
                    self._authorization.require(caller, method, request())
            yield call
        except (UnauthenticatedError, PermissionDeniedError, ConcealedError) as error:
            self._refused(call, error)
            raise


def credentials_of(context: grpc.ServicerContext) -> Credentials:
    """What the caller shows: a context of the gateway carries it, gRPC's own has it in its parts."""
    carried: Credentials | None = getattr(context, "credentials", None)
    if carried is not None:
        return carried
    headers: dict[str, tuple[str, ...]] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            headers[key] = (*headers.get(key, ()), value)
    return Credentials(headers, peer_address(context.peer()), names_of_grpc_peer(context.auth_context() or {}))


def peer_address(peer: str) -> str:
    """The address in what gRPC says of a peer (`ipv4:10.0.0.1:4711`, `ipv6:%5B::1%5D:4711`); empty for others."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return unquote(rest).rpartition(":")[0].strip("[]")
