"""The metadata service on SQLite, PostgreSQL and MariaDB, through the stock client and through our recorder.

On database servers two services work on one database, as two servers of a fleet do; SQLite's file has one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import ListOptions, OrderByField
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock_executor.lineage_records import ExecutionRecord, ExecutionState, ExecutionType, RunRecord
from penstock_executor.metadata.mlmd import MlmdRecorder
from penstock_ir.artifact import Artifact
from penstock_server.errors import InvalidArgumentError, UnavailableError
from penstock_server.metadata import open_metadata
from penstock_server.rpc.metadata_servicer import metadata_handler

from tests.support.lineage import store as client_of

Store = Any


def stop(server: grpc.Server) -> None:
    server.stop(None).wait()


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def addresses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Of the services, opened at the same moment on an empty database."""
    count = 2
    if request.param == "sqlite":
        url, count = f"sqlite:///{tmp_path_factory.mktemp('metadata')}/metadata.db", 1
    else:
        url = request.getfixturevalue(f"{request.param}_server").database(f"m{uuid.uuid4().hex}")
    with ThreadPoolExecutor(count) as pool:
        opened = list(pool.map(lambda _: open_metadata(url), range(count)))
    with ExitStack() as stack:
        found = []
        for database in opened:
            stack.callback(database.close)
            server = grpc.server(ThreadPoolExecutor(16))
            server.add_generic_rpc_handlers((metadata_handler(database),))
            found.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            server.start()
            stack.callback(stop, server)
        yield found


@pytest.fixture
def store(addresses: list[str]) -> Store:
    return client_of(addresses[0])


@pytest.fixture
def other(addresses: list[str]) -> Store:
    """Another service on the same database, where there is one."""
    return client_of(addresses[-1])


def new(prefix: str = "n") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def put_type(store: Store, kind: str, name: str, **properties: int) -> int:
    made = {"artifact": pb.ArtifactType, "execution": pb.ExecutionType, "context": pb.ContextType}[kind](name=name)
    for key, value in properties.items():
        made.properties[key] = value
    return int(getattr(store, f"put_{kind}_type")(made, can_add_fields=True, can_omit_fields=True))


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["artifact", "execution", "context"])
def test_types(store: Store, other: Store, kind: str) -> None:
    name = new("type")
    first = put_type(store, kind, name, number=pb.INT)
    assert put_type(other, kind, name, text=pb.STRING) == first
    found = getattr(other, f"get_{kind}_type")(name)
    assert dict(found.properties) == {"number": pb.INT, "text": pb.STRING}
    assert [one.id for one in getattr(store, f"get_{kind}_types_by_id")([first])] == [first]
    assert name in {one.name for one in getattr(store, f"get_{kind}_types")()}
    with pytest.raises(errors.AlreadyExistsError):
        put_type(store, kind, name, number=pb.STRING)
    with pytest.raises(errors.NotFoundError):
        getattr(store, f"get_{kind}_type")(new("nobody"))


# --- nodes -----------------------------------------------------------------------------------------------------------


def test_every_kind_of_value_comes_back(store: Store, other: Store) -> None:
    type_id = put_type(store, "artifact", new("type"), number=pb.INT)
    artifact = pb.Artifact(
        type_id=type_id, name=new(), uri="s3://b/ünï 🚀", external_id=new("x"), state=pb.Artifact.LIVE
    )
    # The library's columns have 32 bits on database servers, whatever the message allows.
    artifact.properties["number"].int_value = 2**31 - 1
    artifact.custom_properties["double"].double_value = 0.1
    artifact.custom_properties["text"].string_value = "ünï '; DROP TABLE Artifact; -- 🚀"
    artifact.custom_properties["flag"].bool_value = True
    artifact.custom_properties["long"].string_value = "x" * 50_000
    artifact.custom_properties["document"].struct_value.update({"a": [1, "b", None, {"c": True}]})
    (artifact_id,) = store.put_artifacts([artifact])
    for found in (
        *other.get_artifacts_by_id([artifact_id]),
        *other.get_artifacts_by_uri(artifact.uri),
        *other.get_artifacts_by_external_ids([artifact.external_id]),
        *other.get_artifacts_by_type(other.get_artifact_types_by_id([type_id])[0].name),
    ):
        assert found.id == artifact_id
        assert dict(found.properties) == dict(artifact.properties)
        assert dict(found.custom_properties) == dict(artifact.custom_properties)
        assert (found.name, found.uri, found.state) == (artifact.name, artifact.uri, pb.Artifact.LIVE)


