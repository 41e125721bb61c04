"""Runs while all certificates and the keys of the tokens' issuer are replaced every other second: nothing may fail.

A server and an executor that show each other certificates, which are replaced as Kubernetes replaces a Secret: by a
link that points to another directory. Callers bring tokens of an OpenID Connect issuer, which signs with another key at
the same times. Every run is created over a connection of its own, in turn over REST, over gRPC, and over gRPC with the
token in a file that is renewed; all the while the log of one task is followed, and runs are polled with that file.
Measured is what failed, where 0 is the only good value, and how often the server asked the issuer for its keys.

With --withdrawn the issuer takes the key before back at once, so a call that is under way with a token of it may be
refused; its caller makes another token, which has to count. With --strangers so many callers bring tokens with keys
that nobody knows, all at a time.

Example: python -m tools.bench.bench_rotation --runs 1000 --every 2
"""

from __future__ import annotations

import itertools
import json
import shutil
import ssl
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click
from penstock.client import Client, ClientError
from penstock.dev_certificates import ensure
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2
from prometheus_client.parser import text_string_to_metric_families

from tools.bench.report import show
from tools.bench.result import Row, at_least, at_most
from tools.bench.rotating_keys import Caller, Keys, RefusedError, strangers
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.oidc_issuer import oidc_issuer

_CALLERS = 8
_TICKS = "i=0; while [ ! -e {} ]; do echo $i; i=$((i+1)); sleep 0.05; done"


@dataclass
class _Certificates:
    """Files of one authority below `directory`, where programs find them at `now/…`."""

    directory: Path
    turns: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def turn(self) -> None:
        """Others for the server and the clients; the authority stays."""
        target = self.directory / str(next(self._numbers))
        target.mkdir()
        for name in ("ca.crt", "ca.key") if self.turns else ():
            shutil.copy(self.path(name), target)
        ensure(target)
        fresh = self.directory / "fresh"
        fresh.symlink_to(target.name)
        fresh.replace(self.directory / "now")
        self.turns += 1

    def path(self, name: str) -> Path:
        return self.directory / "now" / name

    def variables(self) -> dict[str, str]:
        """Of both programs."""
        files = {
            "TLS_CERT": "server.crt", "TLS_KEY": "server.key", "TLS_CLIENT_CA": "ca.crt",
            "EXECUTOR_TLS_CA": "ca.crt", "EXECUTOR_TLS_CERT": "client.crt", "EXECUTOR_TLS_KEY": "client.key",
        }  # fmt: skip
        return {f"PENSTOCK_{name}": str(self.path(file)) for name, file in files.items()}

    def client(self, address: str, kind: Callable[..., Client], **options: Any) -> Client:
        """Over a connection of its own, with the newest certificate."""
        directory = self.path("ca.crt").parent.resolve()
        ca, certificate, key = ((directory / name).read_bytes() for name in ("ca.crt", "client.crt", "client.key"))
        return kind(address, ca_certificate=ca, client_certificate=(certificate, key), **options)

    def context(self) -> ssl.SSLContext:
        directory = self.path("ca.crt").parent.resolve()
        context = ssl.create_default_context(cafile=directory / "ca.crt")
        context.load_cert_chain(directory / "client.crt", directory / "client.key")
        return context


@dataclass(frozen=True, slots=True)
class _Plan:
    runs: int
    every: float
    withdrawn: bool
    strangers: int


@dataclass
class _World:
    """The server under test, and what turns."""

    up: Embedded
    certificates: _Certificates
    keys: Keys
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long each run took to create."""

    def client(self, **token: Any) -> Client:
        return self.certificates.client(self.up.grpc, partial(Caller, keys=self.keys, failures=self.failures), **token)


def measure(plan: _Plan) -> list[Row]:
    """Starts runs while certificates and keys are replaced every so many seconds."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, oidc_issuer() as issuer:
        directory = Path(name)
        (directory / "certificates").mkdir()
        certificates = _Certificates(directory / "certificates")
        keys = Keys(issuer, directory / "token", keep=0 if plan.withdrawn else 1)
        certificates.turn()
        keys.turn()
        environment = {**certificates.variables(), **keys.settings(directory)}
        with Embedded(directory / "data", environment=environment) as up:
            return _measured(_World(up, certificates, keys), directory / "stop", plan)


