"""Limits of a task as flags of a container runtime.

Invariants: pure; Kubernetes' quantities are read as Kubernetes reads them. Requests are left aside: there is nothing
to schedule on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from penstock_ir.model import JsonValue
from penstock_ir.quantities import parse_quantity

from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.engine.task_config import kubernetes_resources

_LEAST_MEMORY = 6 * 1024 * 1024
"""What podman and docker take at least."""


def limit_options(resources: Mapping[str, JsonValue]) -> list[str]:
    """Raises TaskSpecError."""
    limits: Any = kubernetes_resources(resources).get("limits") or {}
    options = []
    if limits.get("memory"):
        options += ["--memory", str(max(_LEAST_MEMORY, int(quantity(limits["memory"], "memory"))))]
    if limits.get("cpu"):
        options += ["--cpus", f"{max(Decimal('0.01'), quantity(limits['cpu'], 'cpu')):f}"]
    return options


def quantity(text: object, what: str) -> Decimal:
    """A number of bytes or cores. Raises TaskSpecError."""
    number = parse_quantity(text)
    if number is not None and number > 0:
        return number
    raise TaskSpecError(f"the limit of {what} is {str(text)[:40]!r}: expected a quantity such as 500m, 2 or 4Gi")
