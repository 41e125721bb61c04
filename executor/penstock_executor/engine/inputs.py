"""Resolves what a task gets: parameters, artifacts, loop items (executor.md §2.4–2.6).

Invariants: pure reads of the tree; every failure is an InputError that names the input. A value that is absent stays
absent, a null stays a null; only a DAG gets its missing optional inputs filled in, because its tasks look them up.
Constants are resolved structurally and once (executor.md §10.10).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from penstock_ir.artifact import Artifact
from penstock_ir.errors import ExpressionError, InvalidParametersError
from penstock_ir.expressions import compile_condition, compile_selector
from penstock_ir.json_text import JsonTextError, parse_json
from penstock_ir.model import (
    MISSING,
    Component,
    ComponentInput,
    Constant,
    Dag,
    FinalStatus,
    JsonValue,
    Missing,
    ParameterDefinition,
    ParameterInput,
    ParameterType,
    Task,
    TaskOutput,
)
from penstock_ir.parameters import convert_value, value_text
from penstock_ir.placeholders import parameter_name, resolve_value, substitute
from penstock_ir.task_rows import TaskState

from penstock_executor.engine.state import DagNode, Node, RunContext

_METADATA_STATES: Mapping[TaskState, str] = {
    TaskState.PENDING: "RUNNING",
    TaskState.RUNNING: "RUNNING",
    TaskState.SUCCEEDED: "COMPLETE",
    TaskState.CACHED: "CACHED",
    TaskState.SKIPPED: "CANCELED",
    TaskState.OMITTED: "CANCELED",
    TaskState.FAILED: "FAILED",
    TaskState.CANCELED: "CANCELED",
}

Inputs = tuple[dict[str, JsonValue], dict[str, tuple[Artifact, ...]]]


class InputError(Exception):
    """An input of a task cannot be had; the task fails with this text."""


def resolve_inputs(task: Task, parent: DagNode, context: RunContext, siblings_path: str) -> Inputs:
    """Parameters and artifacts for `task` in `parent`. Raises InputError."""
    found: dict[str, JsonValue] = {}
    constants: list[tuple[str, ParameterInput]] = []
    for name, given in task.parameters.items():
        if isinstance(given.source, Constant):
            constants.append((name, given))
            continue
        value = _parameter(name, given, task, parent, context)
        if not isinstance(value, Missing):
            found[name] = value
    if constants:
        _resolve_constants(constants, found, task, context, siblings_path)
    artifacts = _resolve_artifacts(task, parent)
    return _checked(task, found), artifacts


def condition_holds(text: str, inputs: Mapping[str, JsonValue], artifacts: Mapping[str, Sequence[Artifact]]) -> bool:
    """Evaluates a trigger condition. Raises InputError when it cannot be decided."""
    try:
        documents = {port: [one.to_json() for one in many] for port, many in artifacts.items()}
        return compile_condition(text).evaluate(inputs, documents)
    except ExpressionError as error:
        raise InputError(f"condition {text!r} cannot be decided: {error}") from error


def loop_items(
    task: Task, inputs: Mapping[str, JsonValue], artifacts: Mapping[str, tuple[Artifact, ...]]
) -> Sequence[JsonValue] | Sequence[Artifact]:
    """The items of a loop: a literal list, a list, a list as JSON text, or a list of artifacts. Raises InputError."""
    if task.artifact_iterator is not None:
        return artifacts.get(task.artifact_iterator.items_input, ())
    iterator = task.parameter_iterator
    assert iterator is not None
    if iterator.items is not None:
        return iterator.items
    assert iterator.items_input is not None
    value = inputs.get(iterator.items_input)
    if isinstance(value, str):
        try:
            decoded = parse_json(value, "the text")
        except JsonTextError as error:
            raise InputError(f"loop items {iterator.items_input!r}: {error}") from error
        # A JSON text that is no list means no iterations (executor.md §2.2).
        return decoded if isinstance(decoded, list) else []
    if not isinstance(value, list):
        kind = "missing" if value is None else type(value).__name__
        raise InputError(f"loop items {iterator.items_input!r}: expected a list, got {kind}")
    return value


def asks_for(component: Component, name: str) -> bool:
    """Whether an iteration of `component` needs its input `name`: a task inside takes it, or it is the task."""
    dag = component.implementation
    if not isinstance(dag, Dag):
        return name in component.input_parameters
    return any(
        any(given.source == ComponentInput(name) for given in task.parameters.values())
        or _mentions(task.component.kubernetes, name)
        for task in dag.tasks
    )


def _mentions(value: Any, name: str) -> bool:
    """Whether settings for Kubernetes take a value from the input `name` of the DAG around their task."""
    if isinstance(value, Mapping):
        return value.get("componentInputParameter") == name or any(_mentions(one, name) for one in value.values())
    return isinstance(value, (list, tuple)) and any(_mentions(one, name) for one in value)


def iteration_value(task: Task, item: JsonValue) -> JsonValue:
    """A loop item as the body's input declares it. Raises InputError."""
    assert task.parameter_iterator is not None
    name = task.parameter_iterator.item_input
    definition = task.component.input_parameters.get(name)
    return item if definition is None else _converted(name, item, definition)


