"""A real server that asks who calls and keeps the namespaces team-a and team-b apart, with objects in both.

Why: whatever a test sends, the answer then shows whether the right to it was asked for, since the objects are there.
Invariants: objects are made over the API as an administrator, but for what executors report, which is put into the
database; callers are named by the header of a trusted proxy, the administrator by an API token.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import grpc
from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from penstock.secret_file import SecretFile
from penstock_api.v1 import access_pb2, pool_pb2, upload_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_ir.event_log import RunStarted, encode
from penstock_ir.run_places import run_place
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import LogEntry
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Artifact, Task
from penstock_server.rpc.metadata_store import SERVICE as METADATA
from penstock_server.rpc.server import public_services
from penstock_server.storage.database import Database

from tests.support.metadata_requests import Lineage, recorded
from tests.support.replicas import Replicas
from tools.testing import specs

A, B = "team-a", "team-b"
V2 = "/kubeflow.pipelines.backend.api.v2beta1"
ACCESS = "/penstock.v1.AccessService"
POOLS = "/penstock.v1.PoolService"
UPLOADS = "/penstock.v1.PipelineUploadService"
STORE = f"/{METADATA.full_name}"
PIPELINE = "only"
SPEC = specs.container(["true"], name=PIPELINE, cached=True)
PACKAGE = json.dumps(SPEC).encode()
OK = "OK"
ROLES = f"""
roles:
  - {{role: viewer, namespaces: [{A}], users: [viewer]}}
  - {{role: editor, namespaces: [{A}], users: [editor]}}
  - {{role: admin, namespaces: [{A}], users: [admin]}}
  - {{role: admin, namespaces: ["*"], users: [administrator]}}
"""
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for service in cast(list[ServiceDescriptor], [*public_services(), METADATA])
    for method in service.methods
}


@dataclass(frozen=True)
class Answer:
    """`code` is the name of a gRPC code; `replies` has one message, those of a stream, or none."""

    code: str
    replies: tuple[Any, ...] = ()
    details: str = ""


@dataclass(frozen=True)
class Place:
    """Objects of a namespace that tests only read: their ids. The shared pipeline is in no namespace."""

    namespace: str
    experiment: str = ""
    pipeline: str = ""
    pipeline_name: str = ""
    version: str = ""
    run: str = ""
    schedule: str = ""
    artifact: str = ""
    uri: str = ""
    pod: str = ""
    lineage: Lineage = field(default_factory=lambda: Lineage("", "", "", "", {}))


@dataclass
class TwoTeams:
    """`credentials` are the headers by which each caller is known, or not."""

    servers: Replicas
    channel: grpc.Channel
    database: Database
    package_url: str
    credentials: dict[str, dict[str, str]]
    metadata_url: str
    places: dict[str, Place] = field(default_factory=dict)
    shared: Place = field(default_factory=lambda: Place(""))

    @property
    def http(self) -> str:
        return self.servers.http[0]

    def call(
        self, path: str, message: Message, caller: str = "administrator", *, request_id: str = "", channel: Any = None
    ) -> Answer:
        """Calls a method by its full path."""
        method = METHODS[path]
        metadata = tuple((name.lower(), value) for name, value in self.credentials[caller].items())
        metadata += (("x-request-id", request_id),) if request_id else ()
        return called(channel or self.channel, method, message, metadata)

    def done(self, path: str, message: Message) -> Any:
        """The reply to an administrator."""
        answer = self.call(path, message)
        assert answer.code == OK, (path, answer)
        return answer.replies[0]

    def experiment(self, namespace: str) -> str:
        one = experiment_pb2.Experiment(display_name=new(), namespace=namespace)
        request = experiment_pb2.CreateExperimentRequest(experiment=one)
        return str(self.done(f"{V2}.ExperimentService/CreateExperiment", request).experiment_id)

    def pipeline(self, namespace: str) -> str:
        """One without versions."""
        one = pipeline_pb2.Pipeline(name=new(), namespace=namespace)
        request = pipeline_pb2.CreatePipelineRequest(pipeline=one)
        return str(self.done(f"{V2}.PipelineService/CreatePipeline", request).pipeline_id)

    def version(self, pipeline_id: str) -> str:
        request = upload_pb2.UploadPipelineVersionRequest(pipeline_id=pipeline_id, name=new(), content=PACKAGE)
        return str(self.done(f"{UPLOADS}/UploadPipelineVersion", request).pipeline_version_id)

    def run(self, namespace: str, state: RunState = RunState.PENDING) -> str:
        request = run_of(self.places[namespace])
        run_id = str(self.done(f"{V2}.RunService/CreateRun", request).run_id)
        if state is not RunState.PENDING:
            with self.database.writing() as uow:
                run = uow.runs.get(run_id)
                assert run is not None
                uow.runs.set_states([replace(run, state=state)])
        return run_id

    def schedule(self, namespace: str) -> str:
        request = schedule_of(self.places[namespace])
        return str(self.done(f"{V2}.RecurringRunService/CreateRecurringRun", request).recurring_run_id)

    def binding(self, namespace: str) -> str:
        one = access_pb2.RoleBinding(role="viewer", namespace=namespace, user=new())
        request = access_pb2.CreateRoleBindingRequest(role_binding=one)
        return str(self.done(f"{ACCESS}/CreateRoleBinding", request).role_binding_id)

    def pool(self, namespace: str) -> str:
        one = pool_pb2.Pool(namespace=namespace, name=new(), slots=1)
        return str(self.done(f"{POOLS}/PutPool", pool_pb2.PutPoolRequest(pool=one)).name)

    def token(self, caller: str) -> str:
        """The id of a token of the caller's own."""
        answer = self.call(f"{ACCESS}/CreateToken", token_request(), caller)
        assert answer.code == OK, answer
        return str(answer.replies[0].token.token_id)


