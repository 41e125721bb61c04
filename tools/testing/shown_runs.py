"""What the pictures of the web UI show: pipelines, runs that ended, failed or go on, and one of very many tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import experiment_pb2, recurring_run_pb2, run_pb2
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.task import Task
from penstock_server.storage.database import Database

from tools.testing import runs, specs, trainings

_MANY = 10_000
_AT_A_TIME = 1_000
_NAMES = {"load-samples": 0.5, "check-schema": 0.4, "split": 0.5, "describe": 1.5, "evaluate": 0.6, "publish": 0.3}
_AFTER = {
    "check-schema": ["load-samples"],
    "split": ["check-schema"],
    "describe": ["check-schema"],
    "train-models": ["split"],
    "evaluate": ["train-models"],
    "publish": ["evaluate", "describe"],
}


def training(*, last: str = "") -> dict[str, Any]:
    """A pipeline of two branches, one with a loop; `last` is a command of a shell that `evaluate` runs."""
    commands = {name: ["sh", "-c", f"echo {name} began; sleep {seconds}"] for name, seconds in _NAMES.items()}
    if last:
        commands["evaluate"] = ["sh", "-c", last]
    spec = specs.siblings(commands, name="train-and-publish")
    loop = specs.loop(4, ["sh", "-c", "sleep 0.$(( $$ % 8 + 2 ))"])
    spec["components"] |= loop["components"]
    spec["deploymentSpec"]["executors"] |= loop["deploymentSpec"]["executors"]
    tasks = spec["root"]["dag"]["tasks"]
    tasks["train-models"] = loop["root"]["dag"]["tasks"]["loop"]
    tasks["train-models"]["taskInfo"] = {"name": "train-models"}
    inner = spec["components"]["inner"]["dag"]["tasks"]
    inner["train-model"] = {**inner.pop("t"), "taskInfo": {"name": "train-model"}}
    for name, before in _AFTER.items():
        tasks[name]["dependentTasks"] = before
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            "dataset": {"parameterType": "STRING", "defaultValue": "s3://samples/2026", "isOptional": True},
            "test_share": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.25, "isOptional": True},
            "shuffle": {"parameterType": "BOOLEAN", "defaultValue": True, "isOptional": True},
        }
    }
    return spec


def made(client: Client, data_dir: Path) -> dict[str, str]:
    """The ids of what is shown, by what it is."""
    named = experiment_pb2.Experiment(display_name="Wine quality", description="Which classifier is the best for it")
    making = experiment_pb2.CreateExperimentRequest(experiment=named)
    experiment = str(client.call(client.experiments.CreateExperiment, making).experiment_id)
    sent = upload_pb2.UploadPipelineRequest(name="train-and-publish", content=json.dumps(training()).encode())
    pipeline = str(client.call(client.uploads.UploadPipeline, sent).pipeline_id)
    fail = "echo reading the test set; echo 'ValueError: no rows left after the filter' >&2; exit 1"
    started = {
        "many": _run(client, "10,000 shards", specs.loop(1)),
        "training": _run(client, "Train on the samples of October", training(), experiment, team="vision"),
        "failing": _run(client, "Train on the samples of November", _failing(fail), experiment, team="vision"),
    }
    for number in range(1, 9):
        _run(client, f"Nightly check {number}", specs.chain({"check": ["sleep", f"0.{number}"]}, name="nightly-check"))
    for run in started.values():
        runs.finished(client, run)
    *_, tuned = trainings.trained(client, ["0.1", "0.2"], "Tune the model at {}")
    model = trainings.artifact(client, tuned, "model")
    started["running"] = _run(client, "Train on all samples", training(last="sleep 600"), experiment, team="vision")
    runs.until(
        lambda: runs.tasks(client, started["running"]),
        lambda found: "evaluate" in found and found["evaluate"].state == "RUNNING",
    )
    _fill(data_dir, started["many"])
    return {
        **started,
        "model": model,
        "experiment": experiment,
        "pipeline": pipeline,
        "recurring": _recurring(client, pipeline),
    }


def _failing(command: str) -> dict[str, Any]:
    return specs.chain({"load": ["sleep", "0.3"], "train": ["sh", "-c", command], "publish": ["true"]}, name="train")


def _run(client: Client, name: str, spec: dict[str, Any], experiment: str = "", **labels: str) -> str:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = name
    request.run.experiment_id = experiment
    request.run.labels.update(labels)
    json_format.ParseDict(spec, request.run.pipeline_spec)
    return str(client.call(client.runs.CreateRun, request).run_id)


def _recurring(client: Client, pipeline: str) -> str:
    request = recurring_run_pb2.CreateRecurringRunRequest()
    one = {
        "display_name": "Train every night",
        "max_concurrency": 1,
        "mode": "ENABLE",
        "pipeline_version_reference": {"pipeline_id": pipeline},
        "trigger": {"cron_schedule": {"cron": "TZ=Europe/Berlin 0 30 2 * * *"}},
    }
    json_format.ParseDict(one, request.recurring_run)
    return str(client.call(client.recurring_runs.CreateRecurringRun, request).recurring_run_id)


def _fill(data_dir: Path, run_id: str) -> None:
    """Writes iterations into the store that no task has run for: ten thousand of them would take minutes."""
    database = Database(f"sqlite:///{data_dir}/penstock.db")
    try:
        for first in range(1, _MANY, _AT_A_TIME):
            with database.writing() as uow:
                change = uow.runs.changes([run_id])[run_id] + 1
                run = uow.runs.get(run_id)
                assert run is not None
                rows = [row for number in range(first, first + _AT_A_TIME) for row in _iteration(run_id, number)]
                uow.tasks.upsert_many(rows, {run_id: change})
                uow.runs.set_states([run])
    finally:
        database.dispose()


def _iteration(run_id: str, number: int) -> list[Task]:
    path = f"loop[{number}]"
    state = TaskState.FAILED if number % 97 == 0 else TaskState.SUCCEEDED
    return [
        Task(run_id, path, "loop", TaskKind.ITERATION, state, parent_path="loop", iteration_index=number),
    ]
