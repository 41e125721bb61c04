"""A task's latest attempt in the words of Kubernetes' API, for the web UI's Pod and events tabs (api.md §4.2).

Why made here: Pods are removed when they have ended, and a local process never was one. Invariant: only what the run's
own record says is told; an annotation says where it comes from.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from penstock_server.domain.run import Run
from penstock_server.domain.task import Task

SOURCE = "the run's own record; the Pod itself was not asked"
_PHASES = {
    "PENDING": "Pending",
    "RUNNING": "Running",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "CANCELED": "Failed",
}


def pod_document(run: Run, task: Task) -> dict[str, Any]:
    """A v1 Pod."""
    state: dict[str, Any] = {}
    if task.finished_at:
        state = {"terminated": {"startedAt": _time(task.started_at), "finishedAt": _time(task.finished_at)}}
        if task.error:
            state["terminated"]["message"] = task.error
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
            "message": task.error,
            "startTime": _time(task.started_at),
            "containerStatuses": [{"name": "main", "state": state, "restartCount": max(0, task.attempt - 1)}],
        },
    }


def event_documents(task: Task) -> list[dict[str, Any]]:
    """v1 Events, the oldest first: one for each change of the task's state."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{task.pod_name}.{number}"},
            "involvedObject": {"kind": "Pod", "name": task.pod_name},
            "type": "Warning" if state == "FAILED" else "Normal",
            "reason": state.capitalize(),
            "message": task.error if state in ("FAILED", "CANCELED") and task.error else f"task {task.path} is {state}",
            "source": {"component": "penstock"},
            "firstTimestamp": _time(at),
            "lastTimestamp": _time(at),
            "count": 1,
        }
        for number, (state, at) in enumerate(task.history)
    ]


def _time(millis: int) -> str | None:
    if not millis:
        return None
    return datetime.fromtimestamp(millis // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
