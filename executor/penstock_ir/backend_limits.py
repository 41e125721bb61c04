"""Features of tasks that not every backend supports. A plan reports them, and the executor when the task would start.

Why here: the server plans and the executor starts tasks, and both must give the same answer. Invariants: pure; every
backend supports what is in no table here, or ignores it because it has no effect on one machine (scheduling, service
accounts, the sharing of workers).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

from penstock_ir.model import Component, ContainerExecutor
from penstock_ir.planned import Unknown, Value

LOCAL, CONTAINER, KUBERNETES = "local", "container", "kubernetes"


class Need(str, Enum):
    """The values continue a sentence that begins with "the task"."""

    ENTRYPOINT = "names no command, so that only its image knows what to run"
    CLAIM_TASK = "makes or deletes a volume claim"
    SECRET = "takes a Secret of the cluster"  # noqa: S105 - a text
    CONFIG_MAP = "takes a ConfigMap of the cluster"
    VOLUME = "mounts a volume"
    INIT_CONTAINER = "has init containers"
    POD_FIELD = "takes a variable from a field of its Pod"


_UNSUPPORTED: Mapping[str, tuple[str, frozenset[Need]]] = {
    LOCAL: ("as a process of this machine", frozenset(Need)),
    CONTAINER: ("in a container of this machine", frozenset({Need.SECRET, Need.CONFIG_MAP, Need.INIT_CONTAINER})),
}
_COMMAND_HINT = ", or name the command in the component (its image is not used by processes)"
_LIGHTWEIGHT = "kfp.dsl.executor_main"
"""Part of the command of every lightweight component, whose environment is made from its packages."""
_NEEDS_BY_NAME = {
    "secretAsEnv": (Need.SECRET, "secretName"),
    "secretAsVolume": (Need.SECRET, "secretName"),
    "configMapAsEnv": (Need.CONFIG_MAP, "configMapName"),
    "configMapAsVolume": (Need.CONFIG_MAP, "configMapName"),
}
_NEEDS_BY_FIELD = {
    "pvcMount": Need.VOLUME,
    "emptyDirMounts": Need.VOLUME,
    "genericEphemeralVolume": Need.VOLUME,
    "initContainers": Need.INIT_CONTAINER,
    "fieldPathAsEnv": Need.POD_FIELD,
}


def refusal(needs: Collection[Need], backend: str) -> str:
    """Why a task with these needs cannot run on the backend, and what to do; empty when it can, or it is unknown."""
    where, unsupported = _UNSUPPORTED.get(backend, ("", frozenset()))
    missing = [need for need in Need if need in needs and need in unsupported]
    if not missing:
        return ""
    container_unsupported = _UNSUPPORTED[CONTAINER][1]
    advice = "run it on Kubernetes"
    if backend == LOCAL and not any(need in container_unsupported for need in needs):
        advice = "run it with `--backend container` or on Kubernetes"
    if missing == [Need.ENTRYPOINT]:
        advice += _COMMAND_HINT
    return f"the task {' and '.join(need.value for need in missing)}: it cannot run {where}; {advice}"


def ignored_image(component: Component, backend: str) -> str:
    """The note of a plan that a task's image is not used; empty when it is, or the component is a lightweight one."""
    container = component.implementation
    if backend != LOCAL or not isinstance(container, ContainerExecutor) or not container.command:
        return ""
    if any(_LIGHTWEIGHT in text for text in container.command):
        return ""
    return f"a process of this machine: the image {container.image} is not used"


def needs_of(component: Component, parameters: Mapping[str, Value]) -> list[Need]:
    """The needs that are known before a run; `parameters` are those of the DAG around the task."""
    container = component.implementation
    if not isinstance(container, ContainerExecutor):
        return []
    if component.manages_claim:
        return [Need.CLAIM_TASK]
    needs = [] if container.command else [Need.ENTRYPOINT]
    config = component.kubernetes
    for field, need in _NEEDS_BY_FIELD.items():
        if config.get(field):
            needs.append(need)
    for field, (need, name) in _NEEDS_BY_NAME.items():
        entries: Any = config.get(field) or ()
        if any(not entry.get("optional") and _is_given(entry.get(f"{name}Parameter"), parameters) for entry in entries):
            needs.append(need)
    return list(dict.fromkeys(needs))


def _is_given(spec: Any, parameters: Mapping[str, Value]) -> bool:
    """Whether a name is known not to be null; an entry whose name is null is left out."""
    if spec is None or "runtimeValue" in spec:
        return True
    value = parameters.get(spec.get("componentInputParameter", ""))
    return value is not None and not isinstance(value, Unknown)
