"""RecurringRunService over gRPC: converts, calls the use cases in `services`, converts back."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb
from penstock_api.v2beta1 import recurring_run_pb2_grpc

from penstock_server.rpc import parts
from penstock_server.rpc.convert import recurring_runs as convert
from penstock_server.rpc.convert.common import list_request
from penstock_server.rpc.field_masks import current_mask
from penstock_server.services.recurring_runs import RecurringRunService

# With these policies the unfinished runs of the schedule are terminated. Rows of runs are kept with every policy.
_TERMINATING = (pb.FOREGROUND, pb.BACKGROUND)


class RecurringRunServicer(recurring_run_pb2_grpc.RecurringRunServiceServicer):
    def __init__(self, service: RecurringRunService) -> None:
        self._service = service

    def CreateRecurringRun(
        self, request: pb.CreateRecurringRunRequest, context: grpc.ServicerContext
    ) -> pb.RecurringRun:
        return convert.to_proto(self._service.create(convert.new_schedule(request.recurring_run)))

    def GetRecurringRun(self, request: pb.GetRecurringRunRequest, context: grpc.ServicerContext) -> pb.RecurringRun:
        return convert.to_proto(self._service.get(request.recurring_run_id, parts.of_schedule(current_mask())))

    def ListRecurringRuns(
        self, request: pb.ListRecurringRunsRequest, context: grpc.ServicerContext
    ) -> pb.ListRecurringRunsResponse:
        without = parts.of_schedule(current_mask().under("recurringRuns"))
        page = self._service.list(list_request(request), request.experiment_id, request.namespace, without)
        return pb.ListRecurringRunsResponse(
            recurringRuns=map(convert.to_proto, page.items),
            total_size=page.total_size,
            next_page_token=page.next_page_token,
        )

    def EnableRecurringRun(
        self, request: pb.EnableRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.set_enabled(request.recurring_run_id, True)
        return empty_pb2.Empty()

    def DisableRecurringRun(
        self, request: pb.DisableRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.set_enabled(request.recurring_run_id, False)
        return empty_pb2.Empty()

    def DeleteRecurringRun(
        self, request: pb.DeleteRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._service.delete(request.recurring_run_id, terminate=request.propagation_policy in _TERMINATING)
        return empty_pb2.Empty()
