"""Every form of a pipeline: as a file and by URL, what is stored and what is read back (api.md §1.3, §2.7)."""

from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import http as calls
from tools.embedded import Embedded
from tools.testing import specs

SPEC = specs.container(["true"], name="packed")
SETTINGS = {"nodeSelector": {"labels": {"disk": "ssd"}}}
PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": SETTINGS}}}}}


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def tarred(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


YAML = yaml.safe_dump(SPEC).encode()
WITH_PLATFORM = yaml.safe_dump_all([SPEC, PLATFORM]).encode()
BOTH = {"pipeline_spec": SPEC, "platform_spec": PLATFORM}
FORMS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "pipeline.yaml": (YAML, SPEC),
    "pipeline.yml": (YAML, SPEC),
    "pipeline.json": (json.dumps(SPEC).encode(), SPEC),
    "pipeline.zip": (zipped("pipeline.yaml", YAML), SPEC),
    "pipeline.tar.gz": (tarred("pipeline.yaml", YAML), SPEC),
    "platform.yaml": (WITH_PLATFORM, BOTH),
    "platform.zip": (zipped("any.yaml", WITH_PLATFORM), BOTH),
    "platform.tar.gz": (tarred("any.yaml", WITH_PLATFORM), BOTH),
}


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content, _ = FORMS[self.path.removeprefix("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def files() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server that may fetch from this machine."""
    directory: Path = tmp_path_factory.mktemp("fetching")
    with Embedded(directory, environment={"PIPELINE_URL_VALIDATION_ENABLED": "false"}) as up:
        yield up


def stored(up: Embedded, pipeline_id: str) -> list[dict[str, Any]]:
    reply = calls.call("GET", f"{up.http}/apis/v2beta1/pipelines/{pipeline_id}/versions?sort_by=created_at")
    found: list[dict[str, Any]] = reply.json["pipeline_versions"]
    return found


@pytest.mark.parametrize("name", FORMS)
def test_files(up: Embedded, name: str) -> None:
    content, wanted = FORMS[name]
    made = calls.upload(up.http, content, file_name=name)
    assert made.status == 200, made
    pipeline_id = made.json["pipeline_id"]
    url = f"{up.http}/apis/v2beta1/pipelines/upload_version?name=second&pipelineid={pipeline_id}"
    assert calls.send_file(url, content, name).status == 200
    assert [one["pipeline_spec"] for one in stored(up, pipeline_id)] == [wanted, wanted]


@pytest.mark.parametrize("name", FORMS)
def test_urls(fetching: Embedded, files: str, name: str) -> None:
    source = {"package_url": {"pipeline_url": f"{files}/{name}"}}
    pipelines = f"{fetching.http}/apis/v2beta1/pipelines"
    document = {"pipeline": {"name": uuid.uuid4().hex}, "pipeline_version": source}
    made = calls.call("POST", f"{pipelines}/create", document)
    assert made.status == 200, made
    pipeline_id = made.json["pipeline_id"]
    version = {"pipeline_id": pipeline_id, "name": "second", **source}
    assert calls.call("POST", f"{pipelines}/{pipeline_id}/versions", version).status == 200
    found = stored(fetching, pipeline_id)
    assert [one["pipeline_spec"] for one in found] == [FORMS[name][1]] * 2
    assert [one["package_url"]["pipeline_url"] for one in found] == [f"{files}/{name}"] * 2


def test_a_platform_document_goes_with_the_run(up: Embedded) -> None:
    made = calls.upload(up.http, WITH_PLATFORM)
    reference = {"pipeline_id": made.json["pipeline_id"]}
    run = calls.call(
        "POST", f"{up.http}/apis/v2beta1/runs", {"display_name": "r", "pipeline_version_reference": reference}
    )
    assert run.status == 200, run
    inline = calls.call("POST", f"{up.http}/apis/v2beta1/runs", {"display_name": "r", "pipeline_spec": BOTH})
    assert inline.json["pipeline_spec"] == BOTH


FACTOR = "penstock.dev/oom-memory-factor"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"secretAsEnv": [{"secretName": "s"}], "resourceClaims": [{"name": "gpu"}]},
            "resourceClaims: Penstock does not know this setting",
        ),
        (
            {"podMetadata": {"annotations": {FACTOR: "twice"}}},
            f"podMetadata.annotations.{FACTOR}: 'twice': expected a number from 1.0 to 10",
        ),
    ],
)
def test_wrong_settings_are_refused_by_their_place(up: Embedded, settings: dict[str, Any], problem: str) -> None:
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-only": settings}}}}}
    place = f"platforms.kubernetes.deploymentSpec.executors.exec-only.{problem}"
    made = calls.upload(up.http, yaml.safe_dump_all([SPEC, platform]).encode())
    assert (made.status, place in made.json["error_message"]) == (400, True)
    both = {"pipeline_spec": SPEC, "platform_spec": platform}
    run = calls.call("POST", f"{up.http}/apis/v2beta1/runs", {"display_name": "r", "pipeline_spec": both})
    assert (run.status, place in run.json["message"]) == (400, True)
    schedule = {"display_name": "r", "max_concurrency": 1, "pipeline_spec": both}
    refused = calls.call("POST", f"{up.http}/apis/v2beta1/recurringruns", schedule)
    assert (refused.status, place in refused.json["message"]) == (400, True)


def test_a_workflow_of_argo_is_told_to_be_one(up: Embedded) -> None:
    made = calls.upload(up.http, b"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n")
    assert made.status == 400
    assert "this is an Argo Workflow" in made.json["error_message"]
    assert "with the kfp SDK from version 2 on" in made.json["error_message"]
