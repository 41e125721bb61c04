"""The overlays of deploy/ in a real cluster: deployed, used with the kfp SDK, restarted, taken away.

The image is the one of PENSTOCK_IMAGE, or it is built over PENSTOCK_BASE_ARCHIVE and given to the cluster's runtime by
the command PENSTOCK_IMAGE_LOAD, which gets the archive as its last argument (`kind load image-archive`, `ctr images
import`).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import uuid
import warnings
from pathlib import Path

import psycopg
import pytest
import yaml
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support.deployment import NAMESPACE, Deployed, deployed
from tests.support.go_ahead import GoAhead
from tools.cluster import Cluster
from tools.databases import postgresql
from tools.manifests import Object
from tools.object_stores import s3
from tools.testing import kube_specs, runs, specs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kfp

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
    pytest.mark.timeout(900),
]
TASKS = "penstock-tasks"
BUCKET = "artifacts"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    if given := os.environ.get("PENSTOCK_IMAGE"):
        return given
    load = os.environ.get("PENSTOCK_IMAGE_LOAD")
    assert load, "PENSTOCK_IMAGE or PENSTOCK_IMAGE_LOAD: say how the cluster gets the image (deploy/README.md)"
    directory = tmp_path_factory.mktemp("image")
    # A tag of its own: a node that has an image of that name asks for no other.
    tag, archive = f"docker.io/penstock/penstock:{uuid.uuid4().hex[:12]}", directory / "penstock.tar"
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(directory)], check=True)
    build = [sys.executable, "-m", "tools.build_image", "--tag", tag, "--output", str(archive)]
    subprocess.run([*build, "--dist", str(directory)], check=True)
    subprocess.run([*shlex.split(load), str(archive)], check=True)
    return tag


def test_embedded(cluster: Cluster, image: str, tmp_path: Path, go: GoAhead) -> None:
    additions = volumes(cluster, tmp_path)
    with deployed(cluster, tmp_path / "overlay", "embedded", image, additions=additions) as penstock:
        run_id = artifacts_are_passed(penstock)
        with Client(penstock.grpc) as client:
            under_way = started(client, go)
            penstock.replace_pods("executor")
            penstock.replace_pods("server")
            go.give()
            finished_once(client, under_way)
            assert {run_id, under_way} <= {one.run_id for one in client.list_runs()}
    assert cluster.get(f"/api/v1/namespaces/{NAMESPACE}") is None


def test_production(cluster: Cluster, image: str, tmp_path: Path, go: GoAhead) -> None:
    node = cluster.node_address()
    with postgresql(host=node) as database, s3([BUCKET], host=node) as store:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE metadata")
        overlay = tmp_path / "overlay"
        overlay.mkdir()
        (overlay / "store.yaml").write_text(yaml.safe_dump(providers("http://object-store.penstock:9000")))
        keys = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        account = "postgresql://penstock@database.penstock:5432"
        urls = {"url": f"{account}/postgres", "metadata-url": f"{account}/metadata"}
        additions = [
            *outside("database", 5432, node, database.port),
            *outside("object-store", 9000, node, int(store.endpoint.rsplit(":", 1)[1])),
            secret(NAMESPACE, "penstock-database", urls),
            secret(NAMESPACE, "penstock-store", keys),
            secret(TASKS, "penstock-store", keys),
        ]
        generator = {"name": "penstock-store", "namespace": NAMESPACE, "behavior": "merge", "files": ["store.yaml"]}
        settings = {"configMapGenerator": [generator]}
        with deployed(cluster, overlay, "production", image, additions=additions, settings=settings) as penstock:
            assert [len(penstock.pods(component)) for component in ("server", "executor")] == [2, 2]
            run_id = artifacts_are_passed(penstock)
            assert list((store.directory / BUCKET / "root").rglob(f"{run_id}/**/executor-logs"))
            with Client(penstock.grpc) as client:
                under_way = [started(client, go) for _ in range(4)]
                penstock.replace_pods("executor", grace_seconds=0)
                penstock.replace_pods("server")
                go.give()
                for one in under_way:
                    finished_once(client, one)
    assert cluster.get(f"/api/v1/namespaces/{TASKS}") is None


def artifacts_are_passed(penstock: Deployed) -> str:
    """A compiled pipeline through the SDK, its log and its lineage. The run's id."""
    sdk = kfp.Client(host=penstock.http)
    package = str(specs.COMPILED / "artifact_passing.yaml")
    run_id = str(sdk.create_run_from_pipeline_package(package, arguments={"content": "through the Service"}).run_id)
    run = sdk.wait_for_run_completion(run_id, timeout=300, sleep_duration=0.5)
    assert run.state == "SUCCEEDED", run.error
    with Client(penstock.grpc) as client:
        tasks = runs.tasks(client, run_id)
        artifacts = list(client.list_artifacts(run_id=run_id))
    assert {task.attempts for path, task in tasks.items() if path} == {1}
    host, port = penstock.grpc.rsplit(":", 1)
    store = metadata_store.MetadataStore(metadata_store_pb2.MetadataStoreClientConfig(host=host, port=int(port)))
    context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
    executions = store.get_executions_by_context(context.id)
    assert {one.last_known_state for one in executions} == {metadata_store_pb2.Execution.State.COMPLETE}
    assert {one.uri for one in store.get_artifacts_by_context(context.id)} == {one.uri for one in artifacts}
    return run_id


