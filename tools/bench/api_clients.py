"""Clients of the gRPC API that call as fast as they are answered, in a process beside the servers that are measured.

Each has a connection of its own, as clients on other machines have. Prints `open` when all are connected, begins when a
line comes, and prints a JSON object at the end: milliseconds of each call, seconds, CPU seconds of this process.

Example: python -m tools.bench.api_clients GetRun 4 3 '{"run": "6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001"}' 127.0.0.1:8887
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import click
import grpc
from penstock_api.v2beta1 import experiment_pb2, experiment_pb2_grpc, run_pb2, run_pb2_grpc

from tools.bench.many_runs import new_run

Call = Callable[[], object]


def _call(channel: grpc.Channel, method: str, ids: Mapping[str, str], *, own_experiment: bool) -> Call:
    requests: dict[str, Any] = {
        "GetRun": lambda: run_pb2.GetRunRequest(run_id=ids["run"]),
        "ListRuns": run_pb2.ListRunsRequest,
        "CreateRun": lambda: new_run(ids),
    }
    request, send = requests[method](), getattr(run_pb2_grpc.RunServiceStub(channel), method)
    if own_experiment:
        experiments: Any = experiment_pb2_grpc.ExperimentServiceStub(channel)
        new = experiment_pb2.CreateExperimentRequest()
        new.experiment.display_name = str(uuid.uuid4())
        request.run.experiment_id = experiments.CreateExperiment(new, timeout=60).experiment_id
    return lambda: send(request, timeout=60)


@click.command(help=__doc__)
@click.argument("method")
@click.argument("clients", type=int)
@click.argument("seconds", type=float)
@click.argument("ids", type=json.loads)
@click.argument("addresses", nargs=-1, required=True)
@click.option("--own-experiments", is_flag=True, help="Runs of an experiment for each client, not of the default one.")
def main(
    method: str,
    clients: int,
    seconds: float,
    ids: Mapping[str, str],
    addresses: Sequence[str],
    *,
    own_experiments: bool,
) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(clients) as pool:
        calls = []
        for number in range(clients):
            address = addresses[number % len(addresses)]
            channel = stack.enter_context(
                grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
            )
            calls.append(_call(channel, method, ids, own_experiment=own_experiments))
        list(pool.map(lambda call: call(), calls))
        click.echo("open")
        sys.stdin.readline()
        began, before = time.monotonic(), time.process_time()

        def work(call: Call) -> list[float]:
            millis = []
            while (started := time.monotonic()) - began < seconds:
                call()
                millis.append((time.monotonic() - started) * 1000)
            return millis

        found = [one for many in pool.map(work, calls) for one in many]
        took, cpu = time.monotonic() - began, time.process_time() - before
    click.echo(json.dumps({"millis": found, "seconds": took, "cpu": cpu}))


if __name__ == "__main__":
    main()
