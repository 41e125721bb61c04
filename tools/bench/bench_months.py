"""The runs' table with up to ten million runs of two years, on PostgreSQL: as it is, and partitioned by month.

For each size two databases are filled at the same time (`months_filled`), then what Penstock does with its runs is
timed through its services, first on the one, then on the other; then the oldest month is removed. First pass: the
server was started anew and the kernel was told to forget its files, so what a call needs comes from the disk unless a
call before had it. Second pass: the same calls again. Commits are durable, autovacuum is off, and PostgreSQL has 2 GB
of buffers. Everything is in this process, without gRPC or REST.

Ten million runs take up to 40 GB of disk.

Example: python -m tools.bench.bench_months --runs 10000000
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import click
import psycopg
from psycopg import sql
from rich.console import Console

from tools.bench import months_removal
from tools.bench.months_calls import Calls, by_id, timed
from tools.bench.months_filled import FILLING, Filled, fill, prepare
from tools.bench.report import keep, show
from tools.bench.result import Row
from tools.databases import PostgreSQL, postgresql

# Bytes for a run, in both databases together, with what it takes to make an index.
_BYTES = 4_000
_SECONDS = 8.0
_PLANS = 50
# As a server of one's own might have it; everything else is PostgreSQL's own.
_MEASURED = {
    **dict.fromkeys(FILLING),
    "autovacuum": "off",
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    # The temporary server of `tools.databases` has none of these two.
    "fsync": "on",
    "full_page_writes": "on",
}


def measure() -> list[Row]:
    """A small part, which shows that it works."""
    return _measure([20_000], _SECONDS)


def _measure(sizes: Sequence[int], seconds: float, *, pause: bool = False, report: Path | None = None) -> list[Row]:
    """What is measured so far is in `report`, if there is to be one."""
    needed = max(sizes) * _BYTES
    if shutil.disk_usage(tempfile.gettempdir()).free < needed:
        raise click.ClickException(f"{tempfile.gettempdir()} has less than {needed / 1e9:.0f} GB left")
    rows: list[Row] = []
    refused: dict[str, None] = {}
    with postgresql() as server:
        # The largest first: it takes the longest to be filled.
        for size in sorted(sizes, reverse=True):
            _configure(server, FILLING)
            both = _filled(server, size)
            for one in both:
                _tell(f"{one.label}: filled in {sum(one.seconds.values()):.0f} s")
            if pause and size == max(sizes):
                click.confirm("The largest tables are filled. Begin to measure?", default=True, abort=True, err=True)
            _configure(server, _MEASURED)
            for one in both:
                rows += [Row(f"{one.label}: {row.name}", row.value, row.unit) for row in _figures(server, one, seconds)]
                refused.update(dict.fromkeys(one.refused))
                if report is not None:
                    keep(rows, report)
            for one in both:
                _drop(server, one)
    for message in refused:
        _tell(f"refused: {message}")
    return rows


def _tell(text: str) -> None:
    """How far it is: ten million runs take long."""
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def _drop(server: PostgreSQL, filled: Filled) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(filled.url.rsplit("/", 1)[1])))


def _filled(server: PostgreSQL, size: int) -> list[Filled]:
    """The table as it is and the partitioned one, filled at the same time."""
    now = int(time.time() * 1000)
    both = [
        prepare(server.database(f"runs_{size}_{name}"), size, name == "by_month", now) for name in ("plain", "by_month")
    ]
    with ThreadPoolExecutor(len(both)) as threads:
        list(threads.map(fill, both))
    return both


def _figures(server: PostgreSQL, filled: Filled, seconds: float) -> list[Row]:
    rows = [Row(f"filling: {step}", took, "s") for step, took in filled.seconds.items()]
    _forget(server)
    with closing(Calls(filled)) as calls, psycopg.connect(filled.url, autocommit=True) as connection:
        for name, call in calls.operations.items():
            first = timed(call, seconds)
            before = months_removal.wal_position(connection)
            second = timed(call, seconds)
            _tell(f"{filled.label}: {name}: {first.median:.2f} and {second.median:.2f} ms")
            logged = (months_removal.wal_position(connection) - before) / len(second.millis)
            rows += [
                Row(f"{name}: very first call", first.millis[0], "ms"),
                Row(f"{name}: first pass, median", first.median, "ms"),
                Row(f"{name}: first pass, p99", first.p99, "ms"),
                Row(f"{name}: second pass, median", second.median, "ms"),
                Row(f"{name}: second pass, p99", second.p99, "ms"),
                Row(f"{name}: calls of the second pass", len(second.millis), ""),
                Row(f"{name}: log", logged / 1024, "KiB/call"),
            ]
        rows += months_removal.cached(connection)
        rows += _planned(connection, filled)
        rows += months_removal.index_sizes(connection)
    if not filled.partitioned:
        rows += months_removal.instead(filled)
    return rows + months_removal.removed(filled)


def _planned(connection: psycopg.Connection[Any], filled: Filled) -> list[Row]:
    """What it takes to plan the look for an id, without which nothing is prepared, and the locks that it takes."""
    rows = []
    for label, month in (("", False), (", month known", True)):
        statement = sql.SQL(
            str(by_id(filled, filled.size // 2, month=month).compile(compile_kwargs={"literal_binds": True}))
        )
        explain = sql.SQL("EXPLAIN (SUMMARY, FORMAT JSON) {}").format(statement)
        times = []
        for _ in range(_PLANS):
            (plans,) = connection.execute(explain).fetchone() or ([],)
            times.append(plans[0]["Planning Time"])
        with connection.transaction():
            connection.execute(statement)
            (locks,) = connection.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()").fetchone() or (
                0,
            )
        rows += [
            Row(f"planning of the row of an id{label}", median(times), "ms"),
            Row(f"planning of the row of an id{label}: for the first time", times[0], "ms"),
            Row(f"locks of the row of an id{label}", locks, ""),
        ]
    return rows


def _configure(server: PostgreSQL, settings: Mapping[str, str | None]) -> None:
    """Starts the server anew with these; None is PostgreSQL's own."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name, value in settings.items():
            setting = sql.SQL("DEFAULT") if value is None else sql.Literal(value)
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), setting))
        connection.execute("CHECKPOINT")
    server.stop()
    server.start()


def _forget(server: PostgreSQL) -> None:
    """Starts the server anew, when none of its files is in the kernel's memory any more."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (directory,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    server.stop()
    for path in (Path(directory) / "base").rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                # What is not written yet cannot be forgotten.
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
    server.start()


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=10_000_000, show_default=True, help="The largest size; also its tenth and hundredth.")
@click.option("--seconds", default=_SECONDS, show_default=True, help="For a pass of one operation, at most.")
@click.option("--pause", is_flag=True, help="Ask before anything is timed, with the largest tables filled.")
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/bench-months.json"), show_default=True)
def main(runs: int, seconds: float, pause: bool, report: Path) -> None:
    sizes = sorted({size for size in (runs // 100, runs // 10, runs) if size >= 5_000})
    if not sizes:
        raise click.BadParameter("it takes 5,000 at least", param_hint="--runs")
    with Console(stderr=True).status("measuring"):
        rows = _measure(sizes, seconds, pause=pause, report=report)
    show(rows, report)


if __name__ == "__main__":
    main()
