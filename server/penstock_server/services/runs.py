"""Runs (api.md §2.8).

Invariants: a run is stored and queued in one transaction before the call returns; the document that it executes is
fixed at creation; only reports of executors change its state, except for the requests to terminate and retry. A run is
in the namespace of its experiment, and what it is made from is in that namespace too, or shared. How many runs of a
namespace have not ended is counted in the transaction that makes or reopens one.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock_ir.event_log import RetryRequested, encode
from penstock_ir.parameters import bind_root_parameters
from penstock_ir.ranks import rank

from penstock_server.domain import limits, listing, macros
from penstock_server.domain.caller import current_call
from penstock_server.domain.experiment import ARCHIVED, AVAILABLE, STORAGE_STATES, Experiment
from penstock_server.domain.listing import Key, KeyKind, Listing, Page, Scope
from penstock_server.domain.location import ObjectKind
from penstock_server.domain.options import (
    NO_SETTINGS,
    NOTHING_REQUESTED,
    OptionDefaults,
    RequestedOptions,
    resolve_options,
)
from penstock_server.domain.parts import NONE, WHOLE_RUN, Fields, RunParts
from penstock_server.domain.pipeline import Spec, Submitted
from penstock_server.domain.run import Run, RunState, StateChange, reopened
from penstock_server.domain.task import Task, with_waits
from penstock_server.errors import AbortedError, FailedPreconditionError, NotFoundError, ResourceExhaustedError
from penstock_server.services import audit, experiments, pipelines
from penstock_server.services.documents import Documents, text_of
from penstock_server.services.ports import Clock, Storage, UnitOfWork, WorkSignal
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

_STATES = tuple(state.value for state in RunState)
LISTING = Listing(
    "runs",
    {
        "id": Key("run_id"),
        "run_id": Key("run_id"),
        "name": Key("display_name"),
        "display_name": Key("display_name"),
        "created_at": Key("created_at", KeyKind.TIME),
        "finished_at": Key("finished_at", KeyKind.TIME),
        "scheduled_at": Key("scheduled_at", KeyKind.TIME),
        "description": Key("description"),
        "storage_state": Key("storage_state", values=STORAGE_STATES),
        "namespace": Key("namespace"),
        "experiment_id": Key("experiment_id"),
        "state": Key("state", values=_STATES),
        "state_history": Key("state_history"),
        "status": Key("state", values=_STATES),
        "recurring_run_id": Key("recurring_run_id"),
        "pipeline_id": Key("pipeline_id"),
        "pipeline_version_id": Key("pipeline_version_id"),
        "created_by": Key("created_by"),
        # Filters by names of tasks; upstream filters by the text of the workflow manifest.
        "runtime_details": Key("task_names", sortable=False),
    },
    pairs="labels",
    parameters=True,
    metrics=True,
)
_TERMINABLE = (RunState.PENDING, RunState.RUNNING, RunState.PAUSED)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class NewRun:
    """The fields of a run to create. Exactly one of `pipeline_spec` and `pipeline_id` is its source.

    `runtime_config`: the config as it was sent, as JSON text, None if not sent.
    """

    display_name: str
    description: str = ""
    experiment_id: str = ""
    pipeline_spec: Mapping[str, Any] | Submitted | None = None
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    pipeline_root: str = ""
    runtime_config: str | None = None
    service_account: str = ""
    scheduled_at: int = 0
    recurring_run_id: str = ""
    spec_hash: str = ""
    """The hash of a stored document to execute, instead of the source's current one."""
    index: int | None = None
    """The number of the run within its schedule, from 1."""
    plugins_input: str = ""
    options: RequestedOptions = NOTHING_REQUESTED
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunDetails:
    """`artifact_ids`: ids in ML Metadata by the artifact's name."""

    run: Run
    tasks: Sequence[Task]
    artifact_ids: Mapping[str, int]
    version: str = ""
    """Another one with every change of the run, its tasks or its artifacts."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Of a run whose version the caller has."""

    version: str


