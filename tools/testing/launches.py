"""The tasks of a pipeline as they would be launched, when every task leaves something of the kind it declares."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.engine.effects import Effect, Launch, LookUpCache
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, CacheAnswered, Event, Outputs, RunStarted
from penstock_ir.loader import PipelineDocument
from penstock_ir.model import JsonValue, ParameterType
from penstock_ir.parameters import bind_root_parameters

_VALUES: Mapping[ParameterType, JsonValue] = {
    ParameterType.STRING: "text",
    ParameterType.NUMBER_INTEGER: 1,
    ParameterType.NUMBER_DOUBLE: 1.5,
    ParameterType.BOOLEAN: True,
    ParameterType.LIST: ["a", "b"],
    ParameterType.STRUCT: {"a": "b"},
}


def launches_of(
    document: PipelineDocument, arguments: Mapping[str, Any], *, root: str = "s3://bucket/root", namespace: str = ""
) -> Iterator[TaskLaunch]:
    """In an order in which they may come."""
    pipeline = compile_pipeline(document)
    context = RunContext(
        run_id="4d3a1f0e-0000-4000-8000-00000000abcd",
        pipeline=pipeline,
        arguments=bind_root_parameters(pipeline, arguments),
        root=root,
        display_name="Run of everything",
        resource_name=f"{pipeline.name}-abcde",
        namespace=namespace,
    )
    state = RunState(context)
    effects: deque[Effect] = deque()

    def give(event: Event) -> None:
        effects.extend(apply(state, event).effects)

    give(RunStarted(1))
    while effects:
        effect = effects.popleft()
        if isinstance(effect, LookUpCache):
            give(CacheAnswered(effect.path, effect.fingerprint, at=2))
        elif isinstance(effect, Launch):
            task = task_launch(state.open_tasks[effect.path], context)
            yield task
            outputs = Outputs(
                parameters={name: _VALUES[kind] for name, kind in task.output_parameters.items()},
                artifacts={port: (output.artifact,) for port, output in task.output_artifacts.items()},
            )
            give(AttemptEnded(effect.path, effect.attempt, at=3, outputs=outputs))
