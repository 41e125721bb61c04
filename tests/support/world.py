"""The server's services on a database, without a server around them, and rows of every kind."""

from __future__ import annotations

import json

from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.documents import Documents
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.pipelines import Naming, PipelineService
from penstock_server.services.recurring_runs import NewSchedule, RecurringRunService
from penstock_server.services.runs import NewRun, RunService
from penstock_server.storage.database import Database
from penstock_server.storage.fetch import PackageFetcher

from tools.testing import specs


class World:
    def __init__(self, database: Database) -> None:
        clock, signal, documents = SystemClock(), ConditionSignal(), Documents()
        fetch = PackageFetcher((), allow_http=False, validate=True)
        self.database = database
        self.experiments = ExperimentService(database, clock)
        self.experiments.ensure_default()
        self.pipelines = PipelineService(database, clock, documents, fetch)
        self.runs = RunService(database, clock, documents, signal, "account")
        self.schedules = RecurringRunService(
            database, clock, documents, self.runs, signal, zone="", namespace="", service_account="account"
        )
        self.spec = specs.container(["true"])
        self.pipeline_id = ""

    def add(self, number: int) -> None:
        self.experiments.create(f"experiment {number}", "")
        data = json.dumps(self.spec).encode()
        made = self.pipelines.upload(Naming(f"pipeline {number}", tags={"team": "a"}), data)
        self.pipeline_id = self.pipeline_id or made.pipeline_id
        self.pipelines.upload_version(self.pipeline_id, Naming(f"version {number}", tags={"team": "a"}), data)
        self.runs.create(NewRun(f"run {number}", pipeline_spec=self.spec, labels={"team": "a"}))
        self.schedules.create(NewSchedule(f"schedule {number}", pipeline_spec=self.spec, max_concurrency=1))
