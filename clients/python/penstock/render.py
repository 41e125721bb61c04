"""Tables and colours of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

from penstock_api.v1 import insight_pb2
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from penstock.terminal_text import printable

_STYLES = {
    "SUCCEEDED": "green",
    "CACHED": "cyan",
    "RUNNING": "yellow",
    "PENDING": "dim",
    "FAILED": "bold red",
    "CANCELED": "red",
    "CANCELING": "red",
    "SKIPPED": "dim",
    "OMITTED": "dim",
}
_SHOWN_ITERATIONS = 5
_ENDED = {"SUCCEEDED", "CACHED", "FAILED", "CANCELED", "SKIPPED", "OMITTED"}


def shown(value: Any, style: str = "") -> Text:
    """What came from a server or a task, without markup and without anything that a terminal would obey."""
    return Text(printable(str(value)), style=style)


def state_text(state: str) -> Text:
    """The state in its colour; an unknown state has none."""
    return shown(state, style=_STYLES.get(state, ""))


def duration(millis: int) -> str:
    """Such as 85 ms, 3.2 s or 2 m 05 s."""
    if millis < 1000:
        return f"{millis} ms"
    if millis < 60_000:
        return f"{millis / 1000:.1f} s"
    minutes, rest = divmod(millis // 1000, 60)
    return f"{minutes} m {rest:02d} s"


def moment(timestamp: Any) -> str:
    """Local time, empty for the epoch."""
    if not timestamp.seconds:
        return ""
    at = datetime.fromtimestamp(timestamp.seconds, tz=timezone.utc).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    """A table without lines; cells that are no `Text` are shown by `str`, without markup."""
    result = Table(
        *columns,
        title=Text(printable(title)) if title else None,
        title_justify="left",
        header_style="bold",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else shown(cell) for cell in row))
    return result


_TASK_COLUMNS = ("task", "state", "took", "attempts", "error, or what it waits for")


def task_table(tasks: Sequence[insight_pb2.Task], now_millis: int, title: str = "") -> Table:
    """The table of `runs get` and `run --watch`."""
    rows = [_task_row("  " * depth + _label(task), task, now_millis) for depth, task in _tree(tasks)]
    return table(_TASK_COLUMNS, rows, title)


def task_list(tasks: Sequence[insight_pb2.Task], now_millis: int) -> Table:
    """The table of `runs tasks`, in the order that is given."""
    rows = []
    for task in tasks:
        children = ", ".join(f"{number} {state}" for state, number in sorted(task.child_counts.items()))
        rows.append((*_task_row(task.path or "(the run)", task, now_millis), children))
    return table((*_TASK_COLUMNS, "children"), rows)


def _task_row(label: str, task: insight_pb2.Task, now_millis: int) -> tuple[Any, ...]:
    took = task.duration_millis
    if task.state == "RUNNING" and task.started_at.seconds:
        took = max(0, now_millis - task.started_at.ToMilliseconds())
    error = task.error.splitlines()[0] if task.error else f"waits: {task.waiting}" if task.waiting else ""
    took_text = _duration_text(task, took) if task.state in _ENDED | {"RUNNING"} and task.started_at.seconds else ""
    attempts = str(task.attempts) if task.attempts > 1 else ""
    return label, state_text(task.state), took_text, attempts, error


def _duration_text(task: insight_pb2.Task, millis: int) -> str:
    """The duration; without the wrapper the times of a container are the kubelet's, in whole seconds."""
    has_run = task.kind == "container" and task.state in ("SUCCEEDED", "FAILED", "CANCELED")
    return "< 1 s" if has_run and not millis else duration(millis)


def _label(task: insight_pb2.Task) -> str:
    """The display name of a task; the index of an iteration."""
    last = task.path.rsplit("/", 1)[-1]
    return last if task.kind == "iteration" else task.display_name or last


def _tree(tasks: Sequence[insight_pb2.Task]) -> Iterator[tuple[int, insight_pb2.Task]]:
    """Every task with its depth, children below their parent, in the order in which they began."""
    children: dict[str, list[insight_pb2.Task]] = {}
    for task in tasks:
        if task.path:
            children.setdefault(task.parent_path, []).append(task)
    stack = [(0, task) for task in reversed(children.get("", []))]
    while stack:
        depth, task = stack.pop()
        yield depth, task
        stack.extend((depth + 1, child) for child in reversed(children.get(task.path, [])))


def progress(tasks: Sequence[insight_pb2.Task]) -> tuple[int, int]:
    """The number of tasks that have ended, and of all tasks that the run has reached."""
    started = [task for task in tasks if task.path]
    return sum(task.state in _ENDED for task in started), len(started)


def plan_tree(plan: insight_pb2.PlanPipelineResponse, name: str, *, pods: bool) -> Tree:
    """The tree of `penstock plan`: the tasks with their notes."""
    root = Tree(shown(name, style="bold"))
    for task in plan.tasks:
        _add_planned(root, task, pods)
    return root


def _notes(task: insight_pb2.PlannedTask) -> list[str]:
    notes = [task.note] if task.note else []
    if task.cached_run_id:
        notes.append(f"result of run {task.cached_run_id}")
    if task.kind == "loop":
        count = str(task.iterations) if task.HasField("iterations") else "unknown"
        limit = f", {task.parallelism_limit} at once" if task.parallelism_limit else ""
        notes.append(f"iterations: {count}{limit}")
    if task.max_retries and task.kind == "container":
        notes.append(f"retries: {task.max_retries}")
    if task.depends_on:
        notes.append(f"after {', '.join(task.depends_on)}")
    if task.condition:
        notes.append(f"if {task.condition}")
    return notes


def _add_planned(parent: Tree, task: insight_pb2.PlannedTask, pods: bool) -> None:
    label = shown(task.path.rsplit("/", 1)[-1])
    if task.kind != "iteration":
        label.append(shown(f"  {task.kind}", style="dim"))
    if task.decision != "RUN":
        label.append(shown(f"  {task.decision}", style=_STYLES.get(task.decision, "yellow")))
    if notes := _notes(task):
        label.append(shown(f"  ({'; '.join(notes)})", style="dim"))
    branch = parent.add(label)
    for key, source in sorted(task.unknown_inputs.items()):
        branch.add(shown(f"{key} = <{source}>", style="dim"))
    if pods and task.HasField("container") and task.container.fields:
        from google.protobuf import json_format

        for key, value in json_format.MessageToDict(task.container).items():
            text = str(value)
            branch.add(shown(f"{key}: {text if len(text) <= 160 else text[:157] + '...'}", style="blue"))
    for child in task.children[:_SHOWN_ITERATIONS] if task.kind == "loop" else task.children:
        _add_planned(branch, child, pods)
    if task.kind == "loop" and len(task.children) > _SHOWN_ITERATIONS:
        branch.add(Text(f"and {len(task.children) - _SHOWN_ITERATIONS} more iterations", style="dim"))
