"""What a task's own annotations say of its further attempts (docs/pods.md, "Further attempts").

Why annotations: the IR has no fields for it, and every SDK sets them with `kubernetes.add_pod_annotation`.

Invariants: pure. A wrong value is a problem of the document, with its place, so whoever reads a compiled pipeline has
right ones. Nothing of it is part of the cache key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from penstock_ir.errors import Problem
from penstock_ir.quantities import bytes_text, parse_quantity

INFRASTRUCTURE_RETRIES = "penstock.dev/infrastructure-retries"
MEMORY_FACTOR = "penstock.dev/oom-memory-factor"
MEMORY_MAX = "penstock.dev/oom-memory-max"
ATTEMPT_ANNOTATIONS = (INFRASTRUCTURE_RETRIES, MEMORY_FACTOR, MEMORY_MAX)

MAX_INFRASTRUCTURE_RETRIES = 100
_MAX_FACTOR = 10
_MOST_BYTES = Decimal(2) ** 60
"""What no node has, and every API server stores."""
_MEMORY = (("resourceMemoryLimit", "memoryLimit"), ("resourceMemoryRequest", "memoryRequest"))
"""The text and the deprecated number of gigabytes of each."""


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """By how much memory grows after each attempt that ran out of it; `most` in bytes."""

    factor: Decimal
    most: Decimal = _MOST_BYTES

    def of(self, text: object, times: int) -> str | None:
        """The quantity after so many steps; None for one that is no quantity. It never shrinks."""
        amount = parse_quantity(text)
        if amount is None or amount <= 0:
            return None
        grown = amount
        for _ in range(times):
            grown *= self.factor
            if grown >= self.most:
                break
        return bytes_text(max(amount, min(grown, self.most)))


@dataclass(frozen=True, slots=True)
class AttemptSettings:
    """None: the annotation is not there."""

    infrastructure_retries: int | None = None
    memory_step: MemoryStep | None = None


NO_ATTEMPT_SETTINGS = AttemptSettings()


def attempt_settings(
    kubernetes: Mapping[str, Any], resources: Mapping[str, Any], place: str, problems: list[Problem]
) -> AttemptSettings:
    """Of an executor's KubernetesExecutorConfig at `place`; `resources` are its container's. Adds to `problems`."""
    metadata = kubernetes.get("podMetadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping) or not any(key in annotations for key in ATTEMPT_ANNOTATIONS):
        return NO_ATTEMPT_SETTINGS

    def wrong(key: str, expected: str) -> None:
        problems.append(
            Problem(f"{place}.podMetadata.annotations.{key}", f"{str(annotations[key])[:40]!r}: expected {expected}")
        )

    retries = annotations.get(INFRASTRUCTURE_RETRIES)
    if retries is not None and not _is_count(retries):
        wrong(INFRASTRUCTURE_RETRIES, f"a whole number from 0 to {MAX_INFRASTRUCTURE_RETRIES}")
        retries = None
    factor, most = annotations.get(MEMORY_FACTOR), annotations.get(MEMORY_MAX)
    times, cap = parse_quantity(factor), parse_quantity(most)
    if factor is not None and (times is None or str(factor)[-1:].isalpha() or not 1 <= times <= _MAX_FACTOR):
        wrong(MEMORY_FACTOR, f"a number from 1.0 to {_MAX_FACTOR}")
    elif factor is not None and not any(resources.get(key) for keys in _MEMORY for key in keys):
        wrong(MEMORY_FACTOR, "a task that sets a memory limit or request, which this one does not")
    if most is not None and factor is None:
        wrong(MEMORY_MAX, f"{MEMORY_FACTOR} beside it")
    elif most is not None and (cap is None or not 0 < cap <= _MOST_BYTES):
        wrong(MEMORY_MAX, "an amount of memory such as 16Gi")
    step = MemoryStep(times, _MOST_BYTES if cap is None else cap) if times is not None else None
    return AttemptSettings(None if retries is None else int(retries), step)


def _is_count(text: object) -> bool:
    return (
        isinstance(text, str)
        and text.isascii()
        and text.isdecimal()
        and len(text) <= 3
        and int(text) <= MAX_INFRASTRUCTURE_RETRIES
    )


def with_more_memory(resources: Mapping[str, Any], step: MemoryStep | None, times: int) -> dict[str, Any]:
    """A container's resources after so many attempts that ran out of memory; placeholders are resolved."""
    found = dict(resources)
    for text, number in _MEMORY if step is not None and times else ():
        given = resources.get(text) or (f"{resources[number]}G" if resources.get(number) else None)
        more = step.of(given, times) if step is not None and given is not None else None
        if more is not None:
            found[text] = more
    return found
