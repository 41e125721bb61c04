"""DispatchService, the internal API of executors.

Invariant: what a call does to leases it does in the name of whoever proved to be its caller (`owner_of`).
"""

from __future__ import annotations

import grpc
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc

from penstock_server.domain.caller import current_call
from penstock_server.domain.dispatch import Lease, owner_of
from penstock_server.domain.executors import told
from penstock_server.rpc.convert import dispatch as convert
from penstock_server.rpc.convert import pools
from penstock_server.rpc.convert.overview import status_from_proto
from penstock_server.services.dispatch import DispatchService


class DispatchServicer(dispatch_pb2_grpc.DispatchServiceServicer):
    def __init__(self, service: DispatchService) -> None:
        self._service = service

    def ClaimRuns(self, request: pb.ClaimRunsRequest, context: grpc.ServicerContext) -> pb.ClaimRunsResponse:
        owner = _owner(request)
        # An executor of the release before tells its backend alone.
        status = status_from_proto(request.status) if request.HasField("status") else told(request.backend, "", 0, 0)
        self._service.executors.saw(owner, status)
        claimed = self._service.claim(
            owner, request.max_runs, request.wait_millis, request.lease_millis, wanted=context.is_active
        )
        return pb.ClaimRunsResponse(
            runs=map(convert.claimed_to_proto, claimed.runs),
            waited_millis=claimed.waited_millis,
            limited=claimed.limited,
        )

    def Heartbeat(self, request: pb.HeartbeatRequest, context: grpc.ServicerContext) -> pb.HeartbeatResponse:
        leases = [Lease(lease.run_id, lease.fence, lease.unrenewed) for lease in request.leases]
        owner, everything = _owner(request), request.release and request.release_all
        answer = self._service.heartbeat(
            owner,
            leases,
            request.lease_millis,
            release=request.release,
            release_all=everything,
        )
        if everything:
            self._service.executors.left(owner)
        elif request.HasField("status"):
            self._service.executors.saw(owner, status_from_proto(request.status))
        return pb.HeartbeatResponse(
            lost_run_ids=answer.lost,
            terminate_run_ids=answer.terminate,
            deleted_run_ids=answer.deleted,
            limited=answer.limited,
        )

    def ReportTransitions(
        self, request: pb.ReportTransitionsRequest, context: grpc.ServicerContext
    ) -> pb.ReportTransitionsResponse:
        reports = self._service.report(_owner(request), [convert.transitions_from_proto(run) for run in request.runs])
        return pb.ReportTransitionsResponse(results=map(convert.report_to_proto, reports))

    def LookupCache(self, request: pb.LookupCacheRequest, context: grpc.ServicerContext) -> pb.LookupCacheResponse:
        hits = self._service.look_up([convert.key_from_proto(key) for key in request.keys])
        return pb.LookupCacheResponse(
            answers=[
                convert.hit_to_proto(hit, key.not_before_millis) for hit, key in zip(hits, request.keys, strict=True)
            ]
        )

    def FilterRuns(self, request: pb.FilterRunsRequest, context: grpc.ServicerContext) -> pb.FilterRunsResponse:
        return pb.FilterRunsResponse(holds=map(convert.hold_to_proto, self._service.filter(list(request.run_ids))))

    def TakeSlots(self, request: pb.TakeSlotsRequest, context: grpc.ServicerContext) -> pb.TakeSlotsResponse:
        asked = [pools.ask_from_proto(one) for one in request.attempts]
        answers = self._service.slots.take(_owner(request), asked, why=request.why)
        return pb.TakeSlotsResponse(answers=map(pools.answer_to_proto, answers))


def _owner(
    request: pb.ClaimRunsRequest | pb.HeartbeatRequest | pb.ReportTransitionsRequest | pb.TakeSlotsRequest,
) -> str:
    return owner_of(request.executor_id, current_call().caller.user)
