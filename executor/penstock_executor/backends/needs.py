"""Whether a task can run on a backend of one machine, checked before anything is prepared for it.

Invariant: pure. The texts are those that a plan shows (`penstock_ir.backend_limits`).
"""

from __future__ import annotations

from typing import Any

from penstock_ir.backend_limits import Need, refusal
from penstock_ir.model import CREATE_CLAIM, DELETE_CLAIM

from penstock_executor.attempts import TaskLaunch

_SOURCES = {"secretKeyRef": Need.SECRET, "configMapKeyRef": Need.CONFIG_MAP, "fieldRef": Need.POD_FIELD}
_VOLUMES = {"secret": Need.SECRET, "configMap": Need.CONFIG_MAP}


def unsupported(task: TaskLaunch, backend: str) -> str | None:
    """Why the task cannot run on `backend`, and what to do; None when it can."""
    return refusal(_needs(task), backend) or None


def _needs(task: TaskLaunch) -> set[Need]:
    if task.image in (CREATE_CLAIM, DELETE_CLAIM):
        return {Need.CLAIM_TASK}
    platform: Any = task.kubernetes
    needs = set() if task.command else {Need.ENTRYPOINT}
    for entry in platform.get("env") or ():
        for source, reference in entry["valueFrom"].items():
            if not reference.get("optional"):
                needs.add(_SOURCES[source])
    workspace = (platform.get("workspace") or {}).get("claimName")
    for volume in platform.get("volumes") or ():
        kind = next(key for key in volume if key != "name")
        if kind == "persistentVolumeClaim" and volume[kind]["claimName"] == workspace:
            continue
        if not volume[kind].get("optional"):
            needs.add(_VOLUMES.get(kind, Need.VOLUME))
    if any(mount["mountPath"] != "/dev/shm" for mount in platform.get("ownVolumeMounts") or ()):  # noqa: S108 - a Pod's
        needs.add(Need.VOLUME)
    if platform.get("initContainers"):
        needs.add(Need.INIT_CONTAINER)
    return needs
