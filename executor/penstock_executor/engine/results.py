"""What a DAG or a loop gives to the outside when it ends (executor.md §1.3, §2.5).

Invariants: outputs are computed once, when the node ends, from what its children hold. A selector whose task was
skipped gives nothing. A loop collects in the order of its items, nested loops as nested lists, or flat where the run
asks for it (executor.md §10.16); artifact lists are always flat, because the IR has no nested ones.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_ir.artifact import Artifact
from penstock_ir.event_log import Outputs
from penstock_ir.model import Component, Dag, JsonValue
from penstock_ir.task_rows import TaskState, in_a_line

from penstock_executor.engine.state import EMPTY_OUTPUTS, DagNode, LoopNode, Node, ParentNode


def dag_outputs(node: DagNode) -> Outputs:
    """Outputs of an ended DAG: per output the first selector that has a value."""
    dag = node.dag
    if not dag.parameter_outputs and not dag.artifact_outputs:
        return EMPTY_OUTPUTS
    parameters: dict[str, JsonValue] = {}
    for name, output in dag.parameter_outputs.items():
        for selector in output.selectors:
            producer = node.child(selector.producer)
            if producer is not None and producer.state.succeeded and selector.key in producer.outputs.parameters:
                parameters[name] = producer.outputs.parameters[selector.key]
                break
    artifacts: dict[str, tuple[Artifact, ...]] = {}
    for name, artifact_output in dag.artifact_outputs.items():
        for selector in artifact_output.selectors:
            producer = node.child(selector.producer)
            if producer is not None and producer.state.succeeded and selector.key in producer.outputs.artifacts:
                artifacts[name] = producer.outputs.artifacts[selector.key]
                break
    return Outputs(parameters, artifacts)


def loop_outputs(node: LoopNode, *, flat: bool) -> Outputs:
    """Everything its iterations gave, collected; an empty loop gives empty lists.

    `flat`: what loops inside collected is not kept apart; a list that a task itself gave stays one element.
    """
    assert node.task is not None
    parameter_names, artifact_names = _output_names(node.task.component)
    if not parameter_names and not artifact_names:
        return EMPTY_OUTPUTS
    results = [_outputs_of(iteration) for iteration in node.iterations]
    parameters: dict[str, JsonValue] = {}
    for name in parameter_names:
        values = [result.parameters[name] for result in results if name in result.parameters]
        if flat and _gathers(node.task.component, name):
            values = [value for many in values if isinstance(many, list) for value in many]
        parameters[name] = values
    artifacts = {
        name: tuple(artifact for result in results for artifact in result.artifacts.get(name, ()))
        for name in artifact_names
    }
    return Outputs(parameters, artifacts)


def group_state(group: ParentNode, children: Iterable[Node | None], terminating: bool) -> TaskState:
    """The state of a group whose tasks have all ended."""
    states = {child.state for child in children if child is not None}
    if TaskState.FAILED in states:
        return TaskState.FAILED
    if TaskState.CANCELED in states:
        return TaskState.CANCELED
    if terminating and not group.exempt and (TaskState.OMITTED in states or isinstance(group, LoopNode)):
        return TaskState.CANCELED
    return TaskState.SUCCEEDED


def failure_summary(children: Iterable[Node | None]) -> str:
    """Which tasks failed, and the first one's reason."""
    failed = [child for child in children if child is not None and child.state is TaskState.FAILED]
    if not failed:
        return ""
    names = ", ".join(repr(child.name if child.iteration is None else child.path) for child in failed[:5])
    more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
    reason = in_a_line(failed[0].error)
    head = f"task {names}{more} failed"
    return f"{head}: {reason}" if reason else head


def _outputs_of(iteration: Node | Outputs | None) -> Outputs:
    if isinstance(iteration, Outputs):
        return iteration
    return EMPTY_OUTPUTS if iteration is None else iteration.outputs


def _gathers(component: Component, name: str) -> bool:
    implementation = component.implementation
    return isinstance(implementation, Dag) and implementation.parameter_outputs[name].collected


def _output_names(component: Component) -> tuple[Iterable[str], Iterable[str]]:
    implementation = component.implementation
    if isinstance(implementation, Dag):
        return tuple(implementation.parameter_outputs), tuple(implementation.artifact_outputs)
    return tuple(component.output_parameters), tuple(component.output_artifacts)
