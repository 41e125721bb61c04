"""Tasks by their path from the root, iterations in brackets: `for-loop-1[3]/train`.

Invariant: a path names at most one task; whether an iteration of that number exists is for the run to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_ir.model import Dag, Pipeline, Task

_SEGMENT = re.compile(r"^(?P<name>.*?)(?:\[(?P<index>\d+)\])?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """A task, the DAG it is in and the path of that DAG; `iteration` when the path ends in one."""

    task: Task
    dag: Dag
    dag_path: str
    iteration: int | None = None


def find_place(pipeline: Pipeline, path: str) -> Place | None:
    """None for the root and for a path that no task has."""
    dag = pipeline.root.implementation
    place: Place | None = None
    above = ""
    for segment in path.split("/"):
        match = _SEGMENT.match(segment)
        if match is None or not isinstance(dag, Dag) or match.group("name") not in dag.index:
            return None
        task = dag.tasks[dag.index[match.group("name")]]
        index = match.group("index")
        if index is not None and not task.is_loop:
            return None
        place = Place(task, dag, above, None if index is None else int(index))
        above = f"{above}/{segment}" if above else segment
        dag = task.component.implementation
    return place


def without_iterations(path: str) -> str:
    """The path as the pipeline's author thinks of it."""
    return re.sub(r"\[\d+\]", "", path)