def started(client: Client, go: GoAhead) -> str:
    """A run whose first task runs until it may go on, and whose second is still to come."""
    first = ["sh", "-c", f"{go.wait}; echo waited"]
    run_id = runs.start(client, kube_specs.chain({"first": first, "second": ["true"]}))
    runs.until(lambda: runs.tasks(client, run_id)["first"].state, lambda state: state == "RUNNING")
    return run_id


def finished_once(client: Client, run_id: str) -> None:
    run = runs.until(lambda: runs.get(client, run_id), lambda one: one.state in runs.ENDED, 120.0)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    assert {task.attempts for path, task in runs.tasks(client, run_id).items() if path} == {1}
    # Its Pod is gone: the server has the log from where artifacts lie.
    runs.until(lambda: runs.log(client, run_id, "first"), lambda text: text == b"waited\n")


def volumes(cluster: Cluster, directory: Path) -> list[Object]:
    """For the overlay's claims, in a cluster that has no storage class to make any: directories of this machine."""
    default = "storageclass.kubernetes.io/is-default-class"
    classes = cluster.items("/apis/storage.k8s.io/v1/storageclasses")
    if any((one["metadata"].get("annotations") or {}).get(default) == "true" for one in classes):
        return []
    made: list[Object] = []
    for claim in ("penstock-data", "penstock-artifacts"):
        (directory / claim).mkdir()
        (directory / claim).chmod(0o777)
        spec = {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(directory / claim)},
            "claimRef": {"namespace": NAMESPACE, "name": claim},
        }
        name = f"{claim}-{uuid.uuid4().hex[:8]}"
        made.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    return made


def providers(endpoint: str) -> Object:
    s3_settings = {"endpoint": endpoint, "region": "us-east-1", "forcePathStyle": True}
    default = {**s3_settings, "credentials": {"fromEnv": True}}
    return {"defaultPipelineRoot": f"s3://{BUCKET}/root", "providers": {"s3": {"default": default}}}


def secret(namespace: str, name: str, values: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


def outside(name: str, port: int, address: str, target: int) -> list[Object]:
    """A name in the cluster for what listens on this machine, and leave to call it."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": name, "port": port, "targetPort": target}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": name, "port": target}],
            "endpoints": [{"addresses": [address]}],
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {**metadata, "name": f"{name}-outside"},
            "spec": {
                "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "penstock"}},
                "policyTypes": ["Egress"],
                "egress": [{"ports": [{"protocol": "TCP", "port": target}]}],
            },
        },
    ]
