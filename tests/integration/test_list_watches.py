"""Watches of the list of runs over gRPC and as Server-Sent Events, with runs that an executor carries out."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from penstock.client import Client
from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import experiment_pb2, run_pb2
from penstock_server.storage.database import Database

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

NEWEST = "created_at desc"


def experiment(client: Client, name: str) -> str:
    request = experiment_pb2.CreateExperimentRequest()
    request.experiment.display_name = name
    return str(client.experiments.CreateExperiment(request).experiment_id)


def start(client: Client, experiment_id: str, name: str, command: list[str]) -> str:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = name
    request.run.experiment_id = experiment_id
    request.run.pipeline_spec.update(specs.container(command))
    return str(client.runs.CreateRun(request).run_id)


def watching(client: Client, **fields: Any) -> Any:
    """The stream of changes."""
    return client.watches.WatchRuns(watch_pb2.WatchRunsRequest(**fields), timeout=100)


class Page:
    """What a client knows of a page from its messages."""

    def __init__(self, changes: Iterator[watch_pb2.RunsChange]) -> None:
        self._changes = changes
        self._runs: dict[str, run_pb2.Run] = {}
        self.rows: list[tuple[str, str]] = []
        self.total = 0
        self.messages = 0

    def until(self, *rows: tuple[str, str]) -> None:
        """Names and states, from the top."""
        while self.rows != list(rows):
            change = next(self._changes)
            self.messages += 1
            self._runs.update({run.run_id: run for run in change.runs})
            self.total = change.total_size
            self.rows = [
                (self._runs[one].display_name, run_pb2.RuntimeState.Name(self._runs[one].state))
                for one in change.run_ids
            ]


def test_runs_come_change_and_go(own: Embedded) -> None:
    with Client(own.grpc) as client:
        place = experiment(client, "watched list")
        page = Page(watching(client, experiment_id=place, sort_by=NEWEST, page_size=2))
        page.until()
        first = start(client, place, "first", ["true"])
        page.until(("first", "SUCCEEDED"))
        start(client, place, "second", ["false"])
        page.until(("second", "FAILED"), ("first", "SUCCEEDED"))
        # Another server's commits are seen like this one's own.
        database = Database(f"sqlite:///{own.data_dir}/penstock.db")
        try:
            with database.writing() as uow:
                uow.runs.delete(first)
        finally:
            database.dispose()
        page.until(("second", "FAILED"))
        assert page.total == 1


def test_it_ends_with_the_last_run_of_the_page_if_asked_to(client: Client) -> None:
    place = experiment(client, "until finished")
    for name in ("a", "b"):
        start(client, place, name, ["true"])
    known: dict[str, int] = {}
    for change in watching(client, experiment_id=place, until_finished=True):
        known.update({run.display_name: run.state for run in change.runs})
    assert known == {"a": run_pb2.SUCCEEDED, "b": run_pb2.SUCCEEDED}


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"page_size": -1}, "page_size"), ({"page_token": "?"}, "page_token"), ({"filter": "{"}, "filter")],
)
def test_what_is_wrong_is_named(client: Client, up: Embedded, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        next(watching(client, **fields))
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in error.details()
    reply = http.call("GET", f"{up.http}/apis/penstock/v1/runs:watch?{urllib.parse.urlencode(fields)}")
    assert (reply.status, reply.json["code"]) == (400, 3)
    assert field in reply.json["message"]


def test_events_of_a_browser(client: Client, up: Embedded) -> None:
    place = experiment(client, "events")
    run_id = start(client, place, "<b>only</b>", ["true"])
    runs.finished(client, run_id)
    query = urllib.parse.urlencode({"experiment_id": place, "until_finished": "true"})
    with urllib.request.urlopen(f"{up.http}/apis/penstock/v1/runs:watch?{query}", timeout=60) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream"
        lines = reply.read().decode().splitlines()
    assert "event: end" in lines
    assert not [line for line in lines if line.startswith("id:")]
    change = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
    assert (change["run_ids"], change["total_size"]) == ([run_id], 1)
    assert change["runs"][0]["display_name"] == "<b>only</b>"


def test_a_server_that_stops_says_so(own: Embedded) -> None:
    with Client(own.grpc) as client:
        changes = watching(client)
        next(changes)
        own.stop()
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            list(changes)
