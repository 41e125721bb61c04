"""What a task learns of its own set-up: the TaskConfig input (executor.md §2.8).

Invariant: a field that the component passes through goes into the input, and to the task itself only when it says so;
a field that is not passed through goes to the task alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock_ir.model import Component, JsonValue, ParameterType

_LIMITS = (("cpu", "resourceCpuLimit", "cpuLimit"), ("memory", "resourceMemoryLimit", "memoryLimit"))
_REQUESTS = (("cpu", "resourceCpuRequest", "cpuRequest"), ("memory", "resourceMemoryRequest", "memoryRequest"))
_PLATFORM_FIELDS = {
    "KUBERNETES_AFFINITY": ("affinity",),
    "KUBERNETES_TOLERATIONS": ("tolerations",),
    "KUBERNETES_NODE_SELECTOR": ("nodeSelector",),
    "KUBERNETES_VOLUMES": ("volumes", "volumeMounts"),
}


@dataclass(frozen=True, slots=True)
class SetUp:
    """What a task is given besides its inputs. `platform` as `engine.kubernetes.platform` resolves it; `inputs`: values
    of TASK_CONFIG inputs.
    """

    env: tuple[tuple[str, str], ...]
    resources: Mapping[str, JsonValue]
    platform: Mapping[str, JsonValue]
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)


def task_config(component: Component, given: SetUp) -> SetUp:
    """What is left for the task itself, and what goes into its TASK_CONFIG inputs."""
    names = [
        name for name, definition in component.input_parameters.items() if definition.type is ParameterType.TASK_CONFIG
    ]
    passed = {str(one.get("field")): bool(one.get("applyToTask")) for one in component.task_config_passthroughs}
    if not names or not passed:
        return given
    config: dict[str, JsonValue] = {}
    env, resources, platform = given.env, given.resources, dict(given.platform)
    if "ENV" in passed:
        variables: list[JsonValue] = [{"name": name, "value": value} for name, value in env]
        config["env"] = variables + _list(platform.get("env"))
        if not passed["ENV"]:
            env = ()
            platform.pop("env", None)
    if "RESOURCES" in passed:
        config["resources"] = kubernetes_resources(resources)
        resources = resources if passed["RESOURCES"] else {}
    for passed_field, keys in _PLATFORM_FIELDS.items():
        if passed_field not in passed:
            continue
        config.update({key: platform[key] for key in keys if key in platform})
        if not passed[passed_field]:
            platform = {key: value for key, value in platform.items() if key not in keys}
    return SetUp(env, resources, platform, dict.fromkeys(names, config))


def kubernetes_resources(resources: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The IR's resources as Kubernetes writes them; texts win over the deprecated numbers (executor.md §1.8)."""
    limits = _quantities(resources, _LIMITS)
    accelerator = resources.get("accelerator")
    if isinstance(accelerator, Mapping):
        kind = accelerator.get("resourceType") or accelerator.get("type")
        if kind:
            limits[str(kind)] = str(accelerator.get("resourceCount") or accelerator.get("count") or "1")
    found: dict[str, JsonValue] = {}
    if limits:
        found["limits"] = limits
    requests = _quantities(resources, _REQUESTS)
    if requests:
        found["requests"] = requests
    return found


def _quantities(resources: Mapping[str, JsonValue], fields: tuple[tuple[str, str, str], ...]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, text, number in fields:
        if resources.get(text):
            found[name] = resources[text]
        elif resources.get(number):
            found[name] = f"{resources[number]}G" if name == "memory" else str(resources[number])
    return found


def _list(value: Any) -> list[JsonValue]:
    return list(value or ())
