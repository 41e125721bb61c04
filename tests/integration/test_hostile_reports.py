"""What no executor that works reports: it is refused with the field's name, and nothing of it is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import sqlalchemy
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc as rpc
from penstock_ir.event_log import AttemptEnded, AttemptStarted, Event, RetryRequested, RunStarted, encode
from penstock_server.domain.reports import MAX_ROWS
from penstock_server.domain.run import reopened
from penstock_server.rpc.dispatch_server import build_dispatch_server
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry

from tests.support.rows import prepared

LATE = time.time_ns() // 1_000_000 + 2 * 24 * 60 * 60 * 1000
_TABLES = ("runs", "run_events", "tasks", "attempts", "artifacts", "cache_entries", "run_metrics")
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


class Dispatch:
    """Two runs that one executor holds."""

    def __init__(self, database: Database, stub: rpc.DispatchServiceStub) -> None:
        self.database = database
        self._stub = stub
        claim = pb.ClaimRunsRequest(executor_id="e/1", max_runs=9, lease_millis=600_000)
        self.fences = {run.run_id: run.fence for run in stub.ClaimRuns(claim, timeout=30).runs}
        assert self.fences.keys() == {"good", "bad"}

    def report(self, *runs: pb.RunTransitions) -> list[int]:
        request = pb.ReportTransitionsRequest(executor_id="e/1", runs=runs)
        return [int(one.outcome) for one in self._stub.ReportTransitions(request, timeout=60).results]

    def refused(self, *runs: pb.RunTransitions) -> str:
        """The message, after it was seen that nothing has changed."""
        before = self.stored()
        with pytest.raises(grpc.RpcError) as caught:
            self.report(*runs)
        error = cast(grpc.Call, caught.value)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error.details()
        assert self.stored() == before
        return str(error.details())

    def stored(self) -> dict[str, list[Any]]:
        with self.database.engine.connect() as connection:
            return {
                table: [tuple(row) for row in connection.execute(sqlalchemy.text(f"SELECT * FROM {table}"))]  # noqa: S608
                for table in _TABLES
            }


@pytest.fixture
def dispatch(tmp_path: Path) -> Iterator[Dispatch]:
    database = Database(f"sqlite:///{tmp_path}/test.db")
    database.migrate()
    prepared(database, "good", "bad")
    service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
    running = build_dispatch_server(service, None, Telemetry(lambda: (0, 0)))
    port = running.server.add_insecure_port("127.0.0.1:0")
    running.server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as channel:
        yield Dispatch(database, rpc.DispatchServiceStub(channel))
    running.server.stop(None).wait()
    database.dispose()


def report(dispatch: Dispatch, run_id: str) -> pb.RunTransitions:
    """Of everything something, as an executor that works says it."""
    return pb.RunTransitions(
        run_id=run_id,
        fence=dispatch.fences[run_id],
        events=[encode(RunStarted(5, "file:///root")), encode(AttemptStarted("t", 1, 6))],
        tasks=[
            pb.TaskRow(
                path="t", name="t", kind="container", state="SUCCEEDED", attempt=1, created_at_millis=1,
                started_at_millis=2, finished_at_millis=3, inputs_json=b'{"a":1}', fingerprint="f" * 64,
                history=[pb.StateChange(state="RUNNING", at_millis=2)], phase="ended", iteration_index=-1,
            )
        ],
        artifacts=[
            pb.ArtifactRow(
                name=f"{run_id}-a", type="system.Model", uri="s3://bucket/a", metadata_json=b'{"m":1.5}',
                task_path="t", port="out", created_at_millis=3,
            )
        ],
        cache_entries=[
            pb.CacheEntry(
                fingerprint="f" * 64, pipeline_name="pipeline", task_path="t", outputs_json=b'{"parameters":{}}',
                created_at_millis=3,
            )
        ],
        run=pb.RunUpdate(state="RUNNING", at_millis=4),
        execution_ids={"t": 7},
        waits=[pb.TaskWait(path="t", text="no node")],
        attempts=[pb.AttemptRow(path="t", attempt=1, created_at_millis=1, ended_at_millis=3, outcome="succeeded")],
    )  # fmt: skip


def test_one_that_works_is_taken(dispatch: Dispatch) -> None:
    assert dispatch.report(report(dispatch, "good"), report(dispatch, "bad")) == [pb.RunReport.OUTCOME_COMMITTED] * 2
    stored = dispatch.stored()
    assert {table: len(rows) for table, rows in stored.items() if table not in ("runs", "run_metrics")} == {
        "run_events": 4, "tasks": 2, "attempts": 2, "artifacts": 2, "cache_entries": 2
    }  # fmt: skip


def sets(place: str, value: Any) -> Callable[[pb.RunTransitions], None]:
    """Sets a field of the run's part (`run.error`), or of the first row of a kind (`tasks.error`)."""
    *parts, name = place.split(".")

    def change(run: pb.RunTransitions) -> None:
        target: Any = run
        for part in parts:
            target = getattr(target, part)
            target = target if part == "run" else target[0]
        setattr(target, name, value)

    return change


