"""Turns a task that is about to run into what a backend needs: the same for every backend.

Invariant: a pure function of the state; called when a slot is free, so that ten thousand waiting tasks cost their nodes
only. An image or resource text whose placeholder has no value is the task's own error (executor.md §10.12).
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_ir.artifact import Artifact
from penstock_ir.attempt_settings import with_more_memory
from penstock_ir.model import ContainerExecutor, JsonValue, Missing, Pipeline
from penstock_ir.parameters import value_text
from penstock_ir.placeholders import parameter_name, resolve_value, substitute

from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.engine import names
from penstock_executor.engine.inputs import run_property
from penstock_executor.engine.kubernetes.platform import resolve_platform
from penstock_executor.engine.state import ContainerNode, RunContext
from penstock_executor.engine.task_config import SetUp, task_config


def task_launch(node: ContainerNode, context: RunContext) -> TaskLaunch:
    """The launch of the node's current attempt. Raises InputError, as when it was triggered."""
    task = node.task
    assert task is not None
    component = task.component
    container = component.implementation
    assert isinstance(container, ContainerExecutor)
    defaults = {
        name: definition.default
        for name, definition in component.input_parameters.items()
        if name not in node.inputs and not isinstance(definition.default, Missing)
    }
    values: Mapping[str, JsonValue] = {**defaults, **node.inputs}

    def lookup(expression: str) -> str | None:
        name = parameter_name(expression)
        if name is not None:
            return value_text(values[name]) if name in values else ""
        return run_property(expression, context, task.name, node.path)

    resources = resolve_value(dict(container.resources), lookup)
    assert isinstance(resources, dict)
    resources = with_more_memory(resources, component.attempts.memory_step, node.out_of_memory)
    platform = resolve_platform(node, context)
    set_up = task_config(component, SetUp(container.env, resources, platform))
    segment = names.attempt_id(context.run_id, node.path, node.attempt)
    root = names.task_root(context.root, context.pipeline_name, context.run_id, task.name, segment)
    deadline = platform.get("activeDeadlineSeconds", 0)
    return TaskLaunch(
        key=AttemptKey(context.run_id, node.path, node.attempt),
        task_name=task.name,
        pipeline_name=context.pipeline_name,
        image=substitute(container.image, lookup),
        command=container.command,
        args=container.args,
        env=set_up.env,
        task_root=root,
        inputs={**{name: value for name, value in node.inputs.items() if value is not None}, **set_up.inputs},
        defaults=defaults,
        input_artifacts=node.artifacts,
        input_artifact_definitions=component.input_artifacts,
        output_parameters={name: definition.type for name, definition in component.output_parameters.items()},
        output_artifacts={
            port: OutputArtifact(
                Artifact(
                    name=names.artifact_name(context.run_id, node.path, node.attempt, port),
                    type=definition.schema_title,
                    uri=f"{root}/{port}",
                    metadata={key: value for key, value in definition.metadata.items() if value is not None},
                    display_name=port,
                    schema_version=definition.schema_version,
                ),
                definition,
            )
            for port, definition in component.output_artifacts.items()
        },
        resources=set_up.resources,
        kubernetes=set_up.platform,
        namespace=context.namespace,
        service_account=context.service_account,
        deadline_seconds=float(deadline) if isinstance(deadline, int) else 0.0,
        ttl_succeeded=_time_to_live(context.pipeline, "resourceTtlOnSuccess"),
        ttl_failed=_time_to_live(context.pipeline, "resourceTtlOnFailure"),
        pipeline_root=context.root,
        run_display_name=context.display_name,
        run_resource_name=context.resource_name,
        workers=container.workers or context.workers,
        gang=node.gang,
        uses_workspace="workspace" in platform,
        pod_name=names.pod_name(context.resource_name, task.name, context.run_id, node.path, node.attempt),
    )


def _time_to_live(pipeline: Pipeline, name: str) -> float | None:
    """Of the pipeline's own configuration; what is not above 0 counts as absent, as upstream (executor.md §1.9)."""
    for key in (name, "resourceTtlOnCompletion"):
        value = pipeline.config.get(key)
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    return None
