"""Random pipelines from a seed: nesting, loops of every kind, branches, artifacts, retries, exit tasks, caching, gangs.

Invariant: a seed gives one document, valid by construction; everything about it comes from the `Random` passed in.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from penstock_ir.compile import compile_pipeline
from penstock_ir.gangs import GANG
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline

_INTEGER = {"parameterType": "NUMBER_INTEGER"}
_LIST = {"parameterType": "LIST"}
_TEXT = {"parameterType": "STRING"}
_DATASET = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
_OUTPUT = {"Output": _INTEGER}
_MAX_DEPTH = 3
_LEAVES: dict[str, Any] = {
    "work": ({"parameters": {"x": _INTEGER}}, {"parameters": _OUTPUT}),
    "say": ({"parameters": {"x": _INTEGER, "text": _TEXT}}, {"parameters": _OUTPUT}),
    "items": ({"parameters": {"x": _INTEGER}}, {"parameters": {"Output": _LIST}}),
    "total": ({"parameters": {"values": _LIST}}, {"parameters": _OUTPUT}),
    "write": ({"parameters": {"x": _INTEGER}}, {"parameters": _OUTPUT, "artifacts": {"dataset": _DATASET}}),
    "read": ({"artifacts": {"dataset": {**_DATASET, "isOptional": True}}}, {"parameters": _OUTPUT}),
    "join": ({"artifacts": {"datasets": {**_DATASET, "isArtifactList": True}}}, {"parameters": _OUTPUT}),
    "status": ({"parameters": {"status": {"parameterType": "TASK_FINAL_STATUS"}}}, {"parameters": _OUTPUT}),
}


def random_pipeline(random: Random, gangs: Random | None = None) -> Pipeline:
    """A pipeline of up to a few dozen executions. `gangs` makes tasks of some loops gangs, and changes nothing else."""
    spec = random_spec(random)
    return compile_pipeline(document_from_json(spec if gangs is None else _with_gangs(spec, gangs)))


def _with_gangs(spec: dict[str, Any], random: Random) -> dict[str, Any]:
    """In about half of all loops a task, at any depth but in no loop inside, gets the annotation; the loop no limit."""
    components: dict[str, Any] = spec["components"]
    executors: dict[str, Any] = spec["deploymentSpec"]["executors"]
    executors["exec-gang"] = executors["exec"]
    for name in _LEAVES:
        components[f"comp-{name}-gang"] = {**components[f"comp-{name}"], "executorLabel": "exec-gang"}
    bodies = [spec["root"], *components.values()]
    loops = [task for body in bodies for task in body.get("dag", {}).get("tasks", {}).values() if _is_loop(task)]
    gangs = False
    for loop in loops:
        if random.random() < 0.5:
            continue
        tasks, found = list(components[loop["componentRef"]["name"]].get("dag", {}).get("tasks", {}).values()), []
        while tasks:
            task = tasks.pop()
            inner = components[task["componentRef"]["name"]]
            if "dag" not in inner and not task["componentRef"]["name"].endswith("-gang"):
                found.append(task)
            elif not _is_loop(task):
                tasks += inner.get("dag", {}).get("tasks", {}).values()
        for task in random.sample(found, min(len(found), random.choice((1, 1, 2)))):
            task["componentRef"]["name"] += "-gang"
            loop.pop("iteratorPolicy", None)
            gangs = True
    if not gangs:
        return spec
    wanted = {"podMetadata": {"annotations": {GANG: "true"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-gang": wanted}}}}}
    return {"pipeline_spec": spec, "platform_spec": platform}


def _is_loop(task: dict[str, Any]) -> bool:
    return "parameterIterator" in task


def random_spec(random: Random) -> dict[str, Any]:
    """Its document."""
    builder = _Builder(random)
    root = builder.dag(0)
    return {
        "pipelineInfo": {"name": "simulated"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {**root, "inputDefinitions": {"parameters": {"x": {**_INTEGER, "defaultValue": 3}}}},
        "components": builder.components,
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "none", "command": ["true"]}}}},
    }


class _Scope:
    """The tasks of one DAG under construction, and who of them gives what."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}
        self.integers: list[str] = []
        self.lists: list[str] = []
        self.datasets: list[str] = []
        self.dataset_lists: list[str] = []


