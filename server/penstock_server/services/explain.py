"""Answers questions about runs: why a task is in its state, why the cache had no hit, what a run would do, its log.

Invariants: read-only; a stream holds no database connection while it sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from penstock_ir.errors import InvalidParametersError, InvalidSpecError
from penstock_ir.event_log import Outputs
from penstock_ir.model import Pipeline
from penstock_ir.parameters import bind_root_parameters
from penstock_ir.plan import plan_pipeline
from penstock_ir.planned import CachedOutputs, Plan
from penstock_ir.slots import Demand

from penstock_server.domain import cache_explanation
from penstock_server.domain.cache_explanation import CacheExplanation, Candidate
from penstock_server.domain.explanation import Explainer, Explanation
from penstock_server.domain.history import history_of
from penstock_server.domain.pipeline import Spec, Submitted
from penstock_server.domain.pools import pools_of, refusal
from penstock_server.domain.run import Run
from penstock_server.domain.task import CacheKey, Task, task_id_of, with_waits
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import pipelines, runs
from penstock_server.services.documents import Documents
from penstock_server.services.executors import Executors
from penstock_server.services.ports import Storage, UnitOfWork
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

EVENT_LOG_FORMAT = 1
_CANDIDATES = 200
_LINES_PER_CHUNK = 500


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """One of `pipeline_spec` and `pipeline_version_id`. `namespace` is the one whose cache is asked."""

    pipeline_spec: Mapping[str, Any] | Submitted | None
    pipeline_version_id: str
    parameters: Mapping[str, Any]
    namespace: str = ""


class ExplainService:
    def __init__(
        self,
        storage: Storage,
        documents: Documents,
        executors: Executors,
        tenancy: Tenancy = SINGLE_USER,
    ) -> None:
        self._tenancy = tenancy
        self._storage = storage
        self._documents = documents
        self._executors = executors

    def task(self, run_id: str, path: str) -> Explanation:
        """Raises NotFoundError."""
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            pipeline = self._pipeline(uow, run)
            rows = with_waits(uow.tasks.list_for_run(run_id))
            events = uow.queue.events(run_id)
        explainer = Explainer(
            run,
            pipeline,
            rows,
            history=lambda task_path: history_of(events, task_path),
            executor=cache(lambda: self._executors.of(run_id)),
            placement=self._placement,
        )
        explanation = explainer.task(path) if path else explainer.run()
        if explanation is None:
            raise NotFoundError("Task", path)
        return explanation

    def _placement(self, task: Task) -> str:
        """What the task's latest attempt runs in, as its executor told; read for the few tasks that are shown."""
        key = task.task_id, task.attempt
        with self._storage.reading() as uow:
            row = uow.attempts.rows(task.run_id, [key]).get(key)
        return row.placement if row is not None else ""

    def cache(self, run_id: str, path: str) -> CacheExplanation:
        """Raises NotFoundError."""
        with self._storage.reading() as uow:
            run = runs.find(uow, run_id)
            row = uow.tasks.get(run_id, task_id_of(run_id, path))
            if row is None:
                raise NotFoundError("Task", path)
            pipeline = self._pipeline(uow, run)
            history = history_of(uow.queue.events(run_id), path)
            explanation = cache_explanation.explain_from_log(run, pipeline, row, history)
            if explanation is not None:
                return explanation
            asked_at = history.cache_answer.at if history.cache_answer else 0
            total, entries = uow.cache.before(pipeline.name, run.namespace, asked_at, _CANDIDATES)
            candidates: list[Candidate] = []
            compiled: dict[str, Pipeline | None] = {run_id: pipeline}
            for entry in entries:
                if entry.run_id not in compiled:
                    other = uow.runs.get(entry.run_id)
                    compiled[entry.run_id] = self._pipeline(uow, other) if other else None
                entry_pipeline = compiled[entry.run_id]
                entry_task = (
                    uow.tasks.get(entry.run_id, task_id_of(entry.run_id, entry.task_path)) if entry_pipeline else None
                )
                if entry_pipeline is not None and entry_task is not None:
                    candidates.append(Candidate(entry, entry_task, entry_pipeline))
        return cache_explanation.explain_miss(pipeline, row, candidates, total)

    def plan(self, request: PlanRequest) -> Plan:
        """Plans a run. An invalid document or invalid arguments give a plan without tasks and with all problems.

        Raises InvalidArgumentError, NotFoundError.
        """
        namespace = self._tenancy.namespace(request.namespace, "namespace")
        try:
            pipeline = self._requested_pipeline(request, namespace)
            arguments = bind_root_parameters(pipeline, request.parameters)
        except (InvalidSpecError, InvalidParametersError) as error:
            return Plan((), tuple(error.problems))
        backends = self._executors.backends()
        with self._storage.reading() as uow:

            def look_up(fingerprint: str) -> CachedOutputs | None:
                key = CacheKey(fingerprint, pipeline.name, namespace)
                hit = uow.cache.newest([key]).get(key)
                if hit is None:
                    return None
                outputs = Outputs.from_json(json.loads(hit.entry.outputs))
                names = {
                    port: tuple(artifact.name for artifact in port_artifacts)
                    for port, port_artifacts in outputs.artifacts.items()
                }
                return CachedOutputs(hit.entry.run_id, outputs.parameters, names)

            levels = uow.pools.levels()

            def never_granted(demands: Sequence[Demand]) -> str:
                return refusal(pools_of(demands, namespace, "", levels.pools), levels)

            return plan_pipeline(pipeline, arguments, look_up, backends, never_granted)

    def event_log(self, run_id: str) -> Iterator[bytes]:
        """JSON lines: the run, its events, its tasks (docs/architecture.md, "Replay")."""
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

    def _requested_pipeline(self, request: PlanRequest, namespace: str) -> Pipeline:
        if request.pipeline_spec is not None:
            return self._documents.compiled(self._documents.submitted(request.pipeline_spec).spec)
        if not request.pipeline_version_id:
            raise InvalidArgumentError("either pipeline_spec or pipeline_version_id is required", "pipeline_spec")
        with self._storage.reading() as uow:
            version = pipelines.find_usable_version(uow, self._tenancy, namespace, request.pipeline_version_id)
            return self._documents.compiled(version.spec)

    def _pipeline(self, uow: UnitOfWork, run: Run) -> Pipeline:
        return self._documents.compiled(self._spec(uow, run))

    def _spec(self, uow: UnitOfWork, run: Run) -> Spec:
        spec = uow.specs.get(run.spec_hash)
        if spec is None:
            raise NotFoundError("PipelineSpec", run.spec_hash)
        return spec


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
