"""From bytes or JSON to a `PipelineDocument`: known fields only, one schema version, canonical form.

Invariants: a document that loads has no unknown field and schema version 2.1.0; its JSON is what protojson emits
(camelCase, defaults dropped), so equal pipelines have equal hashes however they were spelled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import json_format

from penstock_ir.descriptors import message_class
from penstock_ir.errors import InvalidSpecError, Problem
from penstock_ir.model import JsonValue
from penstock_ir.package import text_of_package
from penstock_ir.yaml_text import documents, plain_number

MAX_PACKAGE_BYTES = 32 * 1024 * 1024
SCHEMA_VERSION = "2.1.0"


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


def parse_package(data: bytes, *, file_name: str = "", max_bytes: int = MAX_PACKAGE_BYTES) -> PipelineDocument:
    """Loads an uploaded package. Raises InvalidSpecError."""
    found = documents(text_of_package(data, file_name, max_bytes))
    if not found:
        raise _unknown("the file holds no pipeline")
    if len(found) > 2:
        raise _unknown(f"expected a pipeline and at most one platform document, found {len(found)} documents")
    platform = [one for one in found if _is_platform(one)]
    pipelines = [one for one in found if not _is_platform(one)]
    if len(pipelines) != 1 or not isinstance(pipelines[0], dict):
        raise _unknown("there is no pipeline spec in it")
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
                raise _unknown(f"unexpected field {sorted(extra)[0]!r} beside pipeline_spec")
    if not isinstance(pipeline, Mapping):
        raise _unknown("the pipeline spec is no object")
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
        # The field is a Struct, so what is in it was not looked at yet.
        spec["deploymentSpec"] = _normalised(
            spec["deploymentSpec"], "ml_pipelines.PipelineDeploymentConfig", "deploymentSpec: "
        )
    if platform is None or platform == {}:
        return PipelineDocument(spec)
    if not isinstance(platform, Mapping):
        raise _unknown("the platform spec is no object")
    return PipelineDocument(spec, _normalised(platform, "ml_pipelines.PlatformSpec", "platform_spec: "))


def _normalised(value: Mapping[str, Any], message_name: str, place: str) -> dict[str, Any]:
    message = message_class(message_name)()
    try:
        json_format.ParseDict(dict(value), message)
        return _whole_numbers(json_format.MessageToDict(message))
    except json_format.Error as error:
        raise _unknown(f"{place}{str(error).splitlines()[0][:500]}") from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _unknown(f"{place}a value has the wrong kind: {str(error)[:300]}") from error


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    return value


def _is_platform(value: JsonValue) -> bool:
    if not isinstance(value, dict):
        return False
    platforms = value.get("platforms")
    return isinstance(platforms, dict) and "kubernetes" in platforms


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _unknown(message: str) -> InvalidSpecError:
    return InvalidSpecError([Problem("", f"unknown template format: {message}")])
