"""Watches of runs over gRPC and as Server-Sent Events: what is committed is told, from any number on, to many."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from penstock.client import Client
from penstock_api.v1 import insight_pb2, watch_pb2, watch_pb2_grpc
from penstock_api.v2beta1 import run_pb2
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.task import Task
from penstock_server.storage.database import Database

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs


def watching(client: Client, run_id: str, after: int = 0, *, to_the_end: bool = True) -> Any:
    """The stream of changes."""
    request = watch_pb2.WatchRunRequest(run_id=run_id, after=after, until_finished=to_the_end)
    return client.watches.WatchRun(request, timeout=100)


def waiting_chain(directory: Path) -> tuple[dict[str, Any], Path]:
    """Its second task waits until the file is there."""
    go = directory / "go"
    command = f"while [ ! -e {go} ]; do sleep 0.05; done"
    return specs.chain(
        {"first": ["echo", "first"], "second": ["sh", "-c", command], "third": ["true"]}, name="watched"
    ), go


def followed(changes: Iterator[watch_pb2.RunChange], states: dict[str, list[str]]) -> int:
    """Notes the states of each task, in the order in which they are told; the last sequence."""
    sequence = -1
    for change in changes:
        assert change.sequence >= sequence
        sequence = change.sequence
        for task in change.tasks:
            seen = states.setdefault(task.path, [])
            if seen[-1:] != [task.state]:
                seen.append(task.state)
    return sequence


def test_a_watch_tells_all_that_happens_and_ends_with_the_run(client: Client, tmp_path: Path) -> None:
    spec, go = waiting_chain(tmp_path)
    run_id = runs.start(client, spec)
    states: dict[str, list[str]] = {}
    changes = watching(client, run_id)

    def until_second_runs() -> Iterator[watch_pb2.RunChange]:
        for change in changes:
            yield change
            if states.get("second", [""])[-1] == "RUNNING":
                return

    followed(until_second_runs(), states)
    assert states["first"][-1] == "SUCCEEDED"
    assert "third" not in states or states["third"] == ["PENDING"]
    go.touch()
    last = None
    for last in changes:
        followed(iter([last]), states)
    assert last is not None
    assert last.run.state == run_pb2.SUCCEEDED
    assert {states[path][-1] for path in ("", "first", "second", "third")} == {"SUCCEEDED"}
    assert not last.run.HasField("pipeline_spec")


def test_a_watch_goes_on_where_it_was_and_tells_nothing_twice(client: Client) -> None:
    run_id = runs.start(client, specs.chain({"first": ["true"], "second": ["true"]}))
    runs.finished(client, run_id)
    whole = list(watching(client, run_id))
    assert {task.path for change in whole for task in change.tasks} == {"", "first", "second"}
    after = whole[-1].sequence
    rest = list(
        client.watches.WatchRun(watch_pb2.WatchRunRequest(run_id=run_id, after=after, until_finished=True), timeout=60)
    )
    assert [(change.sequence, len(change.tasks)) for change in rest] == [(after, 0)]
    assert rest[0].run.run_id == run_id


def test_a_watch_of_summaries_tells_what_a_list_shows_and_nothing_else(client: Client, up: Embedded) -> None:
    run_id = runs.start(client, specs.chain({"first": ["echo", "hello"], "second": ["false"]}))
    runs.finished(client, run_id)
    whole = {task.path: task for change in watching(client, run_id) for task in change.tasks}
    request = watch_pb2.WatchRunRequest(run_id=run_id, until_finished=True, summary=True)
    changes = list(client.watches.WatchRun(request, timeout=60))
    assert changes[-1].run.state == run_pb2.FAILED
    told = {task.path: task for change in changes for task in change.tasks}
    assert told.keys() == whole.keys() == {"", "first", "second"}
    for path, task in whole.items():
        wanted = insight_pb2.Task()
        wanted.CopyFrom(task)
        for name in ("error", "execution_id", "inputs", "outputs", "log_uri", "pod_name", "waiting"):
            wanted.ClearField(name)
        wanted.input_artifacts.clear()
        wanted.output_artifacts.clear()
        assert told[path] == wanted
    assert whole["second"].error != ""
    assert whole["second"].duration_millis > 0
    of_events = next(events(f"{up.http}/apis/penstock/v1/runs/{run_id}:watch?summary=true&until_finished=true"))
    shown = {task.get("path", ""): task for task in of_events[2]["tasks"]}
    assert "error" not in shown["second"]
    assert shown["second"]["state"] == "FAILED"


def test_a_run_without_its_tasks_is_the_same_otherwise(client: Client, up: Embedded) -> None:
    run_id = runs.start(client, specs.chain({"first": ["true"], "second": ["true"]}))
    runs.finished(client, run_id)
    whole = client.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id))
    short = client.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id, without_tasks=True))
    assert len(whole.run_details.task_details) == 3
    assert not short.HasField("run_details")
    whole.ClearField("run_details")
    assert short == whole
    assert short.HasField("pipeline_spec")
    over_rest = http.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}?without_tasks=true").json
    assert over_rest["run_id"] == run_id
    assert "run_details" not in over_rest


@pytest.mark.parametrize(
    ("after", "code", "text"),
    [(-1, grpc.StatusCode.INVALID_ARGUMENT, "after"), (10**9, grpc.StatusCode.INVALID_ARGUMENT, "begin again")],
)
def test_numbers_that_cannot_be(client: Client, after: int, code: grpc.StatusCode, text: str) -> None:
    run_id = runs.start(client, specs.container(["true"]))
    with pytest.raises(grpc.RpcError) as raised:
        next(watching(client, run_id, after))
    error: Any = raised.value
    assert error.code() is code
    assert text in error.details()


def test_runs_that_are_not_there_or_go(client: Client, up: Embedded) -> None:
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        next(watching(client, "nobody"))
    run_id = runs.start(client, specs.container(["true"]))
    runs.finished(client, run_id)
    changes = watching(client, run_id, to_the_end=False)
    next(changes)
    client.runs.DeleteRun(run_pb2.DeleteRunRequest(run_id=run_id))
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        list(changes)
    reply = http.call("GET", f"{up.http}/apis/penstock/v1/runs/{run_id}:watch")
    assert (reply.status, reply.json["code"]) == (404, 5)


def test_many_watch_one_run_without_a_thread_each(client: Client, up: Embedded, tmp_path: Path) -> None:
    """More than the streams that hold a thread may be, over one connection and over HTTP."""
    spec, go = waiting_chain(tmp_path)
    run_id = runs.start(client, spec)
    over_grpc = [watching(client, run_id) for _ in range(100)]
    for one in over_grpc:
        next(one)
    ended: list[str] = []

    def listen() -> None:
        told = list(events(f"{up.http}/apis/penstock/v1/runs/{run_id}:watch?until_finished=true"))
        ended.append([document for kind, _, document in told if kind == "change"][-1]["run"]["state"])

    threads = [threading.Thread(target=listen) for _ in range(60)]
    for thread in threads:
        thread.start()
    # Other calls are answered meanwhile, and so are streams that hold a thread.
    log = client.insight.ReadLog(insight_pb2.ReadLogRequest(run_id=run_id, node_id="first"), timeout=30)
    assert b"".join(chunk.data for chunk in log) == b"first\n"
    go.touch()
    assert [list(one)[-1].run.state for one in over_grpc] == [run_pb2.SUCCEEDED] * 100
    for thread in threads:
        thread.join(60)
    assert ended == ["SUCCEEDED"] * 60


def events(address: str, last_id: str = "") -> Iterator[tuple[str, int, Any]]:
    """Kind, id and document of each, as the standard says that a stream is read."""
    request = urllib.request.Request(address, headers={"Last-Event-ID": last_id} if last_id else {})
    kind, number, data = "message", -1, ""
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream"
        for line in reply:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                number = int(value)
            elif name == "data":
                data += value
            elif not name and data:
                yield kind, number, json.loads(data)
                kind, data = "message", ""


def test_events_of_a_browser_go_on_after_the_last_id(client: Client, up: Embedded, tmp_path: Path) -> None:
    spec, go = waiting_chain(tmp_path)
    run_id = runs.start(client, spec)
    address = f"{up.http}/apis/penstock/v1/runs/{run_id}:watch"
    last_id = next(
        number
        for _, number, document in events(address)
        if any(task.get("path") == "second" and task.get("state") == "RUNNING" for task in document.get("tasks", []))
    )
    go.touch()
    rest = list(events(f"{address}?until_finished=true", str(last_id)))
    assert rest[-1][0] == "end"
    told = [
        task.get("path", "") for kind, _, document in rest if kind == "change" for task in document.get("tasks", [])
    ]
    assert {"second", "third"} <= set(told)
    assert all(number >= last_id for kind, number, _ in rest if kind == "change")
    wrong = http.call("GET", f"{address}?after=soon")
    assert (wrong.status, "after" in wrong.json["message"]) == (400, True)


def test_who_reads_nothing_loses_the_watch_and_holds_nobody_up(own: Embedded, tmp_path: Path) -> None:
    """More is told than fits into the windows of a connection, so that sending to the one blocks."""
    # Its windows do not grow: on a busy machine they would take all that is sent, unread.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    with Client(own.grpc) as client, grpc.insecure_channel(own.grpc, options=options) as channel:
        unread = watch_pb2_grpc.WatchServiceStub(channel)
        run_id = runs.start(client, specs.container(["true"]))
        runs.finished(client, run_id)
        request = watch_pb2.WatchRunRequest(run_id=run_id)
        held: list[Any] = [unread.WatchRun(request, timeout=200) for _ in range(3)]
        reading = watching(client, run_id, to_the_end=False)
        after = next(reading).sequence
        database = Database(f"sqlite:///{own.data_dir}/penstock.db")
        try:
            for number in range(8):
                commit_large(database, run_id, f"round-{number}")
        finally:
            database.dispose()
        told: set[str] = set()
        for change in reading:
            assert change.sequence >= after
            told |= {task.path for task in change.tasks}
            if len([path for path in told if path.startswith("round-")]) == 8 * 100:
                break
        # The one that reads is left.
        runs.until(lambda: metric(own, "penstock_watches_open"), lambda number: number == 1)
        for one in held:
            with pytest.raises(grpc.RpcError, match="CANCELLED"):
                list(one)


def metric(own: Embedded, name: str) -> float:
    text = http.call("GET", f"{own.http}/metrics").body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


def commit_large(database: Database, run_id: str, name: str) -> None:
    """A hundred tasks of 64 KiB each."""
    with database.writing() as uow:
        change = uow.runs.changes([run_id])[run_id] + 1
        text = json.dumps({"text": "x" * 65_536})
        tasks = [
            Task(run_id, f"{name}-{number}", name, TaskKind.CONTAINER, TaskState.SUCCEEDED, inputs=text)
            for number in range(100)
        ]
        uow.tasks.upsert_many(tasks, {run_id: change})
        run = uow.runs.get(run_id)
        assert run is not None
        uow.runs.set_states([run])
