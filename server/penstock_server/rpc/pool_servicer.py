"""PoolService over gRPC: converts, calls the use cases in `services.pools`, converts back."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1 import pool_pb2 as pb
from penstock_api.v1 import pool_pb2_grpc

from penstock_server.rpc.convert import pools as convert
from penstock_server.services.pools import PoolService


class PoolServicer(pool_pb2_grpc.PoolServiceServicer):
    def __init__(self, service: PoolService) -> None:
        self._service = service

    def ListPools(self, request: pb.ListPoolsRequest, context: grpc.ServicerContext) -> pb.ListPoolsResponse:
        return pb.ListPoolsResponse(pools=map(convert.to_proto, self._service.list(request.namespace)))

    def GetPool(self, request: pb.GetPoolRequest, context: grpc.ServicerContext) -> pb.GetPoolResponse:
        details = self._service.get(request.namespace, request.name)
        return pb.GetPoolResponse(
            pool=convert.to_proto(details.state),
            holders=map(convert.use_to_proto, details.holders),
            waiters=map(convert.use_to_proto, details.waiters),
        )

    def PutPool(self, request: pb.PutPoolRequest, context: grpc.ServicerContext) -> pb.Pool:
        return convert.to_proto(self._service.put(convert.from_proto(request.pool)))

    def DeletePool(self, request: pb.DeletePoolRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.namespace, request.name)
        return empty_pb2.Empty()
