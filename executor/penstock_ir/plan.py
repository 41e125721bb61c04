"""Plans a run: what it would do, as far as that is known without running it.

Why it exists: an author wants to see the task tree, the Pods and all mistakes before anything costs money. Every value
is known or `Unknown`; known ones are processed with the same expressions, conversions, placeholders and cache keys as
in a run.

Invariants: pure; the cache is a function that is passed in. A loop over unknown items is planned with one iteration. A
task with a cache hit has known outputs, so chains of hits are found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from penstock_ir.backend_limits import ignored_image, needs_of, refusal
from penstock_ir.errors import ExpressionError, InvalidParametersError, Problem
from penstock_ir.expressions import compile_condition, compile_selector
from penstock_ir.fingerprint import is_cacheable, task_fingerprint
from penstock_ir.json_text import JsonTextError, parse_json
from penstock_ir.model import (
    Component,
    ComponentInput,
    Constant,
    ContainerExecutor,
    Dag,
    ImporterExecutor,
    JsonValue,
    Missing,
    ParameterSelector,
    ParameterType,
    Pipeline,
    Task,
    TaskOutput,
    TriggerStrategy,
)
from penstock_ir.parameters import convert_value, value_text
from penstock_ir.placeholders import parameter_name, resolve_value, substitute
from penstock_ir.plan_values import claims_of, mentions_workspace, with_placeholders
from penstock_ir.planned import CachedOutputs, Decision, Plan, PlannedTask, Unknown, Value
from penstock_ir.slots import Demand
from penstock_ir.task_rows import TaskKind

MAX_TASKS = 2_000


LookUp = Callable[[str], Union[CachedOutputs, None]]
NeverGranted = Callable[[Sequence[Demand]], str]


def plan_pipeline(
    pipeline: Pipeline,
    arguments: Mapping[str, JsonValue],
    look_up: LookUp = lambda fingerprint: None,
    backends: Collection[str] = (),
    never_granted: NeverGranted = lambda demands: "",
) -> Plan:
    """`arguments` come from `bind_root_parameters`; `look_up` returns a cached result by fingerprint; a task that one
    of `backends` cannot run is a problem. `never_granted` says why a task never gets the slots that it asks for, empty
    if it may: that is a problem, too.
    """
    planner = _Planner(look_up, backends, never_granted, has_workspace=bool(pipeline.config.get("workspace")))
    dag = pipeline.root.implementation
    assert isinstance(dag, Dag)
    scope = _Scope(dict(arguments), {})
    tasks = planner.dag(dag, scope, "", "root.dag", 0)
    return Plan(tasks, planner.problems, planner.remaining <= 0)


@dataclass(slots=True)
class _Scope:
    """The inputs of a DAG, and the decisions and outputs of its tasks."""

    parameters: dict[str, Value]
    artifacts: dict[str, Union[Sequence[str], Unknown]]
    decisions: dict[str, Decision] = field(default_factory=dict)
    outputs: dict[str, dict[str, Value]] = field(default_factory=dict)
    output_artifacts: dict[str, dict[str, Union[Sequence[str], Unknown]]] = field(default_factory=dict)


class _Planner:
    def __init__(
        self, look_up: LookUp, backends: Collection[str], never_granted: NeverGranted, *, has_workspace: bool
    ) -> None:
        self.problems: list[Problem] = []
        self.remaining = MAX_TASKS
        self._look_up = look_up
        self._backends = sorted(backends)
        self._never_granted = never_granted
        self._has_workspace = has_workspace

    def dag(self, dag: Dag, scope: _Scope, path: str, place: str, retries: int) -> list[PlannedTask]:
        planned = []
        for task in dag.tasks:
            if self.remaining <= 0:
                break
            self.remaining -= 1
            task_path = f"{path}/{task.name}" if path else task.name
            planned.append(self._task(task, dag, scope, task_path, f"{place}.tasks.{task.name}", retries))
        return planned

    def _task(self, task: Task, dag: Dag, scope: _Scope, path: str, place: str, retries: int) -> PlannedTask:
        planned = PlannedTask(path, _kind(task), task.display_name)
        planned.depends_on = tuple(dag.tasks[index].name for index in task.dependencies)
        planned.condition = task.condition or ""
        planned.max_retries = task.retry.max_retries if task.retry else retries
        exit_task = task.strategy is TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED
        decisions = [scope.decisions[name] for name in planned.depends_on]
        if not exit_task and any(decision in (Decision.SKIPPED, Decision.OMITTED) for decision in decisions):
            planned.decision, planned.note = Decision.OMITTED, "a task it depends on is skipped"
            return self._record(planned, scope, task)
        if not exit_task and Decision.UNDECIDED in decisions:
            planned.decision, planned.note = Decision.UNDECIDED, "a task it depends on may be skipped"
        planned.inputs = self._inputs(task, scope, place)
        artifacts = self._artifacts(task, scope)
        self._evaluate_condition(task, planned, place)
        if planned.decision is Decision.SKIPPED:
            return self._record(planned, scope, task)
        implementation = task.component.implementation
        if task.is_loop:
            self._loop(task, planned, artifacts, place, scope)
        elif isinstance(implementation, Dag):
            inner = self._group(task, planned, artifacts)
            _export_outputs(implementation, inner, scope, task.name)
        elif isinstance(implementation, ContainerExecutor):
            planned.container = _container(task.component, implementation, planned.inputs)
            self._cache(task, implementation, planned, artifacts, scope)
            if planned.decision is not Decision.CACHED:
                self._check_backends(task.component, planned, scope.parameters)
        elif isinstance(implementation, ImporterExecutor):
            planned.container = {"importer": {"uri": implementation.uri or f"input {implementation.uri_input!r}"}}
        return self._record(planned, scope, task)

    def _record(self, planned: PlannedTask, scope: _Scope, task: Task) -> PlannedTask:
        scope.decisions[task.name] = planned.decision
        scope.outputs.setdefault(task.name, {})
        scope.output_artifacts.setdefault(task.name, {})
        return planned

    # --- inputs ----------------------------------------------------------------------------------------------------

    def _inputs(self, task: Task, scope: _Scope, place: str) -> dict[str, Value]:
        inputs: dict[str, Value] = {}
        constants: list[str] = []
        for name, given in task.parameters.items():
            where = f"{place}.inputs.parameters.{name}"
            source = given.source
            if isinstance(source, Constant):
                constants.append(name)
                continue
            if isinstance(source, ComponentInput):
                if source.name not in scope.parameters:
                    continue
                inputs[name] = scope.parameters[source.name]
            elif isinstance(source, TaskOutput):
                outputs = scope.outputs.get(source.producer, {})
                inputs[name] = outputs.get(source.key, Unknown(f"output {source.key!r} of {source.producer!r}"))
            else:
                inputs[name] = Unknown(f"final status of {source.producer!r}")
            inputs[name] = self._apply_selector(given.selector, inputs[name], where)
        resolved: dict[str, Value] = {}
        for name in constants:
            given = task.parameters[name]
            assert isinstance(given.source, Constant)
            value = with_placeholders(given.source.value, inputs)
            resolved[name] = self._apply_selector(given.selector, value, f"{place}.inputs.parameters.{name}")
        inputs.update(resolved)
        return self._convert_inputs(task, inputs, place)

    def _apply_selector(self, selector: str | None, value: Value, where: str) -> Value:
        if not selector or isinstance(value, Unknown):
            return value
        try:
            return compile_selector(selector).select(value)
        except ExpressionError as error:
            self.problems.append(Problem(f"{where}.parameterExpressionSelector", str(error)))
            return Unknown("a selector that fails")

    def _convert_inputs(self, task: Task, inputs: dict[str, Value], place: str) -> dict[str, Value]:
        iterator = task.parameter_iterator
        for name, definition in task.component.input_parameters.items():
            where = f"{place}.inputs.parameters.{name}"
            if iterator is not None and name in (iterator.item_input, iterator.items_input):
                continue
            if definition.type in (ParameterType.TASK_CONFIG, ParameterType.TASK_FINAL_STATUS):
                continue
            value = inputs.get(name)
            if name not in inputs or value is None:
                if name not in inputs and not isinstance(definition.default, Missing):
                    inputs[name] = definition.default
                elif not definition.optional and isinstance(definition.default, Missing):
                    self.problems.append(Problem(where, f"input {name!r} is required and has no value"))
                continue
            if isinstance(value, Unknown):
                continue
            try:
                inputs[name] = convert_value(value, definition.type, where)
            except InvalidParametersError as error:
                self.problems.extend(error.problems)
        return inputs

    def _artifacts(self, task: Task, scope: _Scope) -> dict[str, Sequence[str] | Unknown]:
        artifacts: dict[str, Sequence[str] | Unknown] = {}
        for name, given in task.artifacts.items():
            source = given.source
            if isinstance(source, ComponentInput):
                if source.name in scope.artifacts:
                    artifacts[name] = scope.artifacts[source.name]
            else:
                outputs = scope.output_artifacts.get(source.producer, {})
                artifacts[name] = outputs.get(source.key, Unknown(f"artifact {source.key!r} of {source.producer!r}"))
        return artifacts

    def _evaluate_condition(self, task: Task, planned: PlannedTask, place: str) -> None:
        if not task.condition:
            return
        unknown = [
            name for name, value in planned.inputs.items() if isinstance(value, Unknown) and name in task.condition
        ]
        if unknown or "inputs.artifacts" in task.condition:
            planned.decision, planned.note = Decision.UNDECIDED, "its condition needs what other tasks give"
            return
        values = {name: value for name, value in planned.inputs.items() if not isinstance(value, Unknown)}
        try:
            if not compile_condition(task.condition).evaluate(values, {}):
                planned.decision, planned.note = Decision.SKIPPED, "its condition is false"
        except ExpressionError as error:
            self.problems.append(Problem(f"{place}.triggerPolicy.condition", f"the condition fails: {error}"))

    def _check_backends(self, component: Component, planned: PlannedTask, parameters: Mapping[str, Value]) -> None:
        """Adds what backends cannot do for the component, and slots that it never gets, to the problems, each once."""
        needs = needs_of(component, parameters)
        if isinstance(component.implementation, ContainerExecutor):
            self._problem_of(component, self._never_granted(component.implementation.slots))
        for backend in self._backends:
            text = refusal(needs, backend)
            self._problem_of(component, text)
            ignored = ignored_image(component, backend)
            if ignored and not text:
                planned.note = "; ".join(filter(None, (planned.note, ignored)))

    def _problem_of(self, component: Component, text: str) -> None:
        problem = Problem(f"deploymentSpec.executors.{component.executor_label}", text)
        if text and problem not in self.problems:
            self.problems.append(problem)

    # --- kinds -----------------------------------------------------------------------------------------------------

    def _group(self, task: Task, planned: PlannedTask, artifacts: Mapping[str, Sequence[str] | Unknown]) -> _Scope:
        dag = task.component.implementation
        assert isinstance(dag, Dag)
        scope = _Scope(dict(planned.inputs), dict(artifacts))
        for name, definition in task.component.input_parameters.items():
            if name not in scope.parameters and definition.optional:
                scope.parameters[name] = None
        place = f"components.{task.component.name}.dag"
        planned.children = self.dag(dag, scope, planned.path, place, planned.max_retries)
        return scope

    def _loop(
        self,
        task: Task,
        planned: PlannedTask,
        artifacts: Mapping[str, Sequence[str] | Unknown],
        place: str,
        scope: _Scope,
    ) -> None:
        planned.parallelism_limit = task.parallelism_limit
        iterator = task.parameter_iterator
        items: Value = Unknown("artifacts of other tasks")
        item_input = task.artifact_iterator.item_input if task.artifact_iterator else ""
        if iterator is not None:
            item_input = iterator.item_input
            items = (
                list(iterator.items) if iterator.items is not None else planned.inputs.get(iterator.items_input or "")
            )
        if isinstance(items, str):
            try:
                decoded = parse_json(items, "the text")
                items = decoded if isinstance(decoded, list) else []
            except JsonTextError as error:
                self.problems.append(Problem(f"{place}.parameterIterator.items", str(error)))
                items = []
        if isinstance(items, Unknown):
            self._iteration(task, planned, artifacts, "[*]", {item_input: Unknown("an item of the loop")})
            return
        if not isinstance(items, list):
            self.problems.append(Problem(f"{place}.parameterIterator.items", "the items are no list"))
            return
        planned.iterations = len(items)
        inners = []
        for index, item in enumerate(items):
            if self.remaining <= 0:
                return
            inners.append(self._iteration(task, planned, artifacts, f"[{index}]", {item_input: item}))
        _collect(task, inners, scope)

    def _iteration(
        self,
        task: Task,
        loop: PlannedTask,
        artifacts: Mapping[str, Sequence[str] | Unknown],
        suffix: str,
        item: dict[str, Value],
    ) -> _Scope:
        planned = PlannedTask(
            f"{loop.path}{suffix}", TaskKind.ITERATION, suffix, loop.decision, max_retries=loop.max_retries
        )
        planned.inputs = {**loop.inputs, **item}
        loop.children.append(planned)
        implementation = task.component.implementation
        if isinstance(implementation, Dag):
            return self._group(task, planned, artifacts)
        if isinstance(implementation, ContainerExecutor):
            planned.container = _container(task.component, implementation, planned.inputs)
            self._check_backends(task.component, planned, loop.inputs)
        return _Scope({}, {})

    def _cache(
        self,
        task: Task,
        container: ContainerExecutor,
        planned: PlannedTask,
        artifacts: Mapping[str, Sequence[str] | Unknown],
        scope: _Scope,
    ) -> None:
        in_workspace = self._has_workspace and mentions_workspace(planned.inputs)
        planned.caching = is_cacheable(task, works_in_workspace=in_workspace)
        if not planned.caching or planned.decision is not Decision.RUN:
            return
        parameters: dict[str, JsonValue] = {}
        for name in task.parameters:
            value = planned.inputs.get(name)
            if isinstance(value, Unknown):
                return
            if value is not None:
                parameters[name] = value
        names: dict[str, Sequence[str]] = {}
        for port, artifact_names in artifacts.items():
            if isinstance(artifact_names, Unknown):
                return
            names[port] = artifact_names
        claims = claims_of(task.component, planned.inputs, scope.parameters, scope.outputs)
        if claims is None:
            return
        component = task.component
        hit = self._look_up(
            task_fingerprint(
                component_ref=component.name,
                cache_key=task.caching.key,
                input_artifacts=names,
                input_parameters=parameters,
                output_artifacts=component.output_artifacts,
                output_parameters={name: definition.type for name, definition in component.output_parameters.items()},
                image=container.image,
                cmd_args=(*container.command, *container.args),
                pvc_names=claims,
            )
        )
        if hit is not None:
            planned.decision, planned.cached_run_id = Decision.CACHED, hit.run_id
            scope.outputs[task.name] = dict(hit.parameters)
            scope.output_artifacts[task.name] = dict(hit.artifacts)


def _kind(task: Task) -> TaskKind:
    if task.is_loop:
        return TaskKind.LOOP
    if isinstance(task.component.implementation, Dag):
        return TaskKind.DAG
    if isinstance(task.component.implementation, ImporterExecutor):
        return TaskKind.IMPORTER
    return TaskKind.CONTAINER


def _export_outputs(dag: Dag, inner: _Scope, scope: _Scope, name: str) -> None:
    """Adds the known outputs of a DAG to the scope of the DAG around it."""
    parameters = scope.outputs.setdefault(name, {})
    artifacts = scope.output_artifacts.setdefault(name, {})
    for key, output in dag.parameter_outputs.items():
        selector = _deciding_selector(output.selectors, inner)
        produced = inner.outputs.get(selector.producer, {}) if selector else {}
        parameters[key] = produced.get(selector.key if selector else "", Unknown(f"output {key!r} of {name!r}"))
    for key, artifact_output in dag.artifact_outputs.items():
        selector = _deciding_selector(artifact_output.selectors, inner)
        produced_artifacts = inner.output_artifacts.get(selector.producer, {}) if selector else {}
        artifacts[key] = produced_artifacts.get(
            selector.key if selector else "", Unknown(f"artifact {key!r} of {name!r}")
        )


def _deciding_selector(selectors: Sequence[ParameterSelector], inner: _Scope) -> ParameterSelector | None:
    """The first selector whose task runs; None if that is undecided."""
    for selector in selectors:
        decision = inner.decisions.get(selector.producer, Decision.UNDECIDED)
        if decision is Decision.UNDECIDED:
            return None
        if decision not in (Decision.SKIPPED, Decision.OMITTED):
            return selector
    return None


def _collect(task: Task, inners: Sequence[_Scope], scope: _Scope) -> None:
    """Adds the collected outputs of a loop to the scope, if all iterations' outputs are known."""
    dag = task.component.implementation
    if not isinstance(dag, Dag):
        return
    collected = _Scope({}, {})
    for index, inner in enumerate(inners):
        _export_outputs(dag, inner, collected, str(index))
    parameters = scope.outputs.setdefault(task.name, {})
    artifacts = scope.output_artifacts.setdefault(task.name, {})
    for key in dag.parameter_outputs:
        values = [outputs[key] for outputs in collected.outputs.values()]
        if not any(isinstance(value, Unknown) for value in values):
            parameters[key] = values  # type: ignore[assignment]
    for key in dag.artifact_outputs:
        lists = [outputs[key] for outputs in collected.output_artifacts.values()]
        if not any(isinstance(names, Unknown) for names in lists):
            artifacts[key] = [name for names in lists if not isinstance(names, Unknown) for name in names]


def _container(component: Component, container: ContainerExecutor, inputs: Mapping[str, Value]) -> dict[str, Any]:
    def lookup(expression: str) -> str | None:
        name = parameter_name(expression)
        if name is None or name not in inputs or isinstance(inputs[name], Unknown):
            return None
        return value_text(inputs[name])  # type: ignore[arg-type]

    document: dict[str, Any] = {
        "image": substitute(container.image, lookup),
        "command": [substitute(text, lookup) for text in container.command],
        "args": [substitute(text, lookup) for text in container.args],
        "env": [{"name": name, "value": value} for name, value in container.env],
        "resources": resolve_value(dict(container.resources), lookup),
        "kubernetes": dict(component.kubernetes),
    }
    return {key: value for key, value in document.items() if value}