def test_an_execution_is_put_and_changed(store: Store, other: Store) -> None:
    name = new("type")
    type_id = put_type(store, "execution", name)
    execution = pb.Execution(type_id=type_id, name=new(), last_known_state=pb.Execution.RUNNING)
    (execution.id,) = store.put_executions([execution])
    execution.last_known_state = pb.Execution.COMPLETE
    execution.custom_properties["more"].int_value = 1
    assert other.put_executions([execution]) == [execution.id]
    found = store.get_execution_by_type_and_name(name, execution.name)
    assert found.last_known_state == pb.Execution.COMPLETE
    assert found.custom_properties["more"].int_value == 1
    with pytest.raises(errors.AlreadyExistsError):
        other.put_executions([pb.Execution(type_id=type_id, name=execution.name)])


def test_contexts_and_what_is_in_them(store: Store, other: Store) -> None:
    context_type, execution_type, artifact_type = new("c"), new("e"), new("a")
    type_id = put_type(store, "context", context_type)
    parent, child = store.put_contexts([pb.Context(type_id=type_id, name=new()) for _ in range(2)])
    store.put_parent_contexts([pb.ParentContext(child_id=child, parent_id=parent)])
    with pytest.raises(errors.AlreadyExistsError):
        other.put_parent_contexts([pb.ParentContext(child_id=child, parent_id=parent)])
    assert [one.id for one in other.get_parent_contexts_by_context(child)] == [parent]
    assert [one.id for one in other.get_children_contexts_by_context(parent)] == [child]
    (execution,) = store.put_executions([pb.Execution(type_id=put_type(store, "execution", execution_type))])
    (artifact,) = store.put_artifacts([pb.Artifact(type_id=put_type(store, "artifact", artifact_type), uri="u")])
    store.put_attributions_and_associations(
        [pb.Attribution(artifact_id=artifact, context_id=child)],
        [pb.Association(execution_id=execution, context_id=child)],
    )
    event = pb.Event(execution_id=execution, artifact_id=artifact, type=pb.Event.OUTPUT)
    event.path.steps.add(key="port")
    store.put_events([event])
    assert [one.id for one in other.get_executions_by_context(child)] == [execution]
    assert [one.id for one in other.get_artifacts_by_context(child)] == [artifact]
    assert [one.id for one in other.get_contexts_by_execution(execution)] == [child]
    (found,) = other.get_events_by_execution_ids([execution])
    assert (found.artifact_id, found.type, found.path.steps[0].key) == (artifact, pb.Event.OUTPUT, "port")
    (found,) = other.get_events_by_artifact_ids([artifact])
    assert found.execution_id == execution


# --- lists -----------------------------------------------------------------------------------------------------------


def test_pages_and_filters(addresses: list[str], store: Store, other: Store) -> None:
    type_name = new("type")
    type_id = put_type(store, "execution", type_name)
    context_type = new("c")
    (context,) = store.put_contexts([pb.Context(type_id=put_type(store, "context", context_type), name=new())])
    made = []
    for number in range(25):
        execution = pb.Execution(type_id=type_id, name=f"{type_name}/{number:02}")
        execution.custom_properties["number"].int_value = number
        execution.last_known_state = pb.Execution.COMPLETE if number % 2 else pb.Execution.FAILED
        made.append(execution)
    ids = store.put_executions(made)
    store.put_attributions_and_associations([], [pb.Association(execution_id=one, context_id=context) for one in ids])
    stub = service_rpc.MetadataStoreServiceStub(grpc.insecure_channel(addresses[-1]))
    seen: list[int] = []
    request = service_pb.GetExecutionsByContextRequest(context_id=context)
    request.options.max_result_size = 10
    request.options.order_by_field.field = pb.ListOperationOptions.OrderByField.ID
    request.options.order_by_field.is_asc = True
    for size in (10, 10, 5):
        reply = stub.GetExecutionsByContext(request)
        assert len(reply.executions) == size
        seen += [one.id for one in reply.executions]
        request.options.next_page_token = reply.next_page_token
    assert not request.options.next_page_token
    assert seen == ids

    def listed(query: str, limit: int | None = None) -> list[str]:
        options = ListOptions(limit=limit, order_by=OrderByField.ID, is_asc=False, filter_query=query)
        return [one.name.rpartition("/")[2] for one in other.get_executions(options)]

    assert listed(f"type = '{type_name}' AND custom_properties.number.int_value > 21") == ["24", "23", "22"]
    assert listed(f"type = '{type_name}' AND last_known_state = FAILED", 2) == ["24", "22"]
    assert listed(f"name LIKE '{type_name}/1%' AND last_known_state = COMPLETE") == ["19", "17", "15", "13", "11"]
    assert listed(f"contexts_c.id = {context} AND custom_properties.number.int_value = 3") == ["03"]
    with pytest.raises(errors.InvalidArgumentError):
        listed("nonsense ( =")


