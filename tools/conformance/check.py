"""Compares a finished run with its record.

Invariants: a task is named by its path without iteration numbers, so all executions of a task in a loop have one name;
numbers compare by value; nothing stops at the first difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_ir.task_rows import TaskKind, TaskState

_ITERATION = re.compile(r"\[\d+\]")
ROOT = "@root"
Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class TaskView:
    path: str
    kind: str
    state: str
    attempts: int
    error: str
    outputs: Mapping[str, Any]
    artifacts: Mapping[str, Sequence[str]]

    @property
    def name(self) -> str:
        return _ITERATION.sub("", self.path) or ROOT


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the API shows it. `content(artifact name)` reads an artifact, `metadata` by artifact name."""

    state: str
    error: str
    tasks: Sequence[TaskView]
    content: Read
    metadata: Mapping[str, Mapping[str, Any]]


def differences(record: Mapping[str, Any], run: RunView) -> Iterator[str]:
    """The differences to the record, one line each."""
    expected = record.get("expected_state", "SUCCEEDED")
    # None: success depends on the image, so it is only checked that the run ends.
    if expected is not None and run.state != expected:
        yield f"state {run.state}, expected {expected}; {_reasons(run)}"
    by_name: dict[str, list[TaskView]] = {}
    for task in run.tasks:
        if task.kind != TaskKind.ITERATION:
            by_name.setdefault(task.name, []).append(task)
    yield from _outputs(record, by_name)
    yield from _artifacts(record, by_name, run)
    for field, wanted in (
        ("expected_skipped", {TaskState.SKIPPED.value}),
        ("expected_failed", {TaskState.FAILED.value}),
        ("expected_succeeded", {TaskState.SUCCEEDED.value, TaskState.CACHED.value}),
    ):
        for name in record.get(field) or []:
            states = {task.state for task in by_name.get(name, [])}
            if not states or not states <= wanted:
                yield f"{name}: {sorted(states) or 'no such task'}, expected {' or '.join(sorted(wanted))}"
    for name, state in (record.get("expected_states") or {}).items():
        states = {task.state for task in by_name.get(name, [])}
        if states != {state}:
            yield f"{name}: {sorted(states) or 'no such task'}, expected {state}"
    for name, attempts in (record.get("expected_attempts") or {}).items():
        found = [task.attempts for task in by_name.get(name, [])]
        if found != [attempts]:
            yield f"{name}: attempts {found}, expected {attempts}"


def cache_misses(run: RunView) -> Iterator[str]:
    """Container tasks of a second run that were not answered from the cache."""
    for task in run.tasks:
        if task.kind == TaskKind.CONTAINER and task.state not in (
            TaskState.CACHED,
            TaskState.SKIPPED,
            TaskState.OMITTED,
        ):
            yield f"{task.path}: {task.state} in the second run, expected CACHED"


def equal(actual: Any, expected: Any) -> bool:
    """Numbers by value, true and 1 apart, everything else by structure."""
    if isinstance(actual, bool) or isinstance(expected, bool):
        return actual is expected
    if isinstance(actual, (int, float)) and isinstance(expected, (int, float)):
        return float(actual) == float(expected)
    if isinstance(actual, list) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(equal, actual, expected))
    if isinstance(actual, dict) and isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(equal(actual[key], expected[key]) for key in actual)
    return type(actual) is type(expected) and bool(actual == expected)


def _outputs(record: Mapping[str, Any], by_name: Mapping[str, list[TaskView]]) -> Iterator[str]:
    for name, outputs in (record.get("expected_outputs") or {}).items():
        for key, value in outputs.items():
            found = [task.outputs.get(key) for task in by_name.get(name, [])]
            if len(found) != 1 or not equal(found[0], value):
                yield f"{name}.{key}: {found!r}, expected {value!r}"
    for name, outputs in (record.get("expected_output_choices") or {}).items():
        for key, choices in outputs.items():
            found = [task.outputs.get(key) for task in by_name.get(name, [])]
            if len(found) != 1 or not any(equal(found[0], choice) for choice in choices):
                yield f"{name}.{key}: {found!r}, expected one of {choices!r}"
    for name, outputs in (record.get("expected_output_parts") or {}).items():
        for key, part in outputs.items():
            found = [task.outputs.get(key) for task in by_name.get(name, [])]
            if len(found) != 1 or part not in str(found[0]):
                yield f"{name}.{key}: {found!r}, expected {part!r} in it"
    for name, outputs in (record.get("expected_loop_outputs") or {}).items():
        for key, values in outputs.items():
            found = [task.outputs.get(key) for task in by_name.get(name, [])]
            if not _same_multiset(found, values):
                yield f"{name}.{key}: {found!r}, expected {values!r} in any order"


def _artifacts(record: Mapping[str, Any], by_name: Mapping[str, list[TaskView]], run: RunView) -> Iterator[str]:
    for name, ports in (record.get("expected_artifacts") or {}).items():
        for port, wanted in ports.items():
            names = [artifact for task in by_name.get(name, []) for artifact in task.artifacts.get(port, ())]
            if len(names) != 1:
                yield f"{name}.{port}: {len(names)} artifacts, expected 1"
                continue
            if "content" in wanted and (text := _text(run, names[0])) != wanted["content"]:
                yield f"{name}.{port}: content {text!r}, expected {wanted['content']!r}"
            metadata = run.metadata.get(names[0], {})
            for key, value in (wanted.get("metadata") or {}).items():
                if not equal(metadata.get(key), value):
                    yield f"{name}.{port}: metadata {key}={metadata.get(key)!r}, expected {value!r}"
    for name, ports in (record.get("expected_loop_artifact_contents") or {}).items():
        for port, contents in ports.items():
            found = [
                _text(run, artifact) for task in by_name.get(name, []) for artifact in task.artifacts.get(port, ())
            ]
            if sorted(found) != sorted(contents):
                yield f"{name}.{port}: contents {found!r}, expected {contents!r} in any order"


def _text(run: RunView, artifact: str) -> str:
    return run.content(artifact).decode("utf-8", "replace")


def _same_multiset(actual: list[Any], expected: list[Any]) -> bool:
    unmatched = list(actual)
    for value in expected:
        match = next((index for index, one in enumerate(unmatched) if equal(one, value)), None)
        if match is None:
            return False
        del unmatched[match]
    return not unmatched


def _reasons(run: RunView) -> str:
    failed = [
        f"{task.path}: {task.error}"
        for task in run.tasks
        if task.state == TaskState.FAILED and task.kind == TaskKind.CONTAINER
    ]
    return " | ".join(failed) or run.error or "no error text"
