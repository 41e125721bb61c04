"""Tasks that upstream's drivers record as their cache (api.TaskService, api.md §1.6).

Why separate from Penstock's cache: such a task has the id of an execution in ML Metadata instead of the outputs, so
Penstock's executor could not use it, and the messages of this service cannot carry Penstock's entries.

Invariants: in multi-user mode a task is in the namespace of its run, whatever it says, and lists are of one namespace.
To the audit log a task that is recorded is a change of its run, as it is to the roles.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from penstock_server.domain import limits, listing
from penstock_server.domain.listing import Key, KeyKind, Listing, Page, Scope
from penstock_server.domain.task import DriverTask
from penstock_server.errors import InvalidArgumentError
from penstock_server.services import audit, runs
from penstock_server.services.ports import Clock, Storage
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

LISTING = Listing(
    "tasks",
    {
        "id": Key("task_id"),
        "namespace": Key("namespace"),
        "pipelineName": Key("pipeline_name", sortable=False),
        "pipeline_name": Key("pipeline_name"),
        "runId": Key("run_id", sortable=False),
        "run_id": Key("run_id"),
        "mlmdExecutionID": Key("execution_id", sortable=False),
        "fingerprint": Key("fingerprint"),
        "created_at": Key("created_at", KeyKind.TIME),
        "finished_at": Key("finished_at", KeyKind.TIME),
    },
)


class DriverTaskService:
    def __init__(self, storage: Storage, clock: Clock, tenancy: Tenancy = SINGLE_USER) -> None:
        self._tenancy = tenancy
        self._storage = storage
        self._clock = clock

    def create(self, task: DriverTask) -> DriverTask:
        """Raises InvalidArgumentError that names a missing field, or the id, which the server assigns; NotFoundError in
        multi-user mode for an unknown run.
        """
        if task.task_id:
            raise InvalidArgumentError("it is given by the server", "task.id")
        required = {
            "pipelineName": (task.pipeline_name, 255),
            "runId": (task.run_id, 64),
            "mlmdExecutionID": (task.execution_id, 63),
            "fingerprint": (task.fingerprint, 128),
        }
        for name, (value, limit) in required.items():
            limits.check_name(value, f"task.{name}", limit)
        limits.check_length(task.namespace, "task.namespace", limits.NAMESPACE)
        now = self._clock.now_millis()
        stored = replace(task, task_id=str(uuid.uuid4()), created_at=task.created_at or now)
        with self._storage.writing() as uow:
            name = ""
            if self._tenancy.multi_user:
                run = runs.find(uow, task.run_id)
                stored, name = replace(stored, namespace=run.namespace), run.display_name
            uow.driver_tasks.add(stored)
            audit.record(uow, now, "runs", "update", stored.run_id, stored.namespace, name)
        return stored

    def list(self, request: listing.ListRequest, namespace: str = "") -> Page[DriverTask]:
        """Raises InvalidArgumentError."""
        scope = Scope(self._tenancy.listed(self._tenancy.namespace(namespace, "resource_reference_key")))
        query = listing.parse(LISTING, request, scope)
        with self._storage.reading() as uow:
            return uow.driver_tasks.list(query)
