"""The lineage recorder with a real store, which has records of another recorder."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import grpc
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock_executor.lineage_records import ExecutionRecord, ExecutionState, ExecutionType, RunRecord
from penstock_executor.metadata.base import RecordedIds, RecorderUnavailableError, RecordRejectedError
from penstock_executor.metadata.mlmd import MlmdRecorder
from penstock_ir.artifact import Artifact

from tests.support.faulty import Cut, FaultyProxy
from tools.embedded import Embedded


def records(run_id: str, state: ExecutionState) -> list[ExecutionRecord]:
    """A run of a task that makes an artifact and one that reads it on two ports."""
    run = RunRecord(run_id, "a pipeline", "", "file:///root")
    made = (Artifact(name=f"{run_id}-made", type="system.Dataset", uri="file:///root/made"),)
    root = f"run/{run_id}"
    kind = ExecutionType.CONTAINER
    return [
        ExecutionRecord(run, root, ExecutionType.DAG, state, "", "", ""),
        ExecutionRecord(run, f"{root}/a", kind, state, root, "a", "a", output_artifacts={"made": made}),
        ExecutionRecord(run, f"{root}/b", kind, state, root, "b", "b", input_artifacts={"one": made, "two": made}),
    ]


async def recorded(up: Embedded, *batches: list[ExecutionRecord]) -> list[RecordedIds]:
    """Each by a recorder of its own, as after a crash."""

    async def record(batch: list[ExecutionRecord]) -> RecordedIds:
        recorder = MlmdRecorder(up.dispatch, secret=up.secret)
        try:
            return await recorder.record(batch, lambda run_id: 60.0)
        finally:
            await recorder.close()

    return [await record(batch) for batch in batches]


def stored(up: Embedded, ids: RecordedIds) -> tuple[list[int], list[tuple[int, int, int, list[str]]]]:
    """States of the executions, and events as (execution, artifact, type, ports)."""
    with grpc.insecure_channel(up.grpc) as channel:
        store = service_rpc.MetadataStoreServiceStub(channel)
        wanted = list(ids.executions.values())
        found = store.GetExecutionsByID(service_pb.GetExecutionsByIDRequest(execution_ids=wanted)).executions
        events = store.GetEventsByExecutionIDs(service_pb.GetEventsByExecutionIDsRequest(execution_ids=wanted)).events
    return [one.last_known_state for one in found], [
        (one.execution_id, one.artifact_id, one.type, [step.key for step in one.path.steps]) for one in events
    ]


@pytest.mark.parametrize("first", [1, 2, 3], ids=lambda count: f"{count} written before")
@pytest.mark.parametrize("second", [0, 1, 2], ids=lambda left: f"from {left} on")
async def test_an_earlier_recorder_wrote_some(up: Embedded, first: int, second: int) -> None:
    run_id = str(uuid.uuid4())
    before = records(run_id, ExecutionState.RUNNING)[:first]
    rest = records(run_id, ExecutionState.COMPLETE)[second:]
    ids, again = await recorded(up, before, rest)
    assert {name: again.executions[name] for name in ids.executions if name in again.executions} == {
        name: id_ for name, id_ in ids.executions.items() if name in again.executions
    }
    assert set(again.executions) == {one.name for one in rest}
    assert list(again.artifacts) == [f"{run_id}-made"]
    states, events = stored(up, again)
    assert states == [pb.Execution.COMPLETE] * len(rest)
    artifact = again.artifacts[f"{run_id}-made"]
    a, b = again.executions.get(f"run/{run_id}/a"), again.executions[f"run/{run_id}/b"]
    assert sorted(events) == sorted(
        one
        for one in ((a, artifact, pb.Event.OUTPUT, ["made"]), (b, artifact, pb.Event.INPUT, ["one", "two"]))
        if one[0] is not None
    )


async def test_a_write_is_not_tried_again_when_the_lease_has_lapsed_meanwhile(up: Embedded) -> None:
    """What the next owner wrote is newer."""
    run_id = str(uuid.uuid4())
    root, first, second = records(run_id, ExecutionState.RUNNING)

    theirs = MlmdRecorder(up.dispatch, secret=up.secret)
    host, _, port = up.dispatch.rpartition(":")
    with FaultyProxy(int(port), host) as way:
        ours = MlmdRecorder(f"{host}:{way.port}", secret=up.secret)
        await ours.record([root, first], lambda _: 60.0)
        ids = await theirs.record(records(run_id, ExecutionState.COMPLETE), lambda _: 60.0)
        way.always = Cut(0)
        way.drop()
        seconds = iter([60.0, 0.0])
        with pytest.raises(RecorderUnavailableError, match="the lease"):
            await ours.record([second], lambda _: next(seconds))
    await ours.close()
    await theirs.close()
    states, _ = stored(up, ids)
    assert states == [pb.Execution.COMPLETE] * 3


async def test_what_was_written_without_an_answer_is_found_again(up: Embedded) -> None:
    """The execution is known, the event of its last write is not: that write's answer was lost with its server."""
    run_id = str(uuid.uuid4())
    root, made, reads = records(run_id, ExecutionState.RUNNING)
    pending = replace(reads, input_artifacts={})

    ours, lost = MlmdRecorder(up.dispatch, secret=up.secret), MlmdRecorder(up.dispatch, secret=up.secret)
    await ours.record([root, made, pending], lambda _: 60.0)
    await lost.record([reads], lambda _: 60.0)
    ids = await ours.record(records(run_id, ExecutionState.COMPLETE), lambda _: 60.0)
    await ours.close()
    await lost.close()
    states, events = stored(up, ids)
    assert states == [pb.Execution.COMPLETE] * 3
    assert len(events) == 2


