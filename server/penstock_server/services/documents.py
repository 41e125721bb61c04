"""Validates and compiles pipeline documents, with a cache by content.

Invariant: every document of a request is validated here, so none is nested deeper than replies can be (api.md §2.4).
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from penstock_ir.compile import compile_pipeline, compile_text
from penstock_ir.errors import InvalidSpecError, Problem
from penstock_ir.json_text import MAX_DEPTH, path_to_deep_value
from penstock_ir.loader import PipelineDocument
from penstock_ir.model import Pipeline

from penstock_server.domain.pipeline import Spec

_MAX_ENTRIES = 64


class Documents:
    """Thread-safe; an LRU cache of the compiled documents."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Pipeline] = OrderedDict()

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
