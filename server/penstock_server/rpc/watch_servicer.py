"""WatchService over gRPC: hands each watch an outlet, converts what it is told.

Invariant: a message that goes to several watches is converted once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import grpc
from penstock_api.v1 import watch_pb2 as pb
from penstock_api.v1 import watch_pb2_grpc

from penstock_server.rpc.convert import watches as convert
from penstock_server.rpc.convert.common import list_request
from penstock_server.rpc.outlet import OutletReader, without_thread
from penstock_server.services.list_watches import ListWatches
from penstock_server.services.watches import RunWatches

_run_change = lru_cache(maxsize=64)(convert.change_to_proto)
_runs_change = lru_cache(maxsize=64)(convert.runs_change_to_proto)


class WatchServicer(watch_pb2_grpc.WatchServiceServicer):
    def __init__(self, watches: RunWatches, list_watches: ListWatches) -> None:
        self._watches = watches
        self._list_watches = list_watches

    @without_thread
    def WatchRun(self, request: pb.WatchRunRequest, context: grpc.ServicerContext, outlet: Any = None) -> Any:
        """Returns when the watch is open; `outlet` is an Outlet."""
        reader = OutletReader(outlet, _run_change)
        close = self._watches.open(
            request.run_id,
            request.after,
            reader,
            until_finished=request.until_finished,
            summary=request.summary,
        )
        outlet.when_closed(close)

    @without_thread
    def WatchRuns(self, request: pb.WatchRunsRequest, context: grpc.ServicerContext, outlet: Any = None) -> Any:
        """As WatchRun."""
        reader = OutletReader(outlet, _runs_change)
        close = self._list_watches.open(
            list_request(request),
            request.experiment_id,
            request.namespace,
            reader,
            until_finished=request.until_finished,
        )
        outlet.when_closed(close)
