"""What a report of an executor may hold, whatever the state of its run.

Why: an executor is a program on another machine, and its reports come from what tasks and clusters say. What is stored
here is replayed by other executors, shown to users and sorted by, so nothing is stored that could not be read again.

Invariants: a wrong report is refused as a whole, with the field's name in the message; the same checks hold for every
run of it. Limits are far above what an executor of this release sends.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from penstock_ir.event_log import CachedResult, Event, Outputs, RetryRequested, RunStarted, decode
from penstock_ir.json_text import JsonTextError, parse_json
from penstock_ir.task_rows import TaskPhase

from penstock_server.domain.attempts import TIMES, AttemptRow
from penstock_server.domain.dispatch import RunTransitions
from penstock_server.domain.limits import NAMESPACE, check_length
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Artifact, CacheEntry, Task
from penstock_server.errors import InvalidArgumentError

DAY_MILLIS = 24 * 60 * 60 * 1000
LAST_MILLIS = 253_402_300_799_999
"""The end of the year 9999, the last that a timestamp of the API can tell."""
MAX_RUNS = 1000
MAX_ROWS = 100_000
"""Of each kind in a run's part of a report."""
MAX_EVENT = MAX_JSON = 32 * 1024 * 1024
MAX_TEXT = 1024 * 1024
MAX_NAME = 16 * 1024
_ID = 64
_LARGEST = 2**63 - 1

# Names of fields, as messages call them, with the longest text in bytes. What columns cut off is not refused.
_TASK_TEXTS = {
    "path": MAX_NAME,
    "name": MAX_NAME,
    "display_name": MAX_TEXT,
    "parent_path": MAX_NAME,
    "error": MAX_TEXT,
    "inputs": MAX_JSON,
    "outputs": MAX_JSON,
    "input_artifacts": MAX_JSON,
    "output_artifacts": MAX_JSON,
    "pod_name": 253,
    "log_uri": MAX_NAME,
    "fingerprint": 64,
}
_TASK_TIMES = ("created_at", "started_at", "finished_at")
_ARTIFACT_TEXTS = {
    "name": 128,
    "task_path": MAX_NAME,
    "port": MAX_NAME,
    "type": MAX_NAME,
    "uri": MAX_NAME,
    "display_name": MAX_TEXT,
    "metadata": MAX_JSON,
}
_ENTRY_TEXTS = {
    "fingerprint": 64,
    "namespace": NAMESPACE,
    "pipeline_name": MAX_NAME,
    "task_path": MAX_NAME,
    "outputs": MAX_JSON,
}
_ATTEMPT_TEXTS = {"error": MAX_TEXT, "pod_name": 253, "log_uri": MAX_NAME, "node": 253, "placement": 800}
_LOG_MARK = re.compile(r"[a-z0-9]{0,63}", re.ASCII)
_PHASES = frozenset({"", *(phase.value for phase in TaskPhase)})
_REPORTED = (RunState.RUNNING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED, RunState.SKIPPED)
_HINTS = {kind: get_type_hints(kind) for kind in (*get_args(Event), CachedResult)}
_ALLOWED: Mapping[Any, tuple[type, ...]] = {
    int: (int,),
    str: (str,),
    int | None: (int, type(None)),
    CachedResult | None: (type(None),),
    Outputs: (),
}


def check_report(transitions: Sequence[RunTransitions], now: int) -> None:
    """Raises InvalidArgumentError for the first thing that is wrong; `now` in milliseconds since 1970."""
    if len(transitions) > MAX_RUNS:
        raise InvalidArgumentError(f"{len(transitions)} runs are more than {MAX_RUNS}", "runs")
    for one in transitions:
        _check_run(one, now + DAY_MILLIS)


def check_event(event: bytes, sequence: int, latest: int) -> None:
    """Raises InvalidArgumentError unless an executor may append this event at this place of a run's log.

    Every executor that takes the run over decodes it, so it has to be one of this release in every field.
    """
    if len(event) > MAX_EVENT:
        raise InvalidArgumentError(f"event {sequence} has more than {MAX_EVENT} bytes", "events")
    try:
        parse_json(event.decode(), f"event {sequence}")
        decoded = decode(event)
    except (JsonTextError, ValueError, RecursionError, AttributeError, AssertionError) as error:
        raise InvalidArgumentError(f"event {sequence} cannot be decoded: {str(error)[:300]}", "events") from error
    if isinstance(decoded, RunStarted) is not (sequence == 0):
        raise InvalidArgumentError(
            f"event {sequence} is {type(decoded).__name__}: a log begins with RunStarted", "events"
        )
    if isinstance(decoded, RetryRequested):
        raise InvalidArgumentError(f"event {sequence}: a retry is its user's wish, which the server appends", "events")
    _check_fields(decoded, f"event {sequence}", latest)


def _check_fields(value: Any, place: str, latest: int) -> None:
    """The fields of an event, and of the cached result in one."""
    for name, kind in _HINTS[type(value)].items():
        field = getattr(value, name)
        if isinstance(field, CachedResult):
            _check_fields(field, place, latest)
        elif isinstance(field, Outputs):
            if not isinstance(field.parameters, dict):
                raise InvalidArgumentError(f"{place}: the parameters of {name} are no object", "events")
        elif type(field) not in _ALLOWED.get(kind, (type(field),)):
            raise InvalidArgumentError(f"{place}: {name} is of another type", "events")
        elif name in ("at", "started_at"):
            _check_time(field, latest, "events", f"{place}: {name} is {field}")
        elif type(field) is int and not (-_LARGEST if name == "exit_code" else 0) <= field <= _LARGEST:
            raise InvalidArgumentError(f"{place}: {name} is out of range", "events")


