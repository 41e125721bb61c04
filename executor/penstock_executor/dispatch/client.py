"""The internal gRPC service as plain coroutines.

Invariants: every call has a deadline; what may be tried again (the server is away, restarts, is overloaded) is
`ServerUnavailableError`, everything else is `ServerRejectedError`. Retrying is the callers' business, because only they
know whether a result still matters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio
from penstock.secret_file import SecretFile
from penstock.tls_files import TlsFiles
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc as rpc

from penstock_executor.channel import ServerChannel
from penstock_executor.errors import ServerRejectedError, ServerUnavailableError

_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    # Whoever is not let in now may be later: a secret is being replaced, an account is not known yet. No run is at
    # fault.
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}
# Several tries within one lease, and soon another server.
_HEARTBEAT_SECONDS = 4
_RUNS_PER_QUESTION = 1000
_Reply = TypeVar("_Reply")


@dataclass(frozen=True, slots=True)
class ExecutorDescription:
    """What does not change of an executor: its backend (local, container or kubernetes), its release, and how many
    tasks run at the same time at most.
    """

    backend: str = ""
    version: str = ""
    places: int = 0

    def at(self, open_attempts: int) -> pb.ExecutorStatus:
        return pb.ExecutorStatus(
            backend=self.backend, version=self.version, places=self.places, open_attempts=open_attempts
        )


class DispatchClient:
    """`servers`, `tls` and `secret` as ServerChannel takes them."""

    def __init__(
        self,
        servers: str,
        executor_id: str,
        description: ExecutorDescription | None = None,
        tls: TlsFiles | None = None,
        secret: SecretFile | None = None,
    ) -> None:
        """Without a `description` it does not say what it is. Raises TlsFilesError."""
        self.executor_id = executor_id
        self._description = description or ExecutorDescription()
        self._channel = ServerChannel(servers, tls, secret)
        channel: Any = self._channel
        self._stub = rpc.DispatchServiceStub(channel)

    async def claim(
        self, max_runs: int, wait_seconds: float, lease_seconds: float, open_attempts: int = 0
    ) -> pb.ClaimRunsResponse:
        """`open_attempts`: those that are to run or do, of all runs held."""
        request = pb.ClaimRunsRequest(
            executor_id=self.executor_id,
            max_runs=max_runs,
            wait_millis=int(wait_seconds * 1000),
            lease_millis=int(lease_seconds * 1000),
            backend=self._description.backend,
            status=self._description.at(open_attempts),
        )
        return await _call(self._stub.ClaimRuns, request, wait_seconds + 30)

    async def heartbeat(
        self, leases: Sequence[pb.Lease], lease_seconds: float, open_attempts: int = 0, *, release: bool = False
    ) -> pb.HeartbeatResponse:
        """`release` hands these leases back, and whatever else this executor holds: it stops."""
        request = pb.HeartbeatRequest(
            executor_id=self.executor_id,
            lease_millis=int(lease_seconds * 1000),
            leases=leases,
            release=release,
            release_all=release,
            status=self._description.at(open_attempts),
        )
        return await _call(self._stub.Heartbeat, request, _HEARTBEAT_SECONDS)

    async def report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        request = pb.ReportTransitionsRequest(executor_id=self.executor_id, runs=runs)
        reply = await _call(self._stub.ReportTransitions, request, 30)
        return reply.results

    async def look_up(self, keys: Sequence[pb.LookupCacheRequest.Key]) -> Sequence[pb.LookupCacheResponse.Answer]:
        reply = await _call(self._stub.LookupCache, pb.LookupCacheRequest(keys=keys), 30)
        return reply.answers

    async def take_slots(
        self, attempts: Sequence[pb.TakeSlotsRequest.Attempt], *, why: bool
    ) -> Sequence[pb.TakeSlotsResponse.Answer]:
        """An answer for each, in order; `why` they wait if it is asked for."""
        request = pb.TakeSlotsRequest(executor_id=self.executor_id, attempts=attempts, why=why)
        reply = await _call(self._stub.TakeSlots, request, 10)
        return reply.answers

    async def filter_runs(self, run_ids: Sequence[str]) -> Sequence[pb.RunHold]:
        """Where each run stands, in order."""
        holds: list[pb.RunHold] = []
        for start in range(0, len(run_ids), _RUNS_PER_QUESTION):
            request = pb.FilterRunsRequest(run_ids=run_ids[start : start + _RUNS_PER_QUESTION])
            reply = await _call(self._stub.FilterRuns, request, 10)
            holds.extend(reply.holds)
        return holds

    async def close(self) -> None:
        await self._channel.close()


async def _call(method: Callable[..., Awaitable[_Reply]], request: object, timeout: float) -> _Reply:
    try:
        return await method(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        text = f"{error.code().name}: {error.details()}"
        if error.code() in _TRANSIENT:
            raise ServerUnavailableError(text) from error
        raise ServerRejectedError(text) from error
