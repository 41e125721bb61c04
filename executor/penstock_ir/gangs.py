"""Gangs: tasks of a loop whose iterations start together or not at all (docs/queueing.md, "Gangs").

    kubernetes.add_pod_annotation(task, "penstock.dev/gang", "true")

The attempts of that task over all iterations of its innermost ParallelFor are a gang: none is begun before all can be.

Invariants: pure. What is wrong with an annotation is a problem of the document, with its place; nothing of it is part
of the cache key. How a component knows its gangs: by paths of task names, without those in loops inside of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from penstock_ir.errors import Problem

GANG = "penstock.dev/gang"
"""The annotation of a task."""
MAX_MEMBERS = 1000
"""So many attempts one gang may have: they are decided about in one transaction."""
_MAX_GANGS = 100
"""So many gangs one iteration of a loop may have in it."""


class GangShare(NamedTuple):
    """A member's gang: its name within the run, and how many attempts begin together."""

    name: str
    members: int


class _Task(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def is_loop(self) -> bool: ...

    @property
    def component(self) -> _Component: ...


class _Component(Protocol):
    @property
    def gangs(self) -> tuple[str, ...]: ...


def annotated_gang(kubernetes: Mapping[str, Any], place: str, problems: list[Problem]) -> bool:
    """Of an executor's KubernetesExecutorConfig at `place`. Adds to `problems`."""
    metadata = kubernetes.get("podMetadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping) or GANG not in annotations:
        return False
    text = annotations[GANG]
    if text not in ("true", "false"):
        where = f"{place}.podMetadata.annotations.{GANG}"
        problems.append(Problem(where, f"{str(text)[:40]!r}: expected 'true' or 'false'"))
    return bool(text == "true")


def gangs_of(tasks: Iterable[_Task], place: str, problems: list[Problem]) -> tuple[str, ...]:
    """The gangs below a DAG that are those of the loop around it, by path. Adds to `problems`."""
    found = [
        f"{task.name}/{path}" if path else task.name
        for task in tasks
        if not task.is_loop
        for path in task.component.gangs
    ]
    if len(found) > _MAX_GANGS:
        problems.append(Problem(place, f"{len(found)} tasks have the annotation {GANG}, more than {_MAX_GANGS}"))
    return tuple(found[:_MAX_GANGS])


def too_large(size: int, parallelism: int) -> str:
    """Why a loop of so many iterations cannot have a gang; empty when it can. `parallelism` 0: without a limit."""
    if 0 < parallelism < size:
        return (
            f"the loop has {size} iterations and a parallelism of {parallelism}, so the attempts of its tasks with the "
            f"annotation {GANG} cannot start together: leave the parallelism out, or make it {size}"
        )
    if size > MAX_MEMBERS:
        return f"the loop has {size} iterations, and at most {MAX_MEMBERS} attempts start together ({GANG})"
    return ""
