"""Loads bytes or JSON as a `PipelineDocument`: known fields only, one schema version, canonical form.

Invariants: a loaded document has no unknown field and the schema version 2.1.0; its JSON is that of protojson
(camelCase, defaults omitted), so equal pipelines have equal hashes in whichever spelling. Keys are sorted, and numbers
in free-form values keep their digits: protobuf's maps have no order and its numbers are doubles, so both are taken from
the source document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from penstock_ir.descriptors import fields_by_json_name, is_repeated, message_class
from penstock_ir.errors import InvalidSpecError, Problem
from penstock_ir.json_text import MAX_VALUES, JsonTextError, plain_value
from penstock_ir.model import JsonValue
from penstock_ir.package import text_of_package
from penstock_ir.platform_spec import KUBERNETES_SETTINGS, unknown_settings
from penstock_ir.yaml_text import documents

MAX_PACKAGE_BYTES = 32 * 1024 * 1024
SCHEMA_VERSION = "2.1.0"
_FREE_FORM = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue")


@dataclass(frozen=True)
class PipelineDocument:
    """`pipeline_spec` is a PipelineSpec, `platform_spec` a PlatformSpec, both as camelCase JSON."""

    pipeline_spec: dict[str, Any]
    platform_spec: dict[str, Any] | None = None

    @cached_property
    def _canonical(self) -> tuple[str, str]:
        return _compact(self.pipeline_spec), _compact(self.platform_spec) if self.platform_spec else ""

    def canonical_json(self) -> tuple[str, str]:
        """Sorted compact texts; the second is empty without a platform document."""
        return self._canonical

    def spec_hash(self) -> str:
        """Hex SHA-256 over both canonical texts."""
        pipeline, platform = self._canonical
        return hashlib.sha256(f"{pipeline}\0{platform}".encode()).hexdigest()

    def to_struct_json(self) -> dict[str, Any]:
        """The form of PipelineVersion.pipeline_spec (api.md §2.7)."""
        if self.platform_spec:
            return {"pipeline_spec": self.pipeline_spec, "platform_spec": self.platform_spec}
        return self.pipeline_spec


def parse_package(
    data: bytes, *, file_name: str = "", max_bytes: int = MAX_PACKAGE_BYTES, max_values: int = MAX_VALUES
) -> PipelineDocument:
    """Loads an uploaded package. Raises InvalidSpecError, TooManyValuesError among them."""
    loaded = documents(text_of_package(data, file_name, max_bytes), max_values)
    if not loaded:
        raise _invalid("the file holds no pipeline")
    if len(loaded) > 2:
        raise _invalid(f"expected a pipeline and at most one platform document, found {len(loaded)} documents")
    platform = [document for document in loaded if _is_platform(document)]
    pipelines = [document for document in loaded if not _is_platform(document)]
    if len(pipelines) != 1 or not isinstance(pipelines[0], dict):
        raise _invalid("there is no pipeline spec in it")
    wrapped: dict[str, JsonValue] = pipelines[0]
    if platform:
        wrapped = {"pipeline_spec": wrapped, "platform_spec": platform[0]}
    return document_from_json(wrapped)


def document_from_json(value: Mapping[str, Any]) -> PipelineDocument:
    """Loads a bare spec or `{"pipeline_spec", "platform_spec"}`, camelCase or snake_case. Raises InvalidSpecError."""
    pipeline: Any = value
    platform: Any = None
    for key in ("pipeline_spec", "pipelineSpec"):
        if key in value:
            pipeline = value[key]
            platform = value.get("platform_spec", value.get("platformSpec"))
            extra = set(value) - {"pipeline_spec", "pipelineSpec", "platform_spec", "platformSpec"}
            if extra:
                raise _invalid(f"unexpected field {sorted(extra)[0]!r} beside pipeline_spec")
    if not isinstance(pipeline, Mapping):
        raise _invalid("the pipeline spec is no object")
    if "kind" in pipeline and "apiVersion" in pipeline:
        raise _kubernetes_object(str(pipeline["kind"])[:80], str(pipeline["apiVersion"])[:80])
    version = pipeline.get("schemaVersion", pipeline.get("schema_version"))
    spec = _normalised(pipeline, "ml_pipelines.PipelineSpec", "")
    if version != SCHEMA_VERSION:
        raise InvalidSpecError(
            [
                Problem(
                    "schemaVersion",
                    f"KFP only supports schema version {SCHEMA_VERSION}, "
                    f"but the pipeline spec has version {version or ''}",
                )
            ]
        )
    if "deploymentSpec" in spec:
        # The field is a Struct, so its content has not been validated yet.
        spec["deploymentSpec"] = _normalised(
            spec["deploymentSpec"], "ml_pipelines.PipelineDeploymentConfig", "deploymentSpec: "
        )
    if platform is None or platform == {}:
        return PipelineDocument(spec)
    if not isinstance(platform, Mapping):
        raise _invalid("the platform spec is no object")
    return PipelineDocument(spec, _platform(platform, spec))


def _platform(written: Mapping[str, Any], pipeline: Mapping[str, Any]) -> dict[str, Any]:
    problems = unknown_settings(written)
    if problems:
        raise InvalidSpecError(problems)
    spec = _normalised(written, "ml_pipelines.PlatformSpec", "platform_spec: ")
    # Settings of executors are Structs, so their content has not been validated yet.
    kubernetes = (spec.get("platforms") or {}).get("kubernetes") or {}
    executors = (kubernetes.get("deploymentSpec") or {}).get("executors") or {}
    pipeline_executors = (pipeline.get("deploymentSpec") or {}).get("executors") or {}
    unknown_executors = [
        Problem(f"platforms.kubernetes.deploymentSpec.executors.{label}", "the pipeline has no such executor")
        for label in executors
        if label not in pipeline_executors
    ]
    if unknown_executors:
        raise InvalidSpecError(unknown_executors)
    for label in executors:
        place = f"platforms.kubernetes.deploymentSpec.executors.{label}: "
        executors[label] = _normalised(executors[label], KUBERNETES_SETTINGS, place)
    return spec


def _normalised(value: Mapping[str, Any], message_name: str, place: str) -> dict[str, Any]:
    message = message_class(message_name)()
    descriptor: Any = message.DESCRIPTOR
    try:
        json_format.ParseDict(dict(value), message)
        normalised: dict[str, Any] = _as_written(json_format.MessageToDict(message), value, descriptor)
        return normalised
    except json_format.Error as error:
        raise _invalid(f"{place}{str(error).splitlines()[0][:500]}") from error
    except JsonTextError as error:
        raise _invalid(f"{place}{error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _invalid(f"{place}a value has the wrong kind: {str(error)[:300]}") from error


def _as_written(canonical: Any, written: Any, descriptor: Descriptor) -> Any:
    """The canonical JSON of a message with sorted keys and the free-form values of the source document."""
    if descriptor.full_name in _FREE_FORM:
        return _ordered(plain_value(written, "a value"))
    if not isinstance(canonical, dict):
        return canonical
    fields: dict[str, Any] = {}
    for name, field in fields_by_json_name(descriptor).items():
        if name in canonical:
            fields[name] = _field_as_written(canonical[name], written.get(name, written.get(field.name)), field)
    return fields


def _field_as_written(canonical: Any, written: Any, field: FieldDescriptor) -> Any:
    kind = field.message_type
    if kind is None:
        return _ordered(plain_value(canonical, field.json_name))
    if kind.GetOptions().map_entry:
        entry = kind.fields_by_name["value"]
        return {key: _field_as_written(canonical[key], written[key], entry) for key in sorted(canonical)}
    if is_repeated(field):
        return [_as_written(item, written_item, kind) for item, written_item in zip(canonical, written, strict=True)]
    return _as_written(canonical, written, kind)


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return value


def _is_platform(value: JsonValue) -> bool:
    if not isinstance(value, dict):
        return False
    platforms = value.get("platforms")
    return isinstance(platforms, dict)


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _kubernetes_object(kind: str, version: str) -> InvalidSpecError:
    if version.startswith("argoproj.io/"):
        what = f"this is an Argo {kind} ({version}), which version 1 of the kfp SDK compiles to"
    else:
        what = f"this is a Kubernetes object ({kind} of {version})"
    return _invalid(
        f"{what}, and no pipeline that Penstock can run: compile its source with the kfp SDK from version 2 on "
        "(`kfp dsl compile --py pipeline.py --output pipeline.yaml`)"
    )


def _invalid(message: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"unknown template format: {message}")])
