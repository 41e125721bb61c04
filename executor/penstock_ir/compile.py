"""Compiles a loaded document to the typed `Pipeline`, and reports all problems at once.

Invariants: a compiled pipeline has no defect that can be found before a run: references resolve, DAGs are acyclic,
conditions parse. A component is compiled once and shared by the tasks that refer to it; a component that contains
itself is a problem, so the tree is finite. Cost is linear in the size of the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from penstock_ir.attempt_settings import attempt_settings
from penstock_ir.compile_tasks import TaskCompiler, definitions_of_artifacts, definitions_of_parameters, schema_title
from penstock_ir.errors import InvalidSpecError, Problem
from penstock_ir.gangs import GANG, annotated_gang, gangs_of
from penstock_ir.graph import find_cycle, topological_order
from penstock_ir.loader import PipelineDocument
from penstock_ir.model import (
    Component,
    ContainerExecutor,
    Dag,
    DagArtifactOutput,
    DagParameterOutput,
    ImporterExecutor,
    ParameterSelector,
    Pipeline,
    Task,
)
from penstock_ir.slots import Demand, demands_of
from penstock_ir.worker_sharing import annotated_sharing

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_IMPORTER_INPUT = re.compile(r"^\{\{\$\.inputs\.parameters\[['\"](.+?)['\"]\]\}\}$")


def compile_pipeline(document: PipelineDocument) -> Pipeline:
    """Raises InvalidSpecError with all problems found."""
    return _Compiler(document).pipeline()


class _Compiler:
    def __init__(self, document: PipelineDocument) -> None:
        self._spec = document.pipeline_spec
        self._specs: Mapping[str, Any] = self._spec.get("components", {})
        self._executors: Mapping[str, Any] = (self._spec.get("deploymentSpec") or {}).get("executors") or {}
        kubernetes = ((document.platform_spec or {}).get("platforms") or {}).get("kubernetes") or {}
        self._kubernetes: Mapping[str, Any] = (kubernetes.get("deploymentSpec") or {}).get("executors") or {}
        self._config: Mapping[str, Any] = kubernetes.get("pipelineConfig") or {}
        self._components: dict[str, Component | None] = {}
        self._ancestors: list[str] = []
        self._problems: list[Problem] = []
        self._has_gangs = False

    def pipeline(self) -> Pipeline:
        info = self._spec.get("pipelineInfo") or {}
        name = info.get("name", "")
        if not name:
            self._problem("pipelineInfo.name", "the pipeline has no name")
        elif not _NAME.search(name):
            self._problem("pipelineInfo.name", f"{name!r} needs lower-case letters, digits or dashes")
        root_spec = self._spec.get("root")
        root: Component | None = None
        if not root_spec:
            self._problem("root", "the pipeline has no root")
        elif "dag" not in root_spec:
            self._problem("root", "the root must be a dag")
        else:
            root = self._component("root", root_spec, "root")
        for path in root.gangs if root is not None else ():
            place = f"root.dag.tasks.{path.replace('/', '.')}"
            self._problem(
                place, f"the task has the annotation {GANG} and is in no loop: there is nothing to start with"
            )
        if self._problems or root is None:
            raise InvalidSpecError(self._problems)
        return Pipeline(
            name=name,
            display_name=info.get("displayName", ""),
            description=info.get("description", ""),
            schema_version=self._spec.get("schemaVersion", ""),
            sdk_version=self._spec.get("sdkVersion", ""),
            root=root,
            config=self._config,
            has_gangs=self._has_gangs,
        )

    def component(self, name: str, place: str) -> Component | None:
        """The compiled component `name`; None, with a problem added, if it is missing or invalid."""
        if name in self._components:
            return self._components[name]
        if name in self._ancestors:
            chain = " -> ".join([*self._ancestors[self._ancestors.index(name) :], name])
            self._problem(place, f"component {name!r} contains itself: {chain}")
            return None
        if name not in self._specs:
            self._problem(place, f"component {name!r} is not in components")
            return None
        if len(self._ancestors) >= 100:
            self._problem(place, "components are nested deeper than 100 levels")
            return None
        self._ancestors.append(name)
        compiled = self._component(name, self._specs[name], f"components.{name}")
        self._ancestors.pop()
        self._components[name] = compiled
        return compiled

    def _component(self, name: str, spec: Mapping[str, Any], place: str) -> Component | None:
        inputs = spec.get("inputDefinitions") or {}
        outputs = spec.get("outputDefinitions") or {}
        label = spec.get("executorLabel", "")
        input_parameters = definitions_of_parameters(inputs, f"{place}.inputDefinitions", self._problems)
        input_artifacts = definitions_of_artifacts(inputs)
        implementation: Dag | ContainerExecutor | ImporterExecutor | None
        if "dag" in spec:
            declared = Component(name, input_parameters, input_artifacts, {}, {}, _NO_CONTAINER)
            implementation = self._dag(spec["dag"], declared, f"{place}.dag")
        elif label:
            implementation = self._executor(label, input_parameters, place)
        else:
            self._problem(place, "the component has neither a dag nor an executor")
            return None
        if implementation is None:
            return None
        kubernetes = self._kubernetes.get(label) or {}
        resources = implementation.resources if isinstance(implementation, ContainerExecutor) else {}
        where = f"platforms.kubernetes.deploymentSpec.executors.{label}"
        if isinstance(implementation, Dag):
            gangs = gangs_of(implementation.tasks, f"{place}.dag", self._problems)
        else:
            gangs = ("",) if isinstance(implementation, ContainerExecutor) and implementation.gang else ()
        self._has_gangs = self._has_gangs or bool(gangs)
        return Component(
            name=name,
            input_parameters=input_parameters,
            input_artifacts=input_artifacts,
            output_parameters=definitions_of_parameters(outputs, f"{place}.outputDefinitions", self._problems),
            output_artifacts=definitions_of_artifacts(outputs),
            implementation=implementation,
            executor_label=label,
            kubernetes=kubernetes,
            task_config_passthroughs=tuple(spec.get("taskConfigPassthroughs") or ()),
            attempts=attempt_settings(kubernetes, resources, where, self._problems),
            gangs=gangs,
        )

    def _executor(
        self, label: str, inputs: Mapping[str, Any], place: str
    ) -> ContainerExecutor | ImporterExecutor | None:
        spec = self._executors.get(label)
        where = f"deploymentSpec.executors.{label}"
        if spec is None:
            self._problem(f"{place}.executorLabel", f"executor {label!r} is not in deploymentSpec.executors")
            return None
        if "container" in spec:
            container = spec["container"]
            if not container.get("image"):
                self._problem(f"{where}.container.image", "the container has no image")
            return ContainerExecutor(
                image=container.get("image", ""),
                command=tuple(container.get("command") or ()),
                args=tuple(container.get("args") or ()),
                env=tuple((entry.get("name", ""), entry.get("value", "")) for entry in container.get("env") or ()),
                resources=container.get("resources") or {},
                slots=self._slots(label),
                workers=annotated_sharing(
                    self._kubernetes.get(label) or {}, f"platforms.kubernetes.{where}", self._problems
                ),
                gang=annotated_gang(self._kubernetes.get(label) or {}, f"platforms.kubernetes.{where}", self._problems),
            )
        if "importer" in spec:
            return self._importer(spec["importer"], inputs, f"{where}.importer")
        kind = next(iter(spec), "nothing")
        self._problem(where, f"executors of the kind {kind!r} are not supported, only container and importer")
        return None

    def _slots(self, label: str) -> tuple[Demand, ...]:
        metadata = (self._kubernetes.get(label) or {}).get("podMetadata") or {}
        try:
            return demands_of(metadata.get("annotations") or {})
        except ValueError as error:
            place = f"platforms.kubernetes.deploymentSpec.executors.{label}.podMetadata.annotations"
            self._problem(place, str(error))
            return ()

    def _importer(self, spec: Mapping[str, Any], inputs: Mapping[str, Any], where: str) -> ImporterExecutor:
        uri = spec.get("artifactUri") or {}
        constant: str | None = None
        uri_input: str | None = None
        if "runtimeParameter" in uri:
            match = _IMPORTER_INPUT.match(uri["runtimeParameter"])
            uri_input = match.group(1) if match else uri["runtimeParameter"]
        else:
            value = uri.get("constant", (uri.get("constantValue") or {}).get("stringValue"))
            constant = value if isinstance(value, str) else None
            if not constant:
                self._problem(f"{where}.artifactUri", "the importer has no URI")
        if uri_input is not None and uri_input not in inputs:
            self._problem(f"{where}.artifactUri", f"{uri_input!r} is no input of the importer")
        return ImporterExecutor(
            schema_title=schema_title(spec.get("typeSchema") or {}),
            schema_version=(spec.get("typeSchema") or {}).get("schemaVersion", "0.0.1"),
            uri=constant,
            uri_input=uri_input,
            reimport=bool(spec.get("reimport", False)),
            metadata=spec.get("metadata") or {},
            download_to_workspace=bool(spec.get("downloadToWorkspace", False)),
        )

    def _dag(self, spec: Mapping[str, Any], component: Component, place: str) -> Dag | None:
        specs: Mapping[str, Any] = spec.get("tasks") or {}
        problems_before = len(self._problems)
        compiler = TaskCompiler(component, specs, self.component, self._problems, place)
        edges = {name: compiler.dependencies(name) for name in specs}
        if len(self._problems) == problems_before:
            cycle = find_cycle(edges)
            if cycle:
                self._problem(f"{place}.tasks", "the tasks form a cycle: " + " -> ".join(cycle))
        if len(self._problems) > problems_before:
            # The tasks are compiled nevertheless, to report their problems too.
            for name in specs:
                compiler.task(name, ())
            return None
        order = topological_order(edges)
        index = {name: number for number, name in enumerate(order)}
        tasks: list[Task] = []
        for name in order:
            task = compiler.task(name, tuple(sorted(index[producer] for producer in edges[name])))
            if task is not None:
                tasks.append(task)
        if len(tasks) != len(order):
            return None
        dependents: list[list[int]] = [[] for _ in tasks]
        for number, task in enumerate(tasks):
            for dependency in task.dependencies:
                dependents[dependency].append(number)
        outputs = spec.get("outputs") or {}
        by_name = {task.name: task for task in tasks}
        return Dag(
            tasks=tuple(tasks),
            index=index,
            dependents=tuple(tuple(indices) for indices in dependents),
            parameter_outputs=self._parameter_outputs(outputs, by_name, f"{place}.outputs"),
            artifact_outputs=self._artifact_outputs(outputs, by_name, f"{place}.outputs"),
        )

    def _parameter_outputs(
        self, outputs: Mapping[str, Any], tasks: Mapping[str, Task], place: str
    ) -> dict[str, DagParameterOutput]:
        compiled: dict[str, DagParameterOutput] = {}
        for name, spec in (outputs.get("parameters") or {}).items():
            where = f"{place}.parameters.{name}"
            one_of = "valueFromOneof" in spec
            raw = spec["valueFromOneof"].get("parameterSelectors") if one_of else [spec.get("valueFromParameter")]
            selectors = []
            for selector in raw or ():
                producer, key = (
                    (selector or {}).get("producerSubtask", ""),
                    (selector or {}).get("outputParameterKey", ""),
                )
                if self._check_output(tasks, producer, key, where, parameters=True):
                    selectors.append(ParameterSelector(producer, key))
            if not raw:
                self._problem(where, "the output selects nothing")
            collected = any(_is_collected(tasks[selector.producer], selector.key) for selector in selectors)
            compiled[name] = DagParameterOutput(tuple(selectors), one_of, collected)
        return compiled

    def _artifact_outputs(
        self, outputs: Mapping[str, Any], tasks: Mapping[str, Task], place: str
    ) -> dict[str, DagArtifactOutput]:
        compiled: dict[str, DagArtifactOutput] = {}
        for name, spec in (outputs.get("artifacts") or {}).items():
            where = f"{place}.artifacts.{name}"
            selectors = []
            for selector in spec.get("artifactSelectors") or ():
                producer, key = selector.get("producerSubtask", ""), selector.get("outputArtifactKey", "")
                if self._check_output(tasks, producer, key, where, parameters=False):
                    selectors.append(ParameterSelector(producer, key))
            compiled[name] = DagArtifactOutput(tuple(selectors))
        return compiled

    def _check_output(
        self, tasks: Mapping[str, Task], producer: str, key: str, where: str, *, parameters: bool
    ) -> bool:
        task = tasks.get(producer)
        if task is None:
            self._problem(where, f"task {producer!r} is not in this dag")
            return False
        outputs = task.component.output_parameters if parameters else task.component.output_artifacts
        if key not in outputs:
            kind = "parameter" if parameters else "artifact"
            self._problem(where, f"task {producer!r} has no output {kind} {key!r}")
            return False
        return True

    def _problem(self, place: str, message: str) -> None:
        self._problems.append(Problem(place, message))


_NO_CONTAINER = ContainerExecutor(image="")


def _is_collected(task: Task, key: str) -> bool:
    if task.is_loop:
        return True
    implementation = task.component.implementation
    output = implementation.parameter_outputs.get(key) if isinstance(implementation, Dag) else None
    return output is not None and output.collected


def compile_text(pipeline_spec: str, platform_spec: str = "") -> Pipeline:
    """Compiles the canonical JSON texts that the server stores. Raises InvalidSpecError."""
    return compile_pipeline(
        PipelineDocument(json.loads(pipeline_spec), json.loads(platform_spec) if platform_spec else None)
    )