def _check_run(one: RunTransitions, latest: int) -> None:
    if not one.run_id:
        raise InvalidArgumentError("it is missing", "run_id")
    check_length(one.run_id, "run_id", _ID)
    if one.first_sequence < 0:
        raise InvalidArgumentError(f"{one.first_sequence} is negative", "first_sequence")
    for name in ("events", "tasks", "artifacts", "cache_entries", "execution_ids", "artifact_ids", "waits", "attempts"):
        _check_count(getattr(one, name), name)
    for task in one.tasks:
        _check_task(task, latest)
    for artifact in one.artifacts:
        _check_artifact(artifact, latest)
    for entry in one.cache_entries:
        _check_entry(entry, latest)
    for name, ids in (("execution_ids", one.execution_ids), ("artifact_ids", one.artifact_ids)):
        for key, number in ids.items():
            check_length(key, name, MAX_NAME)
            if number < 0:
                raise InvalidArgumentError(f"the id {number} of {key[:80]!r} is negative", name)
    for path, text in one.waits.items():
        check_length(path, "waits.path", MAX_NAME)
        check_length(text, "waits.text", MAX_NAME)
    for attempt in one.attempts:
        _check_attempt(attempt, latest)
    _check_update(one, latest)


def _check_update(one: RunTransitions, latest: int) -> None:
    check_length(one.error, "run.error", MAX_TEXT)
    _check_time(one.at, latest, "run.at_millis")
    for name in ("pipeline_context_id", "pipeline_run_context_id"):
        if getattr(one, name) < 0:
            raise InvalidArgumentError(f"{getattr(one, name)} is negative", f"run.{name}")
    if not one.state:
        if one.finished:
            raise InvalidArgumentError(f"run {one.run_id} is finished without a state", "run.finished")
        return
    state = next((state for state in _REPORTED if state.value == one.state), None)
    if state is None:
        raise InvalidArgumentError(f"{one.state[:64]!r} is no state of a run that an executor reports", "run.state")
    if state.final is not one.finished:
        raise InvalidArgumentError(f"run {one.run_id}: finished is {one.finished} with {state.value}", "run.finished")


_task_texts = attrgetter(*_TASK_TEXTS)
_task_times = attrgetter(*_TASK_TIMES)


def _check_task(task: Task, latest: int) -> None:
    _check_texts(_TASK_TEXTS, _task_texts(task), "tasks")
    for name, at in zip(_TASK_TIMES, _task_times(task), strict=True):
        _check_time(at, latest, f"tasks.{name}_millis", f"task {task.path!r}: {at}")
    if not 0 <= task.wake_at <= LAST_MILLIS:
        raise InvalidArgumentError(f"task {task.path!r}: {task.wake_at} is no time", "tasks.wake_at_millis")
    if task.attempt < 0:
        raise InvalidArgumentError(f"task {task.path!r}: {task.attempt} is negative", "tasks.attempt")
    if task.phase not in _PHASES:
        raise InvalidArgumentError(f"task {task.path!r}: {task.phase[:64]!r} is no phase", "tasks.phase")
    _check_count(task.history, "tasks.history")
    for _, at in task.history:
        _check_time(at, latest, "tasks.history.at_millis", f"task {task.path!r}: {at}")


_artifact_texts = attrgetter(*_ARTIFACT_TEXTS)


def _check_artifact(artifact: Artifact, latest: int) -> None:
    _check_texts(_ARTIFACT_TEXTS, _artifact_texts(artifact), "artifacts")
    if not artifact.name:
        raise InvalidArgumentError("it is missing", "artifacts.name")
    if not artifact.uri.isprintable():
        raise InvalidArgumentError(f"artifact {artifact.name!r}: it holds control characters", "artifacts.uri")
    _check_time(artifact.created_at, latest, "artifacts.created_at_millis", f"artifact {artifact.name!r}")


_entry_texts = attrgetter(*_ENTRY_TEXTS)


def _check_entry(entry: CacheEntry, latest: int) -> None:
    _check_texts(_ENTRY_TEXTS, _entry_texts(entry), "cache_entries")
    if not entry.fingerprint:
        raise InvalidArgumentError("it is missing", "cache_entries.fingerprint")
    _check_time(entry.created_at, latest, "cache_entries.created_at_millis", f"task {entry.task_path!r}")


_attempt_texts = attrgetter(*_ATTEMPT_TEXTS)
_attempt_times = attrgetter(*TIMES)


def _check_attempt(attempt: AttemptRow, latest: int) -> None:
    if attempt.attempt < 1:
        raise InvalidArgumentError(f"{attempt.attempt} is not from 1", "attempts.attempt")
    _check_texts(_ATTEMPT_TEXTS, _attempt_texts(attempt), "attempts")
    # What is looked for in a log that others write to as well.
    if not _LOG_MARK.fullmatch(attempt.log_mark):
        raise InvalidArgumentError("it is not of at most 63 lower-case letters and digits", "attempts.log_mark")
    for name, at in zip(TIMES, _attempt_times(attempt), strict=True):
        _check_time(at, latest, f"attempts.{name}_millis")


def _check_texts(limits: Mapping[str, int], values: Sequence[str], kind: str) -> None:
    for (name, limit), value in zip(limits.items(), values, strict=True):
        # Most texts are short: what cannot be too long is not encoded to be counted.
        if len(value) * 4 > limit or "\0" in value:
            check_length(value, f"{kind}.{name}", limit)


def _check_time(at: int, latest: int, field: str, what: str = "") -> None:
    if not 0 <= at <= latest:
        raise InvalidArgumentError(f"{what or at}: it is before 1970 or more than a day ahead", field)


def _check_count(values: Collection[object], field: str) -> None:
    if len(values) > MAX_ROWS:
        raise InvalidArgumentError(f"{len(values)} are more than {MAX_ROWS}", field)
