"""Rows that executors report, as the values that the server keeps.

Why by name: a column of a task is a field of the message and a field of `Task`, and nothing here names it again.

Invariant: a field of `TaskRow` has the name of the field of `Task`, or that name with the unit or the form of its value
behind it (`created_at_millis`, `inputs_json`). This module cannot be imported when `Task` has a field that no message
brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from operator import attrgetter
from typing import Any, TypeVar

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.json_text import parse_json
from penstock_ir.task_rows import TaskKind, TaskState

from penstock_server.domain.attempts import TIMES, AttemptOutcome, AttemptRow
from penstock_server.domain.limits import check_length
from penstock_server.domain.reports import MAX_NAME
from penstock_server.domain.task import Artifact, CacheEntry, Task, task_id_of
from penstock_server.errors import InvalidArgumentError

_attempt_times = attrgetter(*(f"{name}_millis" for name in TIMES))
_OUTCOMES = {outcome.value: outcome for outcome in AttemptOutcome}
_E = TypeVar("_E", bound=Enum)
# A look-up in a dictionary takes a fraction of what a call of the enumeration takes.
_KINDS = {kind.value: kind for kind in TaskKind}
_STATES = {state.value: state for state in TaskState}
# Of the report's run, or brought by other fields of the report.
_BROUGHT_OTHERWISE = frozenset({"run_id", "execution_id", "waiting"})


def _field_of_message(name: str) -> str:
    known = pb.TaskRow.DESCRIPTOR.fields_by_name
    for candidate in (name, f"{name}_millis", f"{name}_json"):
        if candidate in known:
            return candidate
    raise LookupError(f"Task.{name} has no field in penstock.internal.v1.TaskRow")


REPORTED = {field.name: _field_of_message(field.name) for field in fields(Task) if field.name not in _BROUGHT_OTHERWISE}
"""The field of `TaskRow` for each field of `Task` that a row brings."""
_JSON = [(name, source) for name, source in REPORTED.items() if source.endswith("_json")]
_values_of = attrgetter(*REPORTED.values())


def task_from_proto(run_id: str, row: pb.TaskRow) -> Task:
    """Raises InvalidArgumentError for a word that is not known and for what is no JSON object."""
    values: dict[str, Any] = dict(zip(REPORTED, _values_of(row), strict=True))
    values["kind"] = _enum_value(_KINDS, values["kind"], "kind")
    values["state"] = _enum_value(_STATES, values["state"], "state")
    values["history"] = tuple(
        [(_enum_value(_STATES, change.state, "history"), change.at_millis) for change in values["history"]]
    )
    if values["iteration_index"] < 0:
        values["iteration_index"] = None
    for name, source in _JSON:
        values[name] = _json(values[name], source)
    return Task(run_id, **values)


def artifact_from_proto(run_id: str, row: pb.ArtifactRow) -> Artifact:
    """Raises InvalidArgumentError for metadata that are no JSON object."""
    return Artifact(
        name=row.name,
        run_id=run_id,
        task_path=row.task_path,
        port=row.port,
        type=row.type,
        uri=row.uri,
        display_name=row.display_name or row.port,
        metadata=_json(row.metadata_json, "metadata_json"),
        created_at=row.created_at_millis,
    )


def cache_entry_from_proto(run_id: str, row: pb.CacheEntry) -> CacheEntry:
    """Raises InvalidArgumentError for outputs that are no JSON object."""
    return CacheEntry(
        fingerprint=row.fingerprint,
        namespace=row.namespace,
        pipeline_name=row.pipeline_name,
        run_id=run_id,
        task_path=row.task_path,
        outputs=_json(row.outputs_json, "outputs_json"),
        created_at=row.created_at_millis,
    )


def attempt_from_proto(run_id: str, row: pb.AttemptRow) -> AttemptRow:
    """Raises InvalidArgumentError for a word that is not known and for a path that no task can have."""
    check_length(row.path, "attempts.path", MAX_NAME)
    return AttemptRow(
        run_id,
        task_id_of(run_id, row.path),
        row.attempt,
        **dict(zip(TIMES, _attempt_times(row), strict=True)),
        outcome=_enum_value(_OUTCOMES, row.outcome, "outcome", "attempts"),
        exit_code=row.exit_code if row.HasField("exit_code") else None,
        error=row.error,
        pod_name=row.pod_name,
        log_uri=row.log_uri,
        node=row.node,
        placement=row.placement,
        log_mark=row.log_mark,
    )


def _enum_value(members: Mapping[str, _E], text: str, field: str, rows: str = "tasks") -> _E:
    try:
        return members[text]
    except KeyError as error:
        known = ", ".join(filter(None, members))
        raise InvalidArgumentError(f"{text[:64]!r} is none of {known}", f"{rows}.{field}") from error


def _json(content: bytes, field: str) -> str:
    """A JSON object as text. Raises InvalidArgumentError."""
    if content in (b"", b"{}"):
        return "{}"
    try:
        text = content.decode()
        value = parse_json(text, field)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"{field} is no JSON object: {str(error)[:200]}", field) from error
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"{field} is no JSON object", field)
    return text
