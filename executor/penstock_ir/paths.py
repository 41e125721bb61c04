"""Finds tasks by their path from the root, with iterations in brackets: `for-loop-1[3]/train`.

Invariant: a path names at most one task; it is not checked whether the run has that iteration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_ir.model import Dag, Pipeline, Task

_SEGMENT = re.compile(r"^(?P<name>.*?)(?:\[(?P<index>\d+)\])?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LocatedTask:
    """A task, the DAG that contains it and the path of that DAG; `iteration` if the path ends in one."""

    task: Task
    dag: Dag
    dag_path: str
    iteration: int | None = None


def locate_task(pipeline: Pipeline, path: str) -> LocatedTask | None:
    """The task at a path; None for the root and for paths of no task."""
    dag = pipeline.root.implementation
    located: LocatedTask | None = None
    above = ""
    for segment in path.split("/"):
        match = _SEGMENT.match(segment)
        if match is None or not isinstance(dag, Dag) or match.group("name") not in dag.index:
            return None
        task = dag.tasks[dag.index[match.group("name")]]
        index = match.group("index")
        if index is not None and not task.is_loop:
            return None
        located = LocatedTask(task, dag, above, None if index is None else int(index))
        above = f"{above}/{segment}" if above else segment
        dag = task.component.implementation
    return located


def without_iterations(path: str) -> str:
    """The path without the numbers of iterations, which is the same for all of them."""
    return re.sub(r"\[\d+\]", "", path)
