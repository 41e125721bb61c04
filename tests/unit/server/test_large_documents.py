"""What is large is read elsewhere, with the result that it has here; what is small is read here."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import struct_pb2
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import MAX_PACKAGE_BYTES
from penstock_server.domain.pipeline import Submitted
from penstock_server.errors import InvalidArgumentError
from penstock_server.gateway.transcoder import BadRequestError, RouteTable, is_small
from penstock_server.rpc.convert import inline
from penstock_server.rpc.convert.common import plain_struct
from penstock_server.rpc.server import public_services
from penstock_server.services.documents import SMALL_BYTES, Documents

from tools.testing import specs

CREATE_RUN = "/kubeflow.pipelines.backend.api.v2beta1.RunService/CreateRun"
SMALL = specs.container(["true"])
LARGE = specs.container(["echo", *(f"{number:04}" for number in range(5000))])


class Here:
    """Does the tasks in this process, with what crosses the socket turned into JSON and back, and counts them."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def call(self, task: str, values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        self.tasks.append(task.partition(":")[2])
        module, _, name = task.partition(":")
        reply, result = getattr(importlib.import_module(module), name)(json.loads(json.dumps(values)), content)
        return json.loads(json.dumps(reply)), result


def zipped(text: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("pipeline.yaml", text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("package", "tasks"),
    [
        (json.dumps(SMALL).encode(), []),
        (json.dumps(LARGE).encode(), ["check_package"]),
        (zipped(json.dumps(SMALL).encode()), ["check_package"]),
        (json.dumps(SMALL).encode() + b" " * SMALL_BYTES, ["check_package"]),
    ],
    ids=["small", "large", "packed", "blanks"],
)
def test_a_package(package: bytes, tasks: list[str]) -> None:
    here = Here()
    read = Documents(here).checked_package(package, "", MAX_PACKAGE_BYTES)
    assert here.tasks == tasks
    assert read == Documents().checked_package(package, "", MAX_PACKAGE_BYTES)


def test_a_small_text_with_many_values() -> None:
    """Not even its beginning is turned into a document here."""
    here = Here()
    text = "a: &a [" + "x," * 99 + "]\nb: &b [" + "*a," * 99 + "]\nc: [" + "*b," * 50 + "]"
    with pytest.raises(InvalidSpecError) as refused:
        Documents(here).checked_package(text.encode(), "", MAX_PACKAGE_BYTES)
    assert "no field named" in str(refused.value)
    assert here.tasks == ["check_package"]


@pytest.mark.parametrize(
    "package",
    [
        b"[" + b"[]," * 1_100_000 + b"]",
        b" " * SMALL_BYTES + b"a: b",
        gzip.compress(b""),
        b"\xff" * (SMALL_BYTES + 1),
        json.dumps({**LARGE, "root": {"dag": {"tasks": {"a": {}, "b": {}}}}}).encode(),
    ],
    ids=["values", "field", "gzip", "bytes", "tasks"],
)
def test_a_package_is_refused_with_the_same_problems(package: bytes) -> None:
    here, texts = Here(), []
    for documents in (Documents(here), Documents()):
        with pytest.raises(InvalidSpecError) as refused:
            documents.checked_package(package, "", MAX_PACKAGE_BYTES)
        texts.append(refused.value.problems)
    assert texts[0] == texts[1]
    assert here.tasks == ["check_package"]


def struct(document: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(document)
    return message


def test_a_run_is_taken_apart() -> None:
    here = Here()
    request = run_pb2.CreateRunRequest(run=run_pb2.Run(display_name="x", pipeline_spec=struct(LARGE)))
    data = request.SerializeToString()
    assert inline.is_large(CREATE_RUN, data)
    message, document = inline.taken_apart(here, CREATE_RUN, data)
    assert document == Documents().submitted(plain_struct(request.run.pipeline_spec, "run.pipeline_spec"))
    assert message.run.WhichOneof("pipeline_source") == "pipeline_spec"
    assert message == run_pb2.CreateRunRequest(run=run_pb2.Run(display_name="x", pipeline_spec=struct({})))
    with inline.document_of_call(document):
        assert inline.inline_document(message.run.pipeline_spec, "run.pipeline_spec") is document
    assert inline.inline_document(message.run.pipeline_spec, "run.pipeline_spec") == {}


def test_a_run_without_a_document_is_taken_as_it_is() -> None:
    request = run_pb2.CreateRunRequest(run=run_pb2.Run(description="x" * SMALL_BYTES))
    assert inline.taken_apart(Here(), CREATE_RUN, request.SerializeToString()) == (request, None)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"\xff" * 100_000, InvalidArgumentError, "cannot be decoded"),
        (
            insight_pb2.PlanPipelineRequest(
                pipeline_spec=struct({"a": [0] * 10_000, "b": float("nan")})
            ).SerializeToString(),
            InvalidArgumentError,
            "pipeline_spec: nan",
        ),
        (
            insight_pb2.PlanPipelineRequest(pipeline_spec=struct({"a": [0] * 10_000})).SerializeToString(),
            InvalidSpecError,
            "no field named",
        ),
    ],
    ids=["garbage", "nan", "field"],
)
def test_a_plan_is_refused(data: bytes, kind: type[Exception], text: str) -> None:
    method = "/penstock.v1.InsightService/PlanPipeline"
    assert inline.is_large(method, data)
    with pytest.raises(kind, match=text):
        inline.taken_apart(Here(), method, data)


def test_a_body_becomes_the_same_message() -> None:
    match = RouteTable(public_services()).find("POST", "/apis/v2beta1/runs")
    assert match is not None
    route, values = match
    body = json.dumps({"display_name": "x", "pipeline_spec": LARGE}).encode()
    query = [("experiment_id", "an experiment"), ("unknown", "x")]
    elsewhere = route.built_elsewhere(Here(), values, query, body)
    assert route.request.FromString(elsewhere) == route.build(values, query, body)
    with pytest.raises(BadRequestError) as refused:
        route.built_elsewhere(Here(), values, [], b'{"display_name": "x", "unknown": [' + b"1," * 10_000 + b"1]}")
    assert "unknown" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "small"),
    [(b'{"a": 1}', True), (b"[" + b"1," * 1500 + b"1]", False), (b'{"a": "' + b"x" * SMALL_BYTES + b'"}', False)],
    ids=["small", "values", "bytes"],
)
def test_a_body_is_small(body: bytes, small: bool) -> None:
    assert is_small(body) is small


def test_a_caller_cannot_say_that_a_document_was_checked() -> None:
    document = Documents().submitted(SMALL)
    assert isinstance(document, Submitted)
    assert inline.inline_document(struct(SMALL), "run.pipeline_spec") == SMALL