def logs(*events: Event | bytes) -> Callable[[pb.RunTransitions], None]:
    """Puts these in place of the events."""

    def change(run: pb.RunTransitions) -> None:
        del run.events[:]
        run.events.extend(event if isinstance(event, bytes) else encode(event) for event in events)

    return change


def fills(name: str, row: Any) -> Callable[[pb.RunTransitions], None]:
    return lambda run: getattr(run, name).extend([row] * (MAX_ROWS + 1))


def event(**fields: Any) -> bytes:
    """An AttemptEnded with these fields."""
    return json.dumps({"type": "AttemptEnded", "path": "t", "attempt": 1, "at": 5, **fields}).encode()


START = RunStarted(5, "file:///root")
WRONG: list[tuple[str, Callable[[pb.RunTransitions], None], str]] = [
    ("a negative time", sets("tasks.created_at_millis", -1), "tasks.created_at_millis"),
    ("a start after tomorrow", sets("tasks.started_at_millis", LATE), "tasks.started_at_millis"),
    ("an end after tomorrow", sets("tasks.finished_at_millis", LATE), "tasks.finished_at_millis"),
    ("the last number there is", sets("tasks.finished_at_millis", 2**63 - 1), "tasks.finished_at_millis"),
    ("a history after tomorrow", sets("tasks.history.at_millis", LATE), "tasks.history.at_millis"),
    ("a history before 1970", sets("tasks.history.at_millis", -(2**63)), "tasks.history.at_millis"),
    ("a backoff beyond the calendar", sets("tasks.wake_at_millis", 2**62), "tasks.wake_at_millis"),
    ("an artifact after tomorrow", sets("artifacts.created_at_millis", LATE), "artifacts.created_at_millis"),
    ("a result after tomorrow", sets("cache_entries.created_at_millis", LATE), "cache_entries.created_at_millis"),
    ("a run's time after tomorrow", sets("run.at_millis", LATE), "run.at_millis"),
    ("an error without end", sets("tasks.error", "x" * 1_100_000), "tasks.error"),
    ("a run's error without end", sets("run.error", "x" * 1_100_000), "run.error"),
    ("an error with NUL", sets("tasks.error", "a\0b"), "tasks.error"),
    ("a path without end", sets("tasks.path", "p" * 20_000), "tasks.path"),
    ("a Pod's name that no column takes", sets("tasks.pod_name", "p" * 254), "tasks.pod_name"),
    ("a fingerprint that no column takes", sets("tasks.fingerprint", "f" * 65), "tasks.fingerprint"),
    ("a negative attempt", sets("tasks.attempt", -1), "tasks.attempt"),
    ("a state that is none", sets("tasks.state", "DONE"), "tasks.state"),
    ("a kind that is none", sets("tasks.kind", "robot"), "tasks.kind"),
    ("a phase that is none", sets("tasks.phase", "asleep"), "tasks.phase"),
    ("inputs that are no JSON", sets("tasks.inputs_json", b"{"), "inputs_json"),
    ("inputs that are no object", sets("tasks.inputs_json", b"[1]"), "inputs_json"),
    ("inputs that are no text", sets("tasks.inputs_json", b'{"a":"\xff"}'), "inputs_json"),
    ("inputs with NaN", sets("tasks.inputs_json", b'{"a":NaN}'), "inputs_json"),
    ("inputs with what overflows", sets("tasks.inputs_json", b'{"a":1e999}'), "inputs_json"),
    ("outputs with Infinity", sets("tasks.outputs_json", b'{"a":[-Infinity]}'), "outputs_json"),
    ("outputs with half a pair", sets("tasks.outputs_json", b'{"a":"\\ud800"}'), "outputs_json"),
    ("outputs with a key twice", sets("tasks.outputs_json", b'{"a":1,"a":2}'), "outputs_json"),
    ("outputs nested without end", sets("tasks.outputs_json", DEEP), "outputs_json"),
    ("an attempt before 1970", sets("attempts.placed_at_millis", -1), "attempts.placed_at_millis"),
    ("an attempt after tomorrow", sets("attempts.stored_at_millis", LATE), "attempts.stored_at_millis"),
    ("an attempt's last number", sets("attempts.ended_at_millis", 2**63 - 1), "attempts.ended_at_millis"),
    ("an attempt 0", sets("attempts.attempt", 0), "attempts.attempt"),
    ("an attempt below 0", sets("attempts.attempt", -(2**31)), "attempts.attempt"),
    ("an attempt's path without end", sets("attempts.path", "p" * 20_000), "attempts.path"),
    ("an attempt's path with NUL", sets("attempts.path", "a\0b"), "attempts.path"),
    ("an outcome that is none", sets("attempts.outcome", "bored"), "attempts.outcome"),
    ("an attempt's error without end", sets("attempts.error", "x" * 1_100_000), "attempts.error"),
    ("an attempt's error with NUL", sets("attempts.error", "a\0b"), "attempts.error"),
    ("an attempt's Pod that no column takes", sets("attempts.pod_name", "p" * 254), "attempts.pod_name"),
    ("a node that no column takes", sets("attempts.node", "n" * 254), "attempts.node"),
    ("a placement that no column takes", sets("attempts.placement", "p" * 801), "attempts.placement"),
    ("a placement with NUL", sets("attempts.placement", "a\0b"), "attempts.placement"),
    ("a mark that no column takes", sets("attempts.log_mark", "m" * 64), "attempts.log_mark"),
    ("a mark that is another line", sets("attempts.log_mark", "m1 begin\n"), "attempts.log_mark"),
    ("an attempt's log without end", sets("attempts.log_uri", "u" * 20_000), "attempts.log_uri"),
    ("an artifact without a name", sets("artifacts.name", ""), "artifacts.name"),
    ("an artifact's name that no column takes", sets("artifacts.name", "a" * 129), "artifacts.name"),
    ("a type without end", sets("artifacts.type", "t" * 20_000), "artifacts.type"),
    ("a URI without end", sets("artifacts.uri", "s3://" + "u" * 20_000), "artifacts.uri"),
    ("a URI of two lines", sets("artifacts.uri", "s3://bucket/a\nb"), "artifacts.uri"),
    ("metadata with NaN", sets("artifacts.metadata_json", b'{"loss":NaN}'), "metadata_json"),
    ("a result of another namespace", sets("cache_entries.namespace", "theirs"), "cache_entries.namespace"),
    ("a result of another pipeline", sets("cache_entries.pipeline_name", "theirs"), "cache_entries.pipeline_name"),
    ("a result under another fingerprint", sets("cache_entries.fingerprint", "0" * 64), "cache_entries.fingerprint"),
    ("a result without a fingerprint", sets("cache_entries.fingerprint", ""), "cache_entries.fingerprint"),
    ("a result that is no JSON", sets("cache_entries.outputs_json", b"x"), "outputs_json"),
    ("a run's state that is none", sets("run.state", "DONE"), "run.state"),
    ("a run that becomes pending", sets("run.state", "PENDING"), "run.state"),
    ("a run that is canceling", sets("run.state", "CANCELING"), "run.state"),
    ("an end that is not finished", sets("run.state", "SUCCEEDED"), "run.finished"),
    ("finished while it runs", sets("run.finished", True), "run.finished"),
    ("finished without a state", lambda run: run.run.CopyFrom(pb.RunUpdate(finished=True)), "run.finished"),
    ("a negative id", lambda run: run.execution_ids.update({"t": -1}), "execution_ids"),
    ("a negative id of an artifact", lambda run: run.artifact_ids.update({"a": -1}), "artifact_ids"),
    ("a negative context", sets("run.pipeline_context_id", -1), "run.pipeline_context_id"),
    ("a log before its beginning", sets("first_sequence", -1), "first_sequence"),
    ("more events than rows", fills("events", b"x"), "events"),
    ("more tasks than rows", fills("tasks", pb.TaskRow(kind="dag", state="RUNNING")), "tasks"),
    ("an event that is no JSON", logs(START, b"\xff"), "events"),
    ("an event that is no object", logs(START, b"[]"), "events"),
    ("an event that nobody knows", logs(START, b'{"type":"Exploded","at":1}'), "events"),
    ("an event with a field that nobody knows", logs(START, event(colour="red")), "events"),
    ("an event without a field", logs(START, b'{"type":"AttemptEnded","at":1}'), "events"),
    ("an event with a word for a number", logs(START, event(at="5")), "events"),
    ("an event with a truth for a number", logs(START, event(at=True)), "events"),
    ("an event with a number for a path", logs(START, event(path=5)), "events"),
    ("an event with a word for an exit code", logs(START, event(exit_code="0")), "events"),
    ("an event with a failure that is none", logs(START, event(failure="bad luck")), "events"),
    ("an event with outputs that are none", logs(START, event(outputs=[1])), "events"),
    ("an event with parameters that are none", logs(START, event(outputs={"parameters": [1]})), "events"),
    ("an event with an artifact without a URI", logs(START, event(outputs={"artifacts": {"a": [{}]}})), "events"),
    ("an event with NaN", logs(START, event(outputs={"parameters": {"a": float("nan")}})), "events"),
    ("an event after tomorrow", logs(START, AttemptEnded("t", 1, LATE)), "events"),
    ("an event before 1970", logs(START, AttemptEnded("t", 1, -1)), "events"),
    ("an event with a negative attempt", logs(START, AttemptEnded("t", -1, 5)), "events"),
    ("a log that begins in the middle", logs(AttemptStarted("t", 1, 5)), "events"),
    ("a log that begins twice", logs(START, START), "events"),
    ("a retry that no user asked for", logs(START, RetryRequested(5)), "events"),
]


