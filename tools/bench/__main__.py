"""Measures Penstock on this machine; prints a table, writes JSON.

api: GetRun, ListRuns, GetPipelineVersion and CreateRun over gRPC and REST, one client and 16, with 1,000 to 100,000
runs, on SQLite and PostgreSQL. access: calls of a server that asks who calls beside one that asks nobody. engine: the
state machine alone. fairness: how long one namespace waits for a pool that another floods. fan_out: many tasks of a
local run. foreign_pods: events of other executors' Pods. isolation: the cost of giving each task its own inputs.
leases: heartbeats for 1,000 held runs. local: whole pipelines next to kfp.local. kube: tasks as Pods next to bare Pods.
workers: tasks that share warm workers next to Pods of their own and bare Pods. shapes: what it costs to know the worker
of a task. pod_price: what a Pod costs the API server, and which part of it. terminate: the end of a run of many Pods.
ui: pages in Chromium, how soon they can be used and what they cost. watches: thousands of watches of one run.
list_watches: a thousand watches of twenty lists while runs go by. logs: hundreds of followers of logs. machines:
several servers and executors on one PostgreSQL. months: the runs' table on PostgreSQL as it is and partitioned by
month, with 20,000 runs. polls: asking again and again how a run of 100 to 100,000 tasks stands. processes: one server
with one process and with two, and two servers.

Example: python -m tools.bench --only engine
Thousands of Pods: python -m tools.bench.bench_scale
Ten million runs: python -m tools.bench.bench_months
Certificates and issuers' keys replaced under load: python -m tools.bench.bench_rotation
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from tools.bench import (
    bench_access,
    bench_api,
    bench_engine,
    bench_fairness,
    bench_fan_out,
    bench_foreign_pods,
    bench_isolation,
    bench_kube,
    bench_leases,
    bench_list_watches,
    bench_local,
    bench_logs,
    bench_machines,
    bench_months,
    bench_pod_price,
    bench_polls,
    bench_processes,
    bench_shapes,
    bench_terminate,
    bench_ui,
    bench_watches,
    bench_workers,
)
from tools.bench.report import show
from tools.bench.result import Measure

MEASURES: dict[str, Measure] = {
    "api": bench_api.measure,
    "access": bench_access.measure,
    "kube": bench_kube.measure,
    "engine": bench_engine.measure,
    "fairness": bench_fairness.measure,
    "fan_out": bench_fan_out.measure,
    "foreign_pods": bench_foreign_pods.measure,
    "isolation": bench_isolation.measure,
    "leases": bench_leases.measure,
    "local": bench_local.measure,
    "logs": bench_logs.measure,
    "machines": bench_machines.measure,
    "months": bench_months.measure,
    "pod_price": bench_pod_price.measure,
    "polls": bench_polls.measure,
    "processes": bench_processes.measure,
    "shapes": bench_shapes.measure,
    "terminate": bench_terminate.measure,
    "ui": bench_ui.measure,
    "workers": bench_workers.measure,
    "watches": bench_watches.measure,
    "list_watches": bench_list_watches.measure,
}
# These need a cluster, so they run only when they are named.
_ON_A_CLUSTER = ("kube", "pod_price", "terminate", "workers")


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(sorted(MEASURES)), default=None, help="Only this one.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/bench.json"), show_default=True)
def main(only: str | None, report: Path) -> None:
    console = Console()
    rows = []
    for name, measure in MEASURES.items():
        if only == name or (only is None and name not in _ON_A_CLUSTER):
            with console.status(f"measuring {name}"):
                rows += measure()
    show(rows, report)


if __name__ == "__main__":
    main()
