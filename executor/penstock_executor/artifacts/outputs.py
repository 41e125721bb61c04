"""Turns the texts that a task wrote into parameters and artifacts (executor.md §3.3, §3.4, §10.21).

The caller has read the texts: from files of this machine, or from the result of an attempt in a Pod (`agent.results`).

Invariants: pure; a value in output_metadata.json overrides a file; a declared parameter in neither fails the task with
an error that names it; a missing artifact file is no failure. Every value has its declared type and is valid JSON, not
nested deeper than protobuf messages can be: anything else is an error that names the output and where in it. Lists keep
all their elements, in order.
"""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from penstock_ir.artifact import Artifact
from penstock_ir.errors import InvalidParametersError
from penstock_ir.json_text import JsonTextError, check_depth, parse_json, plain_number
from penstock_ir.model import JsonValue, ParameterType
from penstock_ir.parameters import convert_value, describe

from penstock_executor.artifacts.output_files import OutputError
from penstock_executor.attempts import OutputArtifact, TaskLaunch

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_INTEGER = re.compile(r"[+-]?[0-9]{1,400}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INT64 = range(-(2**63), 2**63)
_ARTIFACT_FIELDS = {"name", "uri", "metadata", "type", "customPath", "custom_path"}
_BAD_NAME_ERRNOS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EINVAL, errno.EILSEQ}
_SHOWN_CHARACTERS = 200
_DOCUMENT_FIELDS = {"artifacts", "parameterValues", "parameter_values", "parameters", "taskStatus"}


@dataclass(frozen=True, slots=True)
class CollectedOutputs:
    """Parameters by name, of their declared kinds; artifacts by port, in order."""

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
    """The outputs of an attempt that succeeded. `metadata_text` is output_metadata.json, None when there is none.
    `parameter_text` returns the text of a parameter's file or raises OutputError; it is called only for parameters that
    output_metadata.json does not have. `stored_uri` maps a URI as the task saw it to the stored one, `present` says
    whether there is an object at a stored URI.

    Raises OutputError, and any OSError of `present` that is not caused by a name that the task chose.
    """
    document = _document(metadata_text)
    parameters: dict[str, JsonValue] = {}
    metadata_parameters = document.get("parameterValues", document.get("parameter_values")) or {}
    if not isinstance(metadata_parameters, dict):
        raise OutputError("output_metadata.json: parameterValues is no object")
    for name, value in metadata_parameters.items():
        _check_nesting(value, f"output parameter {name!r}")
        kind = launch.output_parameters.get(name)
        parameters[name] = _typed(name, value, kind)
    for name, kind in launch.output_parameters.items():
        if name not in parameters:
            parameters[name] = _parsed(name, kind, parameter_text(name))
    metadata_artifacts = document.get("artifacts") or {}
    if not isinstance(metadata_artifacts, dict):
        raise OutputError("output_metadata.json: artifacts is no object")
    artifacts = {
        port: tuple(
            artifact if _is_present(port, artifact.uri, present) else replace(artifact, absent=True)
            for artifact in _artifacts(port, output, metadata_artifacts.get(port), stored_uri)
        )
        for port, output in launch.output_artifacts.items()
    }
    return CollectedOutputs(parameters, artifacts)


def _is_present(port: str, uri: str, present: Callable[[str], bool]) -> bool:
    """Raises OutputError, OSError."""
    try:
        return present(uri)
    except OSError as error:
        if error.errno in _BAD_NAME_ERRNOS:
            text = f"artifact {port!r} cannot be looked for at {_shortened(uri)}: {error.strerror}"
            raise OutputError(text) from error
        raise


