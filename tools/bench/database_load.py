"""What a load asks of a PostgreSQL that this program started: its CPU, connections, waits, statements; who holds runs.

While the load runs, every 50 ms all connections are looked at, as pg_stat_activity shows them: how many there are, how
many are in a transaction, and what those wait for. A connection that waits for nothing is on a processor, or waits for
one. Statements are counted by pg_stat_statements, which a PostgreSQL has to load at its start (`counted`).

Invariants: connections and statements of this module are in no figure; CPU of connections that were closed meanwhile
is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import psycopg

from tools.databases import PostgreSQL

_PAUSE = 0.05
_OWNERS_EVERY = 5
ON_A_PROCESSOR = "on a processor, or waiting for one"
ITS_PROGRAM = "in a transaction, waiting for its program"
_ACTIVITY = """
    SELECT datname, state, coalesce(wait_event_type, ''), coalesce(wait_event, '') FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND datname IS NOT NULL AND pid <> ALL(%s)
"""
_OWNERS = "SELECT /* bench */ run_id, lease_owner FROM runs WHERE claimable AND lease_owner <> ''"
_STATEMENTS = """
    SELECT datname, query, calls, rows FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
    WHERE query NOT LIKE '%/* bench */%'
"""
_GROWTH = """
    SELECT /* bench */ pg_current_wal_lsn() - '0/0'::pg_lsn,
        (SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'runs'),
        (SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'runs')
"""
_ENDS = ("COMMIT", "ROLLBACK")
_RENEWALS = "UPDATE runs SET lease_expires_at="


@dataclass(slots=True)
class Activity:
    """Of one database, from all looks: most connections, most at work at a time, and what those waited for."""

    connections: int = 0
    busy: int = 0
    looks: int = 0
    waits: Counter[str] = field(default_factory=Counter)

    def add(self, states: Sequence[tuple[str, str, str]]) -> None:
        """One look: state, type and name of the wait of each connection."""
        waits = [what for state in states if (what := wait_of(*state))]
        self.looks += 1
        self.connections = max(self.connections, len(states))
        self.busy = max(self.busy, len(waits))
        self.waits.update(waits)

    @property
    def mean_busy(self) -> float:
        """Connections at work, on the average."""
        return sum(self.waits.values()) / max(1, self.looks)

    def shares(self) -> dict[str, float]:
        """Of the connections at work, how many of a hundred waited for what."""
        number = sum(self.waits.values())
        return {name: 100 * one / number for name, one in self.waits.most_common()}


@dataclass(slots=True)
class Statements:
    """How many there were. `others` read and write; the empty ones that ask whether a connection lives do not count.

    `renewed` are the rows of runs that heartbeats wrote, by so many statements as `renewals`.
    """

    others: int = 0
    transactions: int = 0
    renewed: int = 0
    renewals: int = 0

    def add(self, query: str, calls: int, rows: int = 0) -> None:
        word = query.split(maxsplit=1)[0].upper()
        if word == "BEGIN":
            self.transactions += calls
        elif word not in _ENDS:
            self.others += calls
        if query.startswith(_RENEWALS):
            self.renewed += rows
            self.renewals += calls


@dataclass(frozen=True, slots=True)
class Growth:
    """What is counted up since the server's start, in bytes, and `sizes` of databases by what they are called.

    `updated` are changes of rows of `runs`, `hot` those of them that left its indexes as they were.
    """

    wal: int
    updated: int
    hot: int
    sizes: Mapping[str, int]

    def since(self, before: Growth) -> Growth:
        sizes = {called: size - before.sizes[called] for called, size in self.sizes.items()}
        return Growth(self.wal - before.wal, self.updated - before.updated, self.hot - before.hot, sizes)


@dataclass(slots=True)
class Observed:
    """By what a database is called; `owners` maps runs to who was seen holding them last."""

    activity: dict[str, Activity]
    statements: dict[str, Statements] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)


def wait_of(state: str | None, kind: str, event: str) -> str:
    """What a connection waits for, empty for one that has no transaction."""
    if not state or state == "idle":
        return ""
    if state.startswith("idle in transaction"):
        return ITS_PROGRAM
    return f"{kind}:{event}" if event else ON_A_PROCESSOR


def counted(server: PostgreSQL, connections: int) -> None:
    """Starts it again with pg_stat_statements and room for so many connections."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        connection.execute(f"ALTER SYSTEM SET max_connections = {int(connections)}")
    server.stop()
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")


