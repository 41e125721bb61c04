"""Metrics for Prometheus and health checks of an executor, over HTTP.

Why apart: it is imported only with `--http`; the executor itself only counts. Invariants: one registry, made by `main`
and passed on; labels have few values, never ids. /livez answers as long as the event loop runs; /readyz is 503 with the
reasons while the server does not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock_executor.dispatch.figures import Vitals

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Telemetry:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._commits = Histogram(
            "penstock_executor_commit_seconds", "Reports to the server, until they were answered.",
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._commit_runs = Histogram(
            "penstock_executor_commit_runs", "Runs in a report.", buckets=_SIZES, registry=self._registry
        )
        self._commit_events = Histogram(
            "penstock_executor_commit_events", "Events in a report.", buckets=_SIZES, registry=self._registry
        )
        self._kubernetes = Histogram(
            "penstock_executor_kubernetes_seconds", "Calls to the cluster, by verb and status.", ("verb", "code"),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip

    def reported(self, seconds: float, runs: int, events: int) -> None:
        self._commits.observe(seconds)
        self._commit_runs.observe(runs)
        self._commit_events.observe(events)

    def kubernetes_call(self, verb: str, code: str, seconds: float) -> None:
        self._kubernetes.labels(verb, code or "none").observe(seconds)

    def application(self, vitals: Vitals) -> web.Application:
        """/metrics, /livez, /readyz."""
        self._registry.register(_VitalsCollector(vitals))

        async def metrics(request: web.Request) -> web.Response:
            return web.Response(body=generate_latest(self._registry), headers={"Content-Type": _CONTENT_TYPE})

        async def livez(request: web.Request) -> web.Response:
            return web.json_response({"alive": True})

        async def readyz(request: web.Request) -> web.Response:
            problems = list(vitals.problems())
            return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

        app = web.Application()
        app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
        return app

    @asynccontextmanager
    async def serving(self, vitals: Vitals, host: str, port: int) -> AsyncIterator[int]:
        """Serves until the block ends; yields the port. Raises OSError when the address is in use."""
        runner = web.AppRunner(self.application(vitals), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


class _VitalsCollector(Collector):
    """Reads the current values at every scrape."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        now = self._vitals.figures()
        yield GaugeMetricFamily("penstock_executor_runs", "Runs that are held.", value=now.runs)
        yield GaugeMetricFamily(
            "penstock_executor_runs_suspended", "Of those, runs whose lease is not certain.", value=now.suspended
        )
        attempts = GaugeMetricFamily("penstock_executor_attempts", "Open container tasks by phase.", labels=["phase"])
        for phase, count in now.attempts.items():
            attempts.add_metric([phase], count)
        yield attempts
        yield GaugeMetricFamily(
            "penstock_executor_lineage_waiting", "Lineage records that are not written yet.", value=now.lineage_waiting
        )
        yield CounterMetricFamily(
            "penstock_executor_transitions", "Events that the engine took.", value=now.transitions
        )
        yield CounterMetricFamily("penstock_executor_launches", "Attempts started or adopted.", value=now.launches)
        yield CounterMetricFamily("penstock_executor_leases_lost", "Runs lost to others.", value=now.leases_lost)

    def describe(self) -> list[GaugeMetricFamily]:
        return []