@pytest.mark.parametrize(("change", "field"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_is_refused_whole(
    dispatch: Dispatch, change: Callable[[pb.RunTransitions], None], field: str
) -> None:
    bad = report(dispatch, "bad")
    change(bad)
    assert field in dispatch.refused(report(dispatch, "good"), bad)
    assert dispatch.report(report(dispatch, "good")) == [pb.RunReport.OUTCOME_COMMITTED]


@pytest.mark.parametrize("ended", ["SUCCEEDED", "CACHED", "SKIPPED", "OMITTED", "FAILED", "CANCELED"])
@pytest.mark.parametrize("then", ["RUNNING", "PENDING", "SUCCEEDED", "FAILED"])
def test_a_task_that_has_ended_stays_so(dispatch: Dispatch, ended: str, then: str) -> None:
    def of(state: str) -> pb.RunTransitions:
        row = pb.TaskRow(path="t", name="t", kind="container", state=state)
        return pb.RunTransitions(run_id="bad", fence=dispatch.fences["bad"], tasks=[row])

    assert dispatch.report(of("RUNNING"), of(ended), of(ended)) == [pb.RunReport.OUTCOME_COMMITTED] * 3
    if then == ended:
        return
    assert "tasks.state" in dispatch.refused(of(then))
    # Unless the user has the run go on.
    with dispatch.database.writing() as uow:
        run = uow.runs.get("bad")
        assert run is not None
        uow.runs.set_states([reopened(run, 5)])
    assert dispatch.report(of(then)) == [pb.RunReport.OUTCOME_COMMITTED]


def test_within_one_report_too(dispatch: Dispatch) -> None:
    rows = [pb.TaskRow(path="t", name="t", kind="container", state=state) for state in ("FAILED", "RUNNING")]
    run = pb.RunTransitions(run_id="bad", fence=dispatch.fences["bad"], tasks=rows)
    assert "tasks.state" in dispatch.refused(run)


def test_a_run_that_is_not_held_or_whose_log_would_have_a_gap(dispatch: Dispatch) -> None:
    before = dispatch.stored()
    other, gap = report(dispatch, "bad"), report(dispatch, "good")
    other.fence += 1
    gap.first_sequence = 3
    assert dispatch.report(other, gap) == [pb.RunReport.OUTCOME_FENCED] * 2
    assert dispatch.report(pb.RunTransitions(run_id="nobody's")) == [pb.RunReport.OUTCOME_DELETED]
    assert dispatch.stored() == before


def test_a_run_that_has_ended_is_not_written_any_more(dispatch: Dispatch) -> None:
    end = pb.RunUpdate(state="FAILED", at_millis=5, finished=True)
    last = pb.RunTransitions(run_id="bad", fence=dispatch.fences["bad"], run=end)
    assert dispatch.report(last) == [pb.RunReport.OUTCOME_COMMITTED]
    before = dispatch.stored()
    again = report(dispatch, "bad")
    assert dispatch.report(again) == [pb.RunReport.OUTCOME_FENCED]
    again.run.CopyFrom(end)
    assert dispatch.report(again) == [pb.RunReport.OUTCOME_FENCED], "it brings events that are not in the log"
    del again.events[:]
    assert dispatch.report(last, again) == [pb.RunReport.OUTCOME_COMMITTED] * 2, "as after a lost answer"
    assert dispatch.stored() == before
