"""The gRPC server of executors, on a port of its own.

Why: whoever calls DispatchService decides what becomes of everybody's runs, and the metadata service here is the one
that executors record lineage in. Callers of the public API have no business with either, so a firewall or a network
policy can keep them away, and their load does not hold back heartbeats. Invariants: DispatchService is on no other
port; nothing here is reflected or reached by the gateway.

An executor that calls the public port, such as one of the release before, is told that the service is unavailable
there: it waits or tries the next address. What is not implemented it would take for a refusal of its reports, and end
tasks that run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from penstock_api.internal.v1 import dispatch_pb2, dispatch_pb2_grpc

from penstock_server.access.authentication import Authentication
from penstock_server.rpc.access_control import AccessControl, note_nothing
from penstock_server.rpc.dispatch_servicer import DispatchServicer
from penstock_server.rpc.grpc_server import RunningServer, add_health, new_server
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.metadata_servicer import metadata_handler
from penstock_server.rpc.metadata_store import SERVICE as METADATA_SERVICE
from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.refusals import Refused
from penstock_server.telemetry import Port, Telemetry

_DISPATCH_SERVICE = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"].full_name


def build_dispatch_server(
    dispatch: DispatchService,
    metadata: MetadataDatabase | None,
    telemetry: Telemetry,
    authentication: Authentication | None = None,
    refused: Refused = note_nothing,
    *,
    shares_port: bool = False,
) -> RunningServer:
    """A server with the executors' services registered, not yet started or bound to a port.

    Without `authentication` nobody is asked who they are. `refused` is told of every call that was turned away.
    `shares_port`: with other processes of this server.
    """
    limited = telemetry.limited(Port.DISPATCH)
    interceptor = CallInterceptor(telemetry, AccessControl(authentication, refused=refused), limited=limited)
    grpc_server = new_server("dispatch", [interceptor], limited=limited, shares_port=shares_port)
    server: Any = grpc_server
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(DispatchServicer(dispatch), server)
    names = [_DISPATCH_SERVICE]
    if metadata is not None:
        server.add_generic_rpc_handlers((metadata_handler(metadata),))
        names.append(METADATA_SERVICE.full_name)
    return RunningServer(grpc_server, add_health(server), names)


class RefuseExecutors(grpc.ServerInterceptor):
    """On the public port: answers every call of DispatchService before anything else is asked of the caller."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        if handler_call_details.method.startswith(f"/{_DISPATCH_SERVICE}/"):
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return continuation(handler_call_details)


def _refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(
        grpc.StatusCode.UNAVAILABLE,
        "executors are not served on this port, but on the server's --dispatch: name that one with --server",
    )
    raise AssertionError("abort raises")
