"""A server whose artifacts and logs are in S3: which objects the web UI and the API can read, and which are refused."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_server.errors import (
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from penstock_server.storage.objects import StoredObjects
from penstock_store.base import Limits
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore

from tools import object_stores
from tools.embedded import Embedded
from tools.testing import runs, specs

# The first use of a server of S3 builds it.
pytestmark = pytest.mark.timeout(900)
_CONFIG = """
defaultPipelineRoot: s3://artifacts/runs
roots: [s3://shared]
providers:
  s3:
    default:
      endpoint: {endpoint}
      credentials: {{secretRef: {{secretName: keys, accessKeyKey: access, secretKeyKey: secret}}}}
"""
_KEY = "runs/ü b/100%/model.bin"
_DATA = bytes(range(256)) * 2048


@dataclass(frozen=True)
class Served:
    embedded: Embedded
    store: object_stores.ObjectStore

    @property
    def http(self) -> str:
        return self.embedded.http


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served")
    with object_stores.s3(["artifacts", "shared", "private"]) as store:
        for bucket, key, content in (
            ("artifacts", _KEY, _DATA),
            ("artifacts", "runs/set/a/one.txt", b"one"),
            ("artifacts", "runs/set/two.txt", b"two" * 1000),
            ("artifacts", "other/secret", b"secret"),
            ("artifacts", "runs-of-others/secret", b"secret"),
            ("private", "secret", b"secret"),
            ("shared", "file", b"shared"),
        ):
            path = store.directory / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        config = data / "stores.yaml"
        config.write_text(_CONFIG.format(endpoint=store.endpoint))
        environment = {
            "PENSTOCK_STORE_CONFIG": str(config),
            "PENSTOCK_STORE_S3_ACCESS_KEY": store.access_key,
            "PENSTOCK_STORE_S3_SECRET_KEY": store.secret_key,
        }
        with Embedded(data / "data", environment=environment, environments=environments) as embedded:
            yield Served(embedded, store)


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
            return reply.status, dict(reply.headers), reply.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def importer(uri: str) -> dict[str, Any]:
    kind = {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}
    return {
        "pipelineInfo": {"name": "imports"},
        "schemaVersion": "2.1.0",
        "components": {
            "comp": {
                "executorLabel": "exec",
                "inputDefinitions": {"parameters": {"uri": {"parameterType": "STRING"}}},
                "outputDefinitions": {"artifacts": {"artifact": {"artifactType": kind}}},
            }
        },
        "deploymentSpec": {"executors": {"exec": {"importer": {"artifactUri": {"constant": uri}, "typeSchema": kind}}}},
        "root": {
            "dag": {
                "tasks": {
                    "only": {
                        "taskInfo": {"name": "only"},
                        "componentRef": {"name": "comp"},
                        "inputs": {"parameters": {"uri": {"runtimeValue": {"constant": uri}}}},
                    }
                }
            }
        },
    }


def test_an_artifact_of_a_run_is_served(served: Served) -> None:
    uri = f"s3://artifacts/{_KEY}"
    with Client(served.embedded.grpc) as client:
        run_id = runs.start(client, importer(uri))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        artifact = next(iter(client.list_artifacts(run_id=run_id)))
        assert artifact.uri == uri
        request = insight_pb2.ReadArtifactRequest(name=artifact.name)
        chunks = [chunk.data for chunk in client.stream(client.insight.ReadArtifact, request)]
    assert b"".join(chunks) == _DATA
    url = f"{served.http}/artifacts/get?source=s3&bucket=artifacts&key={quote(_KEY)}"
    status, headers, body = fetch(url)
    assert (status, headers["Content-Length"], body) == (200, str(len(_DATA)), _DATA)
    assert fetch(f"{url}&peek=5")[2] == _DATA[:5]
    status, headers, body = fetch(url, Range="bytes=1000-1999")
    assert (status, headers["Content-Range"], body) == (206, f"bytes 1000-1999/{len(_DATA)}", _DATA[1000:2000])
    assert fetch(f"{served.http}/artifacts/s3/artifacts/{quote(_KEY)}")[2] == _DATA


def test_a_prefix_is_a_tar_file(served: Served) -> None:
    status, _, body = fetch(f"{served.http}/artifacts/s3/artifacts/runs/set")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
        assert {name: file and file.read() for name, file in found.items()} == {
            "a/one.txt": b"one",
            "two.txt": b"two" * 1000,
        }
    assert fetch(f"{served.http}/artifacts/get?source=s3&bucket=artifacts&key=runs/set")[2] == b"one"


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("source=s3&bucket=shared&key=file", 200, "shared"),
        ("source=s3&bucket=private&key=secret", 403, "outside"),
        ("source=s3&bucket=artifacts&key=other/secret", 403, "outside"),
        ("source=s3&bucket=artifacts&key=runs-of-others/secret", 403, "outside"),
        ("source=s3&bucket=artifacts&key=runs/../other/secret", 400, ".."),
        ("source=minio&bucket=artifacts&key=runs/set/two.txt", 403, "outside"),
        ("source=gcs&bucket=artifacts&key=runs/set/two.txt", 403, "outside"),
        ("source=s3&bucket=artifacts&key=runs/nobody", 404, "nobody"),
        ("source=s3&bucket=artifacts&key=runs%0A/x%00", 400, ""),
        ("source=http&bucket=169.254.169.254&key=latest/meta-data", 400, "no store"),
    ],
)
def test_what_may_be_read(served: Served, query: str, status: int, named: str) -> None:
    found = fetch(f"{served.http}/artifacts/get?{query}")
    assert found[0] == status, found
    assert named in found[2].decode()


def test_a_caller_chooses_no_endpoint(served: Served) -> None:
    evil = quote('{"Provider":"s3","Params":{"endpoint":"169.254.169.254","fromEnv":"true"}}')
    url = f"{served.http}/artifacts/get?source=s3&bucket=shared&key=file&providerInfo={evil}"
    assert fetch(url)[2] == b"shared"
    query = quote("?endpoint=http://169.254.169.254")
    assert fetch(f"{served.http}/artifacts/get?source=s3&bucket=shared{query}&key=file")[0] == 400


def test_an_archived_log_is_served(served: Served) -> None:
    """The log of a task that ran in a Pod: its URI is what the agent reported."""
    path = served.store.directory / "artifacts" / "runs" / "executor-logs"
    path.write_bytes(b"first line\nlast line\n")
    with Client(served.embedded.grpc) as client:
        run_id = runs.start(client, specs.container(["true"]))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        with contextlib.closing(sqlite3.connect(served.embedded.data_dir / "penstock.db")) as database, database:
            uri = "s3://artifacts/runs/executor-logs"
            database.execute("UPDATE tasks SET log_uri = ? WHERE run_id = ? AND path = 'only'", (uri, run_id))
        assert runs.log(client, run_id, "only") == b"first line\nlast line\n"
        request = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only", tail_bytes=10)
        assert b"".join(one.data for one in client.stream(client.insight.ReadLog, request)) == b"last line\n"
    url = f"{served.http}/apis/v2beta1/runs/{run_id}/nodes/only/log"
    assert fetch(url)[2] == b"first line\nlast line\n"


@pytest.mark.parametrize(
    ("endpoint", "secret", "kind", "text"),
    [
        ("", "", NotFoundError, "not found"),
        ("", "wrong", FailedPreconditionError, "access denied"),
        ("http://127.0.0.1:9", "", UnavailableError, "cannot be reached"),
    ],
)
def test_what_is_said_when_it_cannot_be_read(
    served: Served, tmp_path: Path, endpoint: str, secret: str, kind: type[Exception], text: str
) -> None:
    config = parse_file(_CONFIG.format(endpoint=endpoint or served.store.endpoint))
    environ = {
        "PENSTOCK_STORE_S3_ACCESS_KEY": served.store.access_key,
        "PENSTOCK_STORE_S3_SECRET_KEY": secret or served.store.secret_key,
    }
    reader = RoutedStore(config, environ, roots=["s3://artifacts"], limits=Limits(retry_seconds=0.2))
    with pytest.raises(kind, match=text):
        next(StoredObjects(reader).read("s3://artifacts/none"))
    with pytest.raises(PermissionDeniedError, match="outside"):
        next(StoredObjects(reader).read("s3://private/secret"))


@pytest.mark.parametrize("named_by", ["the deployment", "the run"])
def test_a_root_brings_its_own_settings(tmp_path: Path, environments: Path, named_by: str) -> None:
    """Inputs, outputs, logs and cached results are where the root says, not at AWS."""
    write = ["sh", "-c", 'mkdir -p "$(dirname "$0")"; echo made > "$0"', "{{$.outputs.artifacts['data'].path}}"]
    spec = specs.chain({"w": write, "r": ["cat", "{{$.inputs.artifacts['data'].path}}"]}, cached=True)
    kind = {"artifacts": {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}}
    spec["components"]["comp-w"]["outputDefinitions"] = spec["components"]["comp-r"]["inputDefinitions"] = kind
    given = {"taskOutputArtifact": {"producerTask": "w", "outputArtifactKey": "data"}}
    spec["root"]["dag"]["tasks"]["r"]["inputs"] = {"artifacts": {"data": given}}
    with object_stores.s3(["artifacts"]) as store:
        root = f"s3://artifacts/own?endpoint={store.endpoint}&s3ForcePathStyle=true"
        environment = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        options = ("--artifacts", root) if named_by == "the deployment" else ()
        embedded = Embedded(tmp_path / "data", *options, environment=environment, environments=environments)
        with embedded as up, Client(up.grpc) as client:

            def states() -> list[str]:
                request = run_pb2.CreateRunRequest()
                request.run.display_name = "rooted"
                json_format.ParseDict(spec, request.run.pipeline_spec)
                request.run.runtime_config.pipeline_root = "" if options else root
                run_id = str(client.call(client.runs.CreateRun, request).run_id)
                runs.finished(client, run_id)
                return [task.state for name, task in sorted(runs.tasks(client, run_id).items()) if name]

            assert states() == ["SUCCEEDED", "SUCCEEDED"]
            found = sorted(path for path in (store.directory / "artifacts" / "own").rglob("*") if path.is_file())
            assert [path.name for path in found] == ["executor-logs", "data", "executor-logs"]
            assert [path.read_text() for path in found] == ["made\n", "made\n", ""]
            if options:
                assert states() == ["CACHED", "CACHED"]


def test_cached_results_in_an_object_store(tmp_path: Path, environments: Path) -> None:
    """A result whose object was deleted is none, and is said to be gone."""
    script = ["sh", "-c", 'mkdir -p "$(dirname "$0")" && echo x > "$0"', "{{$.outputs.artifacts['data'].path}}"]
    spec = specs.container(script, name="kept", artifacts={"data": "system.Dataset"}, cached=True)
    with object_stores.s3(["artifacts"]) as store:
        config = tmp_path / "stores.yaml"
        config.write_text(_CONFIG.format(endpoint=store.endpoint))
        environment = {
            "PENSTOCK_STORE_CONFIG": str(config),
            "PENSTOCK_STORE_S3_ACCESS_KEY": store.access_key,
            "PENSTOCK_STORE_S3_SECRET_KEY": store.secret_key,
        }
        embedded = Embedded(
            tmp_path / "data",
            "--artifacts",
            "s3://artifacts/runs",
            environment=environment,
            environments=environments,
        )
        with embedded as up, Client(up.grpc) as client:

            def state() -> tuple[str, str]:
                run_id = runs.start(client, spec)
                runs.finished(client, run_id)
                return run_id, runs.tasks(client, run_id)["only"].state

            first, made = state()
            _, again = state()
            (artifact,) = client.list_artifacts(run_id=first)
            (store.directory / artifact.uri.removeprefix("s3://")).unlink()
            last, anew = state()
            assert (made, again, anew) == ("SUCCEEDED", "CACHED", "SUCCEEDED")
            request = insight_pb2.ExplainCacheRequest(run_id=last, task="only")
            summary = client.call(client.insight.ExplainCache, request).summary
            assert summary == f"the artifact {artifact.uri} of run {first} is gone"
