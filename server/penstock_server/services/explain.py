"""Questions about runs: why a task is where it is, why the cache did not answer, what a run would do, its whole log.

Invariants: read-only; a stream holds no database connection while it sends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock_ir.errors import InvalidParametersError, InvalidSpecError
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline
from penstock_ir.parameters import bind_root_parameters
from penstock_ir.plan import plan_pipeline
from penstock_ir.planned import CachedOutputs, Plan

from penstock_server.domain import cache_explanation
from penstock_server.domain.cache_explanation import CacheExplanation, Candidate
from penstock_server.domain.explanation import Explainer, Explanation
from penstock_server.domain.history import history_of
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.run import Run
from penstock_server.domain.task import task_id_of, with_waits
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import pipelines, runs
from penstock_server.services.documents import Documents
from penstock_server.services.ports import Storage, UnitOfWork

EVENT_LOG_FORMAT = 1
_CANDIDATES = 200
_LINES_PER_CHUNK = 500


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """One of `pipeline_spec` and `pipeline_version_id`."""

    pipeline_spec: Mapping[str, Any] | None
    pipeline_version_id: str
    parameters: Mapping[str, Any]


class ExplainService:
    def __init__(self, storage: Storage, documents: Documents, backends: Callable[[], Collection[str]]) -> None:
        """`backends` says where executors run tasks."""
        self._storage = storage
        self._documents = documents
        self._backends = backends

    def task(self, run_id: str, path: str) -> Explanation:
        """Raises NotFoundError."""
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            pipeline = self._pipeline(uow, run)
            rows = with_waits(uow.tasks.list_for_run(run_id))
            events = uow.queue.events(run_id)
        explainer = Explainer(run, pipeline, rows, lambda one: history_of(events, one))
        found = explainer.task(path) if path else explainer.run()
        if found is None:
            raise NotFoundError("Task", path)
        return found

    def cache(self, run_id: str, path: str) -> CacheExplanation:
        """Raises NotFoundError."""
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            row = uow.tasks.get(run_id, task_id_of(run_id, path))
            if row is None:
                raise NotFoundError("Task", path)
            pipeline = self._pipeline(uow, run)
            history = history_of(uow.queue.events(run_id), path)
            simple = cache_explanation.without_looking(run, pipeline, row, history)
            if simple is not None:
                return simple
            before = (history.cache_answer or {}).get("at", 0)
            kept, entries = uow.cache.before(pipeline.name, run.namespace, before, _CANDIDATES)
            candidates: list[Candidate] = []
            compiled: dict[str, Pipeline | None] = {run_id: pipeline}
            for entry in entries:
                if entry.run_id not in compiled:
                    other = uow.runs.get(entry.run_id)
                    compiled[entry.run_id] = self._pipeline(uow, other) if other else None
                of_entry = compiled[entry.run_id]
                made_by = uow.tasks.get(entry.run_id, task_id_of(entry.run_id, entry.task_path)) if of_entry else None
                if of_entry is not None and made_by is not None:
                    candidates.append(Candidate(entry, made_by, of_entry))
        return cache_explanation.against(pipeline, row, candidates, kept)

    def plan(self, request: PlanRequest) -> Plan:
        """A document or arguments that cannot run give a plan without tasks, with every problem.

        Raises InvalidArgumentError, NotFoundError.
        """
        try:
            pipeline = self._requested(request)
            arguments = bind_root_parameters(pipeline, request.parameters)
        except (InvalidSpecError, InvalidParametersError) as error:
            return Plan((), tuple(error.problems))
        with self._storage.reading() as uow:

            def look_up(fingerprint: str) -> CachedOutputs | None:
                hit = uow.cache.newest([(fingerprint, pipeline.name, "")]).get((fingerprint, pipeline.name, ""))
                if hit is None:
                    return None
                outputs = json.loads(hit.entry.outputs)
                ports = outputs.get("artifacts") or {}
                names = {port: tuple(str(one.get("name", "")) for one in many) for port, many in ports.items()}
                return CachedOutputs(hit.entry.run_id, outputs.get("parameters") or {}, names)

            return plan_pipeline(pipeline, arguments, look_up, self._backends())

    def event_log(self, run_id: str) -> Iterator[bytes]:
        """JSON lines: what the run is, its events, its tasks (docs/architecture.md, "Replay")."""
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            spec = self._spec(uow, run)
            events = uow.queue.events(run_id)
            rows = uow.tasks.list_for_run(run_id)
        head = {
            "format": EVENT_LOG_FORMAT,
            "run_id": run.run_id,
            "display_name": run.display_name,
            "resource_name": run.resource_name,
            "namespace": run.namespace,
            "service_account": run.service_account,
            "created_at": run.created_at,
            "scheduled_at": run.scheduled_at,
            "pipeline_root": run.pipeline_root,
            "options": json.loads(run.options.to_text()),
            "arguments": json.loads(run.arguments),
            "pipeline_spec": json.loads(spec.pipeline_spec),
            "platform_spec": json.loads(spec.platform_spec) if spec.platform_spec else None,
            "final": run.state.final,
        }
        yield _line(head)
        for start in range(0, len(events), _LINES_PER_CHUNK):
            yield b"".join(event + b"\n" for event in events[start : start + _LINES_PER_CHUNK])
        for row in rows:
            yield _line({"task": row.path, "state": row.state, "outputs": json.loads(row.outputs)})

    def _requested(self, request: PlanRequest) -> Pipeline:
        if request.pipeline_spec is not None:
            return self._documents.compiled(self._documents.checked(document_from_json(request.pipeline_spec)))
        if not request.pipeline_version_id:
            raise InvalidArgumentError("either pipeline_spec or pipeline_version_id is required", "pipeline_spec")
        with self._storage.reading() as uow:
            return self._documents.compiled(pipelines.find_version(uow, request.pipeline_version_id).spec)

    def _pipeline(self, uow: UnitOfWork, run: Run) -> Pipeline:
        return self._documents.compiled(self._spec(uow, run))

    def _spec(self, uow: UnitOfWork, run: Run) -> Spec:
        spec = uow.specs.get(run.spec_hash)
        if spec is None:
            raise NotFoundError("PipelineSpec", run.spec_hash)
        return spec


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
