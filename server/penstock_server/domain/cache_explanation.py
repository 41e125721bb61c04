"""Explains cache hits and misses, by comparing a task's key with the most similar one in the cache.

Invariants: pure. Keys are computed as by the engine (`penstock_ir.fingerprint`), from the task rows; the nearest entry
is the one with the fewest differences, the newest of several.
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

_MAX_SHOWN = 200


class CacheOutcome(Enum):
    """NOT_ASKED: the cache was not looked up, because of the kind of task, its options, or as it was not reached."""

    HIT = 1
    MISS = 2
    NOT_ASKED = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of the key that differs, with the values of this task and the other as text."""

    field: str
    this: str
    other: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cache entry with the row and the pipeline of the task that made it."""

    entry: CacheEntry
    row: Task
    pipeline: Pipeline


@dataclass(slots=True)
class CacheExplanation:
    """`other_*` name the nearest cache entry, empty when there is none; `differences` are to its key."""

    outcome: CacheOutcome
    summary: str
    other_run_id: str = ""
    other_task: str = ""
    differences: list[Difference] = field(default_factory=list)


def explain_from_log(run: Run, pipeline: Pipeline, row: Task, history: TaskHistory) -> CacheExplanation | None:
    """The explanation that needs no other cache entries; None for a plain miss."""
    located = locate_task(pipeline, row.path)
    if located is None or row.kind is not TaskKind.CONTAINER:
        return CacheExplanation(
            CacheOutcome.NOT_ASKED, f"only container tasks have results that are kept, not a {row.kind.value}"
        )
    if not run.options.caching:
        return CacheExplanation(
            CacheOutcome.NOT_ASKED, "caching is off for this run, by its options or by the server's"
        )
    if not located.task.caching.enabled:
        return CacheExplanation(CacheOutcome.NOT_ASKED, "the pipeline does not enable caching for this task")
    answer = history.cache_answer
    if answer is None:
        return CacheExplanation(CacheOutcome.NOT_ASKED, _why_not_asked(row))
    hit = answer.hit
    if hit is not None and row.state is TaskState.CACHED:
        summary = f"answered by task {hit.path!r} of run {hit.run_id}"
        return CacheExplanation(CacheOutcome.HIT, summary, hit.run_id, hit.path)
    if answer.reason:
        return CacheExplanation(CacheOutcome.MISS, answer.reason)
    return None


def _why_not_asked(row: Task) -> str:
    if row.state in (TaskState.SKIPPED, TaskState.OMITTED):
        return "the task did not start"
    if row.fingerprint:
        return "the cache has not answered yet"
    return (
        "it makes or deletes a volume claim, or works in the run's workspace without a cacheKey: "
        "its outputs are not all it leaves behind"
    )


def explain_miss(pipeline: Pipeline, row: Task, candidates: Sequence[Candidate], total: int) -> CacheExplanation:
    """Explains a miss by the nearest candidate (newest first). `total`: the number of the pipeline's cache entries."""
    name = without_iterations(row.path)
    mine = _document(pipeline, row)
    nearest: tuple[int, Candidate, list[Difference]] | None = None
    for candidate in candidates:
        if without_iterations(candidate.row.path) != name:
            continue
        diffs = list(differences(mine, _document(candidate.pipeline, candidate.row)))
        if nearest is None or len(diffs) < nearest[0]:
            nearest = (len(diffs), candidate, diffs)
    if nearest is None:
        reason = "none of them is of this task" if total else "this is the first one"
        return CacheExplanation(CacheOutcome.MISS, f"{total} results of pipeline {pipeline.name!r} are kept; {reason}")
    _, candidate, diffs = nearest
    made_by = f"run {candidate.entry.run_id}, task {candidate.entry.task_path!r}"
    fields = ", ".join(difference.field for difference in diffs[:5])
    summary = f"the nearest result ({made_by}) differs in {fields}" if diffs else f"its result was made by {made_by}"
    return CacheExplanation(CacheOutcome.MISS, summary, candidate.entry.run_id, candidate.entry.task_path, diffs)


def differences(this: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """The values that differ, by dotted path."""
    mine, theirs = dict(_leaves(this, "")), dict(_leaves(other, ""))
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            yield Difference(name, _shown(mine, name), _shown(theirs, name))


def _document(pipeline: Pipeline, row: Task) -> dict[str, Any]:
    located = locate_task(pipeline, row.path)
    if located is None or not isinstance(located.task.component.implementation, ContainerExecutor):
        return {}
    component, container = located.task.component, located.task.component.implementation
    if located.task.caching.key:
        return {"component": component.name, "cacheKey": located.task.caching.key}
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
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"
