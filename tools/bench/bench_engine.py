"""The engine alone: transitions per second and bytes per task, from 100 to 100,000 tasks, in loop, chain and layers."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections import deque
from statistics import median
from typing import Any

from penstock_executor import garbage_collection
from penstock_executor.engine.effects import Effect, Launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, AttemptStarted, RunStarted
from penstock_ir.loader import document_from_json

from tools.bench.result import Row, at_least, at_most

SIZES = (100, 1_000, 10_000, 100_000)
_TARGET = 20_000
_WIDTH = 300
_ROUNDS = 3


def measure() -> list[Row]:
    """Rates are medians; every size is measured in every round, so that noise affects them alike."""
    # As the executor's own program does.
    garbage_collection.tune()
    shapes = {"loop": _loop, "chain": _chain, "layers": _layers}
    rows = []
    for shape, build in shapes.items():
        contexts = {size: _context(build(size)) for size in SIZES}
        rates: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(_ROUNDS):
            for size, context in contexts.items():
                rates[size].append(_rate(context, max(1, 5_000 // size)))
        medians = {size: median(found) for size, found in rates.items()}
        rows += [at_least(f"engine, {shape} of {size:,}", medians[size], "transitions/s", _TARGET) for size in SIZES]
        cost = max(medians.values()) / min(medians.values())
        rows.append(at_most(f"engine, {shape}: dearest / cheapest size, cost per task", cost, "×", 1.5))
        rows += [Row(f"engine, {shape} of {size:,}: memory", _bytes(contexts[size], size), "B/task") for size in SIZES]
    return rows


def _context(spec: dict[str, Any]) -> RunContext:
    return RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root")


def _rate(context: RunContext, times: int) -> float:
    """Measures several runs if one is too short for the clock. Includes the pauses of the garbage collector."""
    count, seconds = 0, 0.0
    for _ in range(times):
        state = RunState(context)
        gc.collect()
        started = time.perf_counter()
        count += _drive(state)
        seconds += time.perf_counter() - started
        assert state.finished
    return count / seconds


def _bytes(context: RunContext, size: int) -> float:
    """The largest size of the state, without the compiled pipeline."""
    state = RunState(context)
    gc.collect()
    tracemalloc.start()
    _drive(state)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / size


def _drive(state: RunState) -> int:
    waiting: deque[Effect] = deque(apply(state, RunStarted(1)).effects)
    count = 1
    while waiting:
        effect = waiting.popleft()
        if isinstance(effect, Launch):
            apply(state, AttemptStarted(effect.path, effect.attempt, 1, "log"))
            waiting.extend(apply(state, AttemptEnded(effect.path, effect.attempt, 1, exit_code=0)).effects)
            count += 2
    return count


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
    """Each task depends on three tasks of the previous layer."""

    def before(n: int) -> list[str]:
        layer, place = divmod(n, _WIDTH)
        return sorted({f"t{(layer - 1) * _WIDTH + (place + k) % _WIDTH:06}" for k in range(3)}) if layer else []

    return _spec({f"t{n:06}": _task(f"t{n:06}", before(n)) for n in range(size)})
