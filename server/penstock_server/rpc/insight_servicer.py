"""InsightService."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from penstock_api.v1 import insight_pb2 as pb
from penstock_api.v1 import insight_pb2_grpc

from penstock_server.rpc.convert import insight as convert
from penstock_server.services.insight import InsightService


class InsightServicer(insight_pb2_grpc.InsightServiceServicer):
    def __init__(self, service: InsightService) -> None:
        self._service = service

    def ListTasks(self, request: pb.ListTasksRequest, context: grpc.ServicerContext) -> pb.ListTasksResponse:
        return pb.ListTasksResponse(tasks=map(convert.task_to_proto, self._service.tasks(request.run_id)))

    def ListArtifacts(
        self, request: pb.ListArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.ListArtifactsResponse:
        found, token = self._service.artifacts(request.run_id, request.type, request.page_size, request.page_token)
        return pb.ListArtifactsResponse(artifacts=map(convert.artifact_to_proto, found), next_page_token=token)

    def GetArtifact(self, request: pb.GetArtifactRequest, context: grpc.ServicerContext) -> pb.Artifact:
        return convert.artifact_to_proto(self._service.artifact(request.name))

    def ReadArtifact(self, request: pb.ReadArtifactRequest, context: grpc.ServicerContext) -> Iterator[pb.Chunk]:
        for data in self._service.read_artifact(request.name, request.max_bytes):
            yield pb.Chunk(data=data)

    def ReadLog(self, request: pb.ReadLogRequest, context: grpc.ServicerContext) -> Iterator[pb.Chunk]:
        stream = self._service.read_log(
            request.run_id,
            request.node_id,
            follow=request.follow,
            tail_bytes=request.tail_bytes,
            active=context.is_active,
        )
        for data in stream:
            yield pb.Chunk(data=data)
