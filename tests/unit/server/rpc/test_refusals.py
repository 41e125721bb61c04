"""Whatever a handler refuses is told to the audit log, once: every method of both ports, as a call and as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2
from penstock_api.internal.v1 import dispatch_pb2
from penstock_server.access.authentication import Authentication
from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Call, Caller
from penstock_server.errors import (
    ConcealedError,
    InvalidArgumentError,
    NotFoundError,
    PenstockError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.local import LocalCallError, LocalContext
from penstock_server.rpc.metadata_store import SERVICE as METADATA
from penstock_server.rpc.server import public_services
from penstock_server.telemetry import Telemetry

OTHERS = [dispatch_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for service in (*public_services(), METADATA, *(one for file in OTHERS for one in file.services_by_name.values()))
    for method in service.methods
}


@dataclass(frozen=True)
class Details:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class Ann:
    def authenticate(self, credentials: Credentials) -> Caller | None:
        return Caller("ann")


def told(path: str, error: Exception, *, by_check: bool = False) -> list[tuple[Call, PenstockError]]:
    """What the audit log is told of a call whose handler, or whose check, raises the error."""
    found: list[tuple[Call, PenstockError]] = []

    def refuse(*_: Any) -> Any:
        raise error

    def refuse_stream(*_: Any) -> Iterator[Any]:
        yield refuse()

    class Check:
        require = refuse

    access = AccessControl(
        Authentication([Ann()]),
        Check() if by_check else None,  # type: ignore[arg-type]
        lambda call, refusal: found.append((call, refusal)),
    )
    method = METHODS[path]
    if method.client_streaming:
        made = grpc.stream_stream_rpc_method_handler(refuse_stream)
    elif method.server_streaming:
        made = grpc.unary_stream_rpc_method_handler(refuse_stream)
    else:
        made = grpc.unary_unary_rpc_method_handler(refuse)
    details: Any = Details(path, (("x-request-id", "mine"),))
    handler: Any = CallInterceptor(Telemetry(lambda: (0, 0)), access).intercept_service(lambda _: made, details)
    context = LocalContext((), None)
    with pytest.raises(LocalCallError), context.status_scope():
        if method.client_streaming:
            list(handler.stream_stream(iter(()), context))
        elif method.server_streaming:
            list(handler.unary_stream(b"", context))
        else:
            handler.unary_unary(b"", context)
    return found


@pytest.mark.parametrize("by_check", [False, True])
@pytest.mark.parametrize("path", METHODS)
def test_a_refusal_of_a_handler_is_told_once(path: str, by_check: bool) -> None:
    error = PermissionDeniedError("no")
    ((call, refusal),) = told(path, error, by_check=by_check)
    assert refusal is error
    assert call == Call(Caller("ann"), path, "mine")


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (UnauthenticatedError("who?"), 1),
        (ConcealedError("Token", "one", resource="tokens", verb="delete"), 1),
        (NotFoundError("Token", "one"), 0),
        (InvalidArgumentError("wrong"), 0),
        (ValueError("ours"), 0),
    ],
)
def test_what_is_a_refusal(error: Exception, lines: int) -> None:
    assert len(told("/penstock.v1.AccessService/RevokeToken", error)) == lines
