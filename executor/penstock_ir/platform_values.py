"""Reads the Kubernetes settings that are part of a task's cache key, for runs and for plans.

Invariant: pure; the claim of a mount has one source, in documents of every kfp-kubernetes release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORKSPACE_PATH = "/kfp-workspace"


def claim_source(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claim name of a `pvcMount`, as an InputParameterSpec; older documents have its fields in the entry itself."""
    given: Mapping[str, Any] | None = entry.get("pvcNameParameter")
    if given is not None:
        return given
    for key in ("taskOutputParameter", "componentInputParameter"):
        if key in entry:
            return {key: entry[key]}
    return {"runtimeValue": {"constant": entry.get("constant", "")}}


def constant_of(spec: Mapping[str, Any]) -> Any:
    """The literal of an InputParameterSpec, None for null."""
    runtime = spec.get("runtimeValue") or {}
    if "constantValue" in runtime:
        return next(iter(runtime["constantValue"].values()), None)
    # protojson leaves a null constant out.
    return runtime.get("constant")