# --- batches ---------------------------------------------------------------------------------------------------------


def subgraph(store: Store, context: pb.Context, count: int) -> service_pb.PutLineageSubgraphRequest:
    """Executions with an output each, which the next one reads."""
    request = service_pb.PutLineageSubgraphRequest(contexts=[context])
    request.options.reuse_artifact_if_already_exist_by_external_id = True
    execution_type, artifact_type = put_type(store, "execution", "batch"), put_type(store, "artifact", "batch")
    for number in range(count):
        name = f"{context.name}/{number}"
        request.executions.add(type_id=execution_type, name=name)
        request.artifacts.add(type_id=artifact_type, name=name, external_id=name, uri=f"u://{name}")
        edges = [(number, pb.Event.OUTPUT), *([(number - 1, pb.Event.INPUT)] if number else [])]
        for artifact, kind in edges:
            edge = request.event_edges.add(execution_index=number, artifact_index=artifact)
            edge.event.type = kind
            edge.event.path.steps.add(key="port")
    return request


def test_a_batch_is_all_or_nothing_and_finds_what_is_there(addresses: list[str], store: Store, other: Store) -> None:
    context_type = put_type(store, "context", "batch")
    context = pb.Context(type_id=context_type, name=new())
    (context.id,) = store.put_contexts([context])
    stub = service_rpc.MetadataStoreServiceStub(grpc.insecure_channel(addresses[-1]))
    request = subgraph(store, context, 100)
    reply = stub.PutLineageSubgraph(request)
    assert len(set(reply.execution_ids)) == len(set(reply.artifact_ids)) == 100
    with pytest.raises(grpc.RpcError) as refused:
        stub.PutLineageSubgraph(request)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    for execution, identifier in zip(request.executions, reply.execution_ids, strict=True):
        execution.id = identifier
    del request.event_edges[:]
    again = stub.PutLineageSubgraph(request)
    assert (list(again.execution_ids), list(again.artifact_ids)) == (
        list(reply.execution_ids),
        list(reply.artifact_ids),
    )
    assert len(other.get_executions_by_context(context.id)) == 100
    assert len(other.get_artifacts_by_context(context.id)) == 100
    assert len(other.get_events_by_execution_ids(list(reply.execution_ids))) == 199


# --- several at once -------------------------------------------------------------------------------------------------


def at_once(addresses: Sequence[str], work: Callable[[Store, int], Any], count: int = 12) -> list[Any]:
    stores = [client_of(addresses[number % len(addresses)]) for number in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, stores, range(count)))


@pytest.mark.parametrize("kind", ["artifact", "execution", "context"])
def test_a_type_that_all_make_at_once_is_one_type(addresses: list[str], store: Store, kind: str) -> None:
    for _ in range(3):
        name = new("type")
        found = at_once(addresses, lambda one, _: put_type(one, kind, name))  # noqa: B023
        assert len(set(found)) == 1
        assert [one.name for one in getattr(store, f"get_{kind}_types")()].count(name) == 1