class DatabaseLoad:
    """Of databases in one server, by what they are called in figures; `Penstock` has its tables. A context manager."""

    def __init__(self, server: PostgreSQL, databases: Mapping[str, str]) -> None:
        self._server = server
        self._databases = databases
        self._called = {name: called for called, name in databases.items()}
        self._looking = psycopg.connect(server.url, autocommit=True)
        self._asking = psycopg.connect(self._url(databases["Penstock"]), autocommit=True)
        self._own = [one.info.backend_pid for one in (self._looking, self._asking)]

    def __enter__(self) -> DatabaseLoad:
        return self

    def __exit__(self, *_: object) -> None:
        self._looking.close()
        self._asking.close()

    def cpu(self) -> float:
        """Seconds that all its processes have used so far, ended ones included."""
        processes = self._server.processes()
        ended = processes[0].cpu_times()
        return ended.children_user + ended.children_system + sum(map(_cpu, self._others(processes)))

    def cpu_of(self, called: str) -> float:
        """Seconds of the connections to one database that are open now."""
        name = f" {self._databases[called]} "
        return sum(_cpu(one) for one in self._others(self._server.processes()) if name in _title(one))

    def growth(self) -> Growth:
        wal, updated, hot = self._asking.execute(_GROWTH).fetchall()[0]
        sizes = {
            called: self._looking.execute("SELECT pg_database_size(%s)", (name,)).fetchall()[0][0]
            for called, name in self._databases.items()
        }
        return Growth(int(wal), int(updated), int(hot), sizes)

    @contextmanager
    def observed(self) -> Iterator[Observed]:
        """What happens meanwhile; complete when the block has ended."""
        found = Observed({called: Activity() for called in self._databases})
        over = threading.Event()
        failures: list[BaseException] = []

        def look() -> None:
            try:
                for number in range(1_000_000_000):
                    if over.wait(_PAUSE):
                        return
                    self._look(found, owners=number % _OWNERS_EVERY == 0)
            except BaseException as error:  # noqa: BLE001 - raised where the block ends
                failures.append(error)

        self._looking.execute("SELECT pg_stat_statements_reset()")
        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield found
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]
        for name, query, calls, rows in self._looking.execute(_STATEMENTS).fetchall():
            if name in self._called:
                found.statements.setdefault(self._called[name], Statements()).add(query, calls, rows)

    def _look(self, found: Observed, *, owners: bool) -> None:
        states: dict[str, list[tuple[str, str, str]]] = {called: [] for called in self._databases}
        for name, state, kind, event in self._looking.execute(_ACTIVITY, (self._own,)).fetchall():
            if name in self._called:
                states[self._called[name]].append((state, kind, event))
        for called, activity in found.activity.items():
            activity.add(states[called])
        if owners:
            found.owners.update(self._asking.execute(_OWNERS).fetchall())

    def _others(self, processes: Sequence[psutil.Process]) -> list[psutil.Process]:
        return [one for one in processes if one.pid not in self._own]

    def _url(self, name: str) -> str:
        return self._server.url.rsplit("/", 1)[0] + f"/{name}"


def _cpu(process: psutil.Process) -> float:
    """0 of one that has just ended: its time is its parent's by then."""
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0


def _title(process: psutil.Process) -> str:
    """What it says of itself: user, database, address, what it is doing."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
