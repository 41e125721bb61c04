"""The policy of deploy/kustomize/components/executor-pods, and Pods that it is to refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "components" / "executor-pods" / "policy.yaml"
Json = dict[str, Any]


def documents() -> tuple[Json, Json]:
    """The policy and its binding."""
    policy, binding = yaml.safe_load_all(_FILE.read_text())
    return policy, binding


def _security(pod: Json, kind: str) -> None:
    pod["spec"].setdefault(kind, [{"name": "first", "image": "busybox:1.36"}])
    pod["spec"][kind][0]["securityContext"] = {"privileged": True}


def _volume(pod: Json) -> None:
    pod["spec"].setdefault("volumes", []).append({"name": "host", "hostPath": {"path": "/"}})


# By what is changed of a task's Pod: how, and the beginning of what the policy says.
FORBIDDEN: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no labels": (lambda pod: pod["metadata"].pop("labels"), "a Pod of the executor has the labels"),
    "no run": (lambda pod: pod["metadata"]["labels"].pop("pipeline/runid"), "a Pod of the executor has the labels"),
    "of nobody": (
        lambda pod: pod["metadata"]["labels"].update({"app.kubernetes.io/managed-by": "x"}),
        "a Pod of the executor has the labels",
    ),
    "the installation's": (
        lambda pod: pod["metadata"]["labels"].update({"app.kubernetes.io/part-of": "penstock"}),
        "a task's Pod is no part of the installation",
    ),
    "host network": (lambda pod: pod["spec"].update(hostNetwork=True), "a task's Pod has nothing of its host's"),
    "host processes": (lambda pod: pod["spec"].update(hostPID=True), "a task's Pod has nothing of its host's"),
    "host IPC": (lambda pod: pod["spec"].update(hostIPC=True), "a task's Pod has nothing of its host's"),
    "host path": (_volume, "a task's Pod has no hostPath"),
    "privileged": (lambda pod: _security(pod, "containers"), "a task's containers are not privileged"),
    "privileged first": (lambda pod: _security(pod, "initContainers"), "a task's init containers are not privileged"),
    "a node": (lambda pod: pod["spec"].update(nodeName="control-plane"), "a task's Pod is placed by the scheduler"),
    "the executor": (
        lambda pod: pod["spec"].update(serviceAccountName="penstock-executor"), "a task does not run as",
    ),
    "the server": (lambda pod: pod["spec"].update(serviceAccountName="penstock-server"), "a task does not run as"),
}  # fmt: skip


def forbidden(pod: Json, name: str) -> Json:
    """A copy of a task's Pod with that change."""
    changed = copy.deepcopy(pod)
    FORBIDDEN[name][0](changed)
    return changed
