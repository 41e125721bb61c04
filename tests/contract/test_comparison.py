"""Runs side by side, on every database."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_server.domain.options import NO_SETTINGS
from penstock_server.domain.task import Artifact
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.rpc.convert.comparison import compared_to_proto
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.comparison import ComparisonService
from penstock_server.services.documents import Documents
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.runs import NewRun, RunService
from penstock_server.services.tenancy import SINGLE_USER
from penstock_server.storage.database import Database

from tools.testing import specs


@pytest.fixture
def runs(database: Database) -> RunService:
    database.migrate()
    ExperimentService(database, SystemClock(), SINGLE_USER).ensure_default()
    return RunService(database, SystemClock(), Documents(), ConditionSignal(), "account", NO_SETTINGS, SINGLE_USER)


def start(runs: RunService, **parameters: Any) -> str:
    spec = specs.container(["true"])
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            "rate": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5},
            "name": {"parameterType": "STRING", "isOptional": True},
        }
    }
    return runs.create(NewRun("a run", pipeline_spec=spec, parameters=parameters)).run_id


def put(database: Database, run_id: str, name: str, type_name: str, **metadata: Any) -> None:
    artifact = Artifact(f"{run_id}/{name}", run_id, "task", name, type_name, "", metadata=json.dumps(metadata))
    with database.writing() as uow:
        uow.artifacts.upsert_many([artifact])


def test_parameters_with_defaults_and_the_newest_metrics(database: Database, runs: RunService) -> None:
    first, second = start(runs, rate=0.25), start(runs)
    put(database, first, "old", "system.Metrics", accuracy=0.5, loss=2)
    put(database, first, "new", "system.Metrics", accuracy=0.75)
    for number in range(3):
        put(database, second, f"curve-{number}", "system.ClassificationMetrics", confusionMatrix={})
    put(database, second, "model", "system.Model")
    found = [compared_to_proto(one) for one in ComparisonService(database).compare([second, first])]
    assert [one.run.run_id for one in found] == [second, first]
    assert [one.parameters["rate"] for one in found] == [0.5, 0.25]
    assert dict(found[1].metrics) == {"accuracy": 0.75, "loss": 2}
    assert dict(found[0].metrics) == {}
    assert {one.port for one in found[0].classification_metrics} == {"curve-0", "curve-1", "curve-2"}
    assert not found[0].run.HasField("pipeline_spec")


def test_what_is_not_compared(database: Database, runs: RunService) -> None:
    compare = ComparisonService(database).compare
    run_id = start(runs)
    assert len(compare([run_id])) == 1
    for ids in ([], [run_id, run_id], [str(number) for number in range(21)]):
        with pytest.raises(InvalidArgumentError, match="run_ids"):
            compare(ids)
    with pytest.raises(NotFoundError, match="gone"):
        compare([run_id, "gone"])
