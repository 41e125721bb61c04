"""Two tenants in one metadata store: no RPC of the service shows one what is the other's.

Every method is called with everything that could name an object: all ids there are, all types, names, URIs and external
ids. What the administrator gets of it shows that the question reaches the other tenant's objects.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from penstock_executor.lineage_records import ExecutionRecord, ExecutionState, ExecutionType, RunRecord
from penstock_executor.metadata.mlmd import MlmdRecorder
from penstock_ir.artifact import Artifact
from penstock_server.access.authentication import Authentication
from penstock_server.access.authorization import Authorization
from penstock_server.access.authorizers import RoleAuthorizer
from penstock_server.access.credentials import Credentials
from penstock_server.access.roles import Binding
from penstock_server.domain.caller import Caller, Role
from penstock_server.domain.location import Location, ObjectKind
from penstock_server.metadata import open_metadata
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.metadata_servicer import metadata_handler
from penstock_server.rpc.metadata_store import SERVICE
from penstock_server.rpc.metadata_visibility import MetadataVisibility
from penstock_server.services.tenancy import Tenancy
from penstock_server.telemetry import Telemetry

RUNS = {"team-a": "aaaaaaaa-0000-4000-8000-000000000001", "team-b": "bbbbbbbb-0000-4000-8000-000000000002"}
BINDINGS = (
    Binding(Role.VIEWER, "team-a", user="ann"),
    Binding(Role.VIEWER, "team-b", user="bob"),
    Binding(Role.ADMIN, "*", user="root"),
)
READS = [method for method in SERVICE.methods if method.name.startswith("Get")]
# Methods that return types, which are everybody's.
TYPES = {method.name for method in READS if "Type" in method.name.replace("ByTypeAndName", "").replace("ByType", "")}


_EVERY_NAME = [
    name
    for namespace, run_id in RUNS.items()
    for name in (
        run_id,
        f"run/{run_id}",
        f"run/{run_id}/one",
        f"{run_id}/data",
        f"namespace/{namespace}/pipeline/pipeline-of-{namespace}",
    )
]
# By the name of a request's field, what is asked for in it, one after the other; a list is asked for at once.
NAMES: dict[str, list[Any]] = {
    "type_name": [
        "system.Dataset",
        "system.ContainerExecution",
        "system.DAGExecution",
        "system.PipelineRun",
        "system.Pipeline",
    ],
    "artifact_name": _EVERY_NAME,
    "execution_name": _EVERY_NAME,
    "context_name": _EVERY_NAME,
    "uris": [[f"s3://b/{run_id}/data" for run_id in RUNS.values()]],
    "external_ids": [_EVERY_NAME],
}
# The library in use does not have it, or nothing of ours has what it asks for.
UNANSWERED = {"GetExecutionsByExternalIds", "GetContextsByExternalIds"}


class Objects:
    """The objects of both teams, by names that hold the id of their run."""

    def of(self, kind: ObjectKind, identifier: str) -> Location | None:
        for namespace, run_id in RUNS.items():
            if run_id in identifier and (kind is ObjectKind.ARTIFACT or identifier == run_id):
                return Location(namespace, "")
        return None

    def of_uri(self, uri: str) -> Location | None:
        raise AssertionError

    def of_task(self, run_id: str, node_id: str) -> Location | None:
        raise AssertionError


class UserHeader:
    def authenticate(self, credentials: Credentials) -> Caller | None:
        return Caller(credentials.values("x-user")[0])


def records(namespace: str) -> list[ExecutionRecord]:
    """A run of two tasks: the second reads what the first made."""
    run_id = RUNS[namespace]
    run = RunRecord(run_id, f"pipeline-of-{namespace}", namespace, f"s3://b/{run_id}")
    root = ExecutionRecord(run, f"run/{run_id}", ExecutionType.DAG, ExecutionState.COMPLETE, "", "", "")
    data = Artifact(name=f"{run_id}/data", type="system.Dataset", uri=f"s3://b/{run_id}/data")
    one = replace(root, name=f"run/{run_id}/one", type=ExecutionType.CONTAINER, parent=root.name, task_name="one")
    return [
        root,
        replace(one, output_artifacts={"data": (data,)}),
        replace(one, name=f"run/{run_id}/two", task_name="two", input_artifacts={"data": (data,)}),
    ]


async def record(address: str) -> None:
    recorder = MlmdRecorder(address)
    try:
        for namespace in RUNS:
            await recorder.record(records(namespace), lambda run_id: 60.0)
    finally:
        await recorder.close()


class Store:
    """The service as a caller finds it. `ids` are all there are, by kind."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.ids = {
            kind: [
                one.id
                for one in getattr(self.call("root", f"Get{kind}s", new_request(f"Get{kind}s")), f"{kind.lower()}s")
            ]
            for kind in ("Artifact", "Execution", "Context")
        }

    def has(self, method: str) -> bool:
        """Whether the library in use has the method."""
        try:
            self.call("root", method, new_request(method))
        except grpc.RpcError as error:
            return cast(grpc.Call, error).code() is not grpc.StatusCode.UNIMPLEMENTED
        return True

    def call(self, user: str, method: str, request: Message) -> Any:
        reply_class = getattr(service_pb, f"{method}Response")
        stub = self._channel.unary_unary(
            f"/{SERVICE.full_name}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply_class.FromString,
        )
        return stub(request, timeout=60, metadata=(("x-user", user),))


def new_request(method: str) -> Message:
    return cast(Message, getattr(service_pb, f"{method}Request")())


