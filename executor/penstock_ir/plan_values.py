"""Values in a plan that depend on others: known ones, and those known only in the run (see `penstock_ir.plan`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_ir.model import Component, JsonValue
from penstock_ir.parameters import value_text
from penstock_ir.placeholders import parameter_name, resolve_value
from penstock_ir.planned import Unknown, Value
from penstock_ir.platform_values import WORKSPACE_PATH, claim_source, constant_of


def with_placeholders(value: JsonValue, inputs: Mapping[str, Value]) -> Value:
    """The constant with its placeholders replaced; Unknown if one of them has no known value."""
    missing: list[str] = []
    in_workspace = False

    def lookup(expression: str) -> str | None:
        nonlocal in_workspace
        name = parameter_name(expression)
        if name is None:
            in_workspace |= expression == ".workspace_path" and isinstance(value, str)
            missing.append(expression.lstrip("."))
            return None
        input_value = inputs.get(name)
        if isinstance(input_value, Unknown):
            in_workspace |= input_value.in_workspace and isinstance(value, str)
            missing.append(input_value.source)
            return None
        return value_text(input_value) if name in inputs else None

    resolved = resolve_value(value, lookup)
    return Unknown(f"a text with {missing[0]}", in_workspace) if missing else resolved


def mentions_workspace(inputs: Mapping[str, Value]) -> bool:
    """Whether an input holds a path in the workspace of the run."""
    return any(
        value.in_workspace if isinstance(value, Unknown) else isinstance(value, str) and WORKSPACE_PATH in value
        for value in inputs.values()
    )


def claims_of(
    component: Component,
    inputs: Mapping[str, Value],
    scope: Mapping[str, Value],
    outputs: Mapping[str, Mapping[str, Value]],
) -> list[str] | None:
    """The volume claims that a task mounts, None when not all are known. `scope` holds the inputs of the DAG around it,
    `outputs` the outputs of that DAG's tasks.
    """
    claims: list[str] = []
    mounts: Any = component.kubernetes.get("pvcMount") or ()
    for mount in mounts:
        source = claim_source(mount)
        if "componentInputParameter" in source:
            name = scope.get(source["componentInputParameter"])
        elif "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            name = outputs.get(output.get("producerTask", ""), {}).get(output.get("outputParameterKey", ""))
        else:
            name = with_placeholders(constant_of(source), inputs)
        if not isinstance(name, str):
            return None
        claims.append(name)
    return claims
