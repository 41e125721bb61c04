"""What a task left behind, as parameters and artifacts (executor.md §3.3, §3.4, §10.21).

Whoever calls has read the texts: from files of this machine, or from what an attempt in a Pod left (`agent.results`).

Invariants: pure; a value in output_metadata.json wins over a file; a declared parameter in neither fails the task by
name; a missing artifact file is no failure. Values have their declared kinds. Lists keep all their elements, in order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock_ir.errors import InvalidParametersError
from penstock_ir.model import JsonValue, ParameterType
from penstock_ir.parameters import convert_value
from penstock_ir.yaml_text import plain_number

from penstock_executor.artifacts.base import Artifact
from penstock_executor.artifacts.written import OutputError
from penstock_executor.backends.base import OutputArtifact, TaskLaunch

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_ARTIFACT_FIELDS = {"name", "uri", "metadata", "type", "customPath", "custom_path"}
_FIELDS = {"artifacts", "parameterValues", "parameter_values", "parameters", "taskStatus"}


@dataclass(frozen=True, slots=True)
class CollectedOutputs:
    parameters: Mapping[str, JsonValue]
    artifacts: Mapping[str, tuple[Artifact, ...]]


def interpret_outputs(
    launch: TaskLaunch,
    *,
    parameter_text: Callable[[str], str],
    metadata_text: str | None,
    stored_uri: Callable[[str], str],
    present: Callable[[str], bool],
) -> CollectedOutputs:
    """What an attempt that ended well left. `parameter_text` gives the text of a parameter's file or raises
    OutputError; it is asked only for what output_metadata.json (`metadata_text`, None when there is none) does not say.
    `stored_uri` turns a URI as the task saw it into the kept one, `present` says whether something lies at a kept URI.

    Raises OutputError.
    """
    document = _document(metadata_text)
    parameters: dict[str, JsonValue] = {}
    written = document.get("parameterValues", document.get("parameter_values")) or {}
    if not isinstance(written, dict):
        raise OutputError("output_metadata.json: parameterValues is no object")
    for name, value in written.items():
        kind = launch.output_parameters.get(name)
        parameters[name] = _typed(name, _whole(value), kind)
    for name, kind in launch.output_parameters.items():
        if name not in parameters:
            parameters[name] = _parsed(name, kind, parameter_text(name))
    given = document.get("artifacts") or {}
    if not isinstance(given, dict):
        raise OutputError("output_metadata.json: artifacts is no object")
    artifacts = {
        port: tuple(
            one if present(one.uri) else replace(one, absent=True)
            for one in _artifacts(port, output, given.get(port), stored_uri)
        )
        for port, output in launch.output_artifacts.items()
    }
    return CollectedOutputs(parameters, artifacts)


def _document(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        document = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise OutputError(f"output_metadata.json is no valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise OutputError("output_metadata.json is no object")
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise OutputError("output_metadata.json holds half of a surrogate pair, which is no text") from error
    unknown = set(document) - _FIELDS
    if unknown:
        raise OutputError(f"output_metadata.json has an unknown field {sorted(unknown)[0]!r}")
    return document


def _parsed(name: str, kind: ParameterType, text: str) -> JsonValue:
    if kind is ParameterType.STRING:
        return text
    stripped = text.strip()
    try:
        if kind is ParameterType.NUMBER_INTEGER:
            return int(stripped, 10)
        if kind is ParameterType.NUMBER_DOUBLE:
            number = float(stripped)
            if not math.isfinite(number):
                raise ValueError("the number is not finite")
            return plain_number(number)
        if kind is ParameterType.BOOLEAN:
            if stripped not in _TRUE | _FALSE:
                raise ValueError("neither true nor false")
            return stripped in _TRUE
        return _typed(name, _whole(json.loads(stripped)), kind)
    except (ValueError, RecursionError) as error:
        shown = stripped[:60]
        raise OutputError(f"output parameter {name!r} is no {kind.value}: {shown!r} ({error})") from error


def _typed(name: str, value: JsonValue, kind: ParameterType | None) -> JsonValue:
    if kind is None or value is None:
        return value
    try:
        return convert_value(value, kind, f"output parameter {name!r}")
    except InvalidParametersError as error:
        raise OutputError(str(error)) from error


def _artifacts(port: str, output: OutputArtifact, given: Any, stored_uri: Callable[[str], str]) -> tuple[Artifact, ...]:
    entries = given.get("artifacts") if isinstance(given, dict) else None
    if not entries:
        return (output.artifact,)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise OutputError(f"output_metadata.json: artifacts of {port!r} are no list of objects")
    if not output.definition.is_list:
        # As upstream: a port that is no list has its first element only.
        entries = entries[:1]
    return tuple(_merged(port, output.artifact, entry, index, stored_uri) for index, entry in enumerate(entries))


def _merged(
    port: str, base: Artifact, entry: Mapping[str, Any], index: int, stored_uri: Callable[[str], str]
) -> Artifact:
    unknown = set(entry) - _ARTIFACT_FIELDS
    if unknown:
        raise OutputError(f"output_metadata.json: artifact {port!r} has an unknown field {sorted(unknown)[0]!r}")
    metadata = entry.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise OutputError(f"output_metadata.json: metadata of artifact {port!r} is no object")
    merged = {**base.metadata, **{key: _whole(value) for key, value in metadata.items() if value is not None}}
    uri = entry.get("uri") or ""
    custom_path = entry.get("customPath", entry.get("custom_path")) or ""
    return replace(
        base,
        name=base.name if index == 0 else f"{base.name}-{index}",
        uri=stored_uri(uri) if isinstance(uri, str) and uri else base.uri,
        metadata=merged,
        custom_path=str(custom_path),
    )


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return plain_number(value) if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value
