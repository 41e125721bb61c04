"""A task's latest attempt as a Pod and Events of Kubernetes, for the web UI's tabs (api.md §4.2).

Why: Pods are deleted after they have ended, and a local process has none. Invariant: the documents contain only data of
the run's record, and an annotation says so.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from penstock_ir.task_rows import TaskState

from penstock_server.domain.run import Run
from penstock_server.domain.task import Task

SOURCE = "the run's own record; the Pod itself was not asked"
_PHASES = {
    TaskState.PENDING: "Pending",
    TaskState.RUNNING: "Running",
    TaskState.SUCCEEDED: "Succeeded",
    TaskState.FAILED: "Failed",
    TaskState.CANCELED: "Failed",
}


def pod_document(run: Run, task: Task) -> dict[str, Any]:
    """A v1 Pod."""
    state: dict[str, Any] = {}
    if task.finished_at:
        state = {"terminated": {"startedAt": _time(task.started_at), "finishedAt": _time(task.finished_at)}}
        if task.error:
            state["terminated"]["message"] = task.error
    elif task.waiting:
        state = {"waiting": {"reason": "Waiting", "message": task.waiting}}
    elif task.started_at:
        state = {"running": {"startedAt": _time(task.started_at)}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": task.pod_name,
            "namespace": run.namespace,
            "creationTimestamp": _time(task.created_at),
            "labels": {"pipeline/runid": run.run_id},
            "annotations": {
                "penstock/source": SOURCE,
                "penstock/task": task.path,
                "penstock/attempt": str(task.attempt),
            },
        },
        "spec": {"serviceAccountName": run.service_account, "containers": [{"name": "main"}]},
        "status": {
            "phase": _PHASES.get(task.state, "Unknown"),
            "message": task.error or task.waiting,
            "startTime": _time(task.started_at),
            "containerStatuses": [{"name": "main", "state": state, "restartCount": max(0, task.attempt - 1)}],
        },
    }


def event_documents(task: Task) -> list[dict[str, Any]]:
    """v1 Events, the oldest first: one for each state of the task, and one if it waits for something."""
    events = []
    for number, (state, at) in enumerate(task.history):
        failed = state.failed and task.error
        text = task.error if failed else f"task {task.path} is {state.value}"
        events.append(_event(task, str(number), state.value.capitalize(), text, at, warning=state is TaskState.FAILED))
    return [*events, *waiting_events(task)]


def waiting_events(task: Task) -> list[dict[str, Any]]:
    """The reason why the task's attempt waits, as an Event; empty when it does not wait."""
    if not task.waiting:
        return []
    since = task.history[-1][1] if task.history else task.created_at
    return [_event(task, "waiting", "Waiting", task.waiting, since, warning=True)]


def _event(task: Task, name: str, reason: str, text: str, at: int, *, warning: bool) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{task.pod_name}.{name}"},
        "involvedObject": {"kind": "Pod", "name": task.pod_name},
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": text,
        "source": {"component": "penstock"},
        "firstTimestamp": _time(at),
        "lastTimestamp": _time(at),
        "count": 1,
    }


def _time(millis: int) -> str | None:
    if not millis:
        return None
    return datetime.fromtimestamp(millis // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
