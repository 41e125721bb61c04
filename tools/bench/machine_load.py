"""What a load costs the programs of an installation: CPU of each, calls, statements, waits, and what is used up first.

Invariants: a load is over when the last Pod is removed and its log is in the object store, so figures have everything
that a task costs. Programs that a server starts meanwhile count from nothing.
"""

from __future__ import annotations

import os
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from prometheus_client.parser import text_string_to_metric_families

from tools.bench.control_plane import cpu_seconds
from tools.bench.database_load import DatabaseLoad, Growth, Observed, Statements
from tools.bench.installation import Installation
from tools.bench.result import Row, at_most
from tools.sim_kube.process import Troublemaker
from tools.testing import runs

AT_WORK = ": of those at work: "
"""What stands in the names of rows of waits, before the wait."""
_IDLE_SECONDS = 5.0
_SHOWN_WAITS = 4
# Below this part of the processors left over, they are what binds.
_IDLE_ENOUGH = 0.05
# A program of one thread that has a processor for so much of the time is what binds.
_ONE_THREAD = 0.8
_SINGLE = ("servers", "executors", "ML Metadata")
_POSTGRESQL = "PostgreSQL"
_LEASES = ("Heartbeat", "ClaimRuns")
_LINEAGE = ("PutLineageSubgraph", "PutContexts", "PutParentContexts")


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds of each process of each program, by id, and those of PostgreSQL's connections for ML Metadata."""

    by_program: Mapping[str, Mapping[int, float]]
    lineage: float

    def since(self, before: Spent) -> Spent:
        spent = {
            name: {pid: one - before.by_program[name].get(pid, 0.0) for pid, one in processes.items()}
            for name, processes in self.by_program.items()
        }
        return Spent(spent, self.lineage - before.lineage)

    def of(self, name: str) -> float:
        return sum(self.by_program[name].values())

    def busiest(self, name: str) -> float:
        """The process of the program that used most."""
        return max(self.by_program[name].values(), default=0.0)

    @property
    def total(self) -> float:
        return sum(map(self.of, self.by_program))


@dataclass(frozen=True, slots=True)
class Binding:
    """What is used up first; `share` in percent of what there is of it."""

    what: str
    share: float


class LoadedInstallation:
    """One configuration under way, called by these clients in turn."""

    def __init__(self, up: Installation, kube: Troublemaker, database: DatabaseLoad, clients: Sequence[Client]) -> None:
        self._up = up
        self._kube = kube
        self._database = database
        self._clients = clients
        self._s3 = _child("versitygw")

    def spent(self) -> Spent:
        programs = {
            "servers": self._up.server_processes(),
            "executors": self._up.executors,
            "ML Metadata": self._up.metadata_stores(),
            "simulated API server": [psutil.Process(self._kube.process.pid)],
            "S3 server": [self._s3],
            "this benchmark": [psutil.Process()],
        }
        found = {name: {one.pid: cpu_seconds(one) for one in processes} for name, processes in programs.items()}
        found[_POSTGRESQL] = {0: self._database.cpu()}
        return Spent(found, self._database.cpu_of("ML Metadata"))

    def idle(self, label: str) -> list[Row]:
        """What they cost while nothing is there to do."""
        before = self.spent()
        time.sleep(_IDLE_SECONDS)
        spent = self.spent().since(before)
        names = ("servers", "executors", _POSTGRESQL)
        return [Row(f"{label}, idle: CPU of {name}", 1000 * spent.of(name) / _IDLE_SECONDS, "ms/s") for name in names]

    def load(self, label: str, spec: Mapping[str, Any], count: int, tasks: int) -> list[Row]:
        """Rows of so many runs of a pipeline, which have so many tasks together."""
        pods = self._kube.stats()["pods_created"]
        succeeded, calls, warnings = self._succeeded(), self._calls(), len(self._up.warnings())
        grown = self._database.growth()
        before, idle, started = self.spent(), psutil.cpu_times().idle, time.perf_counter()
        with self._database.observed() as seen:
            for number in range(count):
                runs.start(self._clients[number % len(self._clients)], spec)
            while runs.unfinished(self._clients[0]):
                time.sleep(0.25)
            seconds = time.perf_counter() - started
            runs.until(lambda: self._kube.stats()["pods"], lambda left: left == 0, 600)
        whole = time.perf_counter() - started
        idled = (psutil.cpu_times().idle - idle) / whole / (os.cpu_count() or 1)
        spent, stats = self.spent().since(before), self._kube.stats()
        called = self._calls() - calls
        return [
            Row(f"{label}: rate", tasks / seconds, "tasks/s"),
            Row(f"{label}: until the runs' end", seconds, "s"),
            Row(f"{label}: until the last Pod was removed", whole, "s"),
            *(Row(f"{label}: CPU of {name}", 1000 * spent.of(name) / tasks, "ms/task") for name in spent.by_program),
            Row(f"{label}: CPU of PostgreSQL for ML Metadata", 1000 * spent.lineage / tasks, "ms/task"),
            Row(f"{label}: processors left over", 100 * idled, "%"),
            *_of_calls(label, called, tasks),
            *_of_database(label, seen, whole, tasks),
            *_of_growth(label, self._database.growth().since(grown), tasks),
            *_of_owners(label, Counter(seen.owners.values()), count, len(self._up.executors)),
            *_of_binding(label, binding(spent, whole, idled, seen)),
            at_most(f"{label}: runs lost", count - (self._succeeded() - succeeded), "", 0),
            at_most(f"{label}: Pods more or fewer than tasks", abs(stats["pods_created"] - pods - tasks), "", 0),
            at_most(f"{label}: Pods made twice", len(stats["created_twice"]), "", 0),
            Row(f"{label}: lines of warnings and errors", len(self._up.warnings()) - warnings, ""),
        ]

    def _succeeded(self) -> int:
        predicate = '{"predicates": [{"operation": "EQUALS", "key": "state", "string_value": "SUCCEEDED"}]}'
        request = run_pb2.ListRunsRequest(filter=predicate, page_size=1)
        return int(self._clients[0].call(self._clients[0].runs.ListRuns, request, 60).total_size)

    def _calls(self) -> Counter[str]:
        """Calls that the servers answered, by method."""
        found: Counter[str] = Counter()
        for server in self._up.servers:
            with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as reply:
                families = text_string_to_metric_families(reply.read().decode())
            samples = [sample for family in families for sample in family.samples]
            for sample in samples:
                if sample.name == "penstock_rpc_seconds_count":
                    found[sample.labels["method"].rpartition("/")[2]] += int(sample.value)
        return found


