"""api.RunService."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import run_pb2 as pb
from penstock_api.v1beta1 import run_pb2_grpc

from penstock_server.domain.experiment import ARCHIVED
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.run import Run, RunState
from penstock_server.rpc.conditions import Condition
from penstock_server.rpc.convert.common import list_request, timestamp
from penstock_server.rpc.v1beta1 import common
from penstock_server.services.runs import RunService, Unchanged

_STATUS = {
    RunState.CANCELING: "Terminating",
    RunState.CANCELED: "Terminated",
}


class RunServicerV1(run_pb2_grpc.RunServiceServicer):
    def __init__(self, service: RunService) -> None:
        self._service = service

    def GetRunV1(self, request: pb.GetRunRequest, context: grpc.ServicerContext) -> pb.RunDetail:
        condition = Condition(context, "v1beta1")
        found = self._service.with_document_unless(request.run_id, condition.versions())
        if isinstance(found, Unchanged):
            condition.answered(found.version)
            return pb.RunDetail()
        run, spec, version = found
        condition.answered(version)
        return pb.RunDetail(run=_to_proto(run, spec), pipeline_runtime=pb.PipelineRuntime())

    def ListRunsV1(self, request: pb.ListRunsRequest, context: grpc.ServicerContext) -> pb.ListRunsResponse:
        experiment_id = common.list_filter_id(
            request.resource_reference_key, "resource_reference_key", common.EXPERIMENT
        )
        namespace = common.namespace_of_list(request.resource_reference_key)
        page = self._service.list(list_request(request), experiment_id, namespace)
        return pb.ListRunsResponse(
            runs=map(_to_proto, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def ArchiveRunV1(self, request: pb.ArchiveRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.archive(request.id)
        return empty_pb2.Empty()

    def UnarchiveRunV1(self, request: pb.UnarchiveRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.unarchive(request.id)
        return empty_pb2.Empty()

    def DeleteRunV1(self, request: pb.DeleteRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.id)
        return empty_pb2.Empty()

    def TerminateRunV1(self, request: pb.TerminateRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.terminate(request.run_id)
        return empty_pb2.Empty()

    def RetryRunV1(self, request: pb.RetryRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.retry(request.run_id)
        return empty_pb2.Empty()


def _to_proto(run: Run, spec: Spec | None = None) -> pb.Run:
    archived = run.storage_state == ARCHIVED
    message = pb.Run(
        id=run.run_id,
        name=run.display_name,
        description=run.description,
        pipeline_spec=common.pipeline_spec(run.pipeline_id, run.runtime_config, spec),
        resource_references=[common.reference(common.EXPERIMENT, run.experiment_id, common.OWNER)],
        created_at=timestamp(run.created_at),
        scheduled_at=timestamp(run.scheduled_at),
        finished_at=timestamp(run.finished_at),
        status=_STATUS.get(run.state, run.state.value.capitalize()),
        storage_state=pb.Run.STORAGESTATE_ARCHIVED if archived else pb.Run.STORAGESTATE_AVAILABLE,
        error=run.error,
        service_account=run.service_account,
    )
    if run.pipeline_version_id:
        message.resource_references.append(
            common.reference(common.PIPELINE_VERSION, run.pipeline_version_id, common.CREATOR)
        )
    return message
