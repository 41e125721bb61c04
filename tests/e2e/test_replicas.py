"""Several servers and executors on one database: when one dies, is suspended or shuts down, no task runs twice.

Executors of one machine that share a data directory adopt each other's tasks: an attempt is claimed in its directory,
and the fork server that started it outlives whoever asked. That is what is tested here. With directories of their own
they could not: a task of a dead one would have to run anew, and nobody could say whether the first still does.
"""

from __future__ import annotations

import ctypes
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

import grpc
import psutil
import psycopg
import pytest
from penstock.client import Client
from penstock_api.v1 import watch_pb2
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tests.support.replicas import TASKS, Program, Replicas, program_is_up, spec
from tests.support.schedules import made, past, schedule
from tools.databases import MariaDB, PostgreSQL
from tools.testing import runs, specs

# The first of those that wait for a row waits for the transaction that has it; all others wait for the first.
_WAITS_FOR_A_LOCK = """SELECT pid, client_port FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'transactionid'"""
_STANDS_STILL = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'"


def owner(url: str, run_id: str) -> str:
    """The executor that holds the run, empty when none does."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT lease_owner FROM runs WHERE run_id = %s", [run_id]).fetchone()
    return str(row[0]).rpartition("/")[0] if row else ""


def held(url: str, run_id: str) -> str:
    found: str = runs.until(lambda: owner(url, run_id), bool)
    return found


def named(replicas: Replicas, name: str) -> Program:
    return next(one for one in replicas.executors if one.name == name)


def two_databases(kind: str, request: pytest.FixtureRequest) -> tuple[str, str]:
    server: PostgreSQL | MariaDB = request.getfixturevalue(f"{kind}_server")
    url: str = request.getfixturevalue(f"{kind}_url")
    return url, server.database(url.rpartition("/")[2] + "m")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "count"), [("postgresql", 50), ("mariadb", 15)])
def test_runs_survive_the_death_of_any_program(
    kind: str, count: int, request: pytest.FixtureRequest, tmp_path: Path, environments: Path
) -> None:
    random = Random(50)
    url, metadata = two_databases(kind, request)
    with Replicas(tmp_path, url, metadata, servers=2, executors=3, environments=environments) as replicas:
        ids: list[str] = []
        for number in range(count):
            with Client(replicas.addresses[number % 2]) as client:
                ids.append(runs.start(client, spec(tmp_path / f"starts-{number}", 0.3), name=f"run {number}"))
        for _ in range(12):
            victim = random.choice(replicas.programs)
            victim.kill()
            # Not a race that is waited out: how long it is dead is part of what is tried.
            time.sleep(random.choice([0.0, 0.5, 2.0]))
            victim.start()
            time.sleep(random.uniform(0.0, 1.0))
        for program in replicas.programs:
            program_is_up(program)
        with Client(replicas.addresses[0]) as client:
            for number, run_id in enumerate(ids):
                run = runs.finished(client, run_id, 240)
                assert run.state == run_pb2.SUCCEEDED, f"run {number}: {run.error}"
                assert (tmp_path / f"starts-{number}").read_text().split() == list(TASKS)
                attempts = {path: task.attempts for path, task in runs.tasks(client, run_id).items() if path}
                assert set(attempts.values()) == {1}, (attempts, replicas.said("infrastructure failure in"))
        for run_id in ids:
            lineage.assert_complete(replicas.addresses[1], run_id, set(TASKS))


@pytest.mark.timeout(300)
def test_an_executor_that_stands_still_past_its_lease_begins_nothing_when_it_wakes(
    postgresql_url: str, tmp_path: Path, environments: Path
) -> None:
    """Its tasks wait for a free slot when it stops; when it wakes there is one, and the run is another's, or over."""
    random = Random(3)
    names = [f"t{number}" for number in range(4)]
    with Replicas(tmp_path, postgresql_url, executors=2, parallelism=1, environments=environments) as replicas:
        for round_ in range(4):
            starts = tmp_path / f"starts-{round_}"
            commands = {name: ["sh", "-c", f"echo {name} >> {starts}; sleep 0.7"] for name in names}
            fan = specs.siblings(commands, name="stopped")
            with Client(replicas.addresses[round_ % 2]) as client:
                run_id = runs.start(client, fan)
                stopped = named(replicas, held(postgresql_url, run_id))
                runs.until(starts.exists, bool)
                time.sleep(random.uniform(0.0, 0.3))
                stopped.suspend()
                try:
                    if round_ % 2:
                        # It wakes when all is done.
                        run = runs.finished(client, run_id)
                    else:
                        runs.until(lambda: owner(postgresql_url, run_id), lambda name: name != stopped.name)  # noqa: B023
                finally:
                    stopped.resume()
                run = runs.finished(client, run_id)
                assert run.state == run_pb2.SUCCEEDED, run.error
                # It has heard what became of its run, and taken part in another.
                again = runs.start(client, spec(tmp_path / f"more-{round_}", 0.0))
                assert runs.finished(client, again).state == run_pb2.SUCCEEDED
            assert sorted(starts.read_text().split()) == names
            assert f"run {run_id}: the lease is lost" in stopped.log


