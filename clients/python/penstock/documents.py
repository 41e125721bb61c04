"""Loads pipeline files for `penstock run`, and parses arguments as their declared types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


class BadFileError(Exception):
    """The file is no compiled pipeline, or an argument does not fit its inputs."""


def load(path: Path) -> dict[str, Any]:
    """A PipelineSpec, or {"pipeline_spec", "platform_spec"} when the file has two documents. Raises BadFileError."""
    try:
        loaded = [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document is not None]
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    platform = [document for document in loaded if isinstance(document, dict) and "platforms" in document]
    specs = [document for document in loaded if isinstance(document, dict) and "platforms" not in document]
    if any("kind" in document and str(document.get("apiVersion", "")).startswith("argoproj.io/") for document in specs):
        raise BadFileError(
            f"{path} is an Argo Workflow, as version 1 of the kfp SDK compiles: compile it with version 2"
        )
    if len(specs) != 1 or "root" not in specs[0]:
        raise BadFileError(f"{path} is no compiled pipeline (compile it with the kfp SDK first)")
    return {"pipeline_spec": specs[0], "platform_spec": platform[0]} if platform else specs[0]


def name_of(document: dict[str, Any]) -> str:
    """The name of the pipeline in a document with or without a platform spec; `pipeline` if it has none."""
    spec = document.get("pipeline_spec", document)
    info = spec.get("pipelineInfo") or {}
    return str(info.get("name", "pipeline"))


def arguments(document: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Parses `name=value` texts as the declared types. Raises BadFileError, which names the parameter."""
    spec = document.get("pipeline_spec", document)
    declared = ((spec.get("root") or {}).get("inputDefinitions") or {}).get("parameters") or {}
    values: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadFileError(f"-p {text!r} is not of the form name=value")
        if name not in declared:
            names = ", ".join(sorted(declared)) or "none"
            raise BadFileError(f"the pipeline has no parameter {name!r}; it has: {names}")
        values[name] = _value(name, value, str(declared[name].get("parameterType", "STRING")))
    return values


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    try:
        return json.loads(text.lower() if kind == "BOOLEAN" else text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadFileError(f"parameter {name!r} is a {kind}: {text!r} is no JSON value of that kind") from error


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number that JSON has")
