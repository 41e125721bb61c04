"""The version of a run, on every database: no two answers of GetRun have the same one, whatever was written between."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from penstock_ir.event_log import AttemptStarted, RunStarted, encode
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import RunTransitions
from penstock_server.domain.run import RunState
from penstock_server.domain.task import Artifact, Task
from penstock_server.errors import PenstockError
from penstock_server.rpc.convert.runs import details_to_proto
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.runs import RunDetails, RunService, Unchanged
from penstock_server.storage.database import Database

from tests.support.rows import prepared, run


class Written:
    """A run and all that may be written of it."""

    def __init__(self, database: Database, chosen: random.Random) -> None:
        prepared(database, "r1")
        clock, signal = SystemClock(), ConditionSignal()
        self.database, self.random = database, chosen
        self.runs = RunService(database, clock, Documents(), signal, "account")
        self.experiments = ExperimentService(database, clock)
        self.dispatch = DispatchService(database, signal, clock, lambda spec: "pipeline")
        self.fence, self.events, self.births = 0, 0, 1

    def report(self, **parts: Any) -> None:
        claimed = self.dispatch.claim("e/1", 1, 0, 60_000).runs
        self.fence = claimed[0].fence if claimed else self.fence
        with self.database.reading() as uow:
            self.events = uow.queue.leases(["r1"])["r1"].next_sequence
        first = encode(AttemptStarted(f"a {self.events}", 1, 5) if self.events else RunStarted(5, "file:///root"))
        self.dispatch.report("e/1", [RunTransitions("r1", self.fence, self.events, [first], **parts)])

    def task(self, **fields: Any) -> None:
        state = self.random.choice([TaskState.PENDING, TaskState.RUNNING])
        path = f"t{self.random.randrange(3)}"
        self.report(tasks=[Task("r1", path, path, TaskKind.CONTAINER, state, **fields)])

    def artifact(self) -> None:
        made = Artifact(f"a{self.random.randrange(3)}", "r1", "t0", "out", "system.Model", "file:///a")
        self.report(artifacts=[made], artifact_ids={made.name: self.random.randrange(1, 9)})
        self.task(output_artifacts=f'{{"out": ["{made.name}"]}}')

    def lineage(self) -> None:
        self.report(execution_ids={f"t{self.random.randrange(3)}": self.random.randrange(1, 9)})

    def wait(self) -> None:
        self.report(waits={f"t{self.random.randrange(3)}": f"no place is free: {self.random.randrange(9)}"})

    def start(self) -> None:
        self.report(state="RUNNING", at=5)

    def end(self) -> None:
        self.report(state="FAILED", at=6, error=f"no disk {self.random.randrange(9)}", finished=True)

    def retry(self) -> None:
        self.runs.retry("r1")

    def terminate(self) -> None:
        self.runs.terminate("r1")

    def archive(self) -> None:
        self.runs.archive("r1")

    def archive_all(self) -> None:
        self.experiments.archive("e1")

    def unarchive(self) -> None:
        self.experiments.unarchive("e1")
        self.runs.unarchive("r1")

    def made_again(self) -> None:
        """As the runs of a schedule, which have the same id then."""
        self.runs.delete("r1")
        self.births += 1
        with self.database.writing() as uow:
            uow.runs.add(replace(run("r1"), created_at=self.births, state=RunState.PENDING))


WRITES: list[Callable[[Written], None]] = [
    Written.task, Written.artifact, Written.lineage, Written.wait, Written.start, Written.end, Written.retry,
    Written.terminate, Written.archive, Written.archive_all, Written.unarchive, Written.made_again,
]  # fmt: skip


def shown(service: RunService) -> tuple[str, bytes]:
    found = service.get("r1")
    return found.version, details_to_proto(found).SerializeToString(deterministic=True)


@pytest.mark.parametrize("seed", range(4))
def test_no_two_answers_have_one_version(database: Database, seed: int) -> None:
    chosen = random.Random(seed)
    written = Written(database, chosen)
    answers = dict([shown(written.runs)])
    seen = set()
    for _ in range(60):
        write = chosen.choice(WRITES)
        before = shown(written.runs)
        try:
            write(written)
        except PenstockError:
            assert shown(written.runs) == before
            continue
        version, content = shown(written.runs)
        if content != before[1]:
            seen.add(write)
        assert answers.setdefault(version, content) == content, write
    assert len(seen) > 8, seen


def test_a_version_that_is_known_is_all_that_is_read(database: Database) -> None:
    written = Written(database, random.Random(1))
    version, _ = shown(written.runs)
    assert written.runs.get_unless("r1", ["0.0", version]) == Unchanged(version)
    assert written.runs.with_document_unless("r1", [version]) == Unchanged(version)
    assert isinstance(written.runs.get_unless("r1", ["0.0"]), RunDetails)
    # Who holds the run is not shown.
    written.dispatch.claim("e/1", 1, 0, 60_000)
    assert written.runs.get_unless("r1", [version]) == Unchanged(version)
