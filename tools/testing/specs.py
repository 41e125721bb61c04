"""Small pipeline specs as tests need them: one container command, a few tasks, something broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

COMPILED = Path(__file__).resolve().parents[2] / "tests" / "pipelines" / "compiled"

# What runs until it is ended.
LONG = ("sleep", "60")
_TEXT = {"parameterType": "STRING"}


def compiled(name: str) -> dict[str, Any]:
    """A pipeline of tests/pipelines/compiled, as a run takes it."""
    documents = list(yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text()))
    return {"pipeline_spec": documents[0], "platform_spec": documents[1]} if len(documents) > 1 else dict(documents[0])


def container(
    command: Sequence[str],
    *,
    name: str = "only",
    outputs: Sequence[str] = (),
    artifacts: Mapping[str, str] | None = None,
    cached: bool = False,
) -> dict[str, Any]:
    """A pipeline of one task `only` that runs a command. `artifacts` maps ports to schema titles."""
    component: dict[str, Any] = {"executorLabel": "exec"}
    definitions: dict[str, Any] = {}
    if outputs:
        definitions["parameters"] = dict.fromkeys(outputs, _TEXT)
    if artifacts:
        definitions["artifacts"] = {
            port: {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}
            for port, title in artifacts.items()
        }
    if definitions:
        component["outputDefinitions"] = definitions
    return chain({"only": command}, name=name, component=component, cached=cached)


def chain(
    commands: Mapping[str, Sequence[str]],
    *,
    name: str = "chain",
    component: Mapping[str, Any] | None = None,
    cached: bool = False,
) -> dict[str, Any]:
    """Tasks one after another, each a command of its own."""
    spec: dict[str, Any] = {
        "pipelineInfo": {"name": name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "components": {},
        "deploymentSpec": {"executors": {}},
        "root": {"dag": {"tasks": {}}},
    }
    before = ""
    for task, command in commands.items():
        label = f"exec-{task}"
        spec["components"][f"comp-{task}"] = {**copy.deepcopy(dict(component or {})), "executorLabel": label}
        spec["deploymentSpec"]["executors"][label] = {"container": {"image": "image", "command": list(command)}}
        entry: dict[str, Any] = {"taskInfo": {"name": task}, "componentRef": {"name": f"comp-{task}"}}
        if cached:
            entry["cachingOptions"] = {"enableCache": True}
        if before:
            entry["dependentTasks"] = [before]
        spec["root"]["dag"]["tasks"][task] = entry
        before = task
    return spec


def siblings(commands: Mapping[str, Sequence[str]], name: str = "siblings") -> dict[str, Any]:
    """Tasks as in `chain`, none of which waits for another."""
    spec = chain(commands, name=name)
    for task in spec["root"]["dag"]["tasks"].values():
        task.pop("dependentTasks", None)
    return spec


def loop(size: int, command: Sequence[str] = ("true",)) -> dict[str, Any]:
    """A ParallelFor over so many numbers, one container `t` each."""
    item = {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}
    return {
        "pipelineInfo": {"name": f"fan-out-{size}"},
        "schemaVersion": "2.1.0",
        "components": {
            "work": {"executorLabel": "exec"},
            "inner": {
                "inputDefinitions": item,
                "dag": {"tasks": {"t": {"taskInfo": {"name": "t"}, "componentRef": {"name": "work"}}}},
            },
        },
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "image", "command": list(command)}}}},
        "root": {
            "dag": {
                "tasks": {
                    "loop": {
                        "taskInfo": {"name": "loop"},
                        "componentRef": {"name": "inner"},
                        "parameterIterator": {"itemInput": "x", "items": {"raw": json.dumps(list(range(size)))}},
                    }
                }
            }
        },
    }


def behind(spec: dict[str, Any], command: Sequence[str]) -> None:
    """Puts a container task `gate` before all tasks of the pipeline."""
    executor = {"container": {"image": "image", "command": list(command)}}
    spec["deploymentSpec"]["executors"]["exec-gate"] = executor
    spec["components"]["comp-gate"] = {"executorLabel": "exec-gate"}
    tasks = spec["root"]["dag"]["tasks"]
    for task in tasks.values():
        task.setdefault("dependentTasks", []).append("gate")
    tasks["gate"] = {"taskInfo": {"name": "gate"}, "componentRef": {"name": "comp-gate"}}


def imported(uri: str, command: Sequence[str]) -> dict[str, Any]:
    """A pipeline that imports the artifact at `uri` and gives it to its task `only` as the input `given`."""
    spec = container(command)
    schema = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}
    kind = {"artifactType": schema}
    spec["components"]["comp-only"]["inputDefinitions"] = {"artifacts": {"given": kind}}
    spec["components"]["comp-import"] = {
        "executorLabel": "import",
        "inputDefinitions": {"parameters": {"uri": _TEXT}},
        "outputDefinitions": {"artifacts": {"artifact": kind}},
    }
    spec["deploymentSpec"]["executors"]["import"] = {
        "importer": {"artifactUri": {"constant": uri}, "typeSchema": schema}
    }
    tasks = spec["root"]["dag"]["tasks"]
    given = {"taskOutputArtifact": {"outputArtifactKey": "artifact", "producerTask": "import"}}
    tasks["only"].update(inputs={"artifacts": {"given": given}}, dependentTasks=["import"])
    tasks["import"] = {
        "componentRef": {"name": "comp-import"},
        "taskInfo": {"name": "import"},
        "inputs": {"parameters": {"uri": {"runtimeValue": {"constant": uri}}}},
    }
    return spec


def pooled(pool: str, command: Sequence[str] = ("true",), *, of: dict[str, Any] | None = None) -> dict[str, Any]:
    """A pipeline, of one task unless given, whose tasks ask for slots of pools as an annotation says it."""
    return annotated({"penstock.dev/pool": pool}, of or container(command))


def annotated(annotations: Mapping[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with annotations of all its tasks."""
    settings = {"podMetadata": {"annotations": dict(annotations)}}
    executors = dict.fromkeys(spec["deploymentSpec"]["executors"], settings)
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    return {"pipeline_spec": spec, "platform_spec": platform}
