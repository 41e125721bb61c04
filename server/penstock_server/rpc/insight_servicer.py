"""InsightService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from penstock_api.v1 import insight_pb2 as pb
from penstock_api.v1 import insight_pb2_grpc

from penstock_server.access.attributes import Attributes
from penstock_server.access.authorization import Authorization
from penstock_server.domain.caller import current_call
from penstock_server.rpc import parts
from penstock_server.rpc.convert import attempts as attempts_convert
from penstock_server.rpc.convert import comparison as comparison_convert
from penstock_server.rpc.convert import explain as explain_convert
from penstock_server.rpc.convert import insight as convert
from penstock_server.rpc.convert import lineage as lineage_convert
from penstock_server.rpc.convert import overview as overview_convert
from penstock_server.rpc.convert import recurring_runs as schedule_convert
from penstock_server.rpc.convert.common import struct
from penstock_server.rpc.field_masks import current_mask
from penstock_server.rpc.outlet import OutletReader, without_thread
from penstock_server.services.attempts import AttemptService
from penstock_server.services.comparison import ComparisonService
from penstock_server.services.explain import ExplainService
from penstock_server.services.insight import InsightService
from penstock_server.services.lineage import LineageService
from penstock_server.services.log_streams import LogStreams
from penstock_server.services.log_tasks import LogRequest
from penstock_server.services.overview import OverviewService
from penstock_server.services.recurring_runs import RecurringRunService


class InsightServicer(insight_pb2_grpc.InsightServiceServicer):
    """Without `authorization` everybody may read everything."""

    def __init__(
        self,
        service: InsightService,
        logs: LogStreams,
        explain: ExplainService,
        schedules: RecurringRunService,
        overview: OverviewService,
        comparison: ComparisonService,
        attempts: AttemptService,
        lineage: LineageService,
        authorization: Authorization | None,
    ) -> None:
        self._attempts = attempts
        self._lineage = lineage
        self._authorization = authorization
        self._comparison = comparison
        self._overview = overview
        self._schedules = schedules
        self._service = service
        self._logs = logs
        self._explain = explain

    def ListTasks(self, request: pb.ListTasksRequest, context: grpc.ServicerContext) -> pb.ListTasksResponse:
        mask = current_mask()
        counted = mask.wants("total_size")
        found = self._service.tasks(convert.task_list_request(request), parts.of_tasks(mask), counted=counted)
        return convert.task_page_to_proto(found)

    def ListArtifacts(
        self, request: pb.ListArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.ListArtifactsResponse:
        page = self._service.artifacts(
            request.run_id, request.type, request.page_size, request.page_token, request.namespace
        )
        return pb.ListArtifactsResponse(
            artifacts=map(convert.artifact_to_proto, page.items), next_page_token=page.next_page_token
        )

    def GetArtifact(self, request: pb.GetArtifactRequest, context: grpc.ServicerContext) -> pb.Artifact:
        return convert.artifact_to_proto(self._service.artifact(request.name))

    def ReadArtifact(self, request: pb.ReadArtifactRequest, context: grpc.ServicerContext) -> Iterator[pb.Chunk]:
        for data in self._service.read_artifact(request.name, request.max_bytes):
            yield pb.Chunk(data=data)

    def ReadObject(self, request: pb.ReadObjectRequest, context: grpc.ServicerContext) -> Iterator[pb.Chunk]:
        size, chunks = self._service.read_object(
            request.uri, offset=request.offset, max_bytes=request.max_bytes, unpack=request.unpack
        )
        yield pb.Chunk(data=next(chunks, b""), total_bytes=size)
        for data in chunks:
            yield pb.Chunk(data=data)

    def DescribePod(self, request: pb.DescribePodRequest, context: grpc.ServicerContext) -> pb.DescribePodResponse:
        pod, events = self._service.pod(request.pod_name, request.run_id)
        return pb.DescribePodResponse(pod=struct(pod), events=map(struct, events))

    @without_thread
    def ReadLog(self, request: pb.ReadLogRequest, context: grpc.ServicerContext, outlet: Any = None) -> Any:
        """Returns when the log is found; `outlet` is an Outlet."""
        asked = LogRequest(request.run_id, request.node_id, follow=request.follow, tail_bytes=request.tail_bytes)
        close = self._logs.open(asked, OutletReader(outlet, lambda data: pb.Chunk(data=data)))
        outlet.when_closed(close)

    def ExplainTask(self, request: pb.ExplainTaskRequest, context: grpc.ServicerContext) -> pb.ExplainTaskResponse:
        return explain_convert.explanation_to_proto(self._explain.task(request.run_id, request.task))

    def ExplainCache(self, request: pb.ExplainCacheRequest, context: grpc.ServicerContext) -> pb.ExplainCacheResponse:
        return explain_convert.cache_to_proto(self._explain.cache(request.run_id, request.task))

    def PlanPipeline(self, request: pb.PlanPipelineRequest, context: grpc.ServicerContext) -> pb.PlanPipelineResponse:
        return explain_convert.plan_to_proto(self._explain.plan(explain_convert.plan_request(request)))

    def ReadEventLog(self, request: pb.ReadEventLogRequest, context: grpc.ServicerContext) -> Iterator[pb.Chunk]:
        for data in self._explain.event_log(request.run_id):
            yield pb.Chunk(data=data)

    def ListNextFires(self, request: pb.ListNextFiresRequest, context: grpc.ServicerContext) -> pb.NextFires:
        found = self._schedules.coming_fires(request.recurring_run_id, request.count)
        return convert.fires_to_proto(found, self._schedules.zone)

    def PreviewFires(self, request: pb.PreviewFiresRequest, context: grpc.ServicerContext) -> pb.NextFires:
        trigger = schedule_convert.trigger(request.trigger)
        return convert.fires_to_proto(self._schedules.fires_of_trigger(trigger, request.count), self._schedules.zone)

    def GetOverview(self, request: pb.GetOverviewRequest, context: grpc.ServicerContext) -> pb.Overview:
        return overview_convert.overview_to_proto(self._overview.overview(request.namespace))

    def CompareRuns(self, request: pb.CompareRunsRequest, context: grpc.ServicerContext) -> pb.CompareRunsResponse:
        compared = self._comparison.compare(request.run_ids)
        return pb.CompareRunsResponse(runs=map(comparison_convert.compared_to_proto, compared))

    def ListAttempts(self, request: pb.ListAttemptsRequest, context: grpc.ServicerContext) -> pb.ListAttemptsResponse:
        found = self._attempts.attempts(request.run_id, request.paths)
        return pb.ListAttemptsResponse(attempts=map(attempts_convert.attempt_to_proto, found))

    def GetTimeline(self, request: pb.GetTimelineRequest, context: grpc.ServicerContext) -> pb.Timeline:
        return attempts_convert.timeline_to_proto(self._attempts.timeline(attempts_convert.timeline_request(request)))

    def GetLineage(self, request: pb.GetLineageRequest, context: grpc.ServicerContext) -> pb.Lineage:
        found = self._lineage.lineage(lineage_convert.lineage_request(request), self._may_read)
        return lineage_convert.lineage_to_proto(found)

    def _may_read(self, namespace: str) -> bool:
        """Where namespaces are not kept apart, what the call itself needs says it all."""
        authorization = self._authorization
        if authorization is None or not authorization.tenancy.multi_user:
            return True
        caller = current_call().caller
        return all(
            authorization.decide(caller, Attributes(resource, "get", namespace)).allowed
            for resource in ("runs", "artifacts")
        )
