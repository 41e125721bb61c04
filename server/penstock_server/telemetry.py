"""Metrics of the server for Prometheus.

Invariants: one registry, made by `main` and passed on; labels have few values (methods that are registered, status
codes), never ids or texts of callers. Gauges of the queue are read from the database at every scrape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """`queue` returns (runs that wait for an executor, runs that are held); if it raises, the gauges are absent."""

    def __init__(self, queue: Callable[[], tuple[int, int]]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Queue(queue))
        self._calls = Histogram(
            "penstock_rpc_seconds", "Calls by method and status.", ("method", "code"),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._pending = Gauge(
            "penstock_rpc_under_way", "Calls not answered yet by method.", ("method",), registry=self._registry
        )
        self._transactions = Histogram(
            "penstock_database_transaction_seconds", "Transactions, waiting for the write lock included.", ("kind",),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._fires = Counter("penstock_schedule_fires", "Runs made by schedules.", registry=self._registry)
        self._events = Counter(
            "penstock_run_events", "Events of runs that executors committed.", registry=self._registry
        )

    @contextmanager
    def call(self, method: str) -> Iterator[Callable[[str], None]]:
        """Entered around a call; yields a function to be called with the status."""
        started = time.perf_counter()
        pending = self._pending.labels(method)
        pending.inc()
        try:
            yield lambda code: self._calls.labels(method, code).observe(time.perf_counter() - started)
        finally:
            pending.dec()

    def transaction(self, kind: str, seconds: float) -> None:
        self._transactions.labels(kind).observe(seconds)

    def fired(self, count: int) -> None:
        self._fires.inc(count)

    def committed(self, events: int) -> None:
        self._events.inc(events)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)


class _Queue(Collector):
    def __init__(self, read: Callable[[], tuple[int, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            waiting, held = self._read()
        except Exception:  # noqa: BLE001 - the other metrics are exported even without a database
            return
        yield GaugeMetricFamily("penstock_runs_waiting", "Runs that wait for an executor.", value=waiting)
        yield GaugeMetricFamily("penstock_runs_held", "Runs that an executor holds.", value=held)

    def describe(self) -> list[GaugeMetricFamily]:
        return []
