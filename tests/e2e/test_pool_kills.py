"""Servers that are killed at every point where slots are asked for, granted or given back.

The database holds the server at the point: a trigger waits for a lock that the test has, in the middle of the
transaction, which is rolled back then, or at its commit, which is carried out although the server is dead and nobody
hears the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support.pools import assert_one_at_a_time, pool, put, siblings, slot_rows
from tests.support.replicas import Program, Replicas
from tools.testing import runs

_LOCK = 4711
_WAITING = """SELECT a.pid, a.client_port FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objid = %s AND NOT l.granted"""
_FUNCTION = f"""CREATE OR REPLACE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared({_LOCK});
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END; END $$"""
_DURING = "CREATE TRIGGER held BEFORE {} ON slot_demands FOR EACH ROW EXECUTE FUNCTION held()"
_AT_COMMIT = """CREATE CONSTRAINT TRIGGER held AFTER {} ON slot_demands
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION held()"""
# Asked for, granted, given back.
_CHANGES = ("INSERT", "UPDATE", "DELETE")
_RUNS_TASKS = 3


@contextmanager
def held_at(connection: psycopg.Connection[tuple[int, int]], trigger: str) -> Iterator[None]:
    """Whoever comes to the trigger waits until the block ends. The lock is the session's, no transaction's."""
    connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    connection.execute(trigger)
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        connection.execute("DROP TRIGGER held ON slot_demands")


def server_at(replicas: Replicas, port: int) -> Program:
    """The one with this end of a connection to the database."""
    (found,) = (server for server in replicas.servers if port in server.ports())
    return found


@pytest.mark.timeout(500)
def test_servers_that_are_killed_lose_no_slot_and_leave_none_taken(
    postgresql_url: str, tmp_path: Path, environments: Path
) -> None:
    spans, ids = tmp_path / "spans", []
    points = [pattern.format(change) for change in _CHANGES for pattern in (_DURING, _AT_COMMIT)]
    with (
        Replicas(tmp_path, postgresql_url, servers=2, executors=2, environments=environments) as replicas,
        psycopg.connect(postgresql_url, autocommit=True) as connection,
    ):
        with Client(replicas.addresses[0]) as client:
            put(client, "licence", 1)
        connection.execute(_FUNCTION)
        for point in points:
            with Client(replicas.addresses[0]) as client, held_at(connection, point):
                ids.append(runs.start(client, siblings(spans, _RUNS_TASKS, 0.1)))
                pid, port = runs.until(lambda: connection.execute(_WAITING, [_LOCK]).fetchone(), bool)
                dead = server_at(replicas, port)
                dead.kill()
            # What it had begun is committed or rolled back before anything else is tried.
            runs.until(lambda: _is_connected(connection, pid), lambda there: not there)  # noqa: B023
            dead.start()
            dead.ready()
        with Client(replicas.addresses[0]) as client:
            for run_id in ids:
                assert runs.finished(client, run_id, 120).state == run_pb2.SUCCEEDED
                attempts = {path: task.attempts for path, task in runs.tasks(client, run_id).items() if path}
                assert set(attempts.values()) == {1}, attempts
            assert_one_at_a_time(spans, len(points) * _RUNS_TASKS)
            assert pool(client, "licence").pool.taken == 0
        assert slot_rows(postgresql_url) == 0, "nothing leaks"


def _is_connected(connection: psycopg.Connection[tuple[int, int]], pid: int) -> bool:
    return connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None
