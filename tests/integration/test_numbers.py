"""Numbers keep all digits and keys are sorted, through every API of the server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock.client import Client
from penstock.whole_numbers import to_dict
from penstock_api.v2beta1 import pipeline_pb2, run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs

FILE = Path(__file__).resolve().parents[1] / "pipelines" / "handwritten" / "digits.yaml"
SPEC = yaml.safe_load(FILE.read_text())
BIG = 2**53 + 1
ARGUMENTS = {"d": {"ts": 1732752000000000000, "big": [BIG, -(10**25)]}, "n": BIG}
D = f'{{"big":[{BIG},{-(10**25)}],"ts":1732752000000000000}}'


def said(client: Client, run_id: str) -> list[str]:
    """What the tasks said, which is their inputs as a program sees them."""
    assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    found = runs.tasks(client, run_id)
    return [str(to_dict(found[name].outputs)["Output"]) for name in ("first", "second")]


TEXTS = [
    f'{D}|[{BIG},{{"ts":1732752000000000000}},{json.dumps(D)}]|{BIG}|d is {D}',
    f'{D}|[{BIG},{{"ts":1732752000000000000}},{json.dumps(D)}]|{BIG}|[{BIG},{{"ts":1732752000000000000}},{json.dumps(D)}]',
]


@pytest.mark.parametrize("source", ["inline", "version"])
def test_over_rest(up: Embedded, client: Client, source: str) -> None:
    new: dict[str, Any] = {"display_name": "digits", "runtime_config": {"parameters": ARGUMENTS}}
    if source == "inline":
        new["pipeline_spec"] = SPEC
    else:
        pipeline = http.upload(up.http, FILE.read_bytes()).json["pipeline_id"]
        new["pipeline_version_reference"] = {"pipeline_id": pipeline}
    made = http.call("POST", f"{up.http}/apis/v2beta1/runs", new)
    assert made.status == 200, made
    assert said(client, made.json["run_id"]) == TEXTS
    shown = http.call("GET", f"{up.http}/apis/v2beta1/runs/{made.json['run_id']}").json
    assert shown["runtime_config"]["parameters"] == ARGUMENTS
    if source == "inline":
        assert shown["pipeline_spec"] == SPEC
    older = http.call("GET", f"{up.http}/apis/v1beta1/runs/{made.json['run_id']}").json
    assert older["run"]["pipeline_spec"]["runtime_config"]["parameters"] == ARGUMENTS


def test_over_the_command_line(up: Embedded, client: Client) -> None:
    arguments = [f"--param={name}={json.dumps(value)}" for name, value in ARGUMENTS.items()]
    command = [
        str(Path(sys.executable).with_name("penstock")),
        "run",
        str(FILE),
        "--server",
        up.grpc,
        "--json",
        "--watch",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["runtime_config"]["parameters"] == ARGUMENTS
    assert said(client, run["run_id"]) == TEXTS


def test_a_client_with_doubles_alone_has_whole_numbers(client: Client) -> None:
    """Any other client over gRPC: what a double holds arrives whole, the rest as the nearest whole number."""
    run_id = runs.start(client, SPEC, {"d": {"ts": 1732752000000000000}, "n": 2**60})
    first, second = said(client, run_id)
    assert first.startswith('{"ts":1732752000000000000}|[9007199254740992,{"ts":1732752000000000000},')
    assert f"|{2**60}|" in second


def test_keys_of_a_document_are_in_order(up: Embedded, client: Client) -> None:
    made = http.upload(up.http, FILE.read_bytes()).json
    reply = http.call("GET", f"{up.http}/apis/v2beta1/pipelines/{made['pipeline_id']}/versions")
    (version,) = reply.json["pipeline_versions"]
    assert json.dumps(version["pipeline_spec"]) == json.dumps(version["pipeline_spec"], sort_keys=True)
    assert version["pipeline_spec"] == SPEC
    raw = client.channel.unary_unary(
        "/kubeflow.pipelines.backend.api.v2beta1.PipelineService/GetPipelineVersion",
        pipeline_pb2.GetPipelineVersionRequest.SerializeToString,
        bytes,
    )(pipeline_pb2.GetPipelineVersionRequest(pipeline_version_id=version["pipeline_version_id"]))
    found = pipeline_pb2.PipelineVersion.FromString(raw)
    assert raw == found.SerializeToString(deterministic=True)
