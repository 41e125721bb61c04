"""What a task learns of its own set-up: the TaskConfig input (executor.md §2.8).

Invariant: a field that the component passes through goes into the input, and to the task itself only when it says so;
a field that is not passed through goes to the task alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock_ir.model import Component, JsonValue, ParameterType

_LIMITS = (("cpu", "resourceCpuLimit", "cpuLimit"), ("memory", "resourceMemoryLimit", "memoryLimit"))
_REQUESTS = (("cpu", "resourceCpuRequest", "cpuRequest"), ("memory", "resourceMemoryRequest", "memoryRequest"))


def task_config(
    component: Component, env: tuple[tuple[str, str], ...], resources: Mapping[str, JsonValue]
) -> tuple[dict[str, JsonValue], tuple[tuple[str, str], ...], Mapping[str, JsonValue]]:
    """The values of TASK_CONFIG inputs, and what is left of environment and resources for the task itself.

    Fields that only Kubernetes has (affinity, tolerations, node selector, volumes) are not in it yet.
    """
    names = [
        name for name, definition in component.input_parameters.items() if definition.type is ParameterType.TASK_CONFIG
    ]
    passed = {str(one.get("field")): bool(one.get("applyToTask")) for one in component.task_config_passthroughs}
    if not names or not passed:
        return {}, env, resources
    config: dict[str, JsonValue] = {}
    if "ENV" in passed:
        config["env"] = [{"name": name, "value": value} for name, value in env]
        env = env if passed["ENV"] else ()
    if "RESOURCES" in passed:
        config["resources"] = kubernetes_resources(resources)
        resources = resources if passed["RESOURCES"] else {}
    return dict.fromkeys(names, config), env, resources


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
