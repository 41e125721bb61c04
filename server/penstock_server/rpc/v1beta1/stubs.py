"""api.AuthService and api.VisualizationService: fixed replies, because clients call them."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import auth_pb2, auth_pb2_grpc, visualization_pb2, visualization_pb2_grpc

from penstock_server.errors import UnimplementedError


class AuthServicerV1(auth_pb2_grpc.AuthServiceServicer):
    def AuthorizeV1(self, request: auth_pb2.AuthorizeRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Allows everything, as in single-user mode (api.md §6.1)."""
        return empty_pb2.Empty()


class VisualizationServicerV1(visualization_pb2_grpc.VisualizationServiceServicer):
    def CreateVisualizationV1(
        self, request: visualization_pb2.CreateVisualizationRequest, context: grpc.ServicerContext
    ) -> visualization_pb2.Visualization:
        raise UnimplementedError(
            "this server has no visualization service; write an HTML, Markdown or metrics artifact in the pipeline"
        )
