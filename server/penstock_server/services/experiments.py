"""Experiments (api.md §2.6).

Invariants: names are unique in a namespace. In single-user mode the namespace of a request is dropped, and there is a
default experiment; multi-user mode has none. Archiving an experiment archives its runs and disables its schedules,
unarchiving brings back the experiment only; deleting it leaves its runs.
"""

from __future__ import annotations

import logging
import uuid

from penstock_server.domain import limits, listing
from penstock_server.domain.experiment import (
    ARCHIVED,
    AVAILABLE,
    DEFAULT_DESCRIPTION,
    DEFAULT_NAME,
    STORAGE_STATES,
    Experiment,
)
from penstock_server.domain.listing import Key, KeyKind, Listing, Page, Scope
from penstock_server.errors import AbortedError, AlreadyExistsError, InvalidArgumentError, NotFoundError
from penstock_server.services import audit
from penstock_server.services.ports import Clock, Storage, UnitOfWork
from penstock_server.services.tenancy import SINGLE_USER, Tenancy

log = logging.getLogger(__name__)

LISTING = Listing(
    "experiments",
    {
        "id": Key("experiment_id"),
        "experiment_id": Key("experiment_id"),
        "name": Key("name"),
        "display_name": Key("name"),
        "created_at": Key("created_at", KeyKind.TIME),
        "last_run_created_at": Key("last_run_created_at", KeyKind.TIME),
        "description": Key("description"),
        "namespace": Key("namespace"),
        "storage_state": Key("storage_state", values=STORAGE_STATES),
    },
)


class ExperimentService:
    def __init__(self, storage: Storage, clock: Clock, tenancy: Tenancy = SINGLE_USER) -> None:
        self._storage = storage
        self._clock = clock
        self._tenancy = tenancy

    def create(self, display_name: str, description: str, namespace: str = "") -> Experiment:
        """Raises InvalidArgumentError, AlreadyExistsError."""
        limits.check_name(display_name, "experiment.display_name", limits.EXPERIMENT_NAME, "Experiment.Name")
        limits.check_length(description, "experiment.description", limits.DESCRIPTION)
        namespace = self._tenancy.namespace(namespace, "experiment.namespace")
        experiment = self._new(display_name, description, namespace)
        with self._storage.writing() as uow:
            if uow.experiments.by_name(display_name, namespace):
                raise AlreadyExistsError(
                    f"experiment.display_name: an experiment {display_name!r} exists already. Please specify a new name"
                )
            uow.experiments.add(experiment)
            _note(uow, experiment.created_at, "create", experiment)
        return experiment

    def ensure_default(self) -> None:
        """Creates the default experiment, at the first start in single-user mode."""
        if self._tenancy.multi_user:
            return
        try:
            with self._storage.writing() as uow:
                if uow.experiments.by_name(DEFAULT_NAME, "") is None:
                    uow.experiments.add(self._new(DEFAULT_NAME, DEFAULT_DESCRIPTION))
        except AlreadyExistsError:
            log.debug("another server that starts at the same time created the default experiment first")

    def get(self, experiment_id: str) -> Experiment:
        with self._storage.reading() as uow:
            return find(uow, experiment_id)

    def list(self, request: listing.ListRequest, namespace: str = "") -> Page[Experiment]:
        """Raises InvalidArgumentError."""
        scope = Scope(self._tenancy.listed(self._tenancy.namespace(namespace, "namespace")))
        query = listing.parse(LISTING, request, scope)
        with self._storage.reading() as uow:
            return uow.experiments.list(query)

    def archive(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            if uow.experiments.set_storage_state(experiment_id, ARCHIVED):
                uow.runs.archive_of_experiment(experiment_id)
                uow.schedules.disable_of_experiment(experiment_id, self._clock.now_millis())
                _note(uow, self._clock.now_millis(), "archive", find(uow, experiment_id))

    def unarchive(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            if uow.experiments.set_storage_state(experiment_id, AVAILABLE):
                _note(uow, self._clock.now_millis(), "unarchive", find(uow, experiment_id))

    def delete(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            experiment = find(uow, experiment_id)
            if experiment.name == DEFAULT_NAME and not self._tenancy.multi_user:
                raise AbortedError("the experiment 'Default' cannot be deleted: runs without an experiment go there")
            uow.experiments.delete(experiment_id)
            _note(uow, self._clock.now_millis(), "delete", experiment)

    def _new(self, name: str, description: str, namespace: str = "") -> Experiment:
        now = self._clock.now_millis()
        return Experiment(str(uuid.uuid4()), name, description, namespace, now, 0, AVAILABLE)


def scope_of_list(uow: UnitOfWork, tenancy: Tenancy, experiment_id: str, namespace: str) -> Scope:
    """Whose runs or schedules a list shows: in multi-user mode those of one namespace, the experiment's if one is
    named.

    Raises InvalidArgumentError when neither is named, NotFoundError for an experiment that is not in the namespace.
    """
    if not tenancy.multi_user:
        return Scope(None, experiment_id)
    if not experiment_id:
        return Scope(tenancy.namespace(namespace, "namespace"))
    found = find(uow, experiment_id).namespace
    if namespace and namespace != found:
        raise NotFoundError("Experiment", experiment_id)
    return Scope(found, experiment_id)


def of_new_run(uow: UnitOfWork, tenancy: Tenancy, experiment_id: str, field: str) -> Experiment:
    """The experiment of a run or a schedule that is to be made: the default one when none is named in single-user mode.

    Raises InvalidArgumentError when none is named in multi-user mode, NotFoundError.
    """
    if experiment_id:
        return find(uow, experiment_id)
    if tenancy.multi_user:
        raise InvalidArgumentError("Experiment id can not be empty in multi-user mode", field)
    default = uow.experiments.by_name(DEFAULT_NAME, "")
    if default is None:
        raise NotFoundError("Experiment", DEFAULT_NAME)
    return default


def _note(uow: UnitOfWork, at: int, verb: str, experiment: Experiment) -> None:
    audit.record(uow, at, "experiments", verb, experiment.experiment_id, experiment.namespace, experiment.name)


def find(uow: UnitOfWork, experiment_id: str) -> Experiment:
    """Raises NotFoundError."""
    experiment = uow.experiments.get(experiment_id)
    if experiment is None:
        raise NotFoundError("Experiment", experiment_id)
    return experiment
