"""What it costs to ask again and again how a run stands: bytes, time and CPU of the server a call.

Of runs of 100, 10,000 and 100,000 tasks, over REST and gRPC, by one client: plainly, as the kfp SDK does; compressed;
with the view BASIC, as Penstock's clients do; with a field mask; and with the tag of a reply that has not changed.

Example: python -m tools.bench --only polls
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import grpc
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2, run_pb2_grpc
from penstock_server.domain.field_masks import FIELD_MASK
from penstock_server.storage.database import Database

from tools.bench import large_run
from tools.bench.api_server import ApiServer, api_server
from tools.bench.result import Row
from tools.testing import runs, specs

SIZES = (100, 10_000, 100_000)
_CALLS = 40
# A plain answer of so many tasks takes seconds.
_CALLS_OF_LARGE = 3
_LARGE = ("plain", "gzip", "zstd", "of tasks")
_STATE = "run_id,state"
_STATES = f"{_STATE},run_details.task_details.task_id,run_details.task_details.state"
_BASIC = run_pb2.GetRunRequest.BASIC
Call = Callable[[], int]
"""Returns the bytes of the answer, as they are sent over REST and as they are unpacked over gRPC."""


def measure() -> list[Row]:
    rows: list[Row] = []
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
            url = f"sqlite:///{directory}/penstock.db"
            with api_server(Path(directory), url) as up, Client(up.grpc) as client:
                run_id = runs.start(client, specs.container(["true"]))
                large_run.write(Database(url), run_id, size)
                rows += _measured(up, run_id, size)
    return rows


def _measured(up: ApiServer, run_id: str, size: int) -> Iterator[Row]:
    with _calls(up, run_id) as calls:
        for name, call in calls.items():
            few = size > 1000 and any(word in name for word in _LARGE)
            yield from _rows(up, f"{size:,} tasks, {name}", call, _CALLS_OF_LARGE if few else _CALLS)


def _rows(up: ApiServer, label: str, call: Call, count: int) -> Iterator[Row]:
    received = call()
    before, times = sum(up.process.cpu_times()[:2]), []
    for _ in range(count):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    cpu = (sum(up.process.cpu_times()[:2]) - before) * 1000
    yield Row(f"{label}: bytes", received, "bytes")
    yield Row(f"{label}: median", median(times), "ms")
    yield Row(f"{label}: CPU", cpu / count, "ms/call")


@contextmanager
def _calls(up: ApiServer, run_id: str) -> Iterator[Mapping[str, Call]]:
    connection = http.client.HTTPConnection(up.http)
    path = f"/apis/v2beta1/runs/{run_id}"
    channel = grpc.insecure_channel(up.grpc, options=[("grpc.max_receive_message_length", -1)])
    stub = run_pb2_grpc.RunServiceStub(channel)

    def rest(path: str, expected: int, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection.request("GET", path, headers=dict(headers))
        reply = connection.getresponse()
        assert reply.status == expected, reply.read()
        return reply

    def over_rest(path: str, headers: Mapping[str, str], expected: int = 200) -> Call:
        return lambda: len(rest(path, expected, headers).read())

    def over_grpc(request: run_pb2.GetRunRequest, *metadata: tuple[str, str]) -> Call:
        return lambda: int(stub.GetRun(request, metadata=metadata).ByteSize())

    first = rest(path, 200, {})
    tag = first.getheader("ETag") or ""
    first.read()
    plain, basic = run_pb2.GetRunRequest(run_id=run_id), run_pb2.GetRunRequest(run_id=run_id, view=_BASIC)
    yield {
        "REST, plain": over_rest(path, {}),
        "REST, gzip": over_rest(path, {"Accept-Encoding": "gzip"}),
        "REST, zstd": over_rest(path, {"Accept-Encoding": "zstd"}),
        "REST, mask of the state": over_rest(f"{path}?fields={_STATE}", {}),
        "REST, mask of the states of tasks": over_rest(f"{path}?fields={_STATES}", {}),
        "REST, mask of the states of tasks, zstd": over_rest(f"{path}?fields={_STATES}", {"Accept-Encoding": "zstd"}),
        "REST, BASIC": over_rest(f"{path}?view=BASIC", {}),
        "REST, 304": over_rest(path, {"If-None-Match": tag}, 304),
        "gRPC, plain": over_grpc(plain),
        "gRPC, gzip": over_grpc(plain, ("accept-encoding", "gzip")),
        "gRPC, mask of the state": over_grpc(plain, (FIELD_MASK, _STATE)),
        "gRPC, mask of the states of tasks": over_grpc(plain, (FIELD_MASK, _STATES)),
        "gRPC, BASIC": over_grpc(basic),
        "gRPC, the tag known": over_grpc(plain, ("if-none-match", tag)),
    }
    channel.close()
    connection.close()
