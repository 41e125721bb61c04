"""Recurring runs (api.md §2.9).

Invariants: a fire creates its run and advances its schedule in one transaction, and only if the schedule has not
changed since it was read: of two servers only one succeeds, and after a crash the fire is repeated. A schedule that is
not due writes nothing. If a fire cannot create a run (a newer version has other parameters), the schedule keeps the
error and goes on; a schedule whose cron expression only an earlier release accepted fires no more. In multi-user mode a
schedule is in the namespace of its experiment, as its runs are.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penstock_ir.errors import InvalidParametersError, InvalidSpecError
from penstock_ir.parameters import bind_root_parameters

from penstock_server.domain import limits, listing
from penstock_server.domain.coming_fires import ComingFires, coming_fires, of_trigger
from penstock_server.domain.listing import Key, KeyKind, Listing, Page
from penstock_server.domain.parts import NONE, Fields
from penstock_server.domain.pipeline import Spec, Submitted
from penstock_server.domain.schedule import (
    MAX_CONCURRENCY,
    Schedule,
    Trigger,
    fire_time,
    next_fire,
    run_name,
    validated,
)
from penstock_server.errors import (
    InvalidArgumentError,
    NotFoundError,
    PenstockError,
    ResourceExhaustedError,
    UnavailableError,
)
from penstock_server.services import audit, experiments, pipelines
from penstock_server.services.documents import Documents
from penstock_server.services.ports import Clock, Storage, UnitOfWork, WorkSignal
from penstock_server.services.runs import NewRun, RunService
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

log = logging.getLogger(__name__)

LISTING = Listing(
    "recurring_runs",
    {
        "id": Key("recurring_run_id"),
        "recurring_run_id": Key("recurring_run_id"),
        "name": Key("display_name"),
        "display_name": Key("display_name"),
        "created_at": Key("created_at", KeyKind.TIME),
        "updated_at": Key("updated_at", KeyKind.TIME),
        "description": Key("description"),
    },
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_NOT_IN_NAMES = re.compile(r"[^a-z0-9-]")
_PAGE_SIZE = 100
# A position before every schedule; times before 1970 are negative.
_BEFORE_ALL = (-(2**63), "")


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """The fields of a schedule to create."""

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
    enabled: bool = False
    max_concurrency: int = 0
    no_catchup: bool = False
    trigger: Trigger = Trigger()  # noqa: RUF009 - frozen
    plugins_input: str | None = None


class RecurringRunService:
    """`zone` is the time zone of cron expressions that name none; `namespace` is shown for every schedule in
    single-user mode.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        documents: Documents,
        runs: RunService,
        signal: WorkSignal,
        *,
        zone: str,
        namespace: str,
        service_account: str,
        tenancy: Tenancy = SINGLE_USER,
    ) -> None:
        self._tenancy = tenancy
        self._storage = storage
        self._clock = clock
        self._documents = documents
        self._runs = runs
        self._signal = signal
        self.zone = zone
        self._namespace = namespace
        self._service_account = service_account

    def create(self, new: NewSchedule) -> Schedule:
        """Raises InvalidArgumentError, NotFoundError, InvalidSpecError, InvalidParametersError."""
        limits.check_name(new.display_name, "recurring_run.display_name", limits.RUN_NAME, "RecurringRun.display_name")
        limits.check_length(new.description, "recurring_run.description", limits.DESCRIPTION)
        limits.check_length(new.service_account, "recurring_run.service_account", 253)
        if not 1 <= new.max_concurrency <= MAX_CONCURRENCY:
            raise InvalidArgumentError(
                f"recurring_run.max_concurrency must be 1 to {MAX_CONCURRENCY}, it is {new.max_concurrency}",
                "recurring_run.max_concurrency",
            )
        trigger = validated(new.trigger, self.zone)
        submitted = self._documents.submitted(new.pipeline_spec) if new.pipeline_spec else None
        now = self._clock.now_millis()
        with self._storage.writing() as uow:
            experiment = experiments.of_new_run(uow, self._tenancy, new.experiment_id, "recurring_run.experiment_id")
            spec, pipeline_id, version_id = pipelines.resolve_source(
                uow,
                self._tenancy,
                experiment.namespace,
                submitted.spec if submitted else None,
                new.pipeline_id,
                new.pipeline_version_id,
                "recurring_run",
            )
            pinned = submitted is not None or bool(new.pipeline_version_id)
            bind_root_parameters(self._documents.compiled(spec), new.parameters)
            schedule = Schedule(
                recurring_run_id=str(uuid.uuid4()),
                display_name=new.display_name,
                description=new.description,
                experiment_id=experiment.experiment_id,
                namespace=experiment.namespace if self._tenancy.multi_user else self._namespace,
                service_account=new.service_account or self._service_account,
                resource_name=_resource_name(new.display_name),
                enabled=new.enabled,
                max_concurrency=new.max_concurrency,
                no_catchup=new.no_catchup,
                trigger=trigger,
                spec_hash=spec.spec_hash if pinned else "",
                pipeline_id=pipeline_id,
                pipeline_version_id=version_id if pinned else "",
                submitted_spec=submitted.text if submitted else "",
                runtime_config=new.runtime_config,
                parameters=_dump(dict(new.parameters)),
                pipeline_root=new.pipeline_root,
                created_at=now,
                updated_at=now,
                plugins_input=new.plugins_input,
            )
            schedule = replace(schedule, next_fire_at=next_fire(schedule, self.zone))
            uow.specs.put(spec)
            uow.schedules.add(schedule)
            _note(uow, now, "create", schedule)
        self._signal.notify()
        return schedule

    def get(self, recurring_run_id: str, without: Fields = NONE) -> Schedule:
        """Fields `without` are not read, here and below. Raises NotFoundError."""
        with self._storage.reading() as uow:
            return find(uow, recurring_run_id, without)

    def coming_fires(self, recurring_run_id: str, count: int) -> ComingFires:
        """Raises NotFoundError, InvalidArgumentError."""
        _check_count(count)
        return coming_fires(self.get(recurring_run_id), self._clock.now_millis(), self.zone, count)

    def fires_of_trigger(self, trigger: Trigger, count: int) -> ComingFires:
        """Of a schedule that would be made now. Raises InvalidArgumentError."""
        _check_count(count)
        return of_trigger(validated(trigger, self.zone), self._clock.now_millis(), self.zone, count)

    def with_document(self, recurring_run_id: str) -> tuple[Schedule, Spec | None]:
        """A schedule and the document that its next run would execute, None if its pipeline was deleted."""
        with self._storage.reading() as uow:
            schedule = find(uow, recurring_run_id)
            if schedule.spec_hash:
                return schedule, uow.specs.get(schedule.spec_hash)
            latest = uow.versions.latest(schedule.pipeline_id)
            return schedule, latest.spec if latest else None

    def list(
        self, request: listing.ListRequest, experiment_id: str = "", namespace: str = "", without: Fields = NONE
    ) -> Page[Schedule]:
        """Raises InvalidArgumentError, NotFoundError."""
        with self._storage.reading() as uow:
            scope = experiments.scope_of_list(uow, self._tenancy, experiment_id, namespace)
            return uow.schedules.list(listing.parse(LISTING, request, scope), without)

    def set_enabled(self, recurring_run_id: str, enabled: bool) -> None:
        with self._storage.writing() as uow:
            schedule = find(uow, recurring_run_id)
            now = self._clock.now_millis()
            if schedule.enabled != enabled:
                uow.schedules.set_enabled(recurring_run_id, enabled, now)
            _note(uow, now, "enable" if enabled else "disable", schedule)
        self._signal.notify()

    def delete(self, recurring_run_id: str, *, terminate: bool = False) -> None:
        """Keeps the runs of the schedule; with `terminate`, unfinished ones are terminated."""
        with self._storage.writing() as uow:
            schedule = find(uow, recurring_run_id)
            uow.schedules.delete(recurring_run_id)
            _note(uow, self._clock.now_millis(), "delete", schedule)
            if terminate:
                self._runs.terminate_of_schedule_in(uow, recurring_run_id)
        if terminate:
            self._signal.notify()

    def tick(self) -> int:
        """Creates the runs that are due, one per schedule, and returns how many. A schedule at its max_concurrency, or
        in a namespace that may have no more runs, waits; neither that nor one that fails unexpectedly holds up others.
        """
        now, after, fired = self._clock.now_millis(), _BEFORE_ALL, 0
        while True:
            with self._storage.reading() as uow:
                due = uow.schedules.due(now, _PAGE_SIZE, after)
                ready = [
                    schedule
                    for schedule in due
                    if uow.runs.count_active(schedule.recurring_run_id) < schedule.max_concurrency
                    and self._runs.has_place(uow, schedule.namespace)
                ]
            for schedule in ready:
                try:
                    fired += self._fire(schedule, now)
                except Exception:
                    log.exception("recurring run %s could not fire; it will be tried again", schedule.recurring_run_id)
            if len(due) < _PAGE_SIZE:
                return fired
            after = (due[-1].next_fire_at, due[-1].recurring_run_id)

    def _fire(self, seen: Schedule, now: int) -> bool:
        try:
            at = fire_time(seen, now, self.zone)
            advanced = replace(seen, fires=seen.fires + 1, last_fired_at=at, error="")
            advanced = replace(advanced, next_fire_at=next_fire(advanced, self.zone))
        except InvalidArgumentError as error:
            # An earlier release accepted the expression, which has no meaning here, so there is no next fire.
            log.warning("recurring run %s fires no more: %s", seen.recurring_run_id, error)
            with self._storage.writing() as uow:
                uow.schedules.advance(seen, replace(seen, next_fire_at=0, error=f"it fires no more: {error}"))
            return False
        try:
            with self._storage.writing() as uow:
                if uow.runs.count_active(seen.recurring_run_id) >= seen.max_concurrency:
                    return False
                if not uow.schedules.advance(seen, advanced):
                    return False
                self._runs.create_in(uow, self._new_run(seen, advanced.fires, at))
        except UnavailableError:
            # The schedule is in order: the fire stays due until the database is back.
            raise
        except ResourceExhaustedError:
            # Others took the last place of the namespace meanwhile: the fire stays due until a run has ended.
            return False
        except (PenstockError, InvalidSpecError, InvalidParametersError) as error:
            log.warning("recurring run %s: the fire for %d made no run: %s", seen.recurring_run_id, at, error)
            failed = replace(advanced, fires=seen.fires, error=f"the fire for {at} made no run: {error}")
            with self._storage.writing() as uow:
                uow.schedules.advance(seen, failed)
            return False
        self._signal.notify()
        return True

    def _new_run(self, schedule: Schedule, index: int, at: int) -> NewRun:
        return NewRun(
            display_name=run_name(schedule, index, at),
            experiment_id=schedule.experiment_id,
            pipeline_spec=json.loads(schedule.submitted_spec) if schedule.submitted_spec else None,
            pipeline_id=schedule.pipeline_id,
            pipeline_version_id=schedule.pipeline_version_id,
            spec_hash=schedule.spec_hash,
            parameters=json.loads(schedule.parameters),
            pipeline_root=schedule.pipeline_root,
            runtime_config=schedule.runtime_config,
            service_account=schedule.service_account,
            scheduled_at=at,
            recurring_run_id=schedule.recurring_run_id,
            index=index,
            plugins_input=schedule.plugins_input or "",
        )


def _note(uow: UnitOfWork, at: int, verb: str, schedule: Schedule) -> None:
    audit.record(uow, at, "jobs", verb, schedule.recurring_run_id, schedule.namespace, schedule.display_name)


def find(uow: UnitOfWork, recurring_run_id: str, without: Fields = NONE) -> Schedule:
    """Raises NotFoundError."""
    schedule = uow.schedules.get(recurring_run_id, without)
    if schedule is None:
        raise NotFoundError("RecurringRun", recurring_run_id)
    return schedule


def _check_count(count: int) -> None:
    if count < 0:
        raise InvalidArgumentError("it must not be negative", "count")


def _resource_name(display_name: str) -> str:
    cleaned = _NOT_IN_NAMES.sub("", display_name.lower())[:25] or "job-"
    return cleaned + "".join(secrets.choice(_ALPHABET) for _ in range(5))


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