def binding(spent: Spent, seconds: float, idle: float, seen: Observed) -> Binding:
    """What would have to grow for the load to be done sooner: processors, a program of one thread, or a wait.

    `idle` is the part of the processors that was left over.
    """
    if idle < _IDLE_ENOUGH:
        most = max(spent.by_program, key=spent.of)
        return Binding(f"the processors, most of them for {most}", 100 * spent.of(most) / spent.total)
    busiest = {name: spent.busiest(name) / seconds for name in _SINGLE}
    name = max(busiest, key=lambda one: busiest[one])
    if busiest[name] >= _ONE_THREAD:
        return Binding(f"a process of {name}, its one thread", 100 * busiest[name])
    shares = next(iter(seen.activity.values())).shares()
    wait, share = next(iter(shares.items()), ("nothing", 0.0))
    return Binding(f"no processor and no thread; the database's connections at work, {wait}", share)


def _of_binding(label: str, found: Binding) -> list[Row]:
    return [Row(f"{label}: binds first: {found.what}", found.share, "%")]


def _of_calls(label: str, called: Mapping[str, int], tasks: int) -> list[Row]:
    lineage = sum(number for method, number in called.items() if method in _LINEAGE)
    return [
        Row(f"{label}: reports", called.get("ReportTransitions", 0) / tasks, "calls/task"),
        Row(f"{label}: heartbeats and claims", sum(called.get(one, 0) for one in _LEASES) / tasks, "calls/task"),
        Row(f"{label}: writes of ML Metadata", lineage / tasks, "calls/task"),
    ]


def _of_database(label: str, seen: Observed, seconds: float, tasks: int) -> list[Row]:
    rows = []
    for name, activity in seen.activity.items():
        told = seen.statements.get(name, Statements())
        title = f"{label}: database of {name}"
        rows += [
            Row(f"{title}: connections at most", activity.connections, ""),
            Row(f"{title}: connections at work at most", activity.busy, ""),
            Row(f"{title}: connections at work, mean", activity.mean_busy, ""),
            Row(f"{title}: a task's time in transactions", 1000 * activity.mean_busy * seconds / tasks, "ms/task"),
            Row(f"{title}: statements", told.others / tasks, "1/task"),
            Row(f"{title}: transactions", told.transactions / tasks, "1/task"),
            *([Row(f"{title}: leases renewed", told.renewed / seconds, "rows/s")] if told.renewed else []),
        ]
        shares = list(activity.shares().items())[:_SHOWN_WAITS]
        rows += [Row(f"{title}{AT_WORK}{wait}", share, "%") for wait, share in shares]
    return rows


def _of_growth(label: str, grown: Growth, tasks: int) -> list[Row]:
    return [
        Row(f"{label}: write-ahead log of PostgreSQL", grown.wal / tasks, "bytes/task"),
        *(
            Row(f"{label}: size of {called}'s database", size / tasks, "bytes/task")
            for called, size in grown.sizes.items()
        ),
        Row(f"{label}: changes of rows of runs", grown.updated / tasks, "1/task"),
        Row(f"{label}: of them without a change of an index", grown.hot / tasks, "1/task"),
    ]


def _of_owners(label: str, held: Mapping[str, int], count: int, executors: int) -> list[Row]:
    """How many runs executors had, as looks at the leases show; one that had none counts as 0."""
    if count < executors:
        return []
    numbers = [*held.values(), *(0 for _ in range(executors - len(held)))]
    return [
        Row(f"{label}: runs of the executor with fewest", min(numbers), ""),
        Row(f"{label}: runs of the executor with most", max(numbers), ""),
        Row(f"{label}: runs that were seen with an executor", sum(numbers), ""),
    ]


def _child(program: str) -> psutil.Process:
    """The newest process of that program below this one."""
    found = [one for one in psutil.Process().children(recursive=True) if program in " ".join(one.cmdline())]
    return max(found, key=lambda one: one.create_time())
