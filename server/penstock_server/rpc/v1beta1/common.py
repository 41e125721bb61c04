"""What several v1beta1 resources share: references, lists narrowed by them, documents as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from penstock_api.v1beta1 import pipeline_spec_pb2, resource_reference_pb2
from penstock_ir.model import MISSING, Pipeline
from penstock_ir.yaml_text import to_yaml

from penstock_server.domain.pipeline import Spec
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import fill_config

Reference = resource_reference_pb2.ResourceReference
EXPERIMENT = resource_reference_pb2.EXPERIMENT
NAMESPACE = resource_reference_pb2.NAMESPACE
PIPELINE = resource_reference_pb2.PIPELINE
PIPELINE_VERSION = resource_reference_pb2.PIPELINE_VERSION
OWNER = resource_reference_pb2.OWNER
CREATOR = resource_reference_pb2.CREATOR


def reference(kind: Any, identifier: str, relationship: Any, name: str = "") -> Reference:
    """To a resource; `kind` and `relationship` are values of the enumerations in resource_reference.proto."""
    key = resource_reference_pb2.ResourceKey(type=kind, id=identifier)
    return Reference(key=key, relationship=relationship, name=name)


def narrowed(key: resource_reference_pb2.ResourceKey, field: str, kind: Any, *, required: bool = False) -> str:
    """The id that a list is narrowed to, empty for none. Namespaces narrow nothing in single-user mode (api.md §2.5).

    Raises InvalidArgumentError.
    """
    if key.type == kind and key.id:
        return key.id
    wanted = resource_reference_pb2.ResourceType.Name(kind)
    if required:
        raise InvalidArgumentError(f"type {wanted} and an id are required", field)
    if key.type not in (kind, NAMESPACE, resource_reference_pb2.UNKNOWN_RESOURCE_TYPE):
        # Callers may send numbers that no name was given.
        known = resource_reference_pb2.ResourceType.DESCRIPTOR.values_by_number.get(key.type)
        given = known.name if known is not None else key.type
        raise InvalidArgumentError(f"this list can be narrowed by {wanted}, not by {given}", f"{field}.type")
    return ""


def manifest(spec: Spec) -> str:
    """A stored document as the YAML that compilers write: the pipeline, then the platform's part if there is one."""
    parts = [spec.pipeline_spec, *([spec.platform_spec] if spec.platform_spec else [])]
    return "---\n".join(to_yaml(json.loads(part)) for part in parts)


def parameters(pipeline: Pipeline) -> Iterable[pipeline_spec_pb2.Parameter]:
    """The inputs of a pipeline with their defaults as text, empty for none."""
    for name, definition in sorted(pipeline.root.input_parameters.items()):
        default = definition.default
        if default is MISSING or default is None:
            yield pipeline_spec_pb2.Parameter(name=name)
        else:
            text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
            yield pipeline_spec_pb2.Parameter(name=name, value=text)


def pipeline_spec(
    pipeline_id: str, runtime_config: str | None, spec: Spec | None = None, name: str = ""
) -> pipeline_spec_pb2.PipelineSpec:
    """`runtime_config` as it is kept; without `spec` there is no document in the reply."""
    message = pipeline_spec_pb2.PipelineSpec(pipeline_id=pipeline_id, pipeline_name=name)
    if spec is not None:
        message.pipeline_manifest = manifest(spec)
    if runtime_config is not None:
        fill_config(message.runtime_config, runtime_config)
        message.runtime_config.SetInParent()
    return message
