"""What a task needs that not every place where tasks run can give: told by a plan, and when the task would start.

Why here: the server plans and the executor starts, and both have to say the same. Invariants: pure; whatever is in no
backend's table here every backend can do, or leaves aside because nothing depends on it on one machine (where to
schedule, which account).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

from penstock_ir.model import Component, ContainerExecutor
from penstock_ir.planned import Unknown, Value

LOCAL, CONTAINER, KUBERNETES = "local", "container", "kubernetes"


class Need(str, Enum):
    """Each in words that go on from "the task"."""

    ENTRYPOINT = "names no command, so that only its image knows what to run"
    CLAIM_TASK = "makes or deletes a volume claim"
    SECRET = "takes a Secret of the cluster"  # noqa: S105 - a text
    CONFIG_MAP = "takes a ConfigMap of the cluster"
    VOLUME = "mounts a volume"
    INIT_CONTAINER = "has init containers"
    POD_FIELD = "takes a variable from a field of its Pod"


_CANNOT: Mapping[str, tuple[str, frozenset[Need]]] = {
    LOCAL: ("as a process of this machine", frozenset(Need)),
    CONTAINER: ("in a container of this machine", frozenset({Need.SECRET, Need.CONFIG_MAP, Need.INIT_CONTAINER})),
}
_ENTRYPOINT_TOO = ", or name the command in the component (its image is not used by processes)"
_LIGHTWEIGHT = "kfp.dsl.executor_main"
"""In the command of a component whose packages make its environment."""
_FIELDS = {
    "secretAsEnv": (Need.SECRET, "secretName"),
    "secretAsVolume": (Need.SECRET, "secretName"),
    "configMapAsEnv": (Need.CONFIG_MAP, "configMapName"),
    "configMapAsVolume": (Need.CONFIG_MAP, "configMapName"),
}
_WHATEVER_IT_SAYS = {
    "pvcMount": Need.VOLUME,
    "emptyDirMounts": Need.VOLUME,
    "genericEphemeralVolume": Need.VOLUME,
    "initContainers": Need.INIT_CONTAINER,
    "fieldPathAsEnv": Need.POD_FIELD,
}


def refusal(needs: Collection[Need], backend: str) -> str:
    """Why a task with these needs cannot run there, and what to do; empty when it can, or the backend is unknown."""
    where, impossible = _CANNOT.get(backend, ("", frozenset()))
    missing = [need for need in Need if need in needs and need in impossible]
    if not missing:
        return ""
    others = _CANNOT[CONTAINER][1]
    ways = "run it on Kubernetes"
    if backend == LOCAL and not any(need in others for need in needs):
        ways = "run it with `--backend container` or on Kubernetes"
    if missing == [Need.ENTRYPOINT]:
        ways += _ENTRYPOINT_TOO
    return f"the task {' and '.join(need.value for need in missing)}: it cannot run {where}; {ways}"


def ignored_image(component: Component, backend: str) -> str:
    """What a plan says of a task whose image is left aside; empty when that is the SDK's own doing, or it is used."""
    container = component.implementation
    if backend != LOCAL or not isinstance(container, ContainerExecutor) or not container.command:
        return ""
    if any(_LIGHTWEIGHT in text for text in container.command):
        return ""
    return f"a process of this machine: the image {container.image} is not used"


def needs_of(component: Component, parameters: Mapping[str, Value]) -> list[Need]:
    """As far as known before a run; `parameters` are those of the pipeline around the task."""
    container = component.implementation
    if not isinstance(container, ContainerExecutor):
        return []
    if component.manages_claim:
        return [Need.CLAIM_TASK]
    found = [] if container.command else [Need.ENTRYPOINT]
    config = component.kubernetes
    for field, need in _WHATEVER_IT_SAYS.items():
        if config.get(field):
            found.append(need)
    for field, (need, name) in _FIELDS.items():
        entries: Any = config.get(field) or ()
        if any(not one.get("optional") and _is_given(one.get(f"{name}Parameter"), parameters) for one in entries):
            found.append(need)
    return list(dict.fromkeys(found))


def _is_given(spec: Any, parameters: Mapping[str, Value]) -> bool:
    """Whether a name given so is known not to be null, which leaves its entry out."""
    if spec is None or "runtimeValue" in spec:
        return True
    value = parameters.get(spec.get("componentInputParameter", ""))
    return value is not None and not isinstance(value, Unknown)
