"""Records lineage in ML Metadata through its gRPC service, many executions per call.

Why batches: ML Metadata spends most of a call on its transaction. Why names: executions and contexts have deterministic
names and artifacts an external id, so that after a crash they are found again instead of written twice.

Invariants: a parent's id is known before its children are written, because the UI follows `parent_dag_id`; when the
store refuses a write because it has other data than was assumed, that data is read and the write repeated, because the
reply to an earlier write may have been lost; a record that the store refuses is singled out, the rest of its batch is
written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any

import grpc
import grpc.aio
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock.secret_file import SecretFile
from penstock.tls_files import TlsFiles

from penstock_executor.backoff import retried
from penstock_executor.channel import ServerChannel
from penstock_executor.lineage_records import ExecutionRecord, RunRecord
from penstock_executor.metadata.base import ContextIds, RecordedIds, RecorderUnavailableError, RecordRejectedError
from penstock_executor.metadata.contexts import Contexts
from penstock_executor.metadata.subgraph import RecordedRun, Subgraph, comparable_bytes, events_of

log = logging.getLogger(__name__)

_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    # As in dispatch/client.py: no record is at fault.
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}
# Transient (a deadlock in the database, a server killed during the call) or permanent: retried, refused if it persists.
_MAYBE_TRANSIENT = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
# The store has other data than `RecordedRun` says.
_STALE = {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND}
_MAX_TRIES = 4
# The store takes one call after the other; what is saved is the wait for each answer before the next request is made.
_RUNS_AT_ONCE = 4
_PAGE_SIZE = 100


class MlmdRecorder:
    """`servers` offer a MetadataStoreService each; they, `tls` and `secret` are as ServerChannel takes them."""

    def __init__(
        self,
        servers: str,
        tls: TlsFiles | None = None,
        secret: SecretFile | None = None,
        *,
        deadline_seconds: float = 10.0,
    ) -> None:
        self._deadline = deadline_seconds
        self._channel = ServerChannel(servers, tls, secret)
        channel: Any = self._channel
        self._stub = service_rpc.MetadataStoreServiceStub(channel)
        self._types: dict[tuple[str, str], int] = {}
        self._runs: dict[str, RecordedRun] = {}
        self._contexts = Contexts(self._stub, self._call, partial(self._type, "context"))

    async def record(self, batch: Sequence[ExecutionRecord], lease_seconds: Callable[[str], float]) -> RecordedIds:
        executions: dict[str, int] = {}
        artifacts: dict[str, int] = {}
        contexts: dict[str, ContextIds] = {}
        by_run: dict[str, list[ExecutionRecord]] = {}
        for record in batch:
            by_run.setdefault(record.run.run_id, []).append(record)
        opened = await self._recorded_runs([records[0].run for records in by_run.values()])
        free = asyncio.Semaphore(_RUNS_AT_ONCE)

        async def written(run_id: str, records: Sequence[ExecutionRecord]) -> None:
            async with free:
                await self._record_run(opened[run_id], records, partial(lease_seconds, run_id))

        # A failure of one run breaks off no call of another.
        results = await asyncio.gather(*(written(*one) for one in by_run.items()), return_exceptions=True)
        failures = [result for result in results if result is not None]
        for failure in failures:
            if not isinstance(failure, RecordRejectedError):
                raise failure
        for run_id, records in by_run.items():
            recorded = opened[run_id]
            contexts[run_id] = ContextIds(pipeline=recorded.contexts[0].id, run=recorded.contexts[1].id)
            executions.update(
                {
                    record.name: recorded.executions[record.name]
                    for record in records
                    if record.name in recorded.executions
                }
            )
            # Also artifacts of an earlier recorder, which may have died before it returned their ids.
            artifacts.update(
                {
                    artifact.name: recorded.artifacts[artifact.name]
                    for record in records
                    for _, _, artifact in events_of(record)
                    if artifact.name in recorded.artifacts
                }
            )
        if failures:
            raise failures[-1]
        return RecordedIds(executions, artifacts, contexts)

    def forget(self, run_id: str) -> None:
        self._runs.pop(run_id, None)

    async def close(self) -> None:
        await self._channel.close()

    # --- one run ---------------------------------------------------------------------------------------------------

    async def _record_run(
        self, recorded: RecordedRun, records: Sequence[ExecutionRecord], lease_seconds: Callable[[], float]
    ) -> None:
        """Writes level by level: records whose parent has an id, then their children."""
        rejected: RecordRejectedError | None = None
        pending = list(records)
        while pending:
            ready = [record for record in pending if not record.parent or record.parent in recorded.executions]
            if not ready:
                # The parents are in none of our batches: read them back, else write without a parent rather than lose
                # lineage.
                await self._read_back(recorded)
                ready = [record for record in pending if record.parent in recorded.executions] or pending
            names = {record.name for record in ready}
            pending = [record for record in pending if record.name not in names]
            try:
                await self._put(recorded, ready, lease_seconds)
            except RecordRejectedError as error:
                rejected = error
        if rejected is not None:
            raise rejected

    async def _put(
        self, recorded: RecordedRun, records: Sequence[ExecutionRecord], lease_seconds: Callable[[], float]
    ) -> None:
        try:
            await self._put_subgraph(recorded, records, lease_seconds)
            return
        except grpc.aio.AioRpcError as error:
            if error.code() in _STALE and await self._read_back(recorded):
                await self._put(recorded, records, lease_seconds)
                return
            if len(records) == 1:
                raise RecordRejectedError(records[0].name, f"{error.code().name}: {error.details()}") from error
        # The store refused the batch: split it in halves to find the record at fault.
        middle = len(records) // 2
        rejected: RecordRejectedError | None = None
        for half in (records[:middle], records[middle:]):
            try:
                await self._put(recorded, half, lease_seconds)
            except RecordRejectedError as error:
                log.error("lineage refused: %s", error)
                rejected = error
        if rejected is not None:
            raise rejected

    async def _put_subgraph(
        self, recorded: RecordedRun, records: Sequence[ExecutionRecord], lease_seconds: Callable[[], float]
    ) -> None:
        types = {("execution", record.type.value) for record in records}
        types |= {("artifact", artifact.type) for record in records for _, _, artifact in events_of(record)}
        type_ids = {key: await self._type(*key) for key in types}
        graph = Subgraph.of(records, recorded, lambda kind, name: type_ids[kind, name])
        if graph.names:
            graph.apply_reply(recorded, await self._call(self._stub.PutLineageSubgraph, graph.request, lease_seconds))

    async def _recorded_runs(self, runs: Sequence[RunRecord]) -> dict[str, RecordedRun]:
        """By id; the contexts of all that are new are made together."""
        found = {run.run_id: self._runs[run.run_id] for run in runs if run.run_id in self._runs}
        new = [run for run in runs if run.run_id not in found]
        for run, contexts in zip(new, await self._contexts.of_runs(new), strict=True):
            found[run.run_id] = self._runs[run.run_id] = RecordedRun(contexts)
        return found

    # --- after a crash ---------------------------------------------------------------------------------------------

    async def _read_back(self, recorded: RecordedRun) -> bool:
        """Reads the run's lineage from the store: writes of an earlier recorder, and ours whose reply was lost.

        True when it differs from what `recorded` said before.
        """
        stored = RecordedRun(recorded.contexts)
        request = service_pb.GetExecutionsByContextRequest(context_id=recorded.contexts[1].id)
        request.options.max_result_size = _PAGE_SIZE
        while True:
            reply = await self._call(self._stub.GetExecutionsByContext, request)
            executions = [execution for execution in reply.executions if execution.name]
            stored.executions.update({execution.name: execution.id for execution in executions})
            stored.read.update({execution.name: comparable_bytes(execution) for execution in executions})
            if not reply.next_page_token:
                break
            request.options.next_page_token = reply.next_page_token
        await self._read_events(stored)
        # Assigned together at the end: if the store fails half-way, everything is read again.
        changed = (stored.executions, stored.events) != (recorded.executions, recorded.events)
        recorded.executions, recorded.artifacts = stored.executions, stored.artifacts
        recorded.events, recorded.read = stored.events, stored.read
        return changed

    async def _read_events(self, stored: RecordedRun) -> None:
        names_of = {identifier: name for name, identifier in stored.executions.items()}
        identifiers = list(names_of)
        for start in range(0, len(identifiers), _PAGE_SIZE):
            events = await self._call(
                self._stub.GetEventsByExecutionIDs,
                service_pb.GetEventsByExecutionIDsRequest(execution_ids=identifiers[start : start + _PAGE_SIZE]),
            )
            artifact_ids = sorted({event.artifact_id for event in events.events})
            artifacts = await self._call(
                self._stub.GetArtifactsByID, service_pb.GetArtifactsByIDRequest(artifact_ids=artifact_ids)
            )
            names = {artifact.id: artifact.external_id for artifact in artifacts.artifacts}
            stored.artifacts.update({name: identifier for identifier, name in names.items()})
            stored.events.update(
                (names_of[event.execution_id], names[event.artifact_id], event.type) for event in events.events
            )

    # --- calls -----------------------------------------------------------------------------------------------------

    async def _type(self, kind: str, name: str) -> int:
        type_id = self._types.get((kind, name))
        if type_id is not None:
            return type_id
        if kind == "execution":
            execution = service_pb.PutExecutionTypeRequest(can_add_fields=True, can_omit_fields=True)
            execution.execution_type.name = name
            reply = await self._call(self._stub.PutExecutionType, execution)
        elif kind == "artifact":
            artifact = service_pb.PutArtifactTypeRequest(can_add_fields=True, can_omit_fields=True)
            artifact.artifact_type.name = name
            reply = await self._call(self._stub.PutArtifactType, artifact)
        else:
            context = service_pb.PutContextTypeRequest(can_add_fields=True, can_omit_fields=True)
            context.context_type.name = name
            reply = await self._call(self._stub.PutContextType, context)
        self._types[(kind, name)] = reply.type_id
        return int(reply.type_id)

    async def _call(self, method: Any, request: Any, lease_seconds: Callable[[], float] = lambda: inf) -> Any:
        """Raises RecorderUnavailableError when every try failed or `lease_seconds()` is 0."""

        async def once() -> Any:
            seconds = lease_seconds()
            if seconds <= 0:
                raise RecorderUnavailableError("the lease of the run is not certain any more")
            return await method(request, timeout=min(self._deadline, seconds))

        try:
            return await retried(once, if_=_may_be_transient, tries=_MAX_TRIES)
        except grpc.aio.AioRpcError as error:
            if error.code() in _TRANSIENT:
                raise RecorderUnavailableError(f"{error.code().name}: {error.details()}") from error
            raise


def _may_be_transient(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _TRANSIENT | _MAYBE_TRANSIENT
