"""Records lineage in ML Metadata through its gRPC service, many executions per call.

Why batches: one transaction per call is what costs. Why names: executions and contexts have deterministic names and
artifacts an external id, so what a crash left half known is found again instead of written twice.

Invariants: a parent's id is known before its children are written, because the UI follows `parent_dag_id`; a write that
contradicts what the store has is made again with what the store has, because the answer to an earlier one may have been
lost; a record the store refuses is singled out, the rest of its batch gets in.
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
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc

from penstock_executor.backoff import delays
from penstock_executor.channel import ServerChannel
from penstock_executor.lineage_records import ExecutionRecord, RunRecord
from penstock_executor.metadata.base import RecordedIds, RecorderUnavailableError, RecordRejectedError
from penstock_executor.metadata.messages import run_context
from penstock_executor.metadata.subgraph import RunMemory, Subgraph, content, events_of

log = logging.getLogger(__name__)

_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}
# May pass (a deadlock in the database, a server that dies while it answers) or not: refused only when it comes again.
_DOUBTFUL = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
# What is remembered is not what the store has.
_STALE = {grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND}
_TRIES = 4
_PAGE = 100
_PIPELINES = 1_000


class MlmdRecorder:
    """`servers` offer a MetadataStoreService each, as ServerChannel takes them."""

    def __init__(self, servers: str, *, deadline_seconds: float = 10.0) -> None:
        self._deadline = deadline_seconds
        self._channel = ServerChannel(servers)
        channel: Any = self._channel
        self._stub = service_rpc.MetadataStoreServiceStub(channel)
        self._types: dict[tuple[str, str], int] = {}
        self._runs: dict[str, RunMemory] = {}
        self._pipelines: dict[str, pb.Context] = {}

    async def record(self, batch: Sequence[ExecutionRecord], left: Callable[[str], float]) -> RecordedIds:
        executions: dict[str, int] = {}
        artifacts: dict[str, int] = {}
        contexts: dict[str, tuple[int, int]] = {}
        rejected: RecordRejectedError | None = None
        by_run: dict[str, list[ExecutionRecord]] = {}
        for record in batch:
            by_run.setdefault(record.run.run_id, []).append(record)
        for run_id, records in by_run.items():
            memory = await self._memory(records[0].run)
            contexts[run_id] = (memory.contexts[0].id, memory.contexts[1].id)
            try:
                await self._record_run(memory, records, partial(left, run_id))
            except RecordRejectedError as error:
                rejected = error
            executions.update(
                {one.name: memory.executions[one.name] for one in records if one.name in memory.executions}
            )
            # Also those of an earlier recorder, which may have died before it told anybody.
            artifacts.update(
                {
                    one.name: memory.artifacts[one.name]
                    for record in records
                    for _, _, one in events_of(record)
                    if one.name in memory.artifacts
                }
            )
        if rejected is not None:
            raise rejected
        return RecordedIds(executions, artifacts, contexts)

    def forget(self, run_id: str) -> None:
        self._runs.pop(run_id, None)

    async def close(self) -> None:
        await self._channel.close()

    # --- one run ---------------------------------------------------------------------------------------------------

    async def _record_run(
        self, memory: RunMemory, records: Sequence[ExecutionRecord], left: Callable[[], float]
    ) -> None:
        """Level by level: those whose parent has an id, then their children."""
        rejected: RecordRejectedError | None = None
        rest = list(records)
        while rest:
            ready = [one for one in rest if not one.parent or one.parent in memory.executions]
            if not ready:
                # The parents are in no batch yet: look for them, then write without a parent rather than lose lineage.
                await self._learn(memory)
                ready = [one for one in rest if one.parent in memory.executions] or rest
            names = {one.name for one in ready}
            rest = [one for one in rest if one.name not in names]
            try:
                await self._put(memory, ready, left)
            except RecordRejectedError as error:
                rejected = error
        if rejected is not None:
            raise rejected

    async def _put(self, memory: RunMemory, records: Sequence[ExecutionRecord], left: Callable[[], float]) -> None:
        try:
            await self._put_subgraph(memory, records, left)
            return
        except grpc.aio.AioRpcError as error:
            if error.code() in _STALE and await self._learn(memory):
                await self._put(memory, records, left)
                return
            if len(records) == 1:
                raise RecordRejectedError(records[0].name, f"{error.code().name}: {error.details()}") from error
        # Something in it is refused: halves find out what.
        middle = len(records) // 2
        rejected: RecordRejectedError | None = None
        for half in (records[:middle], records[middle:]):
            try:
                await self._put(memory, half, left)
            except RecordRejectedError as error:
                log.error("lineage refused: %s", error)
                rejected = error
        if rejected is not None:
            raise rejected

    async def _put_subgraph(
        self, memory: RunMemory, records: Sequence[ExecutionRecord], left: Callable[[], float]
    ) -> None:
        types = {("execution", record.type.value) for record in records}
        types |= {("artifact", artifact.type) for record in records for _, _, artifact in events_of(record)}
        known = {one: await self._type(*one) for one in types}
        graph = Subgraph.of(records, memory, lambda kind, name: known[kind, name])
        if graph.names:
            graph.written(memory, await self._call(self._stub.PutLineageSubgraph, graph.request, left))

    async def _memory(self, run: RunRecord) -> RunMemory:
        memory = self._runs.get(run.run_id)
        if memory is None:
            pipeline = await self._pipeline(run.pipeline_name)
            of_run = await self._context("system.PipelineRun", run_context(run))
            request = service_pb.PutParentContextsRequest()
            request.parent_contexts.add(child_id=of_run.id, parent_id=pipeline.id)
            try:
                await self._call(self._stub.PutParentContexts, request)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
            memory = self._runs[run.run_id] = RunMemory([pipeline, of_run])
        return memory

    async def _pipeline(self, name: str) -> pb.Context:
        """One for all runs of the pipeline; contexts are never deleted."""
        known = self._pipelines.get(name)
        if known is None:
            if len(self._pipelines) >= _PIPELINES:
                self._pipelines.clear()
            known = self._pipelines[name] = await self._context("system.Pipeline", pb.Context(name=name))
        return known

    async def _context(self, type_name: str, wanted: pb.Context) -> pb.Context:
        """The context of that name, made if there is none; what exists is kept as it is (executor.md §2.1)."""
        wanted.type_id = await self._type("context", type_name)
        try:
            made = await self._call(self._stub.PutContexts, service_pb.PutContextsRequest(contexts=[wanted]))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            wanted.id = made.context_ids[0]
            return wanted
        found = await self._call(
            self._stub.GetContextByTypeAndName,
            service_pb.GetContextByTypeAndNameRequest(type_name=type_name, context_name=wanted.name),
        )
        if not found.HasField("context"):
            raise RecorderUnavailableError(f"context {wanted.name!r} exists and cannot be found")
        return found.context

    # --- after a crash ---------------------------------------------------------------------------------------------

    async def _learn(self, memory: RunMemory) -> bool:
        """Reads what the store has of the run: an earlier recorder's writes, and ours whose answer was lost.

        True when that is another thing than was remembered.
        """
        found = RunMemory(memory.contexts)
        request = service_pb.GetExecutionsByContextRequest(context_id=memory.contexts[1].id)
        request.options.max_result_size = _PAGE
        while True:
            reply = await self._call(self._stub.GetExecutionsByContext, request)
            named = [one for one in reply.executions if one.name]
            found.executions.update({one.name: one.id for one in named})
            found.read.update({one.name: content(one) for one in named})
            if not reply.next_page_token:
                break
            request.options.next_page_token = reply.next_page_token
        await self._read_events(found)
        # Believed as a whole: if the store goes away in between, all of it is read again.
        new = (found.executions, found.events) != (memory.executions, memory.events)
        memory.executions, memory.artifacts = found.executions, found.artifacts
        memory.events, memory.read = found.events, found.read
        return new

    async def _read_events(self, found: RunMemory) -> None:
        names_of = {identifier: name for name, identifier in found.executions.items()}
        identifiers = list(names_of)
        for start in range(0, len(identifiers), _PAGE):
            events = await self._call(
                self._stub.GetEventsByExecutionIDs,
                service_pb.GetEventsByExecutionIDsRequest(execution_ids=identifiers[start : start + _PAGE]),
            )
            artifact_ids = sorted({event.artifact_id for event in events.events})
            artifacts = await self._call(
                self._stub.GetArtifactsByID, service_pb.GetArtifactsByIDRequest(artifact_ids=artifact_ids)
            )
            names = {one.id: one.external_id for one in artifacts.artifacts}
            found.artifacts.update({name: identifier for identifier, name in names.items()})
            found.events.update(
                (names_of[event.execution_id], names[event.artifact_id], event.type) for event in events.events
            )

    # --- calls -----------------------------------------------------------------------------------------------------

    async def _type(self, kind: str, name: str) -> int:
        known = self._types.get((kind, name))
        if known is not None:
            return known
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

    async def _call(self, method: Any, request: Any, left: Callable[[], float] = lambda: inf) -> Any:
        """Raises RecorderUnavailableError when the store is away for longer than a few tries, or `left` is over."""
        pauses = delays()
        for attempt in range(1, _TRIES + 1):
            seconds = left()
            if seconds <= 0:
                raise RecorderUnavailableError("the lease of the run is not certain any more")
            try:
                return await method(request, timeout=min(self._deadline, seconds))
            except grpc.aio.AioRpcError as error:
                if error.code() not in _TRANSIENT and (error.code() not in _DOUBTFUL or attempt == _TRIES):
                    raise
                if attempt == _TRIES:
                    raise RecorderUnavailableError(f"{error.code().name}: {error.details()}") from error
            await asyncio.sleep(next(pauses))
        raise AssertionError("the loop returns or raises")
