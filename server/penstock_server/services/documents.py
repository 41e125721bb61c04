"""Compiled documents, once per content: every run and upload of a pipeline shares the check.

Invariant: every document that comes in passes here, so none is nested deeper than replies can carry (api.md §2.4).
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

_KEPT = 64


class Documents:
    """Thread-safe; the newest few are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Pipeline] = OrderedDict()

    def checked(self, document: PipelineDocument) -> Spec:
        """The document as it is stored. Raises InvalidSpecError with all its problems."""
        deep = path_to_deep_value(document.to_struct_json(), MAX_DEPTH)
        if deep:
            raise InvalidSpecError([Problem(deep, f"the document is nested deeper than {MAX_DEPTH} levels")])
        spec_hash = document.spec_hash()
        if not self._known(spec_hash):
            self._keep(spec_hash, compile_pipeline(document))
        pipeline_spec, platform_spec = document.canonical_json()
        return Spec(spec_hash, pipeline_spec, platform_spec)

    def compiled(self, spec: Spec) -> Pipeline:
        known = self._known(spec.spec_hash)
        return known or self._keep(spec.spec_hash, compile_text(spec.pipeline_spec, spec.platform_spec))

    def _known(self, spec_hash: str) -> Pipeline | None:
        with self._lock:
            found = self._compiled.get(spec_hash)
            if found is not None:
                self._compiled.move_to_end(spec_hash)
            return found

    def _keep(self, spec_hash: str, pipeline: Pipeline) -> Pipeline:
        with self._lock:
            self._compiled[spec_hash] = pipeline
            while len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return pipeline