@pytest.mark.timeout(200)
@pytest.mark.parametrize("same_server", [True, False])
def test_an_executor_that_leaves_hands_its_runs_over(
    postgresql_url: str, tmp_path: Path, same_server: bool, record_property: Any, environments: Path
) -> None:
    """Its lease would last for a minute more."""
    go, starts = tmp_path / "go", tmp_path / "starts"
    count = 1 if same_server else 2
    with (
        Replicas(
            tmp_path, postgresql_url, servers=count, executors=2, lease_seconds=60, environments=environments
        ) as replicas,
        Client(replicas.addresses[0]) as client,
    ):
        run_id = runs.start(client, spec(starts, 0.0, str(go)))
        runs.until(lambda: starts.exists() and "t1" in starts.read_text(), bool)
        leaving = named(replicas, held(postgresql_url, run_id))
        (other,) = (one.name for one in replicas.executors if one is not leaving)
        began = time.monotonic()
        leaving.send(signal.SIGTERM)
        runs.until(lambda: owner(postgresql_url, run_id), lambda name: name == other, 30)
        seconds = time.monotonic() - began
        record_property("seconds", seconds)
        print(f"handed over in {seconds:.2f} s, same server: {same_server}")  # noqa: T201
        go.touch()
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        assert starts.read_text().split() == list(TASKS)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("how", ["terminated", "killed", "stopped"])
def test_executors_go_on_with_another_server(
    postgresql_url: str, tmp_path: Path, how: str, record_property: Any, environments: Path
) -> None:
    """`stopped` is a server that is gone and does not say so: connections stay open and nothing answers."""
    with Replicas(tmp_path, postgresql_url, executors=1, lease_seconds=60, environments=environments) as replicas:
        first, second = replicas.servers
        with Client(replicas.addresses[1]) as client:
            assert runs.finished(client, runs.start(client, spec(tmp_path / "warm", 0.0))).state == run_pb2.SUCCEEDED
            go, starts = tmp_path / "go", tmp_path / "starts"
            run_id = runs.start(client, spec(starts, 0.0, str(go)))
            runs.until(lambda: starts.exists() and "t1" in starts.read_text(), bool)
            began = time.monotonic()
            {"terminated": first.terminate, "killed": first.kill, "stopped": first.suspend}[how]()
            go.touch()
            assert runs.finished(client, run_id, 60).state == run_pb2.SUCCEEDED
            another = runs.start(client, spec(tmp_path / "another", 0.0))
            assert runs.finished(client, another, 60).state == run_pb2.SUCCEEDED
            seconds = time.monotonic() - began
            record_property("seconds", seconds)
            print(f"two runs with the other server {seconds:.2f} s after the first was {how}")  # noqa: T201
        assert second.process is not None
        assert starts.read_text().split() == list(TASKS)


