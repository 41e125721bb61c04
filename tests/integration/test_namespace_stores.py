"""Two namespaces with an object store each: what the server reads of whom, with whose keys, and what it connects to.

Stores are real servers of S3 with keys of their own; ConfigMaps and Secrets are in a simulated API server. Tests of
faults have namespaces of their own, since the server keeps what it has read.
"""

from __future__ import annotations

import base64
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest
from penstock_api.v1 import access_pb2, insight_pb2
from penstock_ir.event_log import RunStarted, encode
from penstock_ir.run_places import run_place
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import LogEntry
from penstock_server.domain.task import Artifact, Task

from tests.support import http
from tests.support.two_teams import ACCESS, OK, PIPELINE, A, Answer, B, Place, TwoTeams, new, two_teams
from tools.object_stores import ObjectStore, s3
from tools.sim_kube.process import Troublemaker, sim_kube
from tools.testing import runs

# The first use of a server of S3 builds it.
pytestmark = pytest.mark.timeout(900)
INSIGHT = "/penstock.v1.InsightService"
BUCKET = "artifacts"
DENIED, PRECONDITION, UNAVAILABLE = "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNAVAILABLE"


@dataclass
class World:
    """`stores` by their namespaces. `viewers` are callers who may read one namespace."""

    teams: TwoTeams
    cluster: Troublemaker
    stores: dict[str, ObjectStore]
    viewers: dict[str, str]

    def namespace(self) -> str:
        """A new one, with settings of no kind."""
        name = f"n-{uuid.uuid4().hex[:12]}"
        self.put("", {"kind": "Namespace", "metadata": {"name": name}})
        return name

    def put(self, path: str, document: dict[str, Any]) -> None:
        url = f"{self.cluster.url}/api/v1/namespaces{path}"
        name = document["metadata"]["name"]
        found = http.call("GET", f"{url}/{name}").status == 200
        patch = "application/merge-patch+json"
        reply = (
            http.call("PATCH", f"{url}/{name}", document, content_type=patch)
            if found
            else http.call("POST", url, document)
        )
        assert reply.status in (200, 201), reply

    def configure(self, namespace: str, providers: str) -> None:
        document = {"kind": "ConfigMap", "metadata": {"name": "kfp-launcher"}, "data": {"providers": providers}}
        self.put(f"/{namespace}/configmaps", document)

    def give_keys(self, namespace: str, access: str, secret: str) -> None:
        data = {name: base64.b64encode(value.encode()).decode() for name, value in (("a", access), ("s", secret))}
        self.put(f"/{namespace}/secrets", {"kind": "Secret", "metadata": {"name": "keys"}, "data": data})

    def settle(self, namespace: str, store: ObjectStore) -> None:
        """Settings and keys of this store."""
        self.configure(namespace, providers(store.endpoint))
        self.give_keys(namespace, store.access_key, store.secret_key)

    def stored(self, namespace: str, store: ObjectStore, content: str) -> Place:
        """A run of the namespace with an artifact and a log in a store."""
        place = replace(
            self.teams.shared, namespace=namespace, experiment=self.teams.experiment(namespace), artifact=new()
        )
        self.teams.places[namespace] = place
        run_id = self.teams.run(namespace)
        root = f"s3://{BUCKET}/runs"
        where = run_place(root, PIPELINE, run_id)
        place = replace(place, run=run_id, uri=f"{where}/out", pod=new())
        for name in ("out", "log"):
            path = store.directory / where.removeprefix("s3://") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {content}")
        with self.teams.database.writing() as uow:
            uow.queue.append([LogEntry(run_id, 0, encode(RunStarted(1, root)))])
            log = f"{where}/log"
            task = Task(
                run_id, PIPELINE, PIPELINE, TaskKind.CONTAINER, TaskState.SUCCEEDED, log_uri=log, pod_name=place.pod
            )
            uow.tasks.upsert_many([task], {task.run_id: 1})
            artifact = Artifact(place.artifact, run_id, PIPELINE, "out", "system.Dataset", place.uri, created_at=1)
            uow.artifacts.upsert_many([artifact])
        return place

    def artifact(self, place: Place, caller: str = "administrator") -> Answer:
        request = insight_pb2.ReadArtifactRequest(name=place.artifact)
        return self.teams.call(f"{INSIGHT}/ReadArtifact", request, caller)

    def log(self, place: Place, caller: str = "administrator") -> Answer:
        request = insight_pb2.ReadLogRequest(run_id=place.run, node_id=PIPELINE)
        return self.teams.call(f"{INSIGHT}/ReadLog", request, caller)

    def get(self, path: str, caller: str) -> http.Reply:
        return http.call("GET", f"{self.teams.http}{path}", headers=self.teams.credentials[caller])

    def reads(self, place: Place, caller: str) -> dict[str, tuple[object, bytes]]:
        """What each way to read the artifact or the log gives."""
        bucket, _, key = place.uri.removeprefix("s3://").partition("/")
        found: dict[str, tuple[object, bytes]] = {}
        by_uri = self.teams.call(f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri=place.uri), caller)
        for name, answer in (
            ("artifact", self.artifact(place, caller)),
            ("object", by_uri),
            ("log", self.log(place, caller)),
        ):
            found[name] = (answer.code, content(answer) or answer.details.encode())
        for name, path in {
            "REST artifact": f"/apis/penstock/v1/artifacts/{quote(place.artifact)}:download",
            "REST log": f"/apis/v2beta1/runs/{place.run}/nodes/{PIPELINE}/log",
            "UI preview": f"/artifacts/get?source=s3&bucket={bucket}&key={quote(key)}&namespace={A}&peek=256",
            "UI download": f"/artifacts/s3/{bucket}/{quote(key)}?namespace={A}",
            "UI log": f"/k8s/pod/logs?podname={place.pod}&runid={place.run}&podnamespace={A}",
        }.items():
            reply = self.get(path, caller)
            found[name] = (reply.status, reply.body)
        return found


