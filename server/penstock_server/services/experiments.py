"""Experiments (api.md §2.6).

Invariants: names are unique in a namespace; in single-user mode the namespace of a request is dropped; archiving an
experiment archives its runs and disables its schedules, unarchiving brings back the experiment only; deleting it leaves
its runs.
"""

from __future__ import annotations

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
from penstock_server.domain.listing import Key, KeyKind, Listing, Page
from penstock_server.errors import AbortedError, AlreadyExistsError, NotFoundError
from penstock_server.services.ports import Clock, Storage, UnitOfWork

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
    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def create(self, display_name: str, description: str) -> Experiment:
        """Raises InvalidArgumentError, AlreadyExistsError."""
        limits.check_name(display_name, "experiment.display_name", limits.EXPERIMENT_NAME, "Experiment.Name")
        limits.check_length(description, "experiment.description", limits.DESCRIPTION)
        experiment = self._new(display_name, description)
        with self._storage.writing() as uow:
            if uow.experiments.by_name(display_name, ""):
                raise AlreadyExistsError(
                    f"experiment.display_name: an experiment {display_name!r} exists already. Please specify a new name"
                )
            uow.experiments.add(experiment)
        return experiment

    def ensure_default(self) -> Experiment:
        """The default experiment, which is created at the first start."""
        try:
            with self._storage.writing() as uow:
                experiment = uow.experiments.by_name(DEFAULT_NAME, "")
                if experiment is None:
                    experiment = self._new(DEFAULT_NAME, DEFAULT_DESCRIPTION)
                    uow.experiments.add(experiment)
                return experiment
        except AlreadyExistsError:
            # Another server that starts at the same time created it first.
            return self.ensure_default()

    def get(self, experiment_id: str) -> Experiment:
        with self._storage.reading() as uow:
            return find(uow, experiment_id)

    def list(self, request: listing.ListRequest) -> Page[Experiment]:
        query = listing.parse(LISTING, request)
        with self._storage.reading() as uow:
            return uow.experiments.list(query, "")

    def archive(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            if uow.experiments.set_storage_state(experiment_id, ARCHIVED):
                uow.runs.archive_of_experiment(experiment_id)
                uow.schedules.disable_of_experiment(experiment_id, self._clock.now_millis())

    def unarchive(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            uow.experiments.set_storage_state(experiment_id, AVAILABLE)

    def delete(self, experiment_id: str) -> None:
        with self._storage.writing() as uow:
            if find(uow, experiment_id).name == DEFAULT_NAME:
                raise AbortedError("the experiment 'Default' cannot be deleted: runs without an experiment go there")
            uow.experiments.delete(experiment_id)

    def _new(self, name: str, description: str) -> Experiment:
        now = self._clock.now_millis()
        return Experiment(str(uuid.uuid4()), name, description, "", now, 0, AVAILABLE)


def find(uow: UnitOfWork, experiment_id: str) -> Experiment:
    """Raises NotFoundError."""
    experiment = uow.experiments.get(experiment_id)
    if experiment is None:
        raise NotFoundError("Experiment", experiment_id)
    return experiment
