"""A release and its predecessor side by side (N-1/N): servers and executors of either, and one replaced by the other.

The rule is in docs/architecture.md, "Versions": messages and schema only grow, what is taken away was unused for a
release. The schema is changed by the first new server while old ones still work with it.
"""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.storage.schema import Schema, known_revisions

from tests.support import lineage
from tests.support.releases import environment_of, previous_release
from tests.support.replicas import TASKS, Replicas, program_is_up, spec
from tools.databases import PostgreSQL
from tools.testing import runs


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return previous_release(tmp_path_factory.mktemp("previous"))


@pytest.fixture(scope="module")
def old(old_tree: Path) -> dict[str, str]:
    return environment_of(old_tree)


@pytest.fixture(scope="module")
def new() -> dict[str, str]:
    return environment_of(Path(__file__).resolve().parents[2])


@pytest.fixture
def databases(postgresql_server: PostgreSQL, postgresql_url: str) -> tuple[str, str]:
    name = postgresql_url.rpartition("/")[2] + "m"
    return postgresql_url, postgresql_server.database(name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("older", ["server", "executor"])
def test_one_of_the_two_is_older(
    older: str, old: dict[str, str], new: dict[str, str], databases: tuple[str, str], tmp_path: Path
) -> None:
    servers_are_older = older == "server"
    replicas = Replicas(
        tmp_path, *databases, servers=1, executors=1, failover=False, older=servers_are_older, environment=new
    )
    (replicas.servers if servers_are_older else replicas.executors)[0].environment = old
    with replicas, Client(replicas.addresses[0]) as client:
        go = tmp_path / "go"
        ids = [runs.start(client, spec(tmp_path / f"starts-{number}", 0.05, str(go))) for number in range(5)]
        runs.until(lambda: (tmp_path / "starts-0").exists(), bool)
        # Whoever comes takes over what the other left, too.
        replicas.executors[0].terminate()
        replicas.executors[0].start()
        go.touch()
        for number, run_id in enumerate(ids):
            run = runs.finished(client, run_id)
            assert run.state == run_pb2.SUCCEEDED, run.error
            assert (tmp_path / f"starts-{number}").read_text().split() == list(TASKS)
            lineage.assert_complete(replicas.addresses[0], run_id, set(TASKS))


@pytest.mark.timeout(600)
def test_one_after_another_is_replaced_in_the_middle_of_runs(
    old: dict[str, str], new: dict[str, str], databases: tuple[str, str], tmp_path: Path
) -> None:
    ids: list[str] = []

    def more(address: str, count: int) -> None:
        with Client(address) as client:
            for _ in range(count):
                ids.append(runs.start(client, spec(tmp_path / f"starts-{len(ids)}", 0.3), name=f"run {len(ids)}"))

    # Of e958f76 two servers cannot make the tables at the same moment, and an executor whose lease lapses while its
    # server restarts may write a state of before over what the next owner wrote.
    replicas = Replicas(
        tmp_path, *databases, failover=False, at_once=False, older=True, lease_seconds=60.0, environment=old
    )
    with replicas:
        # A new executor finds both: the port of an old server, and the one of the new server that takes its place.
        for executor, *ports in zip(replicas.executors, replicas.dispatch, replicas.addresses, strict=True):
            executor.variables["PENSTOCK_SERVER"] = ",".join(ports)
        for program in (*replicas.executors, *replicas.servers):
            for address in replicas.addresses:
                more(address, 3)
            try:
                program.terminate()
            except subprocess.TimeoutExpired:
                # A server of e958f76 may not end when it is asked to; whoever runs one kills it then.
                program.kill()
            program.start(new)
            program.ready()
        for address in replicas.addresses:
            more(address, 3)
        with Client(replicas.addresses[0]) as client:
            for number, run_id in enumerate(ids):
                run = runs.finished(client, run_id, 240)
                assert run.state == run_pb2.SUCCEEDED, f"run {number}: {run.error}"
                assert (tmp_path / f"starts-{number}").read_text().split() == list(TASKS)
        for run_id in ids:
            lineage.assert_complete(replicas.addresses[1], run_id, set(TASKS))
        for program in replicas.programs:
            program_is_up(program)


@pytest.mark.timeout(300)
def test_this_release_works_with_a_schema_that_its_successor_added_to(
    new: dict[str, str], databases: tuple[str, str], tmp_path: Path
) -> None:
    with Replicas(tmp_path, *databases, servers=1, executors=1, environment=new) as replicas:
        with psycopg.connect(databases[0], autocommit=True) as connection:
            connection.execute("ALTER TABLE runs ADD COLUMN of_the_next_release varchar(9) NOT NULL DEFAULT 'x'")
            connection.execute("CREATE TABLE of_the_next_release (run_id varchar(64) REFERENCES runs)")
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        for restarted in (False, True):
            if restarted:
                replicas.servers[0].terminate()
                replicas.servers[0].start()
                replicas.servers[0].ready()
            with urllib.request.urlopen(f"{replicas.http[0]}/readyz") as reply:
                assert reply.status == 200
            with Client(replicas.addresses[0]) as client:
                run_id = runs.start(client, spec(tmp_path / f"starts-{restarted}", 0.0))
                assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED


def test_what_was_migrated_since_the_previous_release_only_adds(old_tree: Path, tmp_path: Path) -> None:
    """Whoever knows the schema of before can still read and write: nothing is gone, nothing new must be given."""
    versions = old_tree / "server" / "penstock_server" / "storage" / "migrations" / "versions"
    before = max(re.match(r"(\d+)_", path.name)[1] for path in versions.glob("[0-9]*.py"))  # type: ignore[index]
    assert before in [one.name for one in known_revisions()], "a migration of the previous release is gone"
    schema = Schema(f"sqlite:///{tmp_path}/test.db")
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/test.db")

    def columns() -> dict[tuple[str, str], dict[str, object]]:
        inspector = sqlalchemy.inspect(engine)
        return {
            (table, column["name"]): {"type": str(column["type"]), **column}
            for table in inspector.get_table_names()
            for column in inspector.get_columns(table)
        }

    schema.upgrade(before)
    old_columns = columns()
    schema.upgrade()
    new_columns = columns()
    old_tables = {table for table, _ in old_columns}
    for key, column in old_columns.items():
        assert key in new_columns, f"{key} is gone"
        assert str(new_columns[key]["type"]) == str(column["type"]), f"{key} has another type"
    for (table, name), column in new_columns.items():
        if table in old_tables and (table, name) not in old_columns:
            assert column["nullable"] or column["default"], f"{table}.{name} has to be given"
    engine.dispose()
    schema.dispose()
