"""Metrics of the server for Prometheus.

Invariants: one registry, made by `main` and passed on; labels have few values (methods that are registered, status
codes, the words of the enumerations here), never ids, addresses or texts of callers. What counts refusals is there from
the start with 0, so that the first one is an increase. Gauges of the queue are read from the database at every scrape.
Where a server has several processes, each counts by itself, under a label `process`: series that are summed by the
server would fall whenever a process is replaced, and Prometheus takes what falls for a new beginning. What is read from
the database is there once, without the label.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Port(str, Enum):
    """Where a call or a connection came in."""

    PUBLIC = "public"
    """The HTTP port and the gRPC port of callers."""
    DISPATCH = "dispatch"
    """The gRPC port of executors."""


class Denial(str, Enum):
    """Why a call was turned away."""

    NO_CREDENTIALS = "no_credentials"
    BAD_CREDENTIALS = "bad_credentials"
    NO_RIGHT = "no_right"
    CONCEALED = "concealed"
    """What is there, but not for this caller, who is told that it is not there."""
    OTHER_SITE = "other_site"
    """A browser sent it for a page of another site, or under a name that is not the server's."""


class Limit(str, Enum):
    """Which bound turned something away, or ended it (docs/admin/network-limits.md)."""

    CONNECTIONS = "connections"
    """A new connection for which there was no place."""
    CONNECTION_PLACE = "connection_place"
    """A connection without a request gave way to a new one."""
    IDLE = "idle"
    HEADER_TIME = "header_time"
    REPLY_RATE = "reply_rate"
    """A reply that was not read."""
    REQUESTS = "requests"
    BODIES = "bodies"
    BODY_PLACE = "body_place"
    """A slow body gave way to another one."""
    BODY_MEMORY = "body_memory"
    BODY_RATE = "body_rate"
    BODY_SIZE = "body_size"
    CALLS = "calls"
    """gRPC: too many wait for a thread."""
    MESSAGE_TIME = "message_time"
    """gRPC: a call whose message did not come."""
    LARGE_CALLS = "large_calls"
    """gRPC: too many with a large message."""
    STREAMS = "streams"
    STREAM_PLACE = "stream_place"
    """A stream that was not read gave way to another one."""
    USER_CALLS = "user_calls"
    """One user made too many calls (`access.user_limits`)."""
    USER_UPLOAD_BYTES = "user_upload_bytes"
    USER_STREAMS = "user_streams"


# The gRPC ports have these; the others are the HTTP port's.
_OF_GRPC = (Limit.CALLS, Limit.MESSAGE_TIME, Limit.LARGE_CALLS, Limit.STREAMS, Limit.STREAM_PLACE)
Limited = Callable[[Limit], None]
"""Told of everything that a bound turns away or ends; from any thread, returns at once."""


def count_nothing(limit: Limit) -> None:
    """Where there are no metrics."""


class Telemetry:
    """`queue` returns (runs that wait for an executor, runs that are held); if it raises, the gauges are absent.

    `process` is this one's number, None for the only one; `others` returns what their `own_exposition` is.
    """

    def __init__(
        self,
        queue: Callable[[], tuple[int, int]],
        process: int | None = None,
        others: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self._process = process
        self._others = others
        self._registry = CollectorRegistry()
        self._common = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._common.register(_Queue(queue))
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
        self._watches = Gauge(
            "penstock_watches_open", "Watches of runs and of lists of runs that are open.", registry=self._registry
        )
        self._logs = Gauge("penstock_logs_open", "Logs that are being sent or followed.", registry=self._registry)
        self._fires = Counter("penstock_schedule_fires", "Runs made by schedules.", registry=self._registry)
        self._events = Counter(
            "penstock_run_events", "Events of runs that executors committed.", registry=self._registry
        )
        self._denials = Counter(
            "penstock_access_refusals", "Calls turned away for who calls or what they may, by reason.",
            ("port", "reason"), registry=self._registry,
        )  # fmt: skip
        self._limits = Counter(
            "penstock_limit_refusals", "Connections, requests and calls that a bound refused or ended, by bound.",
            ("port", "limit"), registry=self._registry,
        )  # fmt: skip
        for port in Port:
            for reason in Denial:
                if port is Port.PUBLIC or reason is not Denial.OTHER_SITE:
                    self._denials.labels(port.value, reason.value)
            for limit in Limit:
                if port is Port.PUBLIC or limit in _OF_GRPC:
                    self._limits.labels(port.value, limit.value)

    def denied(self, port: Port, reason: Denial) -> None:
        self._denials.labels(port.value, reason.value).inc()

    def limited(self, port: Port) -> Limited:
        """What counts the refusals of the port's bounds."""
        return lambda limit: self._limits.labels(port.value, limit.value).inc()

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

    def watches(self, number: Callable[[], int]) -> None:
        """`number` returns how many watches are open."""
        self._watches.set_function(number)

    def logs(self, number: Callable[[], int]) -> None:
        """`number` returns how many logs are being sent or followed."""
        self._logs.set_function(number)

    def certificate(self, figures: Callable[[], tuple[float, int, int]]) -> None:
        """`figures` returns when it ends, in seconds since 1970, and how often another was taken, was refused."""
        self._registry.register(_Certificate(figures))

    def exposition(self) -> bytes:
        """The text format, of all processes."""
        return generate_latest(self._common) + merged([self.own_exposition(), *self._others()])

    def own_exposition(self) -> bytes:
        """The text format, of what is this process's own."""
        if self._process is None:
            return generate_latest(self._registry)
        labelled = CollectorRegistry()
        labelled.register(_Labelled(self._registry, {"process": str(self._process)}))
        return generate_latest(labelled)


def merged(expositions: Sequence[bytes]) -> bytes:
    """One exposition of several in the text format, in which a metric's lines have to stand together."""
    if len(expositions) == 1:
        return expositions[0]
    lines: dict[bytes, list[bytes]] = {}
    for exposition in expositions:
        for block in exposition.split(b"# HELP ")[1:]:
            about, kind, values = block.split(b"\n", 2)
            lines.setdefault(about + b"\n" + kind, []).append(values)
    return b"".join(b"# HELP " + head + b"\n" + b"".join(values) for head, values in lines.items())


class _Labelled(Collector):
    """What a registry collects, with labels more."""

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        self._registry = registry
        self._labels = dict(labels)

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [one._replace(labels={**one.labels, **self._labels}) for one in family.samples]
            yield family

    def describe(self) -> list[Metric]:
        return []


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


class _Certificate(Collector):
    def __init__(self, read: Callable[[], tuple[float, int, int]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        expires, reloads, failures = self._read()
        yield GaugeMetricFamily(
            "penstock_tls_certificate_expiry_seconds", "When the certificate in use ends, since 1970.", value=expires
        )
        yield CounterMetricFamily("penstock_tls_reloads", "Certificates taken without a restart.", value=reloads)
        yield CounterMetricFamily(
            "penstock_tls_reload_failures",
            "Certificates that could not be used; the one before stayed.",
            value=failures,
        )

    def describe(self) -> list[GaugeMetricFamily]:
        return []
