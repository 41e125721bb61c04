"""The cache key of a task, composed as upstream composes it (executor.md §2.7).

Invariants: a function of its arguments alone; keys are sorted and text is escaped as Go's JSON encoder does, so the
document is upstream's, except that input artifacts count by Penstock's artifact names instead of ML Metadata ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock_ir.model import ArtifactDefinition, JsonValue, ParameterType, Task

_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def result_is_kept(task: Task, *, works_in_workspace: bool) -> bool:
    """Whether the cache is asked, if the run has one.

    Not for what leaves its work in a claim or in the run's workspace: its outputs do not tell the whole of it, and a
    second equal task has to do it again. A `cacheKey` is the author's word that it need not.
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
    """Hex SHA-256. A custom `cache_key` makes everything else irrelevant but the component."""
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
    """What the hash is made of: two tasks share a result when theirs are equal."""
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