def new() -> str:
    return f"n-{uuid.uuid4().hex[:16]}"


def run_of(place: Place, **changes: str) -> run_pb2.CreateRunRequest:
    """A request for a run in the place's experiment; `changes` are other fields of what it is made from."""
    reference = {"pipeline_id": place.pipeline, "pipeline_version_id": place.version}
    reference |= {name: changes.pop(name) for name in tuple(changes) if name in reference}
    request = run_pb2.CreateRunRequest()
    request.run.display_name, request.run.experiment_id = new(), place.experiment
    request.run.pipeline_version_reference.pipeline_id = reference["pipeline_id"]
    request.run.pipeline_version_reference.pipeline_version_id = reference["pipeline_version_id"]
    for name, value in changes.items():
        setattr(request.run, name, value)
    return request


def schedule_of(place: Place, **changes: str) -> recurring_run_pb2.CreateRecurringRunRequest:
    """As `run_of`, for a recurring run that never fires."""
    made = run_of(place, **changes).run
    request = recurring_run_pb2.CreateRecurringRunRequest()
    one = request.recurring_run
    one.display_name, one.experiment_id, one.service_account = (
        made.display_name,
        made.experiment_id,
        made.service_account,
    )
    one.pipeline_version_reference.CopyFrom(made.pipeline_version_reference)
    one.max_concurrency, one.mode = 1, recurring_run_pb2.RecurringRun.DISABLE
    one.trigger.cron_schedule.cron = "0 0 1 1 *"
    return request


def token_request(days: int = 1) -> access_pb2.CreateTokenRequest:
    request = access_pb2.CreateTokenRequest(name=new(), role="admin")
    request.expires_at.FromSeconds(int(time.time()) + days * 24 * 3600)
    return request


def called(
    channel: grpc.Channel, method: MethodDescriptor, message: Message, metadata: tuple[tuple[str, str], ...]
) -> Answer:
    """Over gRPC, whatever kind of method it is."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    reply_class: Any = message_factory.GetMessageClass(method.output_type)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    stub: Any = kind(
        path, request_serializer=lambda one: one.SerializeToString(), response_deserializer=reply_class.FromString
    )
    try:
        reply = stub(message, metadata=metadata, timeout=60)
        return Answer(OK, tuple(reply) if method.server_streaming else (reply,))
    except grpc.RpcError as error:
        call = cast(grpc.Call, error)
        return Answer(call.code().name, (), str(call.details()))


def annotation(method: MethodDescriptor) -> tuple[str, str, str]:
    """Verb, path and body of a method's route; empty when it has none."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return (verb.upper(), str(getattr(rule, verb)), str(rule.body)) if verb else ("", "", "")


