"""Attempts as they are reported, stored and told, on every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v1 import insight_pb2 as pb
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.attempts import AttemptOutcome, AttemptRow
from penstock_server.domain.dispatch import RunTransitions
from penstock_server.domain.task import Task, task_id_of
from penstock_server.domain.timeline import TimelineRequest
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.rpc.convert.attempts import attempt_to_proto, timeline_request, timeline_to_proto
from penstock_server.rpc.convert.rows import attempt_from_proto
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.attempts import AttemptService
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database

from tests.support.rows import prepared
from tests.support.statements import statements

RUN = "r1"


def task(path: str, state: TaskState = TaskState.RUNNING, **values: Any) -> Task:
    return Task(RUN, path, path.rsplit("/", 1)[-1], TaskKind.CONTAINER, state, **{"attempt": 1, **values})


def told(path: str, number: int = 1, **values: Any) -> AttemptRow:
    return attempt_from_proto(RUN, dispatch_pb2.AttemptRow(path=path, attempt=number, **values))


class Executor:
    """Holds the run."""

    def __init__(self, database: Database) -> None:
        prepared(database, RUN)
        self._service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
        [claimed] = self._service.claim("e/1", 1, 0, 60_000).runs
        self._fence = claimed.fence

    def report(self, *attempts: AttemptRow, tasks: Sequence[Task] = (), **parts: Any) -> None:
        self._service.report(
            "e/1", [RunTransitions(RUN, self._fence, 0, tasks=tasks, attempts=attempts, at=5, **parts)]
        )


@pytest.fixture
def executor(database: Database) -> Executor:
    return Executor(database)


def stored(database: Database, path: str, number: int = 1) -> AttemptRow:
    with database.reading() as uow:
        key = task_id_of(RUN, path), number
        return uow.attempts.rows(RUN, [key])[key]


def listed(database: Database, *paths: str) -> list[dict[str, Any]]:
    found = AttemptService(database, SystemClock()).attempts(RUN, paths)
    return [MessageToDict(attempt_to_proto(one), preserving_proto_field_name=True) for one in found]


def timeline(database: Database, **asked: Any) -> pb.Timeline:
    return timeline_to_proto(AttemptService(database, SystemClock()).timeline(TimelineRequest(RUN, **asked)))


def test_what_is_not_known_leaves_what_was_told_before(database: Database, executor: Executor) -> None:
    executor.report(
        told("t", created_at_millis=10, pod_name="pod", node="n1", placement="worker w", log_mark="m1"),
        tasks=[task("t")],
    )
    executor.report(told("t", placed_at_millis=20, error="'bad' %s :x \\ ü", log_uri="file:///log"))
    executor.report(told("t", placed_at_millis=25, node="n2"), told("t", 2, created_at_millis=90))
    executor.report(told("t", exit_code=3, placement="worker w, its 2nd task ü" * 8))
    executor.report(told("t", ended_at_millis=80, outcome="user", exit_code=0))
    executor.report(told("t"))
    assert stored(database, "t") == AttemptRow(
        RUN,
        task_id_of(RUN, "t"),
        1,
        created_at=10,
        placed_at=25,
        ended_at=80,
        outcome=AttemptOutcome.USER,
        exit_code=0,
        error="'bad' %s :x \\ ü",
        pod_name="pod",
        log_uri="file:///log",
        node="n2",
        placement="worker w, its 2nd task ü" * 8,
        log_mark="m1",
    )
    assert stored(database, "t", 2).created_at == 90


def test_one_attempt_twice_in_a_report(database: Database, executor: Executor) -> None:
    executor.report(told("t", created_at_millis=10, error="x" * 5000), told("t", placed_at_millis=20))
    row = stored(database, "t")
    assert (row.created_at, row.placed_at, row.error) == (10, 20, "x" * 4096)


def test_statements_do_not_grow_with_the_attempts_of_a_report(database: Database, executor: Executor) -> None:
    counts = []
    for number in (1, 300):
        with statements(database) as seen:
            executor.report(*(told(f"t{index}", created_at_millis=10) for index in range(number)))
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_attempts_go_with_their_run(database: Database, executor: Executor) -> None:
    executor.report(told("t", created_at_millis=10), tasks=[task("t")])
    with database.writing() as uow:
        uow.runs.delete(RUN)
    with database.reading() as uow:
        assert uow.attempts.numbers(RUN, [task_id_of(RUN, "t")]) == {}


def test_attempts_of_tasks_in_the_order_that_was_asked_for(database: Database, executor: Executor) -> None:
    executor.report(
        told("b", 2, created_at_millis=2_050),
        told("b", 1, created_at_millis=1_010, started_at_millis=1_020, ended_at_millis=2_030, outcome="infrastructure"),
        told("a", 1, created_at_millis=1_500, error="<b>no</b>", exit_code=7, node="n",
             placement="worker w", log_mark="m1"),
        told("never reached", 1, created_at_millis=1_500),
        tasks=[task("a"), task("b"), task("old", TaskState.FAILED, created_at=1_000, started_at=1_001,
               finished_at=1_002, error="why", pod_name="pod", attempt=3)],
    )  # fmt: skip
    assert listed(database, "old", "b", "never reached", "a", "") == [
        {
            "path": "old", "number": 3, "state": "FAILED", "error": "why", "pod_name": "pod",
            "phases": [
                {"phase": "ATTEMPT_PHASE_QUEUED", "start": "1970-01-01T00:00:01Z", "end": "1970-01-01T00:00:01.001Z"},
                {"phase": "ATTEMPT_PHASE_RUNNING", "start": "1970-01-01T00:00:01.001Z",
                 "end": "1970-01-01T00:00:01.002Z"},
            ],
        },
        {
            "path": "b", "number": 1, "state": "FAILED", "failure": "infrastructure",
            "phases": [
                {"phase": "ATTEMPT_PHASE_QUEUED", "start": "1970-01-01T00:00:01.010Z",
                 "end": "1970-01-01T00:00:01.020Z"},
                {"phase": "ATTEMPT_PHASE_RUNNING", "start": "1970-01-01T00:00:01.020Z",
                 "end": "1970-01-01T00:00:02.030Z"},
            ],
        },
        {"path": "b", "number": 2, "state": "PENDING",
         "phases": [{"phase": "ATTEMPT_PHASE_QUEUED", "start": "1970-01-01T00:00:02.050Z"}]},
        {"path": "a", "number": 1, "state": "PENDING", "error": "<b>no</b>", "exit_code": 7, "node": "n",
         "placement": "worker w",
         "phases": [{"phase": "ATTEMPT_PHASE_QUEUED", "start": "1970-01-01T00:00:01.500Z"}]},
    ]  # fmt: skip


def test_of_tasks_with_very_many_attempts_the_latest_of_each(database: Database, executor: Executor) -> None:
    executor.report(
        *(told("many", number, created_at_millis=number) for number in range(1, 1201)),
        *(told("few", number, created_at_millis=number) for number in range(1, 4)),
        tasks=[task("many"), task("few")],
    )
    found = listed(database, "few", "many")
    assert [one["number"] for one in found] == [1, 2, 3, *range(204, 1201)]


@pytest.mark.parametrize(
    ("paths", "what"),
    [
        ([], "from 1 to 200"),
        ([f"t{number}" for number in range(201)], "from 1 to 200"),
        (["t", "t"], "twice"),
        (["a\0b"], "NUL"),
        (["p" * 20_000], "length"),
    ],
)
def test_paths_are_checked(database: Database, executor: Executor, paths: list[str], what: str) -> None:
    with pytest.raises(InvalidArgumentError, match=what) as caught:
        listed(database, *paths)
    assert caught.value.field == "paths"


def test_a_run_that_is_not_there(database: Database) -> None:
    service = AttemptService(database, SystemClock())
    with pytest.raises(NotFoundError):
        service.attempts("nobody's", ["t"])
    with pytest.raises(NotFoundError):
        service.timeline(TimelineRequest("nobody's"))


def ran(path: str, begin: int, end: int) -> tuple[Task, AttemptRow]:
    row = told(path, created_at_millis=begin, started_at_millis=begin + 10, ended_at_millis=end, outcome="succeeded")
    return task(path, TaskState.SUCCEEDED, display_name=path.upper(), created_at=begin, finished_at=end), row


def test_a_timeline_one_by_one_or_in_bins(database: Database, executor: Executor) -> None:
    rows = [ran("g/b", 1_100, 1_300), ran("a", 1_000, 1_100), ran("g/c", 1_100, 1_200)]
    group = Task(RUN, "g", "g", TaskKind.DAG, TaskState.RUNNING)
    executor.report(*(row for _, row in rows), tasks=[group, *(one for one, _ in rows)])
    found = timeline(database)
    assert [(one.path, one.number, one.state) for one in found.attempts] == [
        ("a", 1, "SUCCEEDED"), ("g/b", 1, "SUCCEEDED"), ("g/c", 1, "SUCCEEDED")
    ]  # fmt: skip
    assert (found.total_attempts, len(found.bins), found.to.ToMilliseconds()) == (3, 0, 1_300)
    assert getattr(found, "from").ToMilliseconds() == 1_000
    assert found.at.ToMilliseconds() > 1_300
    assert [(one.path, one.display_name, one.state) for one in found.critical_path] == [
        ("a", "A", "SUCCEEDED"), ("g/b", "G/B", "SUCCEEDED")
    ]  # fmt: skip
    below = timeline(database, parent_path="g", end=1_250)
    assert [one.path for one in below.attempts] == ["g/b", "g/c"]
    assert (getattr(below, "from").ToMilliseconds(), below.to.ToMilliseconds()) == (1_100, 1_250)
    assert len(below.critical_path) == 2
    binned = timeline(database, max_attempts=2, max_bins=3)
    assert (binned.total_attempts, len(binned.attempts)) == (3, 0)
    assert [(one.start.ToMilliseconds(), dict(one.attempts)) for one in binned.bins] == [
        (1_000, {"ATTEMPT_PHASE_QUEUED": 0.1, "ATTEMPT_PHASE_RUNNING": 0.9}),
        (1_100, {"ATTEMPT_PHASE_QUEUED": 0.2, "ATTEMPT_PHASE_RUNNING": 1.8}),
        (1_200, {"ATTEMPT_PHASE_RUNNING": 1.0}),
    ]


def test_a_timeline_of_nothing(database: Database, executor: Executor) -> None:
    found = timeline(database)
    assert [one.name for one, _ in found.ListFields()] == ["at"]


def test_a_run_older_than_the_table_has_a_timeline(database: Database, executor: Executor) -> None:
    old = task("old", TaskState.SUCCEEDED, created_at=1_000, started_at=1_200, finished_at=1_900, log_uri="file:///l")
    executor.report(tasks=[old])
    [one] = timeline(database).attempts
    assert (one.number, one.log_uri) == (1, "file:///l")
    assert [(span.phase, span.end.ToMilliseconds() - span.start.ToMilliseconds()) for span in one.phases] == [
        (pb.ATTEMPT_PHASE_QUEUED, 200),
        (pb.ATTEMPT_PHASE_RUNNING, 700),
    ]


def test_statements_do_not_grow_with_the_tasks_of_a_run(database: Database, executor: Executor) -> None:
    counts = []
    for number in (1, 300):
        rows = [ran(f"t{index}", 1_000, 1_100) for index in range(number)]
        executor.report(*(row for _, row in rows), tasks=[one for one, _ in rows])
        with statements(database) as seen:
            assert timeline(database).total_attempts == number
            assert len(timeline(database, max_attempts=1).bins) == (0 if number == 1 else 100)
            assert len(listed(database, *(f"t{index}" for index in range(min(number, 200))))) == min(number, 200)
        counts.append(len(seen))
    # One more where the attempts are shown one by one.
    assert counts == [10, 9]


def test_a_run_that_has_ended_has_no_attempt_that_goes_on(database: Database, executor: Executor) -> None:
    executor.report(told("t", created_at_millis=1, started_at_millis=2), tasks=[task("t", created_at=1)])
    assert "end" not in listed(database, "t")[0]["phases"][-1]
    executor.report(state="FAILED", finished=True)
    [one] = listed(database, "t")
    assert one["state"] == "FAILED"
    assert one["phases"][-1]["end"] == "1970-01-01T00:00:00.005Z"


@pytest.mark.parametrize("field", ["from", "to"])
def test_what_is_no_time_is_refused(field: str) -> None:
    message = pb.GetTimelineRequest(run_id=RUN)
    getattr(message, field).seconds = 2**62
    with pytest.raises(InvalidArgumentError) as caught:
        timeline_request(message)
    assert caught.value.field == field