def content(answer: Answer) -> bytes:
    return b"".join(chunk.data for chunk in answer.replies)


def providers(endpoint: str, more: str = "") -> str:
    keys = "{secretRef: {secretName: keys, accessKeyKey: a, secretKeyKey: s}}"
    return f"s3: {{default: {{endpoint: '{endpoint}', region: us-east-1, maxRetries: 1, credentials: {keys}{more}}}}}"


@contextmanager
def listener() -> Iterator[socket.socket]:
    """A port to which nobody should connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        cluster = stack.enter_context(sim_kube("--namespace", A, "--namespace", B))
        stores = {
            name: stack.enter_context(s3([BUCKET], keys=(f"access-of-{name}", f"secret-of-{name}"))) for name in (A, B)
        }
        database, metadata = (f"sqlite:///{directory}/{name}.db" for name in ("penstock", "metadata"))
        environment = {
            "KUBECONFIG": str(cluster.kubeconfig),
            "PENSTOCK_NAMESPACE_STORES": "true",
            "PENSTOCK_STORE_ENDPOINTS": ",".join(store.endpoint for store in stores.values()),
        }
        teams = stack.enter_context(two_teams(directory, database, metadata, environment=environment))
        binding = access_pb2.RoleBinding(role="viewer", namespace=B, user="viewer-of-b")
        teams.done(f"{ACCESS}/CreateRoleBinding", access_pb2.CreateRoleBindingRequest(role_binding=binding))
        teams.credentials["viewer-of-b"] = {"kubeflow-userid": "viewer-of-b"}
        made = World(teams, cluster, stores, {A: "viewer", B: "viewer-of-b"})
        for namespace in (A, B):
            made.settle(namespace, stores[namespace])
        yield made


@pytest.fixture(scope="module")
def places(world: World) -> dict[str, Place]:
    return {name: world.stored(name, world.stores[name], f"of {name}") for name in (A, B)}


@pytest.mark.parametrize("namespace", [A, B])
def test_a_viewer_reads_what_is_the_namespaces_and_nobody_else_does(
    world: World, places: dict[str, Place], namespace: str
) -> None:
    place, other = places[namespace], world.viewers[B if namespace == A else A]
    found = world.reads(place, world.viewers[namespace])
    for name, (status, text) in found.items():
        kind = "log" if "log" in name else "out"
        assert (status, text) == (OK if isinstance(status, str) else 200, f"{kind} of {namespace}".encode()), name
    for caller in (other, "stranger"):
        for name, (status, text) in world.reads(place, caller).items():
            assert status in (DENIED, 403), (name, caller, status)
            assert b"of team" not in text.replace(b"of team-a's", b""), (name, text)


def test_the_keys_of_one_are_not_used_for_another(world: World) -> None:
    """The other's address with keys of one's own is refused by the store, and with none it is nobody's."""
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.configure(namespace, providers(world.stores[A].endpoint))
    world.give_keys(namespace, world.stores[B].access_key, world.stores[B].secret_key)
    answer = world.artifact(place)
    assert (answer.code, "the store refused" in answer.details) == (PRECONDITION, True), answer
    without = world.namespace()
    answer = world.artifact(world.stored(without, world.stores[A], "of nobody"))
    assert (answer.code, "outside the artifact roots" in answer.details) == (DENIED, True), answer