def stop(server: grpc.Server) -> None:
    server.stop(None).wait()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("metadata") / "metadata.db"
    authorization = Authorization(RoleAuthorizer(lambda: BINDINGS), Objects(), Tenancy(multi_user=True), "kubeflow")
    with ExitStack() as stack:
        database = open_metadata(f"sqlite:///{path}")
        stack.callback(database.close)
        addresses = []
        access = AccessControl(Authentication([UserHeader()]), authorization)
        checked: list[Any] = [CallInterceptor(Telemetry(lambda: (0, 0)), access)]
        visibilities: list[tuple[MetadataVisibility | None, list[Any]]] = [
            (None, []),
            (MetadataVisibility(authorization, Objects()), checked),
        ]
        for visibility, interceptors in visibilities:
            server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
            server.add_generic_rpc_handlers((metadata_handler(database, visibility),))
            addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            server.start()
            stack.callback(stop, server)
        asyncio.run(record(addresses[0]))
        channel = stack.enter_context(grpc.insecure_channel(addresses[1]))
        yield Store(channel)


def questions(store: Store, method: str) -> Iterator[Message]:
    """Requests that name everything there is."""
    fields = new_request(method).DESCRIPTOR.fields_by_name
    choices: list[list[tuple[str, Any]]] = []
    for kind, ids in store.ids.items():
        several, single = f"{kind.lower()}_ids", f"{kind.lower()}_id"
        choices += [[(several, ids)]] if several in fields else []
        choices += [[(single, one) for one in ids]] if single in fields else []
    for name, values in NAMES.items():
        choices += [[(name, one) for one in values]] if name in fields else []
    for chosen in itertools.product(*choices):
        request: Any = new_request(method)
        for name, value in chosen:
            if isinstance(value, list):
                getattr(request, name).extend(value)
            else:
                setattr(request, name, value)
        if method == "GetLineageGraph":
            request.options.artifacts_options.filter_query = "uri != ''"
            request.options.max_node_size = 100
        if method == "GetLineageSubgraph":
            query = request.lineage_subgraph_query_options
            query.starting_artifacts.filter_query = "uri != ''"
            query.max_num_hops = 20
            request.read_mask.paths.extend(
                ["artifacts", "executions", "contexts", "events", "associations", "attributions"]
            )
        yield request


def answers(store: Store, user: str, method: str) -> Iterable[Any]:
    for request in questions(store, method):
        try:
            yield store.call(user, method, request)
        except grpc.RpcError as error:
            # There may be no object of that type and name, and the library lacks some methods.
            assert cast(grpc.Call, error).code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED)


def objects_of(store: Store, namespace: str) -> dict[str, set[int]]:
    """The ids of a team's objects, by what an administrator finds in their names."""
    found: dict[str, set[int]] = {}
    for kind in store.ids:
        listed = getattr(store.call("root", f"Get{kind}s", new_request(f"Get{kind}s")), f"{kind.lower()}s")
        texts = (RUNS[namespace], f"namespace/{namespace}/")
        found[kind] = {one.id for one in listed if any(text in one.name for text in texts)}
        assert found[kind]
    return found


def shown(reply: Any, others: dict[str, set[int]]) -> bool:
    """Whether a reply has anything of a team: one of its names, or the id of one of its objects."""
    text = str(reply)
    ends = _ends(reply)
    return any(run_text in text for run_text in (RUNS["team-b"], "team-b")) or any(
        number in others[kind] for kind, number in ends
    )


def _ends(message: Any) -> Iterator[tuple[str, int]]:
    """Ids in everything that connects objects."""
    if isinstance(message, pb.Event | pb.Attribution | pb.Association | pb.ParentContext):
        for field, value in message.ListFields():
            kind = {"artifact_id": "Artifact", "execution_id": "Execution"}.get(field.name, "Context")
            if field.name.endswith("_id"):
                yield kind, value
        return
    for _, value in message.ListFields():
        for one in value.values() if hasattr(value, "values") else value if hasattr(value, "__len__") else [value]:
            if isinstance(one, Message):
                yield from _ends(one)


@pytest.mark.parametrize("method", sorted(method.name for method in READS))
def test_no_rpc_shows_what_is_anothers(store: Store, method: str) -> None:
    others = objects_of(store, "team-b")
    for reply in answers(store, "ann", method):
        assert not shown(reply, others), reply
    if method not in TYPES and method not in UNANSWERED and store.has(method):
        everything = answers(store, "root", method)
        assert any(shown(reply, others) for reply in everything), "the questions reach nothing of the other team"


@pytest.mark.parametrize("method", sorted(method.name for method in READS if method.name not in TYPES))
def test_what_is_ones_own_is_shown(store: Store, method: str) -> None:
    own = objects_of(store, "team-b")
    if method not in UNANSWERED and store.has(method):
        assert any(shown(reply, own) for reply in answers(store, "bob", method))


@pytest.mark.parametrize("method", sorted(m.name for m in SERVICE.methods if not m.name.startswith("Get")))
def test_only_an_administrator_writes(store: Store, method: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        store.call("ann", method, new_request(method))
    assert cast(grpc.Call, caught.value).code() is grpc.StatusCode.PERMISSION_DENIED


def test_objects_that_are_nobodys_are_an_administrators(store: Store) -> None:
    kind = store.call(
        "root", "PutContextType", service_pb.PutContextTypeRequest(context_type=pb.ContextType(name="own"))
    )
    made = service_pb.PutContextsRequest(contexts=[pb.Context(type_id=kind.type_id, name="nobody")])
    (identifier,) = store.call("root", "PutContexts", made).context_ids
    request = service_pb.GetContextsByIDRequest(context_ids=[identifier])
    assert not store.call("ann", "GetContextsByID", request).contexts
    assert json.dumps([one.name for one in store.call("root", "GetContextsByID", request).contexts]) == '["nobody"]'