@pytest.mark.timeout(200)
def test_a_server_that_stands_still_while_it_writes_a_run_gives_it_up(
    postgresql_url: str, tmp_path: Path, environments: Path
) -> None:
    """The worst moment to be suspended: the run's row is locked, and the connection that locked it stays open."""
    with (
        Replicas(tmp_path, postgresql_url, executors=1, lease_seconds=60, environments=environments) as replicas,
        psycopg.connect(postgresql_url, autocommit=True) as watching,
    ):
        go, starts = tmp_path / "go", tmp_path / "starts"
        with Client(replicas.addresses[0]) as client:
            run_id = runs.start(client, spec(starts, 0.0, str(go)))
        runs.until(lambda: starts.exists() and "t1" in starts.read_text(), bool)
        with psycopg.connect(postgresql_url) as holding:
            holding.execute("SELECT run_id FROM runs WHERE run_id = %s FOR UPDATE", [run_id])
            go.touch()
            ((pid, port),) = runs.until(lambda: watching.execute(_WAITS_FOR_A_LOCK).fetchall(), bool)
            # The executor calls either.
            (writing,) = (number for number, one in enumerate(replicas.servers) if port in one.ports())
            replicas.servers[writing].suspend()
        runs.until(lambda: watching.execute(_STANDS_STILL, [pid]).fetchall(), bool)
        with Client(replicas.addresses[1 - writing]) as client:
            assert runs.finished(client, run_id, 60).state == run_pb2.SUCCEEDED
        assert starts.read_text().split() == list(TASKS)


def test_a_watch_goes_on_at_another_server(postgresql_url: str, tmp_path: Path, environments: Path) -> None:
    """Both tell what either of them commits; what the first had told is not told again."""
    with (
        Replicas(tmp_path, postgresql_url, executors=1, environments=environments) as replicas,
        Client(replicas.addresses[0]) as first,
        Client(replicas.addresses[1]) as second,
    ):
        go, starts = tmp_path / "go", tmp_path / "starts"
        run_id = runs.start(second, spec(starts, 0.0, str(go)))
        states: dict[str, str] = {}
        sequence = 0
        watch: Any = first.watches.WatchRun(watch_pb2.WatchRunRequest(run_id=run_id), timeout=100)
        while states.get("t1") != "RUNNING":
            sequence = noted(next(watch), states)
        replicas.servers[0].kill()
        with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
            while True:
                sequence = noted(next(watch), states)
        go.touch()
        request = watch_pb2.WatchRunRequest(run_id=run_id, after=sequence, until_finished=True)
        for change in second.watches.WatchRun(request, timeout=100):
            assert change.sequence >= sequence
            noted(change, states)
        assert change.run.state == run_pb2.SUCCEEDED
        assert states == dict.fromkeys(("", *TASKS), "SUCCEEDED")


def noted(change: watch_pb2.RunChange, states: dict[str, str]) -> int:
    states.update({task.path: task.state for task in change.tasks})
    return change.sequence


def test_a_server_ends_whichever_thread_the_signal_was_given_to(tmp_path: Path) -> None:
    """The system chooses one; a busy library's is as good as the main one."""
    with Replicas(tmp_path, f"sqlite:///{tmp_path}/penstock.db", servers=1, executors=0) as replicas:
        server = replicas.servers[0].process
        assert server is not None
        threads = [one.id for one in psutil.Process(server.pid).threads() if one.id != server.pid]
        assert ctypes.CDLL(None).tgkill(server.pid, max(threads), signal.SIGTERM) == 0
        assert server.wait(60) == 0


def test_two_servers_fire_a_schedule_once(postgresql_url: str, tmp_path: Path, environments: Path) -> None:
    with (
        Replicas(tmp_path, postgresql_url, executors=1, environments=environments) as replicas,
        Client(replicas.addresses[0]) as first,
        Client(replicas.addresses[1]) as second,
    ):
        trigger = {"periodic_schedule": {"interval_second": "60", **past(30)}}
        found = [schedule(client, specs.container(["true"]), trigger=trigger) for client in (first, second) * 5]
        for each in found:
            runs.until(lambda: made(second, each.recurring_run_id), lambda rows: len(rows) >= 3, 60)  # noqa: B023
        for each in found:
            rows = made(first, each.recurring_run_id)
            assert len(rows) == len({row.scheduled_at.seconds for row in rows}) == 3