def test_an_artifact_that_names_anothers_object_is_not_read(world: World, places: dict[str, Place]) -> None:
    """A program may give its artifact any URI; so may whoever reports one."""
    name = new()
    with world.teams.database.writing() as uow:
        stolen = Artifact(name, places[B].run, PIPELINE, "out", "system.Dataset", places[A].uri, created_at=1)
        uow.artifacts.upsert_many([stolen])
    answer = world.artifact(replace(places[B], artifact=name), world.viewers[B])
    assert answer.code == DENIED, answer


@pytest.mark.parametrize("where", ["metadata", "server", "cluster", "loopback", "region"])
def test_the_server_connects_to_what_its_operator_lists(world: World, where: str) -> None:
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.give_keys(namespace, "access", "secret")
    with listener() as server:
        port = server.getsockname()[1]
        endpoint = {
            "metadata": "http://169.254.169.254",
            "server": world.teams.http,
            "cluster": world.cluster.url,
            "loopback": f"http://127.0.0.1:{port}",
            "region": "",
        }[where]
        text = providers(endpoint)
        if where == "region":
            text = text.replace("region: us-east-1", f"region: '127.0.0.1:{port}/#'")
        world.configure(namespace, text)
        for answer in (world.artifact(place), world.log(place)):
            assert answer.code == PRECONDITION, answer
            assert ("region" if where == "region" else "kfp-launcher") in answer.details, answer
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("text", "named"),
    [("s3: {", "ConfigMap kfp-launcher"), ("s3: {default: {}}", "providers.s3"), ("x" * 100_000, "characters")],
    ids=["no YAML", "no keys", "too long"],
)
def test_a_broken_config_map_is_its_namespaces_own_affair(
    world: World, places: dict[str, Place], text: str, named: str
) -> None:
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.configure(namespace, text)
    answer = world.artifact(place)
    assert (answer.code, named in answer.details, namespace in answer.details) == (PRECONDITION, True, True), answer
    assert world.reads(place, "administrator")["UI preview"][0] == 400
    assert content(world.artifact(places[A])) == f"out of {A}".encode()


def test_a_secret_that_is_missing_is_named(world: World) -> None:
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.configure(namespace, providers(world.stores[A].endpoint))
    answer = world.artifact(place)
    assert (answer.code, "Secret keys of namespace" in answer.details) == (PRECONDITION, True), answer


@pytest.mark.parametrize(("action", "code"), [("hang", UNAVAILABLE), ("status", PRECONDITION)])
def test_a_cluster_that_does_not_answer_or_refuses(
    world: World, places: dict[str, Place], action: str, code: str
) -> None:
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.settle(namespace, world.stores[A])
    fault = {"action": action, "status": 403, "path": f"/namespaces/{namespace}/", "message": "hidden"}
    world.cluster.control("faults", [fault])
    try:
        begun = time.monotonic()
        answer = world.artifact(place)
        assert time.monotonic() - begun < 20
        assert answer.code == code, answer
        assert "ConfigMap kfp-launcher" in answer.details
        assert "hidden" not in answer.details
        assert content(world.artifact(places[A])) == f"out of {A}".encode()
    finally:
        world.cluster.control("faults", [])
    answer = runs.until(lambda: world.artifact(place), lambda found: found.code == OK)
    assert content(answer) == b"out of nobody"


def test_a_rotated_secret_holds_within_half_a_minute(world: World) -> None:
    namespace = world.namespace()
    place = world.stored(namespace, world.stores[A], "of nobody")
    world.settle(namespace, world.stores[A])
    assert world.artifact(place).code == OK
    world.give_keys(namespace, "access", "wrong")
    begun = time.monotonic()
    runs.until(lambda: world.artifact(place), lambda found: found.code == PRECONDITION, 60)
    # Half a minute, and what the machine takes for a call.
    assert time.monotonic() - begun < 40
    assert "wrong" not in world.artifact(place).details
