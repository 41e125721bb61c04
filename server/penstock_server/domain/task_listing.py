"""Which tasks of a run are asked for: a list's filter, made of what ListTasks takes.

Why a filter: page tokens carry it, so a page goes on with the same selection, and one mechanism serves all lists.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock_ir.task_rows import TaskKind, TaskState

from penstock_server.domain import listing
from penstock_server.domain.limits import check_length
from penstock_server.domain.listing import Key, KeyKind, Listing, ListQuery, ListRequest, Scope
from penstock_server.domain.task import Task
from penstock_server.errors import InvalidArgumentError

PARENT, TEXT, DURATION = "parent", "text", "duration"
"""Keys that are no columns: the parent's path, any of the names, and milliseconds from start to end."""
TASKS = Listing(
    "tasks",
    {
        "created_at": Key("ordinal", KeyKind.NUMBER),
        "started_at": Key("started_at", KeyKind.TIME),
        "duration": Key(DURATION, KeyKind.NUMBER),
        "state": Key("state"),
        "name": Key("name"),
        PARENT: Key(PARENT, sortable=False),
        TEXT: Key(TEXT, sortable=False),
    },
    default_page=100,
    max_page=1000,
)
GROUPS = (TaskKind.DAG, TaskKind.LOOP, TaskKind.ITERATION)
_MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class TaskListRequest:
    """As the caller gave it; `parent_path` is None for tasks of any parent."""

    run_id: str
    page_size: int = 0
    page_token: str = ""
    parent_path: str | None = None
    states: Sequence[str] = ()
    text: str = ""
    sort_by: str = ""

    @property
    def for_all(self) -> bool:
        """Whether every task is asked for at once."""
        return self == TaskListRequest(self.run_id)


@dataclass(frozen=True, slots=True)
class TaskPage:
    """`counts` by state of the whole selection, whatever states it asks for; `child_counts` by path of the parent.

    `sequence` is the run's latest change that is in here.
    """

    tasks: Sequence[Task]
    next_page_token: str
    total_size: int
    counts: Mapping[TaskState, int]
    child_counts: Mapping[str, Mapping[TaskState, int]]
    sequence: int


def whole(tasks: Sequence[Task], sequence: int) -> TaskPage:
    """All tasks of a run as one page."""
    children: dict[str, Counter[TaskState]] = {task.path: Counter() for task in tasks if task.kind in GROUPS}
    for task in tasks:
        if task.path and task.parent_path in children:
            children[task.parent_path][task.state] += 1
    return TaskPage(tasks, "", len(tasks), Counter(task.state for task in tasks), children, sequence)


def parse(request: TaskListRequest) -> ListQuery:
    """Raises InvalidArgumentError."""
    check_length(request.text, "text", _MAX_TEXT)
    chosen: list[Mapping[str, Any]] = []
    if request.parent_path is not None:
        chosen.append(_predicate("EQUALS", PARENT, request.parent_path))
    if request.text:
        chosen.append(_predicate("IS_SUBSTRING", TEXT, request.text.lower()))
    known = {state.value for state in TaskState}
    for number, state in enumerate(request.states):
        if state not in known:
            raise InvalidArgumentError(f"{state[:80]!r} is none of {', '.join(sorted(known))}", f"states[{number}]")
    if request.states:
        values = {"values": sorted(set(request.states))}
        chosen.append({"operation": "IN", "key": "state", "string_values": values})
    page = ListRequest(request.page_token, request.page_size, request.sort_by, _filter(chosen))
    return listing.parse(TASKS, page, Scope(parent=request.run_id))


def in_any_state(query: ListQuery) -> ListQuery:
    """The same selection without what it says of states."""
    return replace(query, predicates=tuple(one for one in query.predicates if one.column != "state"))


def _predicate(operation: str, key: str, value: str) -> Mapping[str, Any]:
    return {"operation": operation, "key": key, "string_value": value}


def _filter(predicates: Sequence[Mapping[str, Any]]) -> str:
    # A filter is unescaped once more when it has a percent sign, because the web UI escapes twice.
    text = json.dumps({"predicates": predicates}, separators=(",", ":")) if predicates else ""
    return text.replace("%", "\\u0025")
