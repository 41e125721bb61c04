"""Variables of a task's container, in the order of Kubernetes, whose fields of a Pod are those of the container.

Invariants: pure; what comes later wins over an entry of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.container.state import LABEL_RUN
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.engine.names import attempt_id

_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


def task_env(task: TaskLaunch, passed: Mapping[str, str]) -> dict[str, str]:
    """`passed` are variables of this machine that every task gets. Raises TaskSpecError."""
    variables = {
        **passed,
        "KFP_POD_NAME": task.pod_name,
        "KFP_POD_UID": _uid(task),
        "KFP_RETRY_INDEX": str(task.key.attempt - 1),
        **dict(task.env),
    }
    entries: Any = task.kubernetes.get("env") or ()
    for entry in entries:
        field = entry["valueFrom"].get("fieldRef")
        # A Secret or ConfigMap gets here only when it may be missing.
        if field is not None:
            variables[entry["name"]] = _field(task, field["fieldPath"])
    checked_arguments([f"{name}={value}" for name, value in variables.items()], "environment variable")
    return variables


def labels_of(task: TaskLaunch) -> dict[str, str]:
    """Labels that the task shows, those of its platform settings among them."""
    given: Any = task.kubernetes.get("labels") or {}
    return {**given, LABEL_RUN: task.key.run_id, "pipelines.kubeflow.org/v2_component": "true"}


def _uid(task: TaskLaunch) -> str:
    return attempt_id(task.key.run_id, task.key.path, task.key.attempt)


def _field(task: TaskLaunch, path: str) -> str:
    simple = {"metadata.name": task.pod_name, "metadata.namespace": task.namespace, "metadata.uid": _uid(task)}
    if path in simple:
        return simple[path]
    match = _KEYED.fullmatch(path)
    if match is None:
        raise TaskSpecError(
            f"kubernetes.fieldPathAsEnv: a container of this machine has no field {path!r}, only metadata.name, "
            "metadata.namespace, metadata.uid, labels and annotations"
        )
    if match.group(1) == "labels":
        return labels_of(task).get(match.group(2), "")
    annotations: Any = task.kubernetes.get("annotations") or {}
    return str({**annotations, "pipelines.kubeflow.org/run_name": task.run_display_name}.get(match.group(2), ""))
