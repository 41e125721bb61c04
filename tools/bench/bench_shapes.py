"""What it costs the executor to know the worker of an attempt: CPU of one attempt of a loop, of a command and of a
lightweight Python component, the Pod's shape looked up beside made anew for each.

Needs no cluster: nothing is sent. Both are measured by turns, so that noise affects them alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.backends.kubernetes.lightweight import Lightweight
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.workers.choice import why_not
from penstock_executor.backends.kubernetes.workers.instructions import instructions, is_too_long
from penstock_executor.backends.kubernetes.workers.shapes import Shaped, shaped
from penstock_executor.backends.kubernetes.workers.worker_pod import shape_of, worker_pod
from penstock_ir.artifact import Artifact
from penstock_ir.model import ArtifactDefinition, ParameterType
from penstock_store.config import StoreConfig

from tools.bench.result import Row, at_most
from tools.testing.pod_settings import POLICY, SETTINGS

_ATTEMPTS, _ROUNDS = 1000, 7
_RUN = "4d3a1f0e-0000-4000-8000-000000000001"
_STORE = StoreConfig()
_Shape = Callable[[TaskLaunch, TaskStore, "Lightweight | None"], Shaped]


def measure() -> list[Row]:
    """Medians of the rounds, in microseconds of one attempt."""
    rows = []
    for kind, attempts in {"command": _attempts(_command()), "component": _attempts(_component())}.items():
        made, found = [], []
        for _ in range(_ROUNDS):
            made.append(_cost(attempts, _made))
            found.append(_cost(attempts, _found))
        rows += [
            Row(f"shape of a {kind}, made for each attempt", median(made), "µs"),
            Row(f"shape of a {kind}, looked up", median(found), "µs"),
            at_most(f"shape of a {kind}, looked up / made", median(found) / median(made), "×", 0.6),
            Row(f"all that is asked of a {kind} before its worker gets it", median(_whole(attempts)), "µs"),
        ]
    return rows


def _made(task: TaskLaunch, store: TaskStore, light: Lightweight | None) -> Shaped:
    pod = worker_pod(task, SETTINGS, POLICY, store, frozenset(), "run")
    return Shaped(pod, shape_of(pod))


def _found(task: TaskLaunch, store: TaskStore, light: Lightweight | None) -> Shaped:
    return shaped(task, light, SETTINGS, POLICY, store, frozenset(), "run")


def _cost(attempts: list[TaskLaunch], shape: _Shape) -> float:
    told = [(task, TaskStore(_STORE, task)) for task in attempts]
    lights = [instructions(task, SETTINGS, POLICY, store).light for task, store in told]
    gc.collect()
    began = time.process_time()
    for (task, store), light in zip(told, lights, strict=True):
        shape(task, store, light)
    return (time.process_time() - began) / len(attempts) * 1e6


def _whole(attempts: list[TaskLaunch]) -> list[float]:
    costs = []
    for _ in range(_ROUNDS):
        gc.collect()
        began = time.process_time()
        for task in attempts:
            store = TaskStore(_STORE, task)
            assert not why_not(task, SETTINGS, POLICY, store)
            told = instructions(task, SETTINGS, POLICY, store)
            assert not is_too_long(told)
            _found(task, store, told.light)
        costs.append((time.process_time() - began) / len(attempts) * 1e6)
    return costs


def _attempts(one: TaskLaunch) -> list[TaskLaunch]:
    """As a loop has them: what belongs to the attempt differs."""
    return [_attempt(one, f"loop[{number}]/train", number) for number in range(_ATTEMPTS)]


def _attempt(one: TaskLaunch, path: str, number: int) -> TaskLaunch:
    root = f"s3://bucket/root/pipeline/{_RUN}/train/{number}"
    output = OutputArtifact(Artifact("model", "system.Model", f"{root}/model"), ArtifactDefinition("system.Model"))
    return replace(
        one,
        key=AttemptKey(_RUN, path, 1),
        task_root=root,
        inputs={"number": number},
        output_artifacts={"model": output},
        kubernetes={"nodeSelector": {"pool": "tasks"}},
        resources={"resourceMemoryLimit": "1Gi"},
        pod_name=f"my-run-train-{number}",
    )


def _command() -> TaskLaunch:
    return TaskLaunch(
        key=AttemptKey(_RUN, "train", 1),
        task_name="train",
        pipeline_name="pipeline",
        image="python:3.11",
        command=("train", "--number", "{{$.inputs.parameters['number']}}"),
        args=(),
        env=(("LEVEL", "info"),),
        task_root="",
        inputs={},
        defaults={},
        input_artifacts={},
        input_artifact_definitions={},
        output_parameters={"score": ParameterType.NUMBER_DOUBLE},
        output_artifacts={},
        namespace="team",
        pipeline_root="s3://bucket/root",
    )


def _component() -> TaskLaunch:
    # The SDK is imported by who measures, not by who lists what can be.
    from tools.bench import pipelines

    executors: Any = pipelines.step.pipeline_spec.deployment_spec
    container = executors["executors"]["exec-step"]["container"]
    return replace(_command(), command=tuple(container["command"]), args=tuple(container["args"]))
