"""A few rows as tests of the database need them."""

from __future__ import annotations

from penstock_server.domain.experiment import Experiment
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.run import Run, RunState, StateChange
from penstock_server.domain.schedule import Schedule, Trigger
from penstock_server.storage.database import Database


def experiment(number: int, name: str = "") -> Experiment:
    return Experiment(f"e{number}", name or f"name {number}", "", "", 1_000 + number, 0, "AVAILABLE")


def run(run_id: str, experiment_id: str = "e1") -> Run:
    history = (StateChange(RunState.PENDING, 1),)
    return Run(run_id, experiment_id, run_id, "", "", "", "AVAILABLE", RunState.PENDING, history, 1, 1, "hash")


def prepared(database: Database, *run_ids: str) -> None:
    with database.writing() as uow:
        uow.experiments.add(experiment(1))
        uow.specs.put(Spec("hash", "{}", ""))
        for one in run_ids:
            uow.runs.add(run(one))


def schedule(number: int, experiment_id: str = "e1") -> Schedule:
    return Schedule(
        recurring_run_id=f"s{number}",
        display_name=f"schedule {number}",
        description="",
        experiment_id=experiment_id,
        namespace="",
        service_account="",
        resource_name=f"schedule{number}",
        enabled=True,
        max_concurrency=1,
        no_catchup=False,
        trigger=Trigger(),
        spec_hash="hash",
        pipeline_id="",
        pipeline_version_id="",
        submitted_spec="{}",
        runtime_config=None,
        parameters="{}",
        pipeline_root="",
        created_at=1_000 + number,
        updated_at=1_000 + number,
    )