def final_status(node: Node | None, context: RunContext, producer: str) -> dict[str, JsonValue]:
    """PipelineTaskFinalStatus as JSON; states are those of ML Metadata (executor.md §2.10, §10.4)."""
    state = node.state if node else TaskState.OMITTED
    text = _METADATA_STATES[state]
    if context.documented_final_status and state.succeeded:
        text = "SUCCEEDED"
    error: dict[str, JsonValue] = {}
    if node and state.failed:
        error = {"code": 9, "message": node.error or "canceled"}
    return {
        "state": text,
        "pipelineTaskName": producer,
        "pipelineJobResourceName": context.resource_name,
        "error": error,
    }


def _parameter(
    name: str, given: ParameterInput, task: Task, parent: DagNode, context: RunContext
) -> JsonValue | Missing:
    value: JsonValue | Missing
    source = given.source
    if isinstance(source, ComponentInput):
        value = parent.inputs.get(source.name, MISSING)
        if isinstance(value, Missing) and not _may_lack(task, name):
            raise InputError(f"input {name!r}: the enclosing pipeline has no value for its input {source.name!r}")
    elif isinstance(source, TaskOutput):
        value = _output_parameter(parent, source)
        if isinstance(value, Missing) and not _may_lack(task, name):
            raise InputError(f"input {name!r}: {_why_absent(parent, source)}")
    else:
        assert isinstance(source, FinalStatus)
        producer = source.producer
        known = producer in parent.dag.index
        value = final_status(parent.child(producer) if known else None, context, producer)
    if given.selector and not isinstance(value, Missing):
        try:
            return compile_selector(given.selector).select(value)
        except ExpressionError as error:
            raise InputError(f"input {name!r}: {given.selector}: {error}") from error
    return value


def _output_parameter(parent: DagNode, source: TaskOutput) -> JsonValue | Missing:
    producer = parent.child(source.producer)
    if producer is None:
        return MISSING
    return producer.outputs.parameters.get(source.key, MISSING)


def _why_absent(parent: DagNode, source: TaskOutput) -> str:
    producer = parent.child(source.producer)
    state = producer.state.value.lower() if producer else "not run"
    return f"task {source.producer!r} ({state}) has no output {source.key!r}"


def _may_lack(task: Task, name: str) -> bool:
    definition = task.component.input_parameters.get(name)
    return definition is not None and (definition.optional or not isinstance(definition.default, Missing))


def _resolve_constants(
    constants: Sequence[tuple[str, ParameterInput]],
    found: dict[str, JsonValue],
    task: Task,
    context: RunContext,
    path: str,
) -> None:
    def lookup(expression: str) -> str | None:
        name = parameter_name(expression)
        if name is not None:
            return value_text(found[name]) if name in found else None
        return run_property(expression, context, task.name, path)

    resolved: dict[str, JsonValue] = {}
    for name, given in constants:
        assert isinstance(given.source, Constant)
        value = resolve_value(given.source.value, lookup)
        if given.selector:
            try:
                value = compile_selector(given.selector).select(value)
            except ExpressionError as error:
                raise InputError(f"input {name!r}: {given.selector}: {error}") from error
        resolved[name] = value
    found.update(resolved)


def run_property(expression: str, context: RunContext, task_name: str, path: str) -> str | None:
    """`{{$.pipeline_job_name}}` and its like (executor.md §1.10); None for what is none."""
    if expression == ".pipeline_job_name":
        return context.display_name
    if expression == ".pipeline_job_resource_name":
        return context.resource_name
    if expression == ".pipeline_job_uuid":
        return context.run_id
    if expression == ".pipeline_task_name":
        return task_name
    if expression == ".pipeline_task_uuid":
        return f"{context.run_id}/{path}"
    if expression == ".pipeline_job_create_time_utc":
        return _rfc3339(context.created_at)
    if expression == ".pipeline_job_schedule_time_utc":
        return _rfc3339(context.scheduled_at or context.created_at)
    if expression == ".workspace_path":
        return context.workspace_path
    if expression == ".pipeline_root":
        return context.root
    return None


