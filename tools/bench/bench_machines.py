"""Several servers and executors on one PostgreSQL and a simulated cluster: what a task costs each of the programs.

Configurations are one server with one executor, two with four, four with eight. Each carries out many runs of a loop of
ten, and then one larger loop, in a database of its own; everything is over when the last Pod is removed and its log is
in the S3 server. All programs share the processors of this machine, so more of them cannot do more tasks in a second
here. What can be seen is whether a task costs them more CPU when there are more of them, and which waits of the
database appear. Commits are on the disk before they are answered.

CPU of ML Metadata is that of its processes, one of each server; what its connections cost PostgreSQL is in PostgreSQL's
and once more by itself. Rows are medians of the rounds; a wait that one round did not see counts as none there.

Example: python -m tools.bench.bench_machines --runs 400 --loop 1000 --configurations 1x1,4x8
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import click
from penstock.client import Client
from rich.console import Console

from tools import object_stores
from tools.bench.bench_scale import MESSAGE, NAMESPACE
from tools.bench.database_load import DatabaseLoad, counted
from tools.bench.installation import installation
from tools.bench.machine_load import AT_WORK, LoadedInstallation
from tools.bench.pods_environment import BUCKET, pods_environment
from tools.bench.report import show
from tools.bench.result import Row
from tools.databases import PostgreSQL, postgresql
from tools.sim_kube.process import sim_kube
from tools.testing import kube_specs

_CONFIGURATIONS = "1x1,2x4,4x8"
_RUNS = 400
_ITERATIONS = 10
_LOOP = 1_000
_CONNECTIONS = 400
_SHOWN_LINES = 5


@contextmanager
def _world(
    postgres: PostgreSQL, servers: int, executors: int, number: int, *, lineage: bool
) -> Iterator[LoadedInstallation]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-bench-")))
        kube = stack.enter_context(sim_kube("--latency", "1", "--message", MESSAGE, "--namespace", NAMESPACE))
        s3 = stack.enter_context(object_stores.s3([BUCKET]))
        environment = pods_environment(directory, s3, str(kube.kubeconfig), NAMESPACE)
        penstock, metadata = f"penstock_{number}", f"metadata_{number}"
        urls = postgres.database(penstock), postgres.database(metadata)
        up = stack.enter_context(
            installation(
                directory, environment, urls[0], urls[1] if lineage else "none", servers=servers, executors=executors
            )
        )
        database = stack.enter_context(DatabaseLoad(postgres, {"Penstock": penstock, "ML Metadata": metadata}))
        clients = [stack.enter_context(Client(one.grpc)) for one in up.servers]
        yield LoadedInstallation(up, kube, database, clients)
        for line in up.warnings()[:_SHOWN_LINES]:
            click.echo(line, err=True)
        # A log that cannot be had costs something else than one that is kept.
        assert not [line for line in up.warnings() if "cannot be archived" in line]


def measure(
    configurations: str = _CONFIGURATIONS,
    count: int = _RUNS,
    size: int = _LOOP,
    rounds: int = 1,
    *,
    lineage: bool = True,
) -> list[Row]:
    """Each round has every configuration once, in turn."""
    found: list[list[Row]] = []
    with postgresql(durable=True) as postgres:
        counted(postgres, _CONNECTIONS)
        for number in range(rounds):
            rows: list[Row] = []
            for index, (servers, executors) in enumerate(pairs(configurations)):
                with _world(postgres, servers, executors, 100 * number + index, lineage=lineage) as world:
                    rows += _configuration(world, f"{servers} × {executors}", count, size)
            found.append(rows)
    return merged(found)


def _configuration(world: LoadedInstallation, label: str, count: int, size: int) -> list[Row]:
    # Connections, types of ML Metadata, the first log of each server: what comes once.
    world.load(label, kube_specs.loop(20), 4, 80)
    rows = world.idle(label)
    if count:
        many = kube_specs.loop(_ITERATIONS)
        rows += world.load(f"{label}, {count:,} runs of {_ITERATIONS}", many, count, count * _ITERATIONS)
    if size:
        rows += world.load(f"{label}, loop of {size:,}", kube_specs.loop(size), 1, size)
    return rows


def merged(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """The medians of rows of one name, in the order of their first appearance; a target has to hold in every round."""
    by_name: dict[str, list[Row]] = {}
    for rows in rounds:
        for row in rows:
            by_name.setdefault(row.name, []).append(row)
    found = []
    for name, rows in by_name.items():
        of_waits = AT_WORK in name
        values = [row.value for row in rows] + [0.0] * (len(rounds) - len(rows) if of_waits else 0)
        holds = None if rows[0].holds is None else all(row.holds for row in rows)
        value = median(values) if rows[0].holds is None else max(values)
        found.append(Row(name, value, rows[0].unit, rows[0].target, holds))
    return found


def pairs(text: str) -> list[tuple[int, int]]:
    """Servers and executors of each configuration. Raises click.BadParameter."""
    found = []
    for part in text.split(","):
        servers, _, executors = part.strip().partition("x")
        if not (servers.isdecimal() and executors.isdecimal() and int(servers) and int(executors)):
            raise click.BadParameter(f"{part.strip()!r} is not like 2x4: servers, x, executors")
        found.append((int(servers), int(executors)))
    return found


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--configurations", default=_CONFIGURATIONS, show_default=True, help="Servers x executors of each.")
@click.option("--runs", "count", default=_RUNS, show_default=True, help="Runs of a loop of 10; 0 for none.")
@click.option("--loop", "size", default=_LOOP, show_default=True, help="Iterations of the larger loop; 0 for none.")
@click.option("--rounds", default=1, show_default=True, help="How often each configuration has its turn.")
@click.option("--lineage/--no-lineage", default=True, show_default=True, help="Record lineage in ML Metadata.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/machines.json"), show_default=True)
def main(configurations: str, count: int, size: int, rounds: int, *, lineage: bool, report: Path) -> None:
    with Console().status("measuring"):
        rows = measure(configurations, count, size, rounds, lineage=lineage)
    show(rows, report)
    raise SystemExit(1 if any(row.holds is False for row in rows) else 0)


if __name__ == "__main__":
    main()
