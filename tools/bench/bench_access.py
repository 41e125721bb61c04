"""What it costs to ask who calls and what they may: a server that asks beside two that do not.

All are alive at the same time, and each call of one is followed by the same call of the others, in another order every
time, so that other load of the machine meets all alike. The one that asks has API tokens, a role file and namespaces;
its caches are warm. Clients send a token to all, since it is the servers that are compared.

Why several rounds: of processes that do the same one is now and then slower by some per cent, for as long as it lives,
by where its memory happens to lie. Each round has servers of its own, and the ratio is the median of the rounds'. What
the ratios of the two servers that ask nobody differ from 1 by is what the others' may be off by.

Example: python -m tools.bench --only access
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from pathlib import Path
from statistics import median

from penstock.client import Client
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, run_pb2

from tools.bench.api_server import ApiServer, api_server, rest
from tools.bench.result import Row, at_most
from tools.testing import specs

_NAMESPACE = "team-a"
_USER = "bench@example.com"
_ROUNDS = 7
_CALLS = 250
_WARM_UP = 50
_LIMIT = 1.05
_PLAIN, _AGAIN, _ASKING = _TITLES = ("nobody is asked", "nobody is asked, once more", "tokens, roles")
_NAMES = ("GetRun, gRPC", "GetRun, REST", "CreateRun, gRPC", "CreateRun, REST")


@dataclass(frozen=True, slots=True)
class _Side:
    """A server, a client of it, the headers of HTTP requests to it, and what the calls name."""

    up: ApiServer
    client: Client
    headers: Mapping[str, str]
    experiment: str
    pipeline: str
    version: str
    run: str = ""


def measure() -> list[Row]:
    rounds = [_round(number) for number in range(_ROUNDS)]
    return [row for title in (_AGAIN, _ASKING) for name in _NAMES for row in _rows(title, name, rounds)]


def _round(number: int) -> Mapping[str, Mapping[str, float]]:
    """Milliseconds, the median of each call by name, of each server."""
    found: dict[str, Mapping[str, float]] = {}
    with ExitStack() as stack:
        # Which is started first changes, too.
        titles = [_TITLES[(number + place) % len(_TITLES)] for place in range(len(_TITLES))]
        calls = {title: _calls(stack.enter_context(_side(asks=title == _ASKING)), stack) for title in titles}
        for place, name in enumerate(_NAMES):
            found[name] = _medians({title: of_one[place] for title, of_one in calls.items()})
    return found


def _rows(title: str, name: str, rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Row]:
    ratios = sorted(one[name][title] / one[name][_PLAIN] for one in rounds)
    ratio = f"{title}: {name}, ratio"
    return [
        Row(f"{title}: {name}, nobody asked", median(one[name][_PLAIN] for one in rounds), "ms"),
        Row(f"{title}: {name}", median(one[name][title] for one in rounds), "ms"),
        at_most(ratio, median(ratios), "×", _LIMIT) if title == _ASKING else Row(ratio, median(ratios), "×"),
        Row(f"{ratio}, lowest of {len(ratios)} rounds", ratios[0], "×"),
        Row(f"{ratio}, highest of {len(ratios)} rounds", ratios[-1], "×"),
    ]


@contextmanager
def _side(*, asks: bool) -> Iterator[_Side]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        directory = Path(name)
        url = f"sqlite:///{directory / 'penstock.db'}"
        token, options = _asking(directory, url)
        with api_server(directory, url, *(options if asks else ())) as up, Client(up.grpc, token=token) as client:
            yield _filled(up, client, {"Authorization": f"Bearer {token}"})


def _asking(directory: Path, url: str) -> tuple[str, list[str]]:
    """A token of an editor, and the options of a server that knows it."""
    roles = directory / "roles.yaml"
    roles.write_text(json.dumps({"roles": [{"role": "editor", "users": [_USER], "namespaces": [_NAMESPACE]}]}))
    command = [sys.executable, "-m", "penstock_server.main", "tokens", "--database", url, "create", "bench"]
    command += ["--user", _USER, "--role", "editor"]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return token, ["--auth", "tokens", "--multi-user", "--role-file", str(roles)]


def _filled(up: ApiServer, client: Client, headers: Mapping[str, str]) -> _Side:
    experiment = experiment_pb2.Experiment(display_name="bench", namespace=_NAMESPACE)
    made = client.call(
        client.experiments.CreateExperiment, experiment_pb2.CreateExperimentRequest(experiment=experiment)
    )
    package = json.dumps(specs.container(["true"])).encode()
    pipeline = client.call(
        client.uploads.UploadPipeline,
        upload_pb2.UploadPipelineRequest(name="bench", namespace=_NAMESPACE, content=package),
    )
    versions = client.call(
        client.pipelines.ListPipelineVersions,
        pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=pipeline.pipeline_id),
    )
    version = versions.pipeline_versions[0].pipeline_version_id
    side = _Side(up, client, headers, made.experiment_id, pipeline.pipeline_id, version)
    return replace(side, run=client.call(client.runs.CreateRun, _new(side)).run_id)


def _new(side: _Side) -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "bench"
    request.run.experiment_id = side.experiment
    request.run.pipeline_version_reference.pipeline_id = side.pipeline
    request.run.pipeline_version_reference.pipeline_version_id = side.version
    return request


def _new_document(side: _Side) -> str:
    reference = {"pipeline_id": side.pipeline, "pipeline_version_id": side.version}
    return json.dumps(
        {"display_name": "bench", "experiment_id": side.experiment, "pipeline_version_reference": reference}
    )


def _calls(side: _Side, stack: ExitStack) -> list[Callable[[], object]]:
    """In the order of `_NAMES`."""
    client, runs = side.client, "/apis/v2beta1/runs"
    return [
        partial(client.call, client.runs.GetRun, run_pb2.GetRunRequest(run_id=side.run)),
        stack.enter_context(rest(side.up, f"{runs}/{side.run}", headers=side.headers)),
        partial(client.call, client.runs.CreateRun, _new(side)),
        stack.enter_context(rest(side.up, runs, _new_document(side), side.headers)),
    ]


def _medians(calls: Mapping[str, Callable[[], object]]) -> Mapping[str, float]:
    """Milliseconds of each."""
    times: dict[str, list[float]] = {title: [] for title in calls}
    orders = list(permutations(calls))
    for number in range(_WARM_UP + _CALLS):
        for title in orders[number % len(orders)]:
            started = time.perf_counter()
            calls[title]()
            if number >= _WARM_UP:
                times[title].append((time.perf_counter() - started) * 1000)
    return {title: median(values) for title, values in times.items()}
