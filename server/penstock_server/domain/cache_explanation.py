"""Why a task was or was not answered from the cache: its key against the nearest one that is kept.

Invariants: pure. Keys are composed as the engine composes them (`penstock_ir.fingerprint`), from what the rows say; the
nearest entry is the one with the fewest differences, the newest of several.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from penstock_ir.fingerprint import key_document
from penstock_ir.model import ContainerExecutor, Pipeline
from penstock_ir.paths import locate_task, without_iterations
from penstock_ir.task_rows import TaskKind, TaskState

from penstock_server.domain.history import TaskHistory
from penstock_server.domain.run import Run
from penstock_server.domain.task import CacheEntry, Task

_SHOWN = 200


class CacheOutcome(Enum):
    """NOT_ASKED: the cache had no say, because of what the task is, its options, or since it was not reached."""

    HIT = 1
    MISS = 2
    NOT_ASKED = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of the key, as this task and the other have it; texts for people."""

    field: str
    this: str
    other: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kept result with the row and the pipeline of the task that made it."""

    entry: CacheEntry
    row: Task
    pipeline: Pipeline


@dataclass(slots=True)
class CacheExplanation:
    """`other_*` name the nearest result that is kept, empty when there is none; `differences` are to its key."""

    outcome: CacheOutcome
    summary: str
    other_run_id: str = ""
    other_task: str = ""
    differences: list[Difference] = field(default_factory=list)


def without_looking(run: Run, pipeline: Pipeline, row: Task, history: TaskHistory) -> CacheExplanation | None:
    """The explanation when no other result has to be looked at; None for a plain miss."""
    place = locate_task(pipeline, row.path)
    if place is None or row.kind is not TaskKind.CONTAINER:
        return CacheExplanation(
            CacheOutcome.NOT_ASKED, f"only container tasks have results that are kept, not a {row.kind.value}"
        )
    if not run.options.caching:
        return CacheExplanation(
            CacheOutcome.NOT_ASKED, "caching is off for this run, by its options or by the server's"
        )
    if not place.task.caching.enabled:
        return CacheExplanation(CacheOutcome.NOT_ASKED, "the pipeline does not enable caching for this task")
    answer = history.cache_answer
    if answer is None:
        return CacheExplanation(CacheOutcome.NOT_ASKED, _why_unanswered(row))
    hit = answer.get("hit")
    if hit and row.state is TaskState.CACHED:
        summary = f"answered by task {hit.get('path')!r} of run {hit.get('runId')}"
        return CacheExplanation(CacheOutcome.HIT, summary, hit.get("runId", ""), hit.get("path", ""))
    if answer.get("reason"):
        return CacheExplanation(CacheOutcome.MISS, str(answer["reason"]))
    return None


def _why_unanswered(row: Task) -> str:
    if row.state in (TaskState.SKIPPED, TaskState.OMITTED):
        return "the task did not start"
    if row.fingerprint:
        return "the cache has not answered yet"
    return (
        "it makes or deletes a volume claim, or works in the run's workspace without a cacheKey: "
        "its outputs are not all it leaves behind"
    )


def against(pipeline: Pipeline, row: Task, candidates: Sequence[Candidate], kept: int) -> CacheExplanation:
    """A miss, with the nearest of the candidates (newest first). `kept` counts the pipeline's results in all."""
    name = without_iterations(row.path)
    mine = _document(pipeline, row)
    nearest: tuple[int, Candidate, list[Difference]] | None = None
    for candidate in candidates:
        if without_iterations(candidate.row.path) != name:
            continue
        found = list(differences(mine, _document(candidate.pipeline, candidate.row)))
        if nearest is None or len(found) < nearest[0]:
            nearest = (len(found), candidate, found)
    if nearest is None:
        why = "none of them is of this task" if kept else "this is the first one"
        return CacheExplanation(CacheOutcome.MISS, f"{kept} results of pipeline {pipeline.name!r} are kept; {why}")
    _, candidate, found = nearest
    made_by = f"run {candidate.entry.run_id}, task {candidate.entry.task_path!r}"
    fields = ", ".join(one.field for one in found[:5])
    summary = f"the nearest result ({made_by}) differs in {fields}" if found else f"its result was made by {made_by}"
    return CacheExplanation(CacheOutcome.MISS, summary, candidate.entry.run_id, candidate.entry.task_path, found)


def differences(this: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """Leaves that are not equal, by dotted path."""
    mine, theirs = dict(_leaves(this, "")), dict(_leaves(other, ""))
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            yield Difference(name, _shown(mine, name), _shown(theirs, name))


def _document(pipeline: Pipeline, row: Task) -> dict[str, Any]:
    place = locate_task(pipeline, row.path)
    if place is None or not isinstance(place.task.component.implementation, ContainerExecutor):
        return {}
    component, container = place.task.component, place.task.component.implementation
    if place.task.caching.key:
        return {"component": component.name, "cacheKey": place.task.caching.key}
    return key_document(
        input_artifacts=json.loads(row.input_artifacts),
        input_parameters=json.loads(row.inputs),
        output_artifacts=component.output_artifacts,
        output_parameters={name: definition.type for name, definition in component.output_parameters.items()},
        image=container.image,
        cmd_args=(*container.command, *container.args),
    )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and path.endswith("cmdArgs"):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _shown(leaves: Mapping[str, Any], name: str) -> str:
    if name not in leaves:
        return "(absent)"
    text = json.dumps(leaves[name], ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
