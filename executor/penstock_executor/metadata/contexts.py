"""The contexts of runs in ML Metadata: one of each run, below the one that all runs of its pipeline share.

Why together: a call costs the store a transaction, whatever is in it, and a thousand runs may begin at once.

Invariants: contexts have deterministic names and are never deleted, so one that exists is taken as it is. The store
refuses all of a request of which a part exists already: then its parts are asked for one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb

from penstock_executor.lineage_records import RunRecord
from penstock_executor.metadata.base import RecorderUnavailableError
from penstock_executor.metadata.messages import pipeline_context_name, run_context

_MAX_PIPELINES = 1_000


class Contexts:
    """`call(method, request)` calls the store's `stub`; `type_id(name)` is that of a type of contexts."""

    def __init__(
        self, stub: Any, call: Callable[[Any, Any], Awaitable[Any]], type_id: Callable[[str], Awaitable[int]]
    ) -> None:
        self._stub = stub
        self._call = call
        self._type_id = type_id
        self._pipelines: dict[str, pb.Context] = {}

    async def of_runs(self, runs: Sequence[RunRecord]) -> list[list[pb.Context]]:
        """Of each run the pipeline's and its own, in order."""
        pipelines = [await self._pipeline(pipeline_context_name(run)) for run in runs]
        own = await self._created("system.PipelineRun", [run_context(run) for run in runs])
        pairs = list(zip(pipelines, own, strict=True))
        await self._put_parents(pairs)
        return [list(pair) for pair in pairs]

    async def _pipeline(self, name: str) -> pb.Context:
        context = self._pipelines.get(name)
        if context is None:
            if len(self._pipelines) >= _MAX_PIPELINES:
                self._pipelines.clear()
            (context,) = await self._created("system.Pipeline", [pb.Context(name=name)])
            self._pipelines[name] = context
        return context

    async def _put_parents(self, pairs: Sequence[tuple[pb.Context, pb.Context]]) -> None:
        """`pairs` of parent and child."""
        request = service_pb.PutParentContextsRequest()
        for parent, child in pairs:
            request.parent_contexts.add(child_id=child.id, parent_id=parent.id)
        try:
            if pairs:
                await self._call(self._stub.PutParentContexts, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            for pair in pairs if len(pairs) > 1 else ():
                await self._put_parents([pair])

    async def _created(self, type_name: str, wanted: Sequence[pb.Context]) -> Sequence[pb.Context]:
        """One whose name exists comes back as it is (executor.md §2.1)."""
        if not wanted:
            return []
        type_id = await self._type_id(type_name)
        for context in wanted:
            context.type_id = type_id
        try:
            reply = await self._call(self._stub.PutContexts, service_pb.PutContextsRequest(contexts=wanted))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            for context, identifier in zip(wanted, reply.context_ids, strict=True):
                context.id = identifier
            return wanted
        if len(wanted) > 1:
            return [(await self._created(type_name, [context]))[0] for context in wanted]
        existing = await self._call(
            self._stub.GetContextByTypeAndName,
            service_pb.GetContextByTypeAndNameRequest(type_name=type_name, context_name=wanted[0].name),
        )
        if not existing.HasField("context"):
            raise RecorderUnavailableError(f"context {wanted[0].name!r} exists and cannot be found")
        return [existing.context]