async def test_runs_that_begin_together_share_calls(up: Embedded) -> None:
    """Also when another recorder has begun with one of them, or the store refuses a record of another."""
    run_ids = [str(uuid.uuid4()) for _ in range(6)]
    batches = [records(run_id, ExecutionState.COMPLETE) for run_id in run_ids]
    await recorded(up, batches[2][:1])
    # A name that an execution of another run has.
    refused = replace(batches[4][0], name=batches[2][0].name)

    recorder = MlmdRecorder(up.dispatch, secret=up.secret)
    calls: list[int] = []
    contexts = recorder._stub.PutContexts

    async def counted(request: Any, timeout: float) -> Any:
        calls.append(len(request.contexts))
        return await contexts(request, timeout=timeout)

    recorder._stub.PutContexts = counted
    with pytest.raises(RecordRejectedError):
        await recorder.record([refused, *(record for batch in batches[:4] for record in batch)], lambda _: 60.0)
    assert calls == [1, 5, *[1] * 5]
    ids = await recorder.record([record for batch in batches for record in batch], lambda _: 60.0)
    assert calls[7:] == [1]
    await recorder.close()
    assert len(ids.executions) == 18
    assert len({pair.run for pair in ids.contexts.values()}) == 6
    assert len({pair.pipeline for pair in ids.contexts.values()}) == 1
    states, events = stored(up, ids)
    assert states == [pb.Execution.COMPLETE] * 18
    assert len(events) == 12
    with grpc.insecure_channel(up.grpc) as channel:
        store = service_rpc.MetadataStoreServiceStub(channel)
        for pair in ids.contexts.values():
            request = service_pb.GetParentContextsByContextRequest(context_id=pair.run)
            assert [one.id for one in store.GetParentContextsByContext(request).contexts] == [pair.pipeline]


async def test_what_the_store_has_is_not_written_again(up: Embedded) -> None:
    """A takeover records a whole run anew; what its holder before had written costs a look."""
    run_id = str(uuid.uuid4())
    batch = records(run_id, ExecutionState.COMPLETE)
    await recorded(up, batch)

    recorder = MlmdRecorder(up.dispatch, secret=up.secret)
    put = recorder._stub.PutLineageSubgraph
    sent: list[int] = []

    async def counted(request: service_pb.PutLineageSubgraphRequest, timeout: float) -> Any:
        reply = await put(request, timeout=timeout)
        sent.append(len(request.executions))
        return reply

    recorder._stub.PutLineageSubgraph = counted
    # The first shows that somebody else has written; then one record is another one.
    await recorder.record(batch[:1], lambda _: 60.0)
    sent.clear()
    ids = await recorder.record([*batch[:2], replace(batch[2], state=ExecutionState.FAILED)], lambda _: 60.0)
    assert len(ids.executions) == 3
    await recorder.close()
    assert sent == [1]


@pytest.mark.parametrize(("times", "gets_in"), [(2, True), (100, False)])
async def test_an_error_that_may_pass_refuses_a_record_when_it_stays(up: Embedded, times: int, gets_in: bool) -> None:
    """A deadlock in the store's database is INTERNAL, and so is a number that it cannot hold."""
    run_id = str(uuid.uuid4())
    batch = records(run_id, ExecutionState.COMPLETE)

    async def scenario() -> RecordedIds:
        recorder = MlmdRecorder(up.dispatch, secret=up.secret)
        put, left = recorder._stub.PutLineageSubgraph, times

        async def fails(request: service_pb.PutLineageSubgraphRequest, timeout: float) -> Any:
            nonlocal left
            if left and any(one.name.endswith("/b") for one in request.executions):
                left -= 1
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, "deadlock detected", "")
            return await put(request, timeout=timeout)

        recorder._stub.PutLineageSubgraph = fails
        try:
            if gets_in:
                return await recorder.record(batch, lambda _: 60.0)
            with pytest.raises(RecordRejectedError, match="/b"):
                await recorder.record(batch, lambda _: 60.0)
            return await recorder.record(batch[:2], lambda _: 60.0)
        finally:
            await recorder.close()

    ids = await scenario()
    assert len(ids.executions) == 2 + gets_in
    states, _ = stored(up, ids)
    assert set(states) == {pb.Execution.COMPLETE}
