"""api.AuthService and api.VisualizationService, which web UIs call."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import auth_pb2, auth_pb2_grpc, visualization_pb2, visualization_pb2_grpc

from penstock_server.access.authorization import Authorization
from penstock_server.access.rules import VIEWERS_GROUP
from penstock_server.domain.caller import current_call
from penstock_server.errors import InvalidArgumentError, UnimplementedError


class AuthServicerV1(auth_pb2_grpc.AuthServiceServicer):
    """Without `authorization` everything is allowed, as in single-user mode (api.md §6.1)."""

    def __init__(self, authorization: Authorization | None = None) -> None:
        self._authorization = authorization

    def AuthorizeV1(self, request: auth_pb2.AuthorizeRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Empty when the caller may. Raises PermissionDeniedError, InvalidArgumentError, UnavailableError."""
        if self._authorization is None:
            return empty_pb2.Empty()
        names = auth_pb2.AuthorizeRequest
        # Callers may send numbers that the enumerations do not have.
        if request.resources != names.VIEWERS or request.verb not in (names.CREATE, names.GET, names.DELETE):
            raise InvalidArgumentError("VIEWERS, and one of CREATE, GET and DELETE, can be asked for", "resources")
        verb = names.Verb.Name(request.verb).lower()
        self._authorization.demand_in(current_call().caller, request.namespace, "viewers", verb, VIEWERS_GROUP)
        return empty_pb2.Empty()


class VisualizationServicerV1(visualization_pb2_grpc.VisualizationServiceServicer):
    def CreateVisualizationV1(
        self, request: visualization_pb2.CreateVisualizationRequest, context: grpc.ServicerContext
    ) -> visualization_pb2.Visualization:
        raise UnimplementedError(
            "this server has no visualization service; write an HTML, Markdown or metrics artifact in the pipeline"
        )
