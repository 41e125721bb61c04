"""Documents in canonical form: numbers keep their digits, keys are sorted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json, parse_package
from penstock_ir.model import Constant, ContainerExecutor, ImporterExecutor, ParameterIterator

from tools.testing import specs

BIG = 2**53 + 1
BEYOND = 10**20 + 1


def with_numbers() -> dict[str, Any]:
    """A pipeline with whole numbers that no double holds wherever a document may have values."""
    spec = specs.container(["true"])
    component = spec["components"]["comp-only"]
    component["inputDefinitions"] = {
        "parameters": {
            "s": {"parameterType": "STRUCT", "defaultValue": {"z": [BIG], "a": {"ts": 1732752000000000000}}},
            "n": {"parameterType": "NUMBER_INTEGER", "defaultValue": BIG, "literals": [BIG, BEYOND]},
            "l": {"parameterType": "LIST"},
        }
    }
    task = spec["root"]["dag"]["tasks"]["only"]
    task["inputs"] = {"parameters": {"l": {"runtimeValue": {"constant": [BIG, {"x": BEYOND}, 2.0, 1e18, 0.5]}}}}
    task["parameterIterator"] = {"itemInput": "n", "items": {"raw": f"[{BIG}, 1e18]"}}
    spec["components"]["comp-import"] = {
        "executorLabel": "exec-import",
        "outputDefinitions": {"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Artifact"}}}},
    }
    spec["deploymentSpec"]["executors"]["exec-import"] = {
        "importer": {
            "artifactUri": {"constant": "s3://b/k"},
            "typeSchema": {"schemaTitle": "system.Artifact"},
            "metadata": {"ts": BIG},
        }
    }
    spec["root"]["dag"]["tasks"]["import"] = {"taskInfo": {"name": "i"}, "componentRef": {"name": "comp-import"}}
    return spec


@pytest.mark.parametrize("spelling", ["camelCase", "snake_case", "file"])
def test_whole_numbers_keep_their_digits(spelling: str) -> None:
    spec = with_numbers()
    if spelling == "snake_case":
        spec["deployment_spec"] = spec.pop("deploymentSpec")
        component = spec["components"]["comp-only"]
        component["input_definitions"] = component.pop("inputDefinitions")
        for one in component["input_definitions"]["parameters"].values():
            if "defaultValue" in one:
                one["default_value"] = one.pop("defaultValue")
    document = parse_package(json.dumps(spec).encode()) if spelling == "file" else document_from_json(spec)
    pipeline = compile_pipeline(document_from_json(json.loads(document.canonical_json()[0])))
    dag = pipeline.root.implementation
    assert not isinstance(dag, (ContainerExecutor, ImporterExecutor))
    tasks = {task.name: task for task in dag.tasks}
    only = tasks["only"]
    inputs = only.component.input_parameters
    assert inputs["s"].default == {"a": {"ts": 1732752000000000000}, "z": [BIG]}
    assert (inputs["n"].default, inputs["n"].literals) == (BIG, (BIG, BEYOND))
    source = only.parameters["l"].source
    assert isinstance(source, Constant)
    assert json.dumps(source.value) == f'[{BIG}, {{"x": {BEYOND}}}, 2, 1000000000000000000, 0.5]'
    assert only.parameter_iterator == ParameterIterator("n", items=(BIG, 10**18))
    importer = tasks["import"].component.implementation
    assert isinstance(importer, ImporterExecutor)
    assert importer.metadata == {"ts": BIG}


def test_items_that_are_no_numbers() -> None:
    spec = specs.loop(1)
    spec["root"]["dag"]["tasks"]["loop"]["parameterIterator"]["items"]["raw"] = "[1, NaN]"
    with pytest.raises(InvalidSpecError, match=r"items\.raw: the text\[1\] is NaN"):
        compile_pipeline(document_from_json(spec))


def test_equal_documents_are_equal_however_their_keys_stand() -> None:
    spec = with_numbers()
    turned = json.loads(json.dumps(spec), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert json.dumps(document_from_json(spec).pipeline_spec) == json.dumps(document_from_json(turned).pipeline_spec)


_PRINT = """
import json, sys
from google.protobuf import json_format
from penstock_api.v2beta1 import pipeline_pb2
from penstock_ir.loader import document_from_json
from penstock_server.gateway.protojson import to_dict
from penstock_server.rpc.convert.common import plain_struct, struct
from penstock_server.rpc.interceptor import _deterministic
document = document_from_json(json.load(sys.stdin))
reply = pipeline_pb2.PipelineVersion(pipeline_spec=struct(document.pipeline_spec), tags={"b": "1", "a": "2", "c": "3"})
print(json.dumps(document.pipeline_spec))
print(json.dumps(to_dict(reply)))
print(json.dumps(plain_struct(reply.pipeline_spec, "")))
print(_deterministic(reply.SerializeToString)(reply).hex())
"""


def test_keys_have_one_order_in_every_process() -> None:
    spec = json.dumps(with_numbers())
    printed = set()
    for seed in ("0", "1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", _PRINT],
            input=spec,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        printed.add(done.stdout)
    assert len(printed) == 1
