"""Tables of tasks on the command line: display names, and why a task waits."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from penstock import render
from penstock_api.v1 import insight_pb2
from rich.console import Console


def shown(*tasks: insight_pb2.Task) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(render.task_table(tasks, 0))
    return capture.get()


def test_what_took_less_than_the_clock_tells() -> None:
    ended: dict[str, Any] = {"kind": "container", "state": "SUCCEEDED", "started_at": Timestamp(seconds=5)}
    assert "< 1 s" in shown(insight_pb2.Task(path="unwrapped", **ended))
    assert "40 ms" in shown(insight_pb2.Task(path="wrapped", duration_millis=40, **ended))
    assert "0 ms" in shown(insight_pb2.Task(path="group", **{**ended, "kind": "dag"}))


def test_tasks_by_their_display_names_iterations_by_their_place() -> None:
    text = shown(
        insight_pb2.Task(path="for-loop-1", display_name="every layer", kind="loop", state="RUNNING"),
        insight_pb2.Task(
            path="for-loop-1[0]",
            parent_path="for-loop-1",
            display_name="every layer",
            kind="iteration",
            state="RUNNING",
        ),
        insight_pb2.Task(
            path="for-loop-1[0]/train", parent_path="for-loop-1[0]", display_name="Train it", kind="container"
        ),
        insight_pb2.Task(path="plain", kind="container", state="PENDING", waiting="no node takes the Pod"),
    )
    assert [
        line.split("  ")[0] if line[0] != " " else line.strip().split("  ")[0] for line in text.splitlines()[1:]
    ] == [
        "every layer",
        "for-loop-1[0]",
        "Train it",
        "plain",
    ]
    assert "waits: no node takes the Pod" in text
