"""The cache key of a task about to run (executor.md §2.7, §10.22).

Invariant: it depends on nothing but the resolved inputs, the component and the claims it mounts, so equal tasks of
different runs agree; an input artifact counts by its name, which is unique to the attempt that made it.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock_ir.fingerprint import task_fingerprint
from penstock_ir.model import ContainerExecutor, Task

from penstock_executor.engine.state import ContainerNode


def fingerprint_of(node: ContainerNode, task: Task, claims: Sequence[str]) -> str:
    """Hex SHA-256. `claims`: names of the volumes whose content the task sees."""
    component = task.component
    container = component.implementation
    assert isinstance(container, ContainerExecutor)
    return task_fingerprint(
        component_ref=component.name,
        cache_key=task.caching.key,
        input_artifacts={port: [one.name for one in many] for port, many in node.artifacts.items()},
        input_parameters=node.inputs,
        output_artifacts=component.output_artifacts,
        output_parameters={name: definition.type for name, definition in component.output_parameters.items()},
        image=container.image,
        cmd_args=(*container.command, *container.args),
        pvc_names=claims,
    )
