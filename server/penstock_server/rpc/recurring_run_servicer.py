"""RecurringRunService: listed and looked up so that clients find an empty place, not served further yet."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb
from penstock_api.v2beta1 import recurring_run_pb2_grpc

from penstock_server.errors import NotFoundError, UnimplementedError


class RecurringRunServicer(recurring_run_pb2_grpc.RecurringRunServiceServicer):
    def CreateRecurringRun(
        self, request: pb.CreateRecurringRunRequest, context: grpc.ServicerContext
    ) -> pb.RecurringRun:
        raise UnimplementedError("this server does not run schedules yet; create runs instead")

    def ListRecurringRuns(
        self, request: pb.ListRecurringRunsRequest, context: grpc.ServicerContext
    ) -> pb.ListRecurringRunsResponse:
        return pb.ListRecurringRunsResponse()

    def GetRecurringRun(self, request: pb.GetRecurringRunRequest, context: grpc.ServicerContext) -> pb.RecurringRun:
        raise NotFoundError("RecurringRun", request.recurring_run_id)

    def EnableRecurringRun(
        self, request: pb.EnableRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        raise NotFoundError("RecurringRun", request.recurring_run_id)

    def DisableRecurringRun(
        self, request: pb.DisableRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        raise NotFoundError("RecurringRun", request.recurring_run_id)

    def DeleteRecurringRun(
        self, request: pb.DeleteRecurringRunRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        raise NotFoundError("RecurringRun", request.recurring_run_id)
