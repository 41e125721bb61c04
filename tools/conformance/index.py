"""`index.json` of a corpus: the expected result of each compiled pipeline.

Invariant: fields are read by name with a default, so an index may say less than it could; `format` must be 1.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_ir.backend_limits import CONTAINER
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import parse_package
from penstock_ir.plan import plan_pipeline


class IndexError_(Exception):
    """The directory has no usable index."""


@dataclass(frozen=True, slots=True)
class Case:
    """One pipeline. `record` is its entry in the index."""

    name: str
    file: Path
    record: Mapping[str, Any]

    @property
    def runs_on(self) -> list[str]:
        named = list(self.record.get("runs_on", ["local", "kubernetes"]))
        return named if self._needs_a_cluster() else [*named, CONTAINER]

    def _needs_a_cluster(self) -> bool:
        """Whether the pipeline needs Secrets or ConfigMaps, by its record or by a plan for the container backend."""
        given = " ".join((self.record.get("needs") or {}).get("cluster", ())).lower()
        if "secret" in given or "configmap" in given:
            return True
        try:
            pipeline = compile_pipeline(parse_package(self.file.read_bytes()))
        except (InvalidSpecError, OSError):
            return False
        arguments = dict.fromkeys(pipeline.root.input_parameters)
        problems = plan_pipeline(pipeline, arguments, backends=[CONTAINER]).problems
        return any(problem.place.startswith("deploymentSpec.executors.") for problem in problems)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file whose upload is refused with `http_status` and `error`, or accepted when there is no status."""

    name: str
    file: Path
    http_status: int
    error: str


@dataclass(frozen=True, slots=True)
class Index:
    cases: list[Case]
    uploads: list[Upload]


def load(directory: Path) -> Index:
    """Raises IndexError_ with what to do."""
    path = directory / "index.json"
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise IndexError_(
            f"{path} cannot be read ({error.strerror}); a corpus is a directory with an index.json"
        ) from error
    except ValueError as error:
        raise IndexError_(f"{path} is no JSON: {error}") from error
    if document.get("format") != 1:
        raise IndexError_(f"{path}: format {document.get('format')!r} is not 1")
    cases = [Case(one["name"], directory / one["file"], one) for one in document.get("pipelines", [])]
    uploads = [
        Upload(one["name"], directory / one["file"], int(one.get("http_status", 200)), one.get("error", ""))
        for one in [*document.get("invalid", []), *document.get("archives", [])]
    ]
    return Index(cases, uploads)


Put = Callable[[str], str]
"""Stores a text where tasks can import it; returns its URI or path."""


def put_file(directory: Path) -> Put:
    """As a file that the tasks of this machine see."""

    def put(text: str) -> str:
        path = directory / uuid.uuid4().hex
        path.write_text(text)
        return str(path)

    return put


def argument(value: Any, scratch: Path, put: Put) -> Any:
    """An argument of a record for one run: `${FRESH_FILE}` is a path below `scratch` that does not exist yet,
    `${FILE_WITH:text}` something with that text.
    """
    if value == "${FRESH_FILE}":
        return str(scratch / uuid.uuid4().hex)
    if isinstance(value, str) and value.startswith("${FILE_WITH:"):
        return put(value[12:-1])
    return value
