"""Reads, validates and compiles pipeline documents, with a cache by content.

Invariants: every document of a request is validated here, so none is nested deeper than replies can be (api.md §2.4).
One that takes more than moments to read is read by a process beside the server, whatever its size: a small text of
aliases, or a small archive, may hold a large document.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from penstock_ir.compile import compile_pipeline, compile_text
from penstock_ir.errors import InvalidSpecError, Problem, TooManyValuesError
from penstock_ir.json_text import MAX_DEPTH, path_to_deep_value
from penstock_ir.loader import PipelineDocument, document_from_json, parse_package
from penstock_ir.model import Pipeline
from penstock_ir.package import is_packed

from penstock_server.domain.pipeline import Spec, Submitted
from penstock_server.workers.elsewhere import Elsewhere

# Twenty tasks, as the SDK writes them. What has more is no slower elsewhere, and many senders of it wait there.
SMALL_BYTES = 16 * 1024
SMALL_VALUES = 1000
_MAX_ENTRIES = 64


class Documents:
    """Thread-safe; an LRU cache of the compiled documents. Without `elsewhere` all documents are read here."""

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = elsewhere
        # Many threads would read small packages, and each of them would keep others waiting.
        self._small = threading.Lock()
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Pipeline] = OrderedDict()

    def checked_package(self, content: bytes, file_name: str, max_bytes: int) -> Spec:
        """Reads and validates a package and returns the form that is stored.

        Raises InvalidSpecError with all problems, and what `elsewhere` raises for documents that it cannot read.
        """
        if self._elsewhere is None:
            return self.checked(parse_package(content, file_name=file_name, max_bytes=max_bytes))
        if len(content) <= SMALL_BYTES and not is_packed(content):
            try:
                with self._small:
                    return self.checked(
                        parse_package(content, file_name=file_name, max_bytes=max_bytes, max_values=SMALL_VALUES)
                    )
            except TooManyValuesError:
                # Counted anew there, against the bound that holds for all.
                pass
        values = {"file_name": file_name, "max_bytes": max_bytes}
        return spec_of_reply(*self._elsewhere.call(f"{__name__}:check_package", values, content))

    def submitted(self, document: Mapping[str, Any] | Submitted) -> Submitted:
        """The document of a request, read and validated if it was not yet. Raises InvalidSpecError."""
        if isinstance(document, Submitted):
            return document
        return Submitted(text_of(document), self.checked(document_from_json(document)))

    def checked(self, document: PipelineDocument) -> Spec:
        """Validates a document and returns the form that is stored. Raises InvalidSpecError with all problems."""
        deep_path = path_to_deep_value(document.to_struct_json(), MAX_DEPTH)
        if deep_path:
            raise InvalidSpecError([Problem(deep_path, f"the document is nested deeper than {MAX_DEPTH} levels")])
        spec_hash = document.spec_hash()
        if not self._get(spec_hash):
            self._put(spec_hash, compile_pipeline(document))
        pipeline_spec, platform_spec = document.canonical_json()
        return Spec(spec_hash, pipeline_spec, platform_spec)

    def compiled(self, spec: Spec) -> Pipeline:
        cached = self._get(spec.spec_hash)
        return cached or self._put(spec.spec_hash, compile_text(spec.pipeline_spec, spec.platform_spec))

    def _get(self, spec_hash: str) -> Pipeline | None:
        with self._lock:
            pipeline = self._compiled.get(spec_hash)
            if pipeline is not None:
                self._compiled.move_to_end(spec_hash)
            return pipeline

    def _put(self, spec_hash: str, pipeline: Pipeline) -> Pipeline:
        with self._lock:
            self._compiled[spec_hash] = pipeline
            while len(self._compiled) > _MAX_ENTRIES:
                self._compiled.popitem(last=False)
        return pipeline


def text_of(document: Mapping[str, Any] | Submitted) -> str:
    """How the document was sent, as JSON."""
    if isinstance(document, Submitted):
        return document.text
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def check_package(values: Mapping[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """The task of another process: a package in, what `spec_of_reply` reads out."""
    try:
        document = parse_package(content, file_name=values["file_name"], max_bytes=values["max_bytes"])
        return reply_of_spec(Documents().checked(document))
    except InvalidSpecError as error:
        return reply_of_problems(error)


def reply_of_spec(spec: Spec) -> tuple[dict[str, Any], bytes]:
    """What a task replies for a valid document."""
    pipeline = spec.pipeline_spec.encode()
    return {"spec_hash": spec.spec_hash, "pipeline_bytes": len(pipeline)}, pipeline + spec.platform_spec.encode()


def reply_of_problems(error: InvalidSpecError) -> tuple[dict[str, Any], bytes]:
    """What a task replies for a document that is not valid."""
    return {"problems": [[problem.place, problem.message] for problem in error.problems]}, b""


def raise_problems(values: Mapping[str, Any]) -> None:
    """Raises InvalidSpecError when the task has found problems."""
    if "problems" in values:
        raise InvalidSpecError([Problem(place, message) for place, message in values["problems"]])


def spec_of_reply(values: Mapping[str, Any], content: bytes) -> Spec:
    """Raises InvalidSpecError when problems were found."""
    raise_problems(values)
    size = values["pipeline_bytes"]
    return Spec(values["spec_hash"], content[:size].decode(), content[size:].decode())