def test_writers_on_both_services(addresses: list[str], store: Store) -> None:
    context_type, execution_type = put_type(store, "context", new("c")), put_type(store, "execution", new("e"))

    def write(one: Store, number: int) -> tuple[int, list[int]]:
        (context,) = one.put_contexts([pb.Context(type_id=context_type, name=new())])
        ids = []
        for _ in range(5):
            (execution,) = one.put_executions([pb.Execution(type_id=execution_type, name=new())])
            one.put_attributions_and_associations([], [pb.Association(execution_id=execution, context_id=context)])
            ids.append(execution)
        return context, ids

    written = at_once(addresses, write, 8)
    assert len({one for _, ids in written for one in ids}) == 40
    for context, ids in written:
        assert sorted(one.id for one in store.get_executions_by_context(context)) == sorted(ids)


# --- the recorder ----------------------------------------------------------------------------------------------------


def records(run_id: str, count: int, shared: Artifact | None = None) -> list[ExecutionRecord]:
    """A run of tasks in a row; `shared` is read by all."""
    run = RunRecord(run_id, "pipeline", "ns", f"s3://b/{run_id}")
    root = ExecutionRecord(run, f"run/{run_id}", ExecutionType.DAG, ExecutionState.COMPLETE, "", "", "")
    found = [root]
    for number in range(count):
        artifact = Artifact(name=f"{run_id}/{number}", type="system.Dataset", uri=f"s3://b/{run_id}/{number}")
        inputs: dict[str, tuple[Artifact, ...]] = {"shared": (shared,)} if shared else {}
        if number:
            inputs["before"] = found[-1].output_artifacts["data"]
        found.append(
            replace(
                root,
                name=f"run/{run_id}/t{number}",
                type=ExecutionType.CONTAINER,
                parent=root.name,
                task_name=f"t{number}",
                display_name=f"t{number}",
                inputs={"x": number},
                input_artifacts=inputs,
                output_artifacts={"data": (artifact,)},
            )
        )
    return found


async def recorded(address: str, batches: Sequence[Sequence[ExecutionRecord]]) -> list[Any]:
    recorder = MlmdRecorder(address)
    try:
        return [await recorder.record(batch, lambda run_id: 60.0) for batch in batches]
    finally:
        await recorder.close()


def counts(store: Store, run_id: str) -> tuple[int, int, int]:
    context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
    executions = store.get_executions_by_context(context.id)
    events = store.get_events_by_execution_ids([one.id for one in executions])
    return len(executions), len(store.get_artifacts_by_context(context.id)), len(events)


async def test_recording_again_changes_nothing(addresses: list[str], store: Store) -> None:
    """As whoever takes a run over does: all of it, by a recorder that knows nothing, perhaps through another server."""
    run_id = new("run")
    all_of_it = records(run_id, 12)
    (first,) = await recorded(addresses[0], [all_of_it])
    before = counts(store, run_id)
    assert before == (13, 12, 23)
    for address in (addresses[-1], addresses[0]):
        (again,) = await recorded(address, [all_of_it])
        assert again == first
    # What a crash left half known: some of it there, some not.
    half = new("run")
    await recorded(addresses[0], [records(half, 12)[:7]])
    await recorded(addresses[-1], [records(half, 12)])
    assert counts(store, run_id) == before
    assert counts(store, half) == before


async def test_two_recorders_of_one_run(addresses: list[str], store: Store) -> None:
    """The one that was stopped does not know that it has a successor yet."""
    run_id = new("run")
    all_of_it = records(run_id, 12)
    results = await asyncio.gather(*(recorded(one, [all_of_it]) for one in (addresses[0], addresses[-1])))
    assert results[0] == results[1]
    assert counts(store, run_id) == (13, 12, 23)


async def test_runs_that_share_an_artifact_and_are_recorded_at_once(addresses: list[str], store: Store) -> None:
    shared = Artifact(name=new("shared"), type="system.Model", uri="s3://b/shared")
    ids = [new("run") for _ in range(6)]
    await asyncio.gather(
        *(
            recorded(addresses[number % len(addresses)], [records(run_id, 4, shared)])
            for number, run_id in enumerate(ids)
        )
    )
    assert len(store.get_artifacts_by_uri("s3://b/shared")) == 1
    for run_id in ids:
        assert counts(store, run_id) == (5, 5, 11)


def test_a_database_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="redis:// is no database"):
        open_metadata("redis://127.0.0.1/1")
    with pytest.raises(UnavailableError):
        open_metadata("postgresql://nobody@127.0.0.1:1/nothing")