def _document(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        document = parse_json(text.removeprefix("\ufeff"), "output_metadata.json")
    except JsonTextError as error:
        raise OutputError(str(error)) from error
    if not isinstance(document, dict):
        raise OutputError("output_metadata.json is no object")
    unknown = set(document) - _DOCUMENT_FIELDS
    if unknown:
        raise OutputError(f"output_metadata.json has an unknown field {sorted(unknown)[0]!r}")
    return document


def _parsed(name: str, kind: ParameterType, text: str) -> JsonValue:
    if kind is ParameterType.STRING:
        return text
    stripped = text.strip()
    if kind is ParameterType.NUMBER_INTEGER and _INTEGER.fullmatch(stripped):
        return _typed(name, int(stripped), kind)
    if kind is ParameterType.NUMBER_DOUBLE and _DECIMAL.fullmatch(stripped) and math.isfinite(float(stripped)):
        return int(stripped) if _INTEGER.fullmatch(stripped) else plain_number(float(stripped))
    if kind is ParameterType.BOOLEAN and stripped in _TRUE | _FALSE:
        return stripped in _TRUE
    if kind in (ParameterType.LIST, ParameterType.STRUCT, ParameterType.TASK_FINAL_STATUS):
        try:
            value = parse_json(stripped, f"output parameter {name!r}")
        except JsonTextError as error:
            raise OutputError(f"{error} (it is declared as {kind.value})") from error
        _check_nesting(value, f"output parameter {name!r}")
        return _typed(name, value, kind)
    raise OutputError(f"output parameter {name!r} is no {kind.value}: {stripped[:60]!r}{_not_finite(stripped)}")


def _check_nesting(value: JsonValue, subject: str) -> None:
    try:
        check_depth(value, subject)
    except JsonTextError as error:
        raise OutputError(str(error)) from error


def _not_finite(text: str) -> str:
    """The reason to append when Python reads `text` as a number that JSON does not have, such as NaN."""
    try:
        finite = math.isfinite(float(text))
    except ValueError:
        return ""
    return "" if finite else " is no number that JSON has"


def _typed(name: str, value: JsonValue, kind: ParameterType | None) -> JsonValue:
    if kind is None or (value is None and kind is ParameterType.STRING):
        return value
    subject = f"output parameter {name!r}"
    try:
        typed = convert_value(value, kind, subject)
    except InvalidParametersError as error:
        raise OutputError(str(error)) from error
    if kind is ParameterType.NUMBER_INTEGER and typed not in _INT64:
        raise OutputError(f"{subject} is no {kind.value}: {describe(typed)} takes more than 64 bits")
    return typed


def _artifacts(
    port: str, output: OutputArtifact, metadata_entry: Any, stored_uri: Callable[[str], str]
) -> tuple[Artifact, ...]:
    entries = metadata_entry.get("artifacts") if isinstance(metadata_entry, dict) else None
    if not entries:
        return (output.artifact,)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise OutputError(f"output_metadata.json: artifacts of {port!r} are no list of objects")
    if not output.definition.is_list:
        # As upstream: a port that is no list takes only the first element.
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
    for key, value in metadata.items():
        _check_nesting(value, f"metadata {key[:80]!r} of output artifact {port!r}")
    merged = {**base.metadata, **{key: value for key, value in metadata.items() if value is not None}}
    uri = entry.get("uri") or ""
    if isinstance(uri, str):
        _check_uri(port, uri)
    custom_path = entry.get("customPath", entry.get("custom_path")) or ""
    return replace(
        base,
        name=base.name if index == 0 else f"{base.name}-{index}",
        uri=stored_uri(uri) if isinstance(uri, str) and uri else base.uri,
        metadata=merged,
        custom_path=str(custom_path),
    )


def _check_uri(port: str, uri: str) -> None:
    """Raises OutputError for a URI that no store could have."""
    subject = f"output_metadata.json: the URI {_shortened(uri)!r} of artifact {port!r}"
    if "\0" in uri:
        raise OutputError(f"{subject} holds a NUL character")
    if uri.startswith("/"):
        return
    try:
        urlsplit(uri)
    except ValueError as error:
        raise OutputError(f"{subject} cannot be parsed: {error}") from error


def _shortened(uri: str) -> str:
    return uri if len(uri) <= _SHOWN_CHARACTERS else f"{uri[:_SHOWN_CHARACTERS]}..."
