"""Compiles the tasks of one DAG, and the declarations of components (executor.md §1.2, §1.3).

Invariants: dependencies are explicit edges plus the producers of inputs, all of them siblings; an unsupported kind of
input is a problem here, not a failure at run time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from penstock_ir.errors import ExpressionError, Problem
from penstock_ir.expressions import compile_condition, compile_selector
from penstock_ir.gangs import too_large
from penstock_ir.json_text import JsonTextError, parse_json
from penstock_ir.model import (
    MISSING,
    ArtifactDefinition,
    ArtifactInput,
    ArtifactIterator,
    CachingOptions,
    Component,
    ComponentInput,
    Constant,
    FinalStatus,
    ParameterDefinition,
    ParameterInput,
    ParameterIterator,
    ParameterType,
    RetryPolicy,
    Task,
    TaskOutput,
    TriggerStrategy,
)

_FORBIDDEN_IN_NAME = re.compile(r"[/\[\]\x00-\x1f]")
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)s$")
_TITLE = re.compile(r"^\s*title:\s*([\w.]+)", re.MULTILINE)
_LEGACY_TYPES = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE", "STRING": "STRING"}


class TaskCompiler:
    """Compiles the tasks of the DAG of `enclosing`."""

    def __init__(
        self,
        enclosing: Component,
        specs: Mapping[str, Any],
        component: Callable[[str, str], Component | None],
        problems: list[Problem],
        place: str,
    ) -> None:
        self._enclosing = enclosing
        self._specs = specs
        self._component = component
        self._problems = problems
        self._place = f"{place}.tasks"

    def component_of(self, name: str) -> Component | None:
        """The component of the task `name`; None, with a problem added, if it is missing or invalid."""
        reference = (self._specs[name].get("componentRef") or {}).get("name", "")
        return self._component(reference, f"{self._place}.{name}.componentRef")

    def dependencies(self, name: str) -> set[str]:
        """Names of the siblings that the task waits for; missing ones are problems."""
        spec = self._specs[name]
        producers: set[str] = set()
        for producer in spec.get("dependentTasks") or ():
            if self._is_sibling(producer, f"{self._place}.{name}.dependentTasks"):
                producers.add(producer)
        inputs = spec.get("inputs") or {}
        for kind, keys in (
            ("parameters", ("taskOutputParameter", "taskFinalStatus")),
            ("artifacts", ("taskOutputArtifact",)),
        ):
            for input_name, given in (inputs.get(kind) or {}).items():
                for key in keys:
                    if key not in given:
                        continue
                    producer = given[key].get("producerTask", "")
                    if self._is_sibling(producer, f"{self._place}.{name}.inputs.{kind}.{input_name}"):
                        producers.add(producer)
        return producers

    def task(self, name: str, dependencies: tuple[int, ...]) -> Task | None:
        """The compiled task; None if it has no component. Other defects are added to the problems."""
        spec = self._specs[name]
        place = f"{self._place}.{name}"
        if not name or _FORBIDDEN_IN_NAME.search(name):
            # These characters separate the parts of a task's path.
            self._problem(place, f"{name!r} is no name of a task: it must not be empty or hold any of / [ ]")
        component = self.component_of(name)
        if component is None:
            return None
        trigger = spec.get("triggerPolicy") or {}
        condition = trigger.get("condition") or None
        if condition:
            self._check_expression(compile_condition, condition, f"{place}.triggerPolicy.condition")
        inputs = spec.get("inputs") or {}
        if spec.get("parameterIterator") and spec.get("artifactIterator"):
            self._problem(place, "a task loops over parameters or over artifacts, not over both")
        parameters = {
            key: self._parameter(given, f"{place}.inputs.parameters.{key}")
            for key, given in (inputs.get("parameters") or {}).items()
        }
        artifacts = {
            key: self._artifact(given, f"{place}.inputs.artifacts.{key}")
            for key, given in (inputs.get("artifacts") or {}).items()
        }
        caching = spec.get("cachingOptions") or {}
        parameter_iterator = self._parameter_iterator(spec, component, place)
        limit = int((spec.get("iteratorPolicy") or {}).get("parallelismLimit", 0))
        if component.gangs and parameter_iterator is not None and parameter_iterator.items is not None:
            text = too_large(len(parameter_iterator.items), limit)
            if text:
                self._problem(f"{place}.iteratorPolicy.parallelismLimit" if limit else place, text)
        return Task(
            name=name,
            display_name=(spec.get("taskInfo") or {}).get("name", "") or name,
            component=component,
            parameters={key: value for key, value in parameters.items() if value is not None},
            artifacts={key: value for key, value in artifacts.items() if value is not None},
            dependencies=dependencies,
            explicit_dependencies=tuple(sorted(spec.get("dependentTasks") or ())),
            condition=condition,
            strategy=TriggerStrategy(self._strategy(trigger)),
            parameter_iterator=parameter_iterator,
            artifact_iterator=self._artifact_iterator(spec, component, place),
            parallelism_limit=limit,
            retry=_retry(spec.get("retryPolicy")),
            caching=CachingOptions(bool(caching.get("enableCache", False)), caching.get("cacheKey", "")),
        )

    def _strategy(self, trigger: Mapping[str, Any]) -> str:
        strategy: str = trigger.get("strategy", "TRIGGER_STRATEGY_UNSPECIFIED")
        if strategy == TriggerStrategy.ALL_UPSTREAM_TASKS_COMPLETED.value:
            return strategy
        return TriggerStrategy.ALL_UPSTREAM_TASKS_SUCCEEDED.value

    def _parameter(self, given: Mapping[str, Any], place: str) -> ParameterInput | None:
        selector = given.get("parameterExpressionSelector") or None
        if selector:
            self._check_expression(compile_selector, selector, f"{place}.parameterExpressionSelector")
        if "taskOutputParameter" in given:
            source = given["taskOutputParameter"]
            producer, key = source.get("producerTask", ""), source.get("outputParameterKey", "")
            self._has_output(producer, key, place, parameters=True)
            return ParameterInput(TaskOutput(producer, key), selector)
        if "componentInputParameter" in given:
            name = given["componentInputParameter"]
            if name not in self._enclosing.input_parameters:
                self._problem(place, f"the enclosing component has no input parameter {name!r}")
            return ParameterInput(ComponentInput(name), selector)
        if "taskFinalStatus" in given:
            return ParameterInput(FinalStatus(given["taskFinalStatus"].get("producerTask", "")), selector)
        runtime = given.get("runtimeValue")
        if runtime is not None and "constant" in runtime:
            return ParameterInput(Constant(runtime["constant"]), selector)
        if runtime is not None and "constantValue" in runtime:
            value = next(iter(runtime["constantValue"].values()), None)
            return ParameterInput(Constant(value), selector)
        if runtime is not None and "runtimeParameter" in runtime:
            self._problem(place, "runtimeParameter is not supported as a task input, use componentInputParameter")
            return None
        if runtime is not None:
            # protojson leaves a null constant out.
            return ParameterInput(Constant(None), selector)
        self._problem(place, "the input has no source")
        return None

    def _artifact(self, given: Mapping[str, Any], place: str) -> ArtifactInput | None:
        if "taskOutputArtifact" in given:
            source = given["taskOutputArtifact"]
            producer, key = source.get("producerTask", ""), source.get("outputArtifactKey", "")
            self._has_output(producer, key, place, parameters=False)
            return ArtifactInput(TaskOutput(producer, key))
        if "componentInputArtifact" in given:
            name = given["componentInputArtifact"]
            if name not in self._enclosing.input_artifacts:
                self._problem(place, f"the enclosing component has no input artifact {name!r}")
            return ArtifactInput(ComponentInput(name))
        self._problem(place, "the input has no source")
        return None

    def _parameter_iterator(
        self, spec: Mapping[str, Any], component: Component, place: str
    ) -> ParameterIterator | None:
        iterator = spec.get("parameterIterator")
        if not iterator:
            return None
        where = f"{place}.parameterIterator"
        item_input = iterator.get("itemInput", "")
        if item_input not in component.input_parameters:
            self._problem(f"{where}.itemInput", f"component {component.name!r} has no input parameter {item_input!r}")
        items = iterator.get("items") or {}
        if "inputParameter" in items:
            name = items["inputParameter"]
            task_parameters = (spec.get("inputs") or {}).get("parameters") or {}
            if name not in component.input_parameters and name not in task_parameters:
                self._problem(f"{where}.items", f"{name!r} is no input of the task")
            return ParameterIterator(item_input, items_input=name)
        try:
            raw = parse_json(items.get("raw", ""), "the text")
        except JsonTextError as error:
            self._problem(f"{where}.items.raw", str(error))
            return None
        if not isinstance(raw, list):
            self._problem(f"{where}.items.raw", "the items are no list")
            return None
        return ParameterIterator(item_input, items=tuple(raw))

    def _artifact_iterator(self, spec: Mapping[str, Any], component: Component, place: str) -> ArtifactIterator | None:
        iterator = spec.get("artifactIterator")
        if not iterator:
            return None
        item_input = iterator.get("itemInput", "")
        items_input = (iterator.get("items") or {}).get("inputArtifact", "")
        if item_input not in component.input_artifacts:
            self._problem(
                f"{place}.artifactIterator.itemInput",
                f"component {component.name!r} has no input artifact {item_input!r}",
            )
        return ArtifactIterator(item_input, items_input)

    def _has_output(self, producer: str, key: str, place: str, *, parameters: bool) -> None:
        if producer not in self._specs:
            return
        component = self.component_of(producer)
        if component is None:
            return
        outputs = component.output_parameters if parameters else component.output_artifacts
        if key not in outputs:
            kind = "parameter" if parameters else "artifact"
            self._problem(place, f"task {producer!r} has no output {kind} {key!r}")

    def _is_sibling(self, producer: str, place: str) -> bool:
        if producer in self._specs:
            return True
        self._problem(place, f"task {producer!r} is not in this dag")
        return False

    def _check_expression(self, compile_text: Callable[[str], object], text: str, place: str) -> None:
        try:
            compile_text(text)
        except ExpressionError as error:
            self._problem(place, f"{error}: {text[:200]}")

    def _problem(self, place: str, message: str) -> None:
        self._problems.append(Problem(place, message))


def definitions_of_parameters(
    spec: Mapping[str, Any], place: str, problems: list[Problem]
) -> dict[str, ParameterDefinition]:
    """The declared parameters by name. One of an unknown type is left out and added to `problems`."""
    definitions: dict[str, ParameterDefinition] = {}
    for name, declaration in (spec.get("parameters") or {}).items():
        kind = declaration.get("parameterType") or _LEGACY_TYPES.get(declaration.get("type", ""), "")
        try:
            parameter_type = ParameterType(kind)
        except ValueError:
            problems.append(Problem(f"{place}.parameters.{name}", f"unknown parameter type {kind!r}"))
            continue
        definitions[name] = ParameterDefinition(
            type=parameter_type,
            default=declaration.get("defaultValue", MISSING),
            optional=bool(declaration.get("isOptional", False)),
            literals=tuple(declaration.get("literals") or ()),
        )
    return definitions


def definitions_of_artifacts(spec: Mapping[str, Any]) -> dict[str, ArtifactDefinition]:
    """The declared artifacts by name."""
    return {
        name: ArtifactDefinition(
            schema_title=schema_title(declaration.get("artifactType") or {}),
            schema_version=(declaration.get("artifactType") or {}).get("schemaVersion", "0.0.1"),
            is_list=bool(declaration.get("isArtifactList", False)),
            optional=bool(declaration.get("isOptional", False)),
            metadata=declaration.get("metadata") or {},
        )
        for name, declaration in (spec.get("artifacts") or {}).items()
    }


def schema_title(schema: Mapping[str, Any]) -> str:
    """The name of an artifact type, from any of the three fields that may hold it."""
    if schema.get("schemaTitle"):
        return str(schema["schemaTitle"])
    match = _TITLE.search(str(schema.get("instanceSchema", "")))
    if match:
        return match.group(1)
    return str(schema.get("schemaUri") or "system.Artifact")


def _retry(spec: Mapping[str, Any] | None) -> RetryPolicy | None:
    if not spec:
        return None
    return RetryPolicy(
        max_retries=int(spec.get("maxRetryCount", 0)),
        backoff=_seconds(spec.get("backoffDuration"), 0.0),
        factor=float(spec.get("backoffFactor") or 2.0),
        max_delay=_seconds(spec.get("backoffMaxDuration"), 3600.0),
    )


def _seconds(text: str | None, default: float) -> float:
    match = _DURATION.match(text or "")
    return float(match.group(1)) if match else default