def _measured(world: _World, stop: Path, plan: _Plan) -> list[Row]:
    began, rotations = time.monotonic(), world.keys.issuer.rotations
    with (
        world.client(token_file=world.keys.file) as client,
        world.certificates.client(world.up.grpc, Client) as stranger,
        ThreadPoolExecutor(_CALLERS + 1) as callers,
    ):
        followed = runs.start(client, specs.container(["sh", "-c", _TICKS.format(stop)]))
        runs.until(lambda: runs.tasks(client, followed)["only"].state, lambda state: state == "RUNNING")
        lines = callers.submit(_follow, client, followed)
        with strangers(stranger, world.keys.issuer, plan.strangers) as refused, _turning(world, plan.every):
            started = list(callers.map(lambda number: _start(world, number), range(plan.runs)))
            ended = [runs.finished(client, run_id, 600) for run_id in started if run_id]
        stop.touch()
        runs.finished(client, followed)
        numbers = lines.result()
        attempts = sum(runs.tasks(client, run.run_id)["only"].attempts for run in ended)
    figures = _figures(world)
    for text in sorted(set(world.failures)):
        click.echo(text, err=True)
    return [
        Row("certificates replaced", world.certificates.turns - 1, "times"),
        at_least("taken by the server", figures["penstock_tls_reloads_total"], "times", 1),
        at_most("refused by the server", figures["penstock_tls_reload_failures_total"], "times", 0),
        *_of_keys(world, plan, time.monotonic() - began, world.keys.issuer.rotations - rotations),
        at_most("tokens of strangers that counted", refused.pop("OK", 0), "calls", 0),
        *(Row(f"tokens of strangers: {name}", refused[name], "calls") for name in sorted(refused)),
        at_most("calls that failed", len(world.failures), "calls", 0),
        at_most(
            "runs that did not succeed", plan.runs - sum(one.state == run_pb2.SUCCEEDED for one in ended), "runs", 0
        ),
        at_most("attempts more than one for each run", attempts - len(ended), "attempts", 0),
        Row("creating a run, median", statistics.median(world.seconds), "s"),
        Row("creating a run, longest", max(world.seconds), "s"),
        Row("lines of the followed log", len(numbers), "lines"),
        at_most("lines missing or twice", sum(a != b for a, b in enumerate(numbers)), "lines", 0),
    ]


def _of_keys(world: _World, plan: _Plan, seconds: float, rotations: int) -> list[Row]:
    # Once at the start and once for each key; tokens that do not count make the server ask too, once a second at most.
    limit = rotations + 1 if not plan.withdrawn and not plan.strangers else int(seconds) + 1
    return [
        Row("keys of the issuer replaced", rotations, "times"),
        at_most("the issuer was asked for its keys", world.keys.issuer.requests["/keys"], "times", limit),
        Row("calls repeated with another token", world.keys.renewed, "calls"),
    ]


@contextmanager
def _turning(world: _World, every: float) -> Iterator[None]:
    stop = threading.Event()

    def turn() -> None:
        while not stop.wait(every):
            world.certificates.turn()
            world.keys.turn()

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _start(world: _World, number: int) -> str:
    """The id of a run, created once: a second try would hide that the first failed."""
    began = time.monotonic()
    try:
        if number % 2:
            return world.keys.repeated(partial(_start_over_rest, world, number))
        if number % 4:
            return world.keys.repeated(partial(_start_over_grpc, world, number))
        with world.client(token_file=world.keys.file) as client:
            return runs.start(client, specs.container(["true"]), name=str(number))
    except (ClientError, RefusedError, OSError) as error:
        world.failures.append(str(error))
        return ""
    finally:
        world.seconds.append(time.monotonic() - began)


def _start_over_grpc(world: _World, number: int) -> str:
    with world.certificates.client(world.up.grpc, Client, token=world.keys.issuer.token()) as client:
        return runs.start(client, specs.container(["true"]), name=str(number))


def _start_over_rest(world: _World, number: int) -> str:
    body = json.dumps({"display_name": str(number), "pipeline_spec": specs.container(["true"])}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {world.keys.issuer.token()}"}
    request = urllib.request.Request(f"{world.up.http}/apis/v2beta1/runs", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, context=world.certificates.context(), timeout=60) as reply:
            return str(json.load(reply)["run_id"])
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        if error.code == HTTPStatus.UNAUTHORIZED:
            raise RefusedError(text) from error
        raise OSError(f"HTTP status {error.code}: {text}") from error


def _follow(client: Client, run_id: str) -> list[int]:
    request = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only", follow=True)
    content = b"".join(piece.data for piece in client.stream(client.insight.ReadLog, request))
    return [int(line) for line in content.split()]


def _figures(world: _World) -> dict[str, float]:
    with urllib.request.urlopen(f"{world.up.http}/metrics", context=world.certificates.context()) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    return {sample.name: sample.value for family in families for sample in family.samples}


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", "count", default=1000, show_default=True, help="How many runs.")
@click.option("--every", default=2.0, show_default=True, help="Seconds between two certificates, and two keys.")
@click.option("--withdrawn", is_flag=True, help="A key is taken back at once when another one comes.")
@click.option("--strangers", default=0, show_default=True, help="How many callers with unknown keys, all at a time.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/rotation.json"), show_default=True)
def main(count: int, every: float, withdrawn: bool, strangers: int, report: Path) -> None:
    rows = measure(_Plan(count, every, withdrawn, strangers))
    show(rows, report)
    raise SystemExit(1 if any(row.holds is False for row in rows) else 0)


if __name__ == "__main__":
    main()