class RunService:
    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        documents: Documents,
        signal: WorkSignal,
        service_account: str,
        defaults: OptionDefaults = NO_SETTINGS,
        tenancy: Tenancy = SINGLE_USER,
        max_unfinished: int = 0,
    ) -> None:
        """`max_unfinished` runs of a namespace may be there at a time, of the server without namespaces; 0 for any."""
        self._tenancy = tenancy
        self._max_unfinished = max_unfinished
        self._storage = storage
        self._clock = clock
        self._documents = documents
        self._signal = signal
        self._service_account = service_account
        self._defaults = defaults

    def create(self, new: NewRun) -> Run:
        """Raises InvalidArgumentError, NotFoundError, InvalidSpecError, InvalidParametersError, and
        ResourceExhaustedError when the namespace may have no more runs.
        """
        limits.check_name(new.display_name, "run.display_name", limits.RUN_NAME, "Run.display_name")
        limits.check_length(new.description, "run.description", limits.DESCRIPTION)
        limits.check_length(new.service_account, "run.service_account", 253)
        limits.check_length(new.experiment_id, "run.experiment_id", 64)
        limits.check_labels(new.labels, "run.labels")
        if new.pipeline_spec is not None:
            new = replace(new, pipeline_spec=self._documents.submitted(new.pipeline_spec))
        inline = new.pipeline_spec.spec if isinstance(new.pipeline_spec, Submitted) else None
        with self._storage.writing() as uow:
            run = self.create_in(uow, new, inline)
        self._signal.notify()
        return run

    def create_in(self, uow: UnitOfWork, new: NewRun, inline: Spec | None = None) -> Run:
        """Like `create`, in the caller's transaction; the caller notifies executors after it."""
        experiment = experiments.of_new_run(uow, self._tenancy, new.experiment_id, "run.experiment_id")
        if new.recurring_run_id:
            if self._tenancy.multi_user:
                _check_schedule(uow, new.recurring_run_id, experiment.namespace)
            existing = uow.runs.by_recurring(new.recurring_run_id, new.display_name)
            if existing is not None:
                return existing
        self._require_place(uow, experiment.namespace)
        spec, pipeline_id, version_id = self._source(uow, new, inline, experiment.namespace)
        run = self._run(new, experiment, spec, pipeline_id, version_id)
        uow.specs.put(spec)
        uow.runs.add(run)
        _note(uow, run.created_at, "create", run)
        # Last: all who make a run of the experiment wait for this row until the transaction of the one before is over.
        uow.experiments.note_run(experiment.experiment_id, run.created_at)
        return run

    def get(self, run_id: str) -> RunDetails:
        """Raises NotFoundError."""
        found = self.get_unless(run_id, ())
        assert isinstance(found, RunDetails)
        return found

    def get_unless(self, run_id: str, versions: Collection[str], parts: RunParts = WHOLE_RUN) -> RunDetails | Unchanged:
        """A run whose version is one of `versions` is not read. Raises NotFoundError."""
        with self._storage.reading() as uow:
            found = _versioned(uow, run_id, versions, parts.without)
            if isinstance(found, Unchanged):
                return found
            run, version = found
            if not parts.tasks:
                return RunDetails(run, (), {}, version)
            # Behind the version: what is committed meanwhile may be told, and the next one who asks sees a new version.
            listed = uow.tasks.list_for_run(run_id, parts.without_of_tasks)
            if "waiting" not in parts.without_of_tasks:
                listed = with_waits(listed)
            artifact_ids = uow.artifacts.ids_for_run(run_id) if parts.artifact_ids else {}
            return RunDetails(run, listed, artifact_ids, version)

    def with_document_unless(self, run_id: str, versions: Collection[str]) -> tuple[Run, Spec | None, str] | Unchanged:
        """As `get_unless`, with the document that the run executes and the run's version. Raises NotFoundError."""
        with self._storage.reading() as uow:
            found = _versioned(uow, run_id, versions)
            if isinstance(found, Unchanged):
                return found
            run, version = found
            return run, uow.specs.get(run.spec_hash), version

    def list(
        self, request: listing.ListRequest, experiment_id: str = "", namespace: str = "", without: Fields = NONE
    ) -> Page[Run]:
        """Fields `without` are not read. Raises InvalidArgumentError, NotFoundError."""
        with self._storage.reading() as uow:
            return uow.runs.list(query_of_list(uow, self._tenancy, request, experiment_id, namespace), without)

    def archive(self, run_id: str) -> None:
        with self._storage.writing() as uow:
            run = find(uow, run_id)
            uow.runs.set_storage_state(run_id, ARCHIVED)
            _note(uow, self._clock.now_millis(), "archive", run)

    def unarchive(self, run_id: str) -> None:
        with self._storage.writing() as uow:
            run = find(uow, run_id)
            experiment = uow.experiments.get(run.experiment_id)
            if experiment is not None and experiment.storage_state == ARCHIVED:
                raise FailedPreconditionError(
                    f"experiment {experiment.experiment_id!r} of the run is archived: unarchive the experiment first"
                )
            uow.runs.set_storage_state(run_id, AVAILABLE)
            _note(uow, self._clock.now_millis(), "unarchive", run)

    def delete(self, run_id: str) -> None:
        with self._storage.writing() as uow:
            run = find(uow, run_id)
            uow.runs.delete(run_id)
            _note(uow, self._clock.now_millis(), "delete", run)

    def terminate(self, run_id: str) -> None:
        with self._storage.writing() as uow:
            run = find(uow, run_id)
            if run.state not in _TERMINABLE:
                raise FailedPreconditionError(f"run {run_id!r} is {run.state.value} and cannot be terminated")
            self._terminate(uow, run)
        self._signal.notify()

    def terminate_of_schedule_in(self, uow: UnitOfWork, recurring_run_id: str) -> None:
        """Terminates the unfinished runs of a schedule, in the caller's transaction; the caller notifies executors."""
        for run in uow.runs.active(recurring_run_id):
            if run.state in _TERMINABLE:
                self._terminate(uow, run)

    def _terminate(self, uow: UnitOfWork, run: Run) -> None:
        uow.runs.set_states([replace(run, state=RunState.CANCELING, terminate_requested=True)])
        _note(uow, self._clock.now_millis(), "terminate", run)

    def retry(self, run_id: str) -> None:
        with self._storage.writing() as uow:
            run = find(uow, run_id)
            if run.state not in (RunState.FAILED, RunState.CANCELED):
                raise AbortedError(f"run {run_id!r} is {run.state.value}: only failed runs can be retried")
            self._require_place(uow, run.namespace)
            now = self._clock.now_millis()
            if uow.queue.leases([run_id])[run_id].next_sequence > 0:
                uow.queue.append_next(run_id, encode(RetryRequested(now)))
            uow.runs.set_states([reopened(run, now)])
            uow.queue.reopen(run_id, rank(now, run.options.priority))
            _note(uow, now, "retry", run)
        self._signal.notify()

    def has_place(self, uow: UnitOfWork, namespace: str) -> bool:
        """Whether one more run of the namespace may be unfinished."""
        if not self._max_unfinished:
            return True
        return uow.runs.count_unfinished(namespace if self._tenancy.multi_user else "") < self._max_unfinished

    def _require_place(self, uow: UnitOfWork, namespace: str) -> None:
        """Raises ResourceExhaustedError."""
        if not self.has_place(uow, namespace):
            where = f"namespace {namespace!r}" if self._tenancy.multi_user else "the server"
            raise ResourceExhaustedError(
                f"{where} has {self._max_unfinished} runs that have not ended, as many as it may have; try again when "
                "one has ended"
            )

    def _source(self, uow: UnitOfWork, new: NewRun, inline: Spec | None, namespace: str) -> tuple[Spec, str, str]:
        if new.spec_hash:
            pinned = uow.specs.get(new.spec_hash)
            if pinned is None:
                raise NotFoundError("PipelineSpec", new.spec_hash)
            return pinned, new.pipeline_id, new.pipeline_version_id
        return pipelines.resolve_source(
            uow, self._tenancy, namespace, inline, new.pipeline_id, new.pipeline_version_id, "run"
        )

    def _run(self, new: NewRun, experiment: Experiment, spec: Spec, pipeline_id: str, version_id: str) -> Run:
        now = self._clock.now_millis()
        run_id = _run_id(new)
        pipeline = self._documents.compiled(spec)
        expanded = {
            name: macros.expand(value, run_id=run_id, now=now, scheduled=new.scheduled_at, index=new.index)
            for name, value in new.parameters.items()
        }
        arguments = bind_root_parameters(pipeline, expanded)
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
        inline = version_id == ""
        return Run(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            display_name=new.display_name,
            description=new.description,
            namespace=experiment.namespace if self._tenancy.multi_user else "",
            service_account=new.service_account or self._service_account,
            storage_state=AVAILABLE,
            state=RunState.PENDING,
            state_history=(StateChange(RunState.PENDING, now),),
            created_at=now,
            scheduled_at=new.scheduled_at or now,
            spec_hash=spec.spec_hash,
            pipeline_id=pipeline_id,
            pipeline_version_id=version_id,
            submitted_spec=text_of(new.pipeline_spec or {}) if inline else "",
            runtime_config=new.runtime_config,
            arguments=_dump(arguments),
            pipeline_root=new.pipeline_root,
            recurring_run_id=new.recurring_run_id,
            plugins_input=new.plugins_input,
            options=resolve_options(new.options, self._defaults),
            labels=dict(new.labels),
            created_by=current_call().caller.user,
            resource_name=f"{pipeline.name.rsplit('/', 1)[-1][:240]}-{suffix}",
        )


