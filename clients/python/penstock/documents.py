"""Pipeline files for `penstock run`: the documents as the API wants them, arguments as their declared types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


class BadFileError(Exception):
    """The file is no compiled pipeline, or an argument does not fit it."""


def load(path: Path) -> dict[str, Any]:
    """A PipelineSpec, or {"pipeline_spec", "platform_spec"} when the file has two documents. Raises BadFileError."""
    try:
        found = [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one is not None]
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    platform = [one for one in found if isinstance(one, dict) and "platforms" in one]
    specs = [one for one in found if isinstance(one, dict) and "platforms" not in one]
    if any("kind" in one and str(one.get("apiVersion", "")).startswith("argoproj.io/") for one in specs):
        raise BadFileError(
            f"{path} is an Argo Workflow, as version 1 of the kfp SDK compiles: compile it with version 2"
        )
    if len(specs) != 1 or "root" not in specs[0]:
        raise BadFileError(f"{path} is no compiled pipeline (compile it with the kfp SDK first)")
    return {"pipeline_spec": specs[0], "platform_spec": platform[0]} if platform else specs[0]


def name_of(document: dict[str, Any]) -> str:
    """The pipeline's own name, whether a platform spec lies beside it or not; `pipeline` when it has none."""
    spec = document.get("pipeline_spec", document)
    info = spec.get("pipelineInfo") or {}
    return str(info.get("name", "pipeline"))


def arguments(document: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """`name=value` texts as values of the declared types. Raises BadFileError naming the parameter."""
    spec = document.get("pipeline_spec", document)
    declared = ((spec.get("root") or {}).get("inputDefinitions") or {}).get("parameters") or {}
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadFileError(f"-p {text!r} is not of the form name=value")
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise BadFileError(f"the pipeline has no parameter {name!r}; it has: {known}")
        found[name] = _value(name, value, str(declared[name].get("parameterType", "STRING")))
    return found


def _value(name: str, text: str, kind: str) -> Any:
    if kind == "STRING":
        return text
    try:
        return json.loads(text.lower() if kind == "BOOLEAN" else text, parse_constant=_no_number)
    except ValueError as error:
        raise BadFileError(f"parameter {name!r} is a {kind}: {text!r} is no JSON value of that kind") from error


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number that JSON has")