@contextmanager
def two_teams(
    directory: Path, database: str, metadata: str, *, environment: Mapping[str, str] | None = None
) -> Iterator[TwoTeams]:
    """The server on these databases, with the objects of both teams. `environment`: further variables of the server."""
    (directory / "roles.yaml").write_text(ROLES)
    variables = {
        "MULTIUSER": "true",
        "KUBECONFIG": "",
        "POD_NAMESPACE": "kubeflow",
        "PENSTOCK_AUTH": "kubeflow tokens",
        "PENSTOCK_ROLE_FILE": str(directory / "roles.yaml"),
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.1/32",
        "PENSTOCK_EXECUTOR_AUTH": "secret",
        "PIPELINE_URL_ALLOW_HTTP": "true",
        "PIPELINE_URL_VALIDATION_ENABLED": "false",
        **(environment or {}),
    }
    with ExitStack() as stack:
        servers = stack.enter_context(
            Replicas(directory, database, metadata, servers=1, executors=0, environment=variables)
        )
        opened = Database(database)
        stack.callback(opened.dispose)
        channel = stack.enter_context(grpc.insecure_channel(servers.addresses[0]))
        secret = SecretFile(directory / "server-0" / "dispatch.key").newest()
        users = ("stranger", "viewer", "editor", "admin", "administrator")
        credentials = {user: {"kubeflow-userid": user} for user in users}
        credentials["nobody"] = {"Authorization": "Bearer pst_" + "a" * 16 + "_" + "b" * 43}
        credentials["agent"] = {}
        credentials["executor"] = {"Authorization": f"Bearer {secret}"}
        teams = TwoTeams(servers, channel, opened, stack.enter_context(_package()), credentials, metadata)
        token = teams.done(f"{ACCESS}/CreateToken", token_request(300)).secret
        credentials["administrator"] = {"Authorization": f"Bearer {token}"}
        root = directory / "tasks" / "artifacts"
        teams.shared = _pipeline_of(teams, Place(""))
        for namespace in (A, B):
            teams.places[namespace] = _filled(teams, namespace, root)
        yield teams


def _pipeline_of(teams: TwoTeams, place: Place) -> Place:
    request = upload_pb2.UploadPipelineRequest(name=new(), namespace=place.namespace, content=PACKAGE)
    pipeline = teams.done(f"{UPLOADS}/UploadPipeline", request)
    version = teams.version(pipeline.pipeline_id)
    return replace(place, pipeline=pipeline.pipeline_id, pipeline_name=pipeline.name, version=version)


def _filled(teams: TwoTeams, namespace: str, root: Path) -> Place:
    place = _pipeline_of(teams, Place(namespace, experiment=teams.experiment(namespace)))
    teams.places[namespace] = place
    run_id = teams.run(namespace)
    where = run_place(root.as_uri(), PIPELINE, run_id)
    place = replace(
        place, run=run_id, schedule=teams.schedule(namespace), artifact=new(), uri=f"{where}/out", pod=new()
    )
    written = root / PIPELINE / run_id / "out"
    written.parent.mkdir(parents=True)
    written.write_text(f"of {namespace}")
    with teams.database.writing() as uow:
        uow.queue.append([LogEntry(run_id, 0, encode(RunStarted(1, root.as_uri())))])
        task = Task(
            run_id, PIPELINE, PIPELINE, TaskKind.CONTAINER, TaskState.SUCCEEDED, pod_name=place.pod, log_uri=place.uri
        )
        uow.tasks.upsert_many([task], {run_id: 1})
        artifact = Artifact(place.artifact, run_id, PIPELINE, "out", "system.Dataset", place.uri, created_at=1)
        uow.artifacts.upsert_many([artifact])
    return replace(place, lineage=_lineage(teams, place))


def _lineage(teams: TwoTeams, place: Place) -> Lineage:
    return recorded(
        lambda method, request: teams.done(f"{STORE}/{method}", request),
        place.namespace,
        place.run,
        place.artifact,
        place.uri,
    )


@contextmanager
def _package() -> Iterator[str]:
    """A URL of the package."""

    class Package(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PACKAGE)))
            self.end_headers()
            self.wfile.write(PACKAGE)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Package) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/package.json"
        finally:
            server.shutdown()
            thread.join()
