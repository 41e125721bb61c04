"""The database or the metadata store of a server becomes unreachable and comes back.

Calls are refused meanwhile or go on, everything is well afterwards, nothing is lost and nothing runs twice.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.databases import postgresql
from tools.embedded import Embedded
from tools.testing import runs, specs

# The longer figure is for runs by hand: 30.
SECONDS = float(os.environ.get("PENSTOCK_TEST_AWAY_SECONDS", "6"))


def counted(directory: Path, seconds: float) -> dict[str, object]:
    """Three tasks, each of which leaves a line when it runs."""
    line = f"echo x >> {directory}/ran-%s; sleep {seconds}"
    return specs.chain({name: ["sh", "-c", line % name] for name in ("a", "b", "c")})


def times_run(directory: Path) -> list[int]:
    return [len((directory / f"ran-{name}").read_text().split()) for name in ("a", "b", "c")]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_the_database_is_away(tmp_path: Path, mode: str, environments: Path) -> None:
    with (
        postgresql(durable=True) as server,
        Embedded(tmp_path / "data", "--database", server.url, environments=environments) as up,
        Client(up.grpc) as client,
    ):
        run_id = runs.start(client, counted(tmp_path, SECONDS / 3))
        runs.until(lambda: (tmp_path / "ran-a").exists(), bool)
        server.stop(mode)
        try:
            until = time.monotonic() + SECONDS
            refused = 0
            while time.monotonic() < until:
                with pytest.raises(ClientError) as error:
                    client.call(client.runs.CreateRun, _new(), 20)
                assert error.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                assert "psycopg" not in str(error.value)
                reply = http.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}")
                assert reply.status in (503, 504)
                assert http.call("GET", f"{up.http}/readyz").status == 503
                assert http.call("GET", f"{up.http}/livez").status == 200
                refused += 1
            assert refused > 0
        finally:
            server.start()
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        assert times_run(tmp_path) == [1, 1, 1]
        assert http.call("GET", f"{up.http}/readyz").status == 200
        # Nothing half-written: what was refused is not there, and a new run goes through.
        listed = [one.display_name for one in client.list_runs()]
        assert listed == ["test"]
        assert runs.finished(client, runs.start(client, specs.container(["true"]))).state == run_pb2.SUCCEEDED


def test_the_metadata_store_hangs(tmp_path: Path, environments: Path) -> None:
    """Its database answers nobody any more: tasks go on, the API answers, and the lineage is there in the end."""
    with ExitStack() as stack:
        server = stack.enter_context(postgresql())
        environment = {"PENSTOCK_METADATA_DATABASE": server.url}
        up = stack.enter_context(Embedded(tmp_path / "data", environment=environment, environments=environments))
        client = stack.enter_context(Client(up.grpc))
        first = runs.start(client, specs.container(["true"]))
        assert runs.finished(client, first).state == run_pb2.SUCCEEDED
        with server.suspended():
            run_id = runs.start(client, counted(tmp_path, 0))
            # More calls of the store than the server has threads, over both ports.
            channel = stack.enter_context(grpc.insecure_channel(up.grpc))
            path = "/ml_metadata.MetadataStoreService/GetContextTypes"
            call = channel.unary_unary(path, bytes, bytes)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc-web+proto\r\n"
            pending: list[Any] = []
            for _ in range(100):
                pending.append(call.future(b"", timeout=300))
                browser = stack.enter_context(socket.create_connection(("127.0.0.1", int(up.http.rsplit(":", 1)[1]))))
                browser.sendall(f"{head}Content-Length: 5\r\n\r\n\0\0\0\0\0".encode())
            until = time.monotonic() + SECONDS
            slowest = 0.0
            while time.monotonic() < until or not (tmp_path / "ran-c").exists():
                started = time.monotonic()
                state = runs.get(client, run_id).state
                assert http.call("GET", f"{up.http}/apis/v2beta1/runs").status == 200
                slowest = max(slowest, time.monotonic() - started)
                assert time.monotonic() < until + 30
            assert state == run_pb2.RUNNING
            assert slowest < 2.0
            assert not all(one.done() for one in pending)
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED
        assert times_run(tmp_path) == [1, 1, 1]
        assert all(task.execution_id for task in run.run_details.task_details)
        answered = [one.exception(60) for one in pending]
        assert any(error is None for error in answered)
        assert {error.code() for error in answered if error} <= {grpc.StatusCode.UNAVAILABLE}


def test_the_metadata_process_is_killed(tmp_path: Path, environments: Path) -> None:
    """While each task runs, also before its first answer: the lineage is whole in the end."""
    waits = "echo x >> {0}/ran-{1}; until test -e {0}/go-{1}; do sleep 0.05; done"
    names = ("a", "b", "c")
    spec = specs.chain({name: ["sh", "-c", waits.format(tmp_path, name)] for name in names})
    with ExitStack() as stack:
        up = stack.enter_context(Embedded(tmp_path / "data", environments=environments))
        client = stack.enter_context(Client(up.grpc))
        store = service_rpc.MetadataStoreServiceStub(stack.enter_context(grpc.insecure_channel(up.grpc)))
        server = up.child("penstock_server")
        run_id = runs.start(client, spec)
        for name in names:
            runs.until((tmp_path / f"ran-{name}").exists, bool)
            # The first kill finds a process that has answered, the others one that a call has just started.
            for _ in range(4):
                pending = store.GetContextTypes.future(service_pb.GetContextTypesRequest(), timeout=60)
                (process,) = runs.until(lambda: _metadata_processes(server), bool)
                process.kill()
                # Dead before the next call, which therefore starts another.
                runs.until(partial(_dead, process), bool)
                error = pending.exception()
                assert error is None or error.code() is grpc.StatusCode.UNAVAILABLE
            # In between it lives long enough to answer: without that nobody could record anything.
            _answered(store)
            (tmp_path / f"go-{name}").touch()
        run = runs.finished(client, run_id)
        assert run.state == run_pb2.SUCCEEDED
        assert times_run(tmp_path) == [1, 1, 1]
        assert all(task.execution_id for task in run.run_details.task_details)
        recorded = _answered(store).executions
        assert [one.last_known_state for one in recorded] == [pb.Execution.COMPLETE] * (1 + len(names))
        # What a server leaves behind when it is killed itself: nothing.
        processes = _metadata_processes(server)
        assert len(processes) == 1
        server.kill()
        runs.until(lambda: all(map(_dead, processes)), bool)


def _answered(store: service_rpc.MetadataStoreServiceStub) -> service_pb.GetExecutionsResponse:
    """What is recorded, as soon as the store answers."""
    return runs.until(lambda: store.GetExecutions(service_pb.GetExecutionsRequest(), timeout=60), lambda reply: True)


def _metadata_processes(server: psutil.Process) -> list[psutil.Process]:
    """Those that live."""
    found = []
    for child in server.children():
        with suppress(psutil.Error):
            if any("metadata_process" in word for word in child.cmdline()):
                found.append(child)
    return found


def _dead(process: psutil.Process) -> bool:
    """Also when its parent has not noticed yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _new() -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "while it was away"
    request.run.pipeline_spec.update(specs.container(["true"]))
    return request
