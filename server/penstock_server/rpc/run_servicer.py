"""RunService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v2beta1 import run_pb2 as pb
from penstock_api.v2beta1 import run_pb2_grpc

from penstock_server.errors import AbortedError, InvalidArgumentError
from penstock_server.rpc import parts
from penstock_server.rpc.conditions import Condition
from penstock_server.rpc.convert import runs as convert
from penstock_server.rpc.convert.common import list_request
from penstock_server.rpc.field_masks import current_mask
from penstock_server.services.runs import RunService, Unchanged


class RunServicer(run_pb2_grpc.RunServiceServicer):
    def __init__(self, service: RunService) -> None:
        self._service = service

    def CreateRun(self, request: pb.CreateRunRequest, context: grpc.ServicerContext) -> pb.Run:
        if request.run.plugins_output:
            raise AbortedError("run.plugins_output: it is written by plugins and cannot be given")
        return convert.to_proto(self._service.create(convert.new_run(request.run)))

    def GetRun(self, request: pb.GetRunRequest, context: grpc.ServicerContext) -> pb.Run:
        basic, mask = _is_basic(request), current_mask()
        tasks = not (basic or request.without_tasks)
        condition = Condition(context, "basic" if basic else "all" if tasks else "run")
        wanted = parts.of_run(mask, document=not basic, tasks=tasks)
        found = self._service.get_unless(request.run_id, condition.versions(), wanted)
        condition.answered(found.version)
        if isinstance(found, Unchanged):
            return pb.Run()
        return convert.to_proto_without_pipeline(found.run) if basic else convert.details_to_proto(found, mask)

    def ListRuns(self, request: pb.ListRunsRequest, context: grpc.ServicerContext) -> pb.ListRunsResponse:
        basic, mask = _is_basic(request), current_mask().under("runs")
        document = not basic and mask.wants("pipeline_spec")
        convert_run = convert.to_proto if document else convert.to_proto_without_pipeline
        without = parts.of_run(mask, document=document).without
        page = self._service.list(list_request(request), request.experiment_id, request.namespace, without)
        return pb.ListRunsResponse(
            runs=map(convert_run, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def ArchiveRun(self, request: pb.ArchiveRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.archive(request.run_id)
        return empty_pb2.Empty()

    def UnarchiveRun(self, request: pb.UnarchiveRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.unarchive(request.run_id)
        return empty_pb2.Empty()

    def DeleteRun(self, request: pb.DeleteRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.run_id)
        return empty_pb2.Empty()

    def TerminateRun(self, request: pb.TerminateRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.terminate(request.run_id)
        return empty_pb2.Empty()

    def RetryRun(self, request: pb.RetryRunRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.retry(request.run_id)
        return empty_pb2.Empty()


def _is_basic(request: pb.GetRunRequest | pb.ListRunsRequest) -> bool:
    """Whether the least is asked for. Raises InvalidArgumentError for a view that there is not."""
    known = type(request).ViewMode.values()
    if request.view not in known:
        names = ", ".join(type(request).ViewMode.keys())
        raise InvalidArgumentError(f"{request.view} is no view; there are {names}", "view")
    return bool(request.view == type(request).BASIC)