def _note(uow: UnitOfWork, at: int, verb: str, run: Run) -> None:
    audit.record(uow, at, "runs", verb, run.run_id, run.namespace, run.display_name)


def _check_schedule(uow: UnitOfWork, recurring_run_id: str, namespace: str) -> None:
    """Raises NotFoundError for a schedule that is not there, or in another namespace: a run that named it would be
    given out in place of the schedule's own, and count as one of its."""
    schedule = uow.locations.find(ObjectKind.RECURRING_RUN, recurring_run_id)
    if schedule is None or schedule.namespace != namespace:
        raise NotFoundError("RecurringRun", recurring_run_id)


def scope_of_list(uow: UnitOfWork, tenancy: Tenancy, run_id: str, namespace: str) -> Scope:
    """Whose artifacts a list shows: a run's, and in multi-user mode those of one namespace.

    Raises InvalidArgumentError when neither is named in multi-user mode, NotFoundError for a run that is not in the
    namespace.
    """
    if not tenancy.multi_user:
        return Scope(None, run_id)
    if not run_id:
        return Scope(tenancy.namespace(namespace, "namespace"))
    found = find(uow, run_id).namespace
    if namespace and namespace != found:
        raise NotFoundError("Run", run_id)
    return Scope(found, run_id)


def query_of_list(
    uow: UnitOfWork, tenancy: Tenancy, request: listing.ListRequest, experiment_id: str, namespace: str
) -> listing.ListQuery:
    """The checked request for a list of runs. Raises InvalidArgumentError, NotFoundError."""
    scope = experiments.scope_of_list(uow, tenancy, experiment_id, namespace)
    return listing.parse(LISTING, request, scope)


def find(uow: UnitOfWork, run_id: str) -> Run:
    """Raises NotFoundError."""
    run = uow.runs.get(run_id)
    if run is None:
        raise NotFoundError("Run", run_id)
    return run


def _versioned(
    uow: UnitOfWork, run_id: str, versions: Collection[str], without: Fields = NONE
) -> tuple[Run, str] | Unchanged:
    """The run with its version, or only that it is one of `versions`. Raises NotFoundError."""
    version = uow.runs.version(run_id) if versions else None
    if version is not None and version in versions:
        return Unchanged(version)
    found = uow.runs.versioned(run_id, without)
    if found is None:
        raise NotFoundError("Run", run_id)
    return found


def _run_id(new: NewRun) -> str:
    """Random, except for runs of a schedule: a deterministic id makes creating them idempotent (api.md §2.8)."""
    if new.recurring_run_id:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{new.recurring_run_id}/{new.display_name}"))
    return str(uuid.uuid4())


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
