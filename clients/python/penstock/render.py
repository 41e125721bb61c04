"""Tables and colours of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

from penstock_api.v1 import insight_pb2
from rich.table import Table
from rich.text import Text

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
_ENDED = {"SUCCEEDED", "CACHED", "FAILED", "CANCELED", "SKIPPED", "OMITTED"}


def state_text(state: str) -> Text:
    return Text(state, style=_STYLES.get(state, ""))


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
    built = Table(*columns, title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for row in rows:
        built.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return built


def task_table(tasks: Sequence[insight_pb2.Task], now_millis: int, title: str = "") -> Table:
    """What `runs get` and `run --watch` show."""
    rows = []
    for depth, task in _tree(tasks):
        took = task.duration_millis
        if task.state == "RUNNING" and task.started_at.seconds:
            took = max(0, now_millis - task.started_at.ToMilliseconds())
        error = task.error.splitlines()[0] if task.error else ""
        label = "  " * depth + task.path.rsplit("/", 1)[-1]
        shown = duration(took) if task.state in _ENDED | {"RUNNING"} and task.started_at.seconds else ""
        attempts = str(task.attempts) if task.attempts > 1 else ""
        rows.append((label, state_text(task.state), shown, attempts, error))
    return table(("task", "state", "took", "attempts", "error"), rows, title)


def _tree(tasks: Sequence[insight_pb2.Task]) -> Iterator[tuple[int, insight_pb2.Task]]:
    """Every task below its parent, in the order they began, with its depth."""
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
    """Tasks that have ended, tasks known."""
    known = [task for task in tasks if task.path]
    return sum(task.state in _ENDED for task in known), len(known)