class _Builder:
    def __init__(self, random: Random) -> None:
        self.components: dict[str, Any] = {
            f"comp-{name}": {"executorLabel": "exec", "inputDefinitions": inputs, "outputDefinitions": outputs}
            for name, (inputs, outputs) in _LEAVES.items()
        }
        self._random = random

    def dag(self, depth: int) -> dict[str, Any]:
        """The `dag` and `outputDefinitions` of a component; its input is `x`."""
        scope = _Scope()
        for number in range(self._random.randint(1, 4)):
            self._task(scope, f"t{number}", depth)
        return self._with_outputs(scope)

    def _task(self, scope: _Scope, name: str, depth: int) -> None:
        random = self._random
        kinds, weights = ["work", "say", "items", "write"], [5, 1, 1, 1]
        if depth < _MAX_DEPTH:
            kinds, weights = [*kinds, "dag", "loop", "branches"], [*weights, 2, 2, 1]
        for kind, there in (
            ("total", scope.lists),
            ("read", scope.datasets),
            ("join", scope.dataset_lists),
            ("status", scope.tasks),
        ):
            if there:
                kinds, weights = [*kinds, kind], [*weights, 1]
        kind = random.choices(kinds, weights)[0]
        task: dict[str, Any] = {"taskInfo": {"name": name}, "inputs": {"parameters": {}, "artifacts": {}}}
        producers = getattr(self, f"_{kind}", self._leaf)(scope, task, kind, depth)
        depends = set(producers) | {one for one in scope.tasks if random.random() < 0.25}
        if depends:
            task["dependentTasks"] = sorted(depends)
        may_miss = not producers or kind in ("status", "read")
        if kind == "status" or (depends and may_miss and random.random() < 0.2):
            task["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        elif kind in ("work", "say", "dag") and random.random() < 0.25:
            task["triggerPolicy"] = {"condition": f"inputs.parameter_values['x'] > {random.randint(0, 9)}"}
        if random.random() < 0.3:
            task["retryPolicy"] = {
                "maxRetryCount": random.randint(0, 3),
                "backoffDuration": f"{random.choice([0, 1, 2])}s",
                "backoffFactor": random.choice([1.5, 2, 3]),
                "backoffMaxDuration": f"{random.choice([3, 60])}s",
            }
        if random.random() < 0.4:
            task["cachingOptions"] = {"enableCache": True}
        scope.tasks[name] = task
        outputs = self.components[task["componentRef"]["name"]].get("outputDefinitions", {})
        given = outputs.get("parameters", {}).get("Output", {}).get("parameterType")
        if given:
            (scope.lists if given == "LIST" else scope.integers).append(name)
        if "dataset" in outputs.get("artifacts", {}):
            (scope.dataset_lists if kind == "loop" else scope.datasets).append(name)

    # --- kinds; each gives the producers of its inputs -------------------------------------------------------------

    def _leaf(self, scope: _Scope, task: dict[str, Any], kind: str, depth: int) -> list[str]:
        random = self._random
        task["componentRef"] = {"name": f"comp-{kind}"}
        parameters, artifacts = task["inputs"]["parameters"], task["inputs"]["artifacts"]
        if kind == "total":
            parameters["values"] = _output(random.choice(scope.lists))
            return [parameters["values"]["taskOutputParameter"]["producerTask"]]
        if kind in ("read", "join"):
            port, givers = ("dataset", scope.datasets) if kind == "read" else ("datasets", scope.dataset_lists)
            producer = random.choice(givers)
            artifacts[port] = {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": "dataset"}}
            return [producer]
        if kind == "status":
            producer = random.choice(list(scope.tasks))
            parameters["status"] = {"taskFinalStatus": {"producerTask": producer}}
            return [producer]
        producers = self._number(scope, parameters)
        if kind == "say":
            text = "x is {{$.inputs.parameters['x']}} in {{$.pipeline_task_name}}"
            parameters["text"] = {"runtimeValue": {"constant": text}}
        return producers

    def _dag(self, scope: _Scope, task: dict[str, Any], kind: str, depth: int) -> list[str]:
        task["componentRef"] = {"name": self._component(self.dag(depth + 1))}
        return self._number(scope, task["inputs"]["parameters"])

    def _loop(self, scope: _Scope, task: dict[str, Any], kind: str, depth: int) -> list[str]:
        random = self._random
        body = self.dag(depth + 1)
        outputs = body.get("outputDefinitions", {})
        if "Output" in outputs.get("parameters", {}):
            outputs["parameters"]["Output"] = _LIST
        if "dataset" in outputs.get("artifacts", {}):
            outputs["artifacts"]["dataset"] = {**_DATASET, "isArtifactList": True}
        name = self._component(body)
        task["componentRef"] = {"name": name}
        if random.random() < 0.5:
            task["iteratorPolicy"] = {"parallelismLimit": random.randint(1, 3)}
        items = [random.randint(0, 9) for _ in range(random.choice([0, 1, 2, 3, 5]))]
        given = random.random()
        if scope.lists and given < 0.4:
            producer, source = random.choice(scope.lists), None
        elif given < 0.6:
            producer, source = "", {"runtimeValue": {"constant": json.dumps(items)}}
        else:
            task["parameterIterator"] = {"itemInput": "x", "items": {"raw": json.dumps(items)}}
            return []
        task["parameterIterator"] = {"itemInput": "x", "items": {"inputParameter": "list"}}
        task["inputs"]["parameters"]["list"] = source or _output(producer)
        self.components[name]["inputDefinitions"]["parameters"]["list"] = _LIST
        return [producer] if producer else []

    def _branches(self, scope: _Scope, task: dict[str, Any], kind: str, depth: int) -> list[str]:
        """If/Else as the SDK compiles it, with a OneOf."""
        condition = f"inputs.parameter_values['x'] > {self._random.randint(0, 9)}"
        tasks: dict[str, Any] = {}
        for number, text in enumerate((condition, f"!({condition})")):
            inner = _Scope()
            self._task(inner, "t0", depth + 1)
            if not inner.integers:
                self._leaf_task(inner, "giver")
            body = self._with_outputs(inner, always=True)
            tasks[f"branch{number}"] = {
                "taskInfo": {"name": f"branch{number}"},
                "componentRef": {"name": self._component(body)},
                "inputs": {"parameters": {"x": {"componentInputParameter": "x"}}},
                "triggerPolicy": {"condition": text},
            }
        selectors = [{"producerSubtask": name, "outputParameterKey": "Output"} for name in tasks]
        body = {
            "dag": {
                "tasks": tasks,
                "outputs": {"parameters": {"Output": {"valueFromOneof": {"parameterSelectors": selectors}}}},
            },
            "outputDefinitions": {"parameters": dict(_OUTPUT)},
        }
        task["componentRef"] = {"name": self._component(body)}
        return self._number(scope, task["inputs"]["parameters"])

    # --- parts -----------------------------------------------------------------------------------------------------

    def _leaf_task(self, scope: _Scope, name: str) -> None:
        scope.tasks[name] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": "comp-work"},
            "inputs": {"parameters": {"x": {"componentInputParameter": "x"}}},
        }
        scope.integers.append(name)

    def _component(self, body: dict[str, Any]) -> str:
        name = f"comp-{len(self.components)}"
        self.components[name] = {**body, "inputDefinitions": {"parameters": {"x": _INTEGER}}}
        return name

    def _with_outputs(self, scope: _Scope, *, always: bool = False) -> dict[str, Any]:
        random = self._random
        spec: dict[str, Any] = {"dag": {"tasks": scope.tasks}}
        outputs: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        if scope.integers and (always or random.random() < 0.7):
            selector = {"producerSubtask": random.choice(scope.integers), "outputParameterKey": "Output"}
            outputs["parameters"] = {"Output": {"valueFromParameter": selector}}
            definitions["parameters"] = dict(_OUTPUT)
        elif scope.lists and not always and random.random() < 0.7:
            selector = {"producerSubtask": random.choice(scope.lists), "outputParameterKey": "Output"}
            outputs["parameters"] = {"Output": {"valueFromParameter": selector}}
            definitions["parameters"] = {"Output": _LIST}
        if scope.datasets and random.random() < 0.7:
            selector = {"producerSubtask": random.choice(scope.datasets), "outputArtifactKey": "dataset"}
            outputs["artifacts"] = {"dataset": {"artifactSelectors": [selector]}}
            definitions["artifacts"] = {"dataset": _DATASET}
        if outputs:
            spec["dag"]["outputs"] = outputs
            spec["outputDefinitions"] = definitions
        return spec

    def _number(self, scope: _Scope, parameters: dict[str, Any]) -> list[str]:
        """Fills the input `x`."""
        random = self._random
        chance = random.random()
        if scope.integers and chance < 0.5:
            producer = random.choice(scope.integers)
            parameters["x"] = _output(producer)
            return [producer]
        if chance < 0.7:
            parameters["x"] = {"componentInputParameter": "x"}
        else:
            parameters["x"] = {"runtimeValue": {"constant": random.randint(0, 9)}}
        return []


def _output(producer: str) -> dict[str, Any]:
    return {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": "Output"}}
