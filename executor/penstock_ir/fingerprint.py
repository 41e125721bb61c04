"""The cache key of a task, composed as upstream composes it (executor.md §2.7).

Invariants: pure; keys are sorted and text is escaped as by Go's JSON encoder, so the document equals upstream's, except
that it has Penstock's names of input artifacts instead of their ids in ML Metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_ir.model import ArtifactDefinition, JsonValue, ParameterType, Task

_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def is_cacheable(task: Task, *, works_in_workspace: bool) -> bool:
    """Whether the result of the task may come from the cache.

    Not for a task that creates or deletes a volume claim or works in the run's workspace: its outputs are not all that
    it does, so it has to run again. With a `cacheKey` the author declares that this is not needed for the workspace.
    """
    return (
        task.caching.enabled and not task.component.manages_claim and (not works_in_workspace or bool(task.caching.key))
    )


def task_fingerprint(
    *,
    component_ref: str,
    cache_key: str,
    input_artifacts: Mapping[str, Sequence[str]],
    input_parameters: Mapping[str, JsonValue],
    output_artifacts: Mapping[str, ArtifactDefinition],
    output_parameters: Mapping[str, ParameterType],
    image: str,
    cmd_args: Sequence[str],
    pvc_names: Sequence[str] = (),
) -> str:
    """Hex SHA-256. With a custom `cache_key` only that and the component count."""
    if cache_key:
        return hashlib.sha256(f"{component_ref}\0{cache_key}".encode()).hexdigest()
    document = key_document(
        input_artifacts=input_artifacts,
        input_parameters=input_parameters,
        output_artifacts=output_artifacts,
        output_parameters=output_parameters,
        image=image,
        cmd_args=cmd_args,
        pvc_names=pvc_names,
    )
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.translate(_GO_ESCAPES).encode()).hexdigest()


def key_document(
    *,
    input_artifacts: Mapping[str, Sequence[str]],
    input_parameters: Mapping[str, JsonValue],
    output_artifacts: Mapping[str, ArtifactDefinition],
    output_parameters: Mapping[str, ParameterType],
    image: str,
    cmd_args: Sequence[str],
    pvc_names: Sequence[str] = (),
) -> dict[str, Any]:
    """The document that is hashed: tasks with equal ones share a result."""
    document: dict[str, Any] = {
        "inputArtifactNames": {port: {"artifactNames": list(names)} for port, names in input_artifacts.items()},
        "inputParameterValues": {name: value for name, value in input_parameters.items() if value is not None},
        "outputArtifactsSpec": {port: _artifact(port, definition) for port, definition in output_artifacts.items()},
        "outputParametersSpec": {name: kind.value for name, kind in output_parameters.items()},
        "containerSpec": {
            "image": image,
            "cmdArgs": list(cmd_args),
            **({"pvcNames": sorted(set(pvc_names))} if pvc_names else {}),
        },
    }
    return {name: value for name, value in document.items() if value}


def _artifact(port: str, definition: ArtifactDefinition) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": port,
        "type": {"schemaTitle": definition.schema_title, "schemaVersion": definition.schema_version},
    }
    if definition.metadata:
        document["metadata"] = dict(definition.metadata)
    return document
