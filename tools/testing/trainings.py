"""Runs that share a data set: prepare, train, evaluate, where a later run gets the data from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.testing import runs

_WRITE = 'mkdir -p "$(dirname "$0")" && echo "$1" >"$0"'
_TYPES = {"data": "system.Dataset", "model": "system.Model", "report": "system.Markdown"}


def training() -> dict[str, Any]:
    """A pipeline with the parameter `rate`, by which the training alone is another one."""
    spec: dict[str, Any] = {
        "pipelineInfo": {"name": "training"},
        "schemaVersion": "2.1.0",
        "components": {},
        "deploymentSpec": {"executors": {}},
        "root": {
            "inputDefinitions": {"parameters": {"rate": {"parameterType": "STRING"}}},
            "dag": {"tasks": {}},
        },
    }
    _add(spec, "prepare", {}, "data", "a,b\n1,2", display_name="Prepare the data")
    _add(spec, "train", {"data": "prepare"}, "model", "trained at {{$.inputs.parameters['rate']}}", rate=True)
    _add(spec, "evaluate", {"data": "prepare", "model": "train"}, "report", "# Good")
    return spec


def _add(
    spec: dict[str, Any],
    name: str,
    inputs: dict[str, str],
    output: str,
    content: str,
    *,
    display_name: str = "",
    rate: bool = False,
) -> None:
    """A task that takes artifacts, by the task that made each, and makes one."""
    component: dict[str, Any] = {
        "executorLabel": name,
        "inputDefinitions": {"artifacts": {port: _kind(port) for port in inputs}},
        "outputDefinitions": {"artifacts": {output: _kind(output)}},
    }
    task: dict[str, Any] = {
        "taskInfo": {"name": display_name or name},
        "componentRef": {"name": name},
        "cachingOptions": {"enableCache": True},
        "dependentTasks": sorted(inputs.values()),
        "inputs": {
            "artifacts": {
                port: {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": port}}
                for port, producer in inputs.items()
            }
        },
    }
    if rate:
        component["inputDefinitions"]["parameters"] = {"rate": {"parameterType": "STRING"}}
        task["inputs"]["parameters"] = {"rate": {"componentInputParameter": "rate"}}
    command = ["sh", "-c", _WRITE, f"{{{{$.outputs.artifacts['{output}'].path}}}}", content]
    spec["components"][name] = component
    spec["deploymentSpec"]["executors"][name] = {"container": {"image": "image", "command": command}}
    spec["root"]["dag"]["tasks"][name] = task


def _kind(port: str) -> dict[str, Any]:
    return {"artifactType": {"schemaTitle": _TYPES[port], "schemaVersion": "0.0.1"}}


def trained(client: Client, rates: Sequence[str], name: str = "training at {}") -> list[str]:
    """A run for each rate, one after another; their ids."""
    found = []
    for rate in rates:
        run_id = runs.start(client, training(), {"rate": rate}, name.format(rate))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        found.append(run_id)
    return found


def artifact(client: Client, run_id: str, port: str) -> str:
    """The name of what a run made under a port."""
    (found,) = (one.name for one in client.list_artifacts(run_id=run_id) if one.port == port)
    return str(found)
