"""Shared by v1beta1 resources: references, list filters, pipelines as text."""

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


def namespace_of_list(key: resource_reference_pb2.ResourceKey) -> str:
    """The namespace by which a list is filtered, empty for none."""
    return key.id if key.type == NAMESPACE else ""


def namespace_of_new(references: Iterable[Reference], field: str) -> str:
    """The namespace that the references of a new object name, empty for none. Raises InvalidArgumentError for more
    than one, of which nobody could say which is meant.
    """
    named = {one.key.id for one in references if one.key.type == NAMESPACE}
    if len(named) > 1:
        raise InvalidArgumentError("it names more than one namespace", field)
    return named.pop() if named else ""


def namespace_references(namespace: str) -> list[Reference]:
    """What an object says of the namespace that it is in."""
    return [reference(NAMESPACE, namespace, OWNER)] if namespace else []


def list_filter_id(key: resource_reference_pb2.ResourceKey, field: str, kind: Any, *, required: bool = False) -> str:
    """The id of the resource by which a list is filtered, empty for none; a namespace is `namespace_of_list`'s affair.

    Raises InvalidArgumentError.
    """
    if key.type == kind and key.id:
        return key.id
    type_name = resource_reference_pb2.ResourceType.Name(kind)
    if required:
        raise InvalidArgumentError(f"type {type_name} and an id are required", field)
    if key.type not in (kind, NAMESPACE, resource_reference_pb2.UNKNOWN_RESOURCE_TYPE):
        # Callers may send numbers that the enumeration does not have.
        enum_value = resource_reference_pb2.ResourceType.DESCRIPTOR.values_by_number.get(key.type)
        given_type = enum_value.name if enum_value is not None else key.type
        raise InvalidArgumentError(f"this list can be narrowed by {type_name}, not by {given_type}", f"{field}.type")
    return ""


def manifest(spec: Spec) -> str:
    """A stored document as YAML, as the SDK's compiler writes it: the pipeline, then the platform spec if any."""
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
    """`runtime_config` is its stored text; without `spec` the reply has no pipeline manifest."""
    message = pipeline_spec_pb2.PipelineSpec(pipeline_id=pipeline_id, pipeline_name=name)
    if spec is not None:
        message.pipeline_manifest = manifest(spec)
    if runtime_config is not None:
        fill_config(message.runtime_config, runtime_config)
        message.runtime_config.SetInParent()
    return message
