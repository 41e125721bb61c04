"""The run's workspace: a claim that its tasks share (executor.md §1.9, §2.8).

Invariant: pure; what the pipeline may not decide about the claim is an InputError of the first task that uses it.
"""

from __future__ import annotations

from typing import Any

from penstock_ir.parameters import describe

from penstock_executor.engine import names
from penstock_executor.engine.inputs import InputError
from penstock_executor.engine.state import ContainerNode, RunContext

Json = dict[str, Any]

ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_PLACE = "pipelineConfig.workspace"
_PATCHABLE = ("accessModes", "storageClassName")


def workspace_of(node: ContainerNode, context: RunContext) -> Json | None:
    """`{"claimName", "spec"}`, the latter a PersistentVolumeClaimSpec; None for a task that does not use it.

    Raises InputError.
    """
    config: Any = context.pipeline.config.get("workspace")
    if not config or not _mentions(node, context):
        return None
    size = config.get("size", "")
    if not isinstance(size, str) or not size or size.startswith("-"):
        raise InputError(f"{_PLACE}.size: expected a size such as 5Gi, got {describe(size)}")
    return {
        "claimName": names.workspace_claim(context.run_id, context.resource_name),
        "spec": {**_patch((config.get("kubernetes") or {}).get("pvcSpecPatch")), "resources": _requests(size)},
    }


def _mentions(node: ContainerNode, context: RunContext) -> bool:
    """By the text of its path in a parameter, as upstream detects it, or by an artifact that lies in it."""
    return any(isinstance(value, str) and context.workspace_path in value for value in node.inputs.values()) or any(
        artifact.workspace for many in node.artifacts.values() for artifact in many
    )


def _patch(patch: Any) -> Json:
    place = f"{_PLACE}.kubernetes.pvcSpecPatch"
    if patch is None:
        return {"accessModes": ["ReadWriteOnce"]}
    if not isinstance(patch, dict):
        raise InputError(f"{place}: expected an object, got {describe(patch)}")
    extra = sorted(set(patch) - set(_PATCHABLE))
    if extra:
        raise InputError(f"{place}: {extra[0]!r} cannot be set, only {' and '.join(_PATCHABLE)}")
    modes = patch.get("accessModes", ["ReadWriteOnce"])
    if not isinstance(modes, list) or not modes or any(mode not in ACCESS_MODES for mode in modes):
        raise InputError(f"{place}.accessModes: expected some of {', '.join(ACCESS_MODES)}, got {describe(modes)}")
    found: Json = {"accessModes": modes}
    if "storageClassName" in patch:
        if not isinstance(patch["storageClassName"], str) or not patch["storageClassName"]:
            raise InputError(f"{place}.storageClassName: name a class, or leave it out for the cluster's default")
        found["storageClassName"] = patch["storageClassName"]
    return found


def _requests(size: str) -> Json:
    return {"requests": {"storage": size}}
