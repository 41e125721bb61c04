"""The engine alone: transitions per second, from 100 to 100,000 tasks, in a loop, a chain and a layered DAG."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Any

from penstock_executor.engine.effects import Effect, Launch
from penstock_executor.engine.events import AttemptEnded, AttemptStarted, RunStarted
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import document_from_json

from tools.bench.result import Row, at_least

SIZES = (100, 1_000, 10_000, 100_000)
_TARGET = 20_000
_WIDTH = 300


def measure() -> list[Row]:
    shapes = (("loop", _loop, SIZES), ("chain", _chain, SIZES), ("layers", _layers, SIZES))
    return [
        at_least(f"engine, {shape} of {size:,}", _rate(build(size)), "transitions/s", _TARGET)
        for shape, build, sizes in shapes
        for size in sizes
    ]


def _rate(spec: dict[str, Any]) -> float:
    context = RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root")
    state = RunState(context)
    started = time.perf_counter()
    waiting: deque[Effect] = deque(apply(state, RunStarted(1)).effects)
    count = 1
    while waiting:
        effect = waiting.popleft()
        if isinstance(effect, Launch):
            apply(state, AttemptStarted(effect.path, effect.attempt, 1, "log"))
            waiting.extend(apply(state, AttemptEnded(effect.path, effect.attempt, 1, exit_code=0)).effects)
            count += 2
    seconds = time.perf_counter() - started
    assert state.finished
    return count / seconds


def _spec(tasks: dict[str, Any], components: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "pipelineInfo": {"name": "bench"},
        "schemaVersion": "2.1.0",
        "components": {"work": {"executorLabel": "exec"}, **(components or {})},
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "image", "command": ["true"]}}}},
        "root": {"dag": {"tasks": tasks}},
    }


def _task(name: str, depends: list[str]) -> dict[str, Any]:
    return {"taskInfo": {"name": name}, "componentRef": {"name": "work"}, "dependentTasks": depends}


def _loop(size: int) -> dict[str, Any]:
    inner = {
        "inputDefinitions": {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {"tasks": {"t": _task("t", [])}},
    }
    loop = {
        "taskInfo": {"name": "loop"},
        "componentRef": {"name": "inner"},
        "parameterIterator": {"itemInput": "x", "items": {"raw": json.dumps(list(range(size)))}},
    }
    return _spec({"loop": loop}, {"inner": inner})


def _chain(size: int) -> dict[str, Any]:
    return _spec({f"t{n:06}": _task(f"t{n:06}", [f"t{n - 1:06}"] if n else []) for n in range(size)})


def _layers(size: int) -> dict[str, Any]:
    """Each task waits for three of the layer before."""

    def before(n: int) -> list[str]:
        layer, place = divmod(n, _WIDTH)
        return sorted({f"t{(layer - 1) * _WIDTH + (place + k) % _WIDTH:06}" for k in range(3)}) if layer else []

    return _spec({f"t{n:06}": _task(f"t{n:06}", before(n)) for n in range(size)})