def importer_text(text: str, inputs: Mapping[str, JsonValue], context: RunContext, task: Task, path: str) -> str:
    """A text of an importer (URI, metadata) with its placeholders replaced."""

    def lookup(expression: str) -> str | None:
        name = parameter_name(expression)
        if name is not None:
            return value_text(inputs[name]) if name in inputs else None
        return run_property(expression, context, task.name, path)

    return substitute(text, lookup)


def importer_metadata(
    value: JsonValue, inputs: Mapping[str, JsonValue], context: RunContext, task: Task, path: str
) -> Any:
    """An importer's metadata with placeholders replaced; a text that is one placeholder keeps its value's type."""
    if isinstance(value, str):
        if value.startswith("{{$") and value.endswith("}}"):
            name = parameter_name(value[3:-2].strip())
            if name is not None and name in inputs:
                return inputs[name]
        return importer_text(value, inputs, context, task, path)
    if isinstance(value, list):
        return [importer_metadata(item, inputs, context, task, path) for item in value]
    if isinstance(value, dict):
        return {
            importer_text(key, inputs, context, task, path): importer_metadata(item, inputs, context, task, path)
            for key, item in value.items()
        }
    return value


def _rfc3339(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _resolve_artifacts(task: Task, parent: DagNode) -> dict[str, tuple[Artifact, ...]]:
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, given in task.artifacts.items():
        source = given.source
        many: tuple[Artifact, ...] | None
        if isinstance(source, ComponentInput):
            many = parent.artifacts.get(source.name)
            why = f"the enclosing pipeline has no artifact for its input {source.name!r}"
        else:
            producer = parent.child(source.producer)
            many = producer.outputs.artifacts.get(source.key) if producer else None
            why = _why_absent(parent, source)
        if many is not None:
            artifacts[name] = many
            continue
        definition = task.component.input_artifacts.get(name)
        if definition is None or not definition.optional:
            raise InputError(f"input artifact {name!r}: {why}")
    for name, definition in task.component.input_artifacts.items():
        if name not in artifacts and not definition.optional and name not in task.artifacts:
            iterator = task.artifact_iterator
            if iterator is None or iterator.item_input != name:
                raise InputError(f"input artifact {name!r} is required and was not given")
    return artifacts


def _checked(task: Task, found: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Declared types hold, required inputs are there, a DAG has all its optional ones."""
    is_dag = isinstance(task.component.implementation, Dag)
    iterator = task.parameter_iterator
    item_input = iterator.item_input if iterator else None
    items_input = iterator.items_input if iterator else None
    checked: dict[str, JsonValue] = {}
    for name, definition in task.component.input_parameters.items():
        if name == item_input and name != items_input:
            continue
        value: JsonValue | Missing = found.pop(name, MISSING)
        if definition.type is ParameterType.TASK_CONFIG:
            continue
        if isinstance(value, Missing) or value is None:
            if is_dag:
                if isinstance(value, Missing) and not isinstance(definition.default, Missing):
                    checked[name] = definition.default
                elif definition.optional:
                    checked[name] = None
                else:
                    raise InputError(f"input {name!r} is required and was not given")
            elif not definition.optional and isinstance(definition.default, Missing):
                what = "is null" if value is None else "was not given"
                raise InputError(f"input {name!r} is required and {what}")
            continue
        if name == items_input and isinstance(value, str):
            checked[name] = value
            continue
        checked[name] = _converted(name, value, definition)
    # Inputs nobody declared: channels that f-strings were given; they stay for placeholders and for the cache key.
    checked.update(found)
    return checked


def _converted(name: str, value: JsonValue, definition: ParameterDefinition) -> JsonValue:
    kind = definition.type
    if kind is ParameterType.STRING:
        if not isinstance(value, str):
            value = value_text(value)
    elif not _fits(value, kind):
        try:
            value = convert_value(value, kind, "")
        except InvalidParametersError as error:
            raise InputError(f"input {name!r}: {error}") from error
    if definition.literals and value not in definition.literals:
        allowed = ", ".join(value_text(literal) for literal in definition.literals)
        raise InputError(f"input {name!r}: {value_text(value)!r} is not one of {allowed}")
    return value


def _fits(value: JsonValue, kind: ParameterType) -> bool:
    if kind is ParameterType.NUMBER_INTEGER:
        return type(value) is int
    if kind is ParameterType.NUMBER_DOUBLE:
        return type(value) is int or type(value) is float
    if kind is ParameterType.BOOLEAN:
        return type(value) is bool
    if kind is ParameterType.LIST:
        return type(value) is list
    if kind in (ParameterType.STRUCT, ParameterType.TASK_FINAL_STATUS):
        return type(value) is dict
    return False
