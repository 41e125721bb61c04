"""Variables of a task's container, in the order in which Kubernetes sets them (executor.md §2.8).

Invariants: what comes later may refer to what came before, and wins over an entry of the same name, which is left out.
Values are literal but for such references.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.backends.kubernetes.variable_expansion import escaped
from penstock_executor.backends.kubernetes.volumes import certificates_env

Json = dict[str, Any]

POD_NAME, POD_UID = "KFP_POD_NAME", "KFP_POD_UID"
"""Variables of every task, before all others: which Pod it runs in."""


def task_env(task: TaskLaunch, settings: PodSettings) -> list[Json]:
    """Raises PodSpecError."""
    return literal(task_variables(task, settings))


def task_variables(task: TaskLaunch, settings: PodSettings) -> list[Json]:
    """The EnvVars as they were given: nothing in them is escaped."""
    return [
        {"name": POD_NAME, "value": task.pod_name},
        {"name": POD_UID, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        *attempt_variables(task, settings),
    ]


def attempt_variables(task: TaskLaunch, settings: PodSettings) -> list[Json]:
    """Those of `task_variables` that do not tell the Pod."""
    platform: Any = task.kubernetes.get("env") or ()
    return [
        {"name": "KFP_RETRY_INDEX", "value": str(task.key.attempt - 1)},
        *certificates_env(settings),
        *({"name": name, "value": value} for name, value in task.env),
        *({"name": name, "value": value} for name, value in settings.proxy),
        *platform,
    ]


def last_of_each(entries: Sequence[Json]) -> list[Json]:
    """The entries without those that a later one replaces, in their order."""
    last = {entry["name"]: index for index, entry in enumerate(entries)}
    return [entry for index, entry in enumerate(entries) if last[entry["name"]] == index]


def literal(entries: Sequence[Json]) -> list[Json]:
    """The entries without those that a later one replaces. Raises PodSpecError."""
    literals: list[Json] = []
    for entry in last_of_each(entries):
        if "value" in entry:
            checked_arguments([f"{entry['name']}={entry['value']}"], "environment variable")
            entry = {**entry, "value": escaped(entry["value"], names(literals))}
        literals.append(entry)
    return literals


def names(entries: Iterable[Json]) -> list[str]:
    """Of variables, in their order."""
    return [entry["name"] for entry in entries]
