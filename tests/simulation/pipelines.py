"""Random pipelines from a seed: nesting, loops with limits, conditions, retries, exit tasks, caching.

Invariant: a seed gives one document, valid by construction; everything about it comes from the `Random` passed in.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline

_INTEGER = {"parameterType": "NUMBER_INTEGER"}
_MAX_DEPTH = 3


def random_pipeline(random: Random) -> Pipeline:
    """A pipeline of up to a few dozen executions."""
    builder = _Builder(random)
    root = builder.dag(0, outputs=False)
    spec = {
        "pipelineInfo": {"name": "simulated"},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.0",
        "root": {**root, "inputDefinitions": {"parameters": {"x": {**_INTEGER, "defaultValue": 3}}}},
        "components": builder.components,
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "none", "command": ["true"]}}}},
    }
    return compile_pipeline(document_from_json(spec))


class _Builder:
    def __init__(self, random: Random) -> None:
        self.components: dict[str, Any] = {
            "comp-work": {
                "executorLabel": "exec",
                "inputDefinitions": {"parameters": {"x": _INTEGER}},
                "outputDefinitions": {"parameters": {"Output": _INTEGER}},
            }
        }
        self._random = random

    def dag(self, depth: int, *, outputs: bool) -> dict[str, Any]:
        random = self._random
        tasks: dict[str, Any] = {}
        givers: list[str] = []
        for number in range(random.randint(1, 4)):
            name = f"t{number}"
            earlier = list(tasks)
            kind = random.choices(["work", "dag", "loop"], [6, 2, 2])[0] if depth < _MAX_DEPTH else "work"
            task: dict[str, Any] = {"taskInfo": {"name": name}, "inputs": {"parameters": {}}}
            if kind == "work":
                component = "comp-work"
            else:
                component = f"comp-{len(self.components)}"
                self.components[component] = {}
                self.components[component] = {
                    **self.dag(depth + 1, outputs=kind == "dag"),
                    "inputDefinitions": {"parameters": {"x": _INTEGER}},
                }
            task["componentRef"] = {"name": component}
            if kind == "loop":
                items = [random.randint(0, 9) for _ in range(random.choice([0, 1, 2, 3, 5]))]
                task["parameterIterator"] = {"itemInput": "x", "items": {"raw": json.dumps(items)}}
                if random.random() < 0.5:
                    task["iteratorPolicy"] = {"parallelismLimit": random.randint(1, 3)}
            else:
                task["inputs"]["parameters"]["x"] = self._source(givers)
            depends = {one for one in earlier if random.random() < 0.3}
            producer = task["inputs"]["parameters"].get("x", {}).get("taskOutputParameter")
            if producer:
                depends.add(producer["producerTask"])
            exit_task = bool(depends) and not producer and random.random() < 0.2
            if depends:
                task["dependentTasks"] = sorted(depends)
            if exit_task:
                task["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
            elif kind != "loop" and random.random() < 0.25:
                condition = f"inputs.parameter_values['x'] > {random.randint(0, 9)}"
                task["triggerPolicy"] = {"condition": condition}
            if random.random() < 0.3:
                task["retryPolicy"] = {"maxRetryCount": random.randint(1, 3), "backoffDuration": "1s"}
            if random.random() < 0.4:
                task["cachingOptions"] = {"enableCache": True}
            tasks[name] = task
            if kind == "work" or (kind == "dag" and self.components[component].get("outputDefinitions")):
                givers.append(name)
        component_spec: dict[str, Any] = {"dag": {"tasks": tasks}}
        if outputs and givers:
            selector = {"producerSubtask": random.choice(givers), "outputParameterKey": "Output"}
            component_spec["dag"]["outputs"] = {"parameters": {"Output": {"valueFromParameter": selector}}}
            component_spec["outputDefinitions"] = {"parameters": {"Output": _INTEGER}}
        return component_spec

    def _source(self, givers: list[str]) -> dict[str, Any]:
        random = self._random
        chance = random.random()
        if givers and chance < 0.5:
            return {"taskOutputParameter": {"producerTask": random.choice(givers), "outputParameterKey": "Output"}}
        if chance < 0.7:
            return {"componentInputParameter": "x"}
        return {"runtimeValue": {"constant": random.randint(0, 9)}}
