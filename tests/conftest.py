"""What several kinds of tests share: one running Penstock for all that do not break it, one PostgreSQL and one MariaDB
with a database of its own for every test.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client

from tests.support import scheduling
from tools.databases import MariaDB, PostgreSQL, mariadb, postgresql
from tools.embedded import Embedded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scheduling.in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> scheduling.Scheduling:
    """Optional: there is no such hook without pytest-xdist."""
    return scheduling.Scheduling(config, log)


@pytest.fixture
def anyio_backend() -> str:
    """What runs coroutines. Made for each test, so no test or fixture can share a loop with another test."""
    return "asyncio"


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tasks run in, made once for all that are not about how it is made: tasks never write there.

    One directory for all workers: executors that share one agree on who makes an environment.
    """
    own = tmp_path_factory.getbasetemp()
    made = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "environments"
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """A server and an executor, for all tests that leave them as they are."""
    with Embedded(tmp_path_factory.mktemp("up"), "--parallelism", "4", environments=environments) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def client(up: Embedded) -> Iterator[Client]:
    with Client(up.grpc) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path, environments: Path) -> Iterator[Embedded]:
    """A Penstock of the test's own, to be broken."""
    with Embedded(tmp_path / "data", "--parallelism", "4", environments=environments) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> str:
    """An empty database of the test's own."""
    return postgresql_server.database(f"t{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    with mariadb() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB) -> str:
    """An empty database of the test's own."""
    return mariadb_server.database(f"t{uuid.uuid4().hex}")
