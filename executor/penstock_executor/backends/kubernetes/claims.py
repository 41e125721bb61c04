"""The claims that tasks and runs make (executor.md §4.3, §1.9), as manifests.

Invariants: pure; a name follows from the run, the path and the attempt, so making a claim again finds it; the labels
say whose it is. Without a storage class the cluster's default holds, an empty one means a volume that is there already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from penstock_ir.model import CREATE_CLAIM, DELETE_CLAIM
from penstock_ir.parameters import describe, value_text

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.allowed import check_use
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_executor.backends.kubernetes.view import (
    ANNOTATION_ATTEMPT,
    ANNOTATION_PATH,
    LABEL_INSTANCE,
    LABEL_RUN,
)
from penstock_executor.engine.kubernetes.workspace import ACCESS_MODES
from penstock_executor.engine.names import claim_name

Json = dict[str, Any]

LABEL_WORKSPACE = "penstock.dev/workspace"
_MAX_NAME = 63
_SUFFIX = re.compile(r"[a-z0-9-]*[a-z0-9]")
_REFERENCE = ("apiGroup", "kind", "name")


def is_claim_task(task: TaskLaunch) -> bool:
    """Whether the task makes or deletes a claim, which its image says: the executor does that, without a Pod."""
    return task.image in (CREATE_CLAIM, DELETE_CLAIM)


def claim_to_delete(task: TaskLaunch) -> str | None:
    """The name; None for a task that makes one. Raises PodSpecError."""
    return _required(task, "pvc_name", str) if task.image == DELETE_CLAIM else None


def claim_to_create(task: TaskLaunch, instance: str) -> Json:
    """Raises PodSpecError that names the argument."""
    modes = _required(task, "access_modes", list)
    unknown = [mode for mode in modes if mode not in ACCESS_MODES]
    if unknown:
        raise _error("access_modes", f"{unknown[0]!r} is none of {', '.join(ACCESS_MODES)}")
    spec: Json = {
        "accessModes": modes,
        "resources": {"requests": {"storage": _required(task, "size", str)}},
    }
    volume = _optional(task, "volume_name", str)
    storage_class = _optional(task, "storage_class_name", str)
    if storage_class is not None or volume:
        spec["storageClassName"] = storage_class or ""
    if volume:
        spec["volumeName"] = volume
    source = _optional(task, "data_source", dict)
    if source:
        spec["dataSource"] = _data_source(source)
    annotations = _optional(task, "annotations", dict) or {}
    return _claim(
        _name(task),
        labels=_labels(task, instance),
        annotations={
            **{key: value_text(value) for key, value in annotations.items()},
            ANNOTATION_PATH: task.key.path,
            ANNOTATION_ATTEMPT: str(task.key.attempt),
        },
        spec=spec,
    )


def workspace_claim(task: TaskLaunch, instance: str) -> Json:
    """The workspace of the task's run, the same for all of its tasks."""
    workspace: Any = task.kubernetes["workspace"]
    labels = {**_labels(task, instance), LABEL_WORKSPACE: "true"}
    return _claim(workspace["claimName"], labels=labels, annotations={}, spec=workspace["spec"])


def is_same_claim(ours: Mapping[str, Any], existing: Mapping[str, Any]) -> bool:
    """Whether `existing` was made for the same: by the same task of the run, in any attempt, or as its workspace."""
    wanted, found = ours["metadata"], existing.get("metadata") or {}
    labels, annotations = found.get("labels") or {}, found.get("annotations") or {}
    return all(
        labels.get(key) == wanted["labels"].get(key) for key in (LABEL_INSTANCE, LABEL_RUN, LABEL_WORKSPACE)
    ) and annotations.get(ANNOTATION_PATH) == wanted["annotations"].get(ANNOTATION_PATH)


def is_of_run(existing: Mapping[str, Any], instance: str, run_id: str) -> bool:
    """Whether a task of the run made the claim, or it is the run's workspace."""
    labels = (existing.get("metadata") or {}).get("labels") or {}
    return labels.get(LABEL_INSTANCE) == instance and labels.get(LABEL_RUN) == run_id


def check_new_claim(task: TaskLaunch, policy: NamespacePolicy, own: OwnNames) -> None:
    """Whether the task may make the claim that it asks for. A name that the task does not choose is its run's own.

    Raises PodSpecError.
    """
    name = _optional(task, "pvc_name", str)
    if name:
        check_use(policy, own, "claims", name, "pvc_name of the claim")
    source = _optional(task, "data_source", dict) or {}
    if source.get("name"):
        # A copy of a claim, or of a snapshot that may be called like one, shows what is in it.
        check_use(policy, own, "claims", str(source["name"]), "data_source of the claim")
    volume, storage_class = _optional(task, "volume_name", str), _optional(task, "storage_class_name", str)
    if volume:
        check_use(policy, own, "volumes", volume, "volume_name of the claim")
    if storage_class or (storage_class is not None and not volume):
        check_use(policy, own, "storageClasses", storage_class, "storage_class_name of the claim")
    for key in _optional(task, "annotations", dict) or {}:
        check_use(policy, own, "annotations", key, "annotations of the claim")


def _claim(name: str, *, labels: Json, annotations: Json, spec: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
    }


def _labels(task: TaskLaunch, instance: str) -> Json:
    return {
        "app.kubernetes.io/managed-by": "penstock",
        LABEL_INSTANCE: instance,
        LABEL_RUN: task.key.run_id,
    }


def _name(task: TaskLaunch) -> str:
    given = _optional(task, "pvc_name", str)
    suffix = _optional(task, "pvc_name_suffix", str)
    if given and suffix:
        raise _error("pvc_name", "give a name or a suffix, not both")
    if given:
        return str(given)
    suffix = suffix or ""
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise _error("pvc_name_suffix", f"{suffix!r} has to end a DNS name: lower-case letters, digits and dashes")
    separator = "" if suffix.startswith("-") or not suffix else "-"
    key = task.key
    stem = claim_name(key.run_id, task.run_resource_name, key.path, key.attempt, _MAX_NAME - len(suffix) - 1)
    name = f"{stem}{separator}{suffix}"
    if len(name) > _MAX_NAME:
        raise _error("pvc_name_suffix", f"{suffix!r} is too long")
    return name


def _data_source(source: Mapping[str, Any]) -> Json:
    if not source.get("kind") or not source.get("name"):
        raise _error("data_source", "a kind and a name are needed")
    extra = sorted(set(source) - set(_REFERENCE))
    if extra:
        raise _error("data_source", f"unknown field {extra[0]!r}; known are {', '.join(_REFERENCE)}")
    return {key: source[key] for key in _REFERENCE if source.get(key)}


def _required(task: TaskLaunch, name: str, kind: type) -> Any:
    value = _optional(task, name, kind)
    if not value:
        raise _error(name, "it is required")
    return value


def _optional(task: TaskLaunch, name: str, kind: type) -> Any:
    value = task.inputs.get(name)
    if value is not None and not isinstance(value, kind):
        raise _error(name, f"it must not be {describe(value)}")
    return value


def _error(name: str, text: str) -> PodSpecError:
    return PodSpecError(f"{name} of the claim: {text}")
