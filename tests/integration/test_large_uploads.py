"""A server whose documents are read by a process beside it: that process may die, and the server may stop meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

SMALL = json.dumps(specs.container(["true"])).encode()
LARGE = specs.container(["echo", *(f"{number:04}" for number in range(5000))])
# Whoever reads it takes seconds.
BOMB = b"[" + b"[]," * 2_700_000 + b"]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    with Embedded(tmp_path_factory.mktemp("uploads") / "data", environments=environments) as embedded:
        yield embedded


def readers(server: Embedded) -> list[psutil.Process]:
    """The processes that read documents."""
    found = []
    for process in server.child("penstock_server").children():
        try:
            if any("workers" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def until_reading(server: Embedded, seconds: float = 60.0) -> psutil.Process:
    """The process that reads documents, once it has computed for a moment while it was watched: one that waits for
    documents does not.
    """
    end, seen = time.monotonic() + seconds, dict[int, float]()
    while time.monotonic() < end:
        for process in readers(server):
            try:
                if process.cpu_times().user > seen.setdefault(process.pid, process.cpu_times().user) + 0.3:
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise AssertionError("no process reads a document")


def test_no_process_is_started_for_what_is_small(server: Embedded) -> None:
    assert http.upload(server.http, SMALL).status == 200
    assert readers(server) == []


def test_large_documents_are_taken_by_every_way(server: Embedded) -> None:
    uploaded = http.upload(server.http, json.dumps(LARGE).encode())
    assert uploaded.status == 200
    version = http.call("GET", f"{server.http}/apis/v2beta1/pipelines/{uploaded.json['pipeline_id']}/versions").json[
        "pipeline_versions"
    ][0]
    assert version["pipeline_spec"]["deploymentSpec"] == LARGE["deploymentSpec"]
    made = http.call("POST", f"{server.http}/apis/v2beta1/runs", {"display_name": "over REST", "pipeline_spec": LARGE})
    assert made.status == 200
    with Client(server.grpc) as client:
        run_ids = [made.json["run_id"], runs.start(client, LARGE)]
        for run_id in run_ids:
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    assert made.json["pipeline_spec"]["deploymentSpec"] == LARGE["deploymentSpec"]
    assert len(readers(server)) == 1


def test_a_reader_that_is_killed(server: Embedded) -> None:
    with ThreadPoolExecutor(1) as threads:
        bomb = threads.submit(http.upload, server.http, BOMB)
        until_reading(server).kill()
        reply = bomb.result(60)
    assert reply.status == 429
    assert "no memory left" in reply.json["error_message"]
    assert http.upload(server.http, json.dumps(LARGE).encode()).status == 200


def test_a_body_whose_reader_is_killed(server: Embedded) -> None:
    body = b'{"display_name":"x","pipeline_spec":{"a":[' + b"1," * 990_000 + b"1]}}"
    with ThreadPoolExecutor(1) as threads:
        sent = threads.submit(http.call, "POST", f"{server.http}/apis/v2beta1/runs", data=body)
        until_reading(server).kill()
        reply = sent.result(60)
    assert (reply.status, reply.json["code"]) == (429, 8)


def test_a_bomb_is_the_fault_of_who_sends_it(server: Embedded) -> None:
    reply = http.upload(server.http, BOMB)
    assert reply.status == 400
    assert "more than 1000000 values" in reply.json["error_message"]


def test_a_server_that_stops_while_a_document_is_read(tmp_path: Path, environments: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as server, ThreadPoolExecutor(2) as threads:
        for _ in range(2):
            threads.submit(_upload_or_fail, server.http)
        reader = until_reading(server)
        # Longer than a server waits for calls under way, if the reader does not go on.
        reader.suspend()
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 30, "it was killed"
        assert server.process is not None
        assert server.process.returncode == 0
        assert not psutil.pid_exists(reader.pid)


def _upload_or_fail(address: str) -> Any:
    try:
        return http.upload(address, BOMB)
    except OSError as error:
        return error
