"""A PostgreSQL and a MariaDB for the whole session, a database of its own for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pymysql
import pytest

from tools.databases import MariaDB, PostgreSQL, mariadb, postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> str:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgresql_server.url.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    with mariadb() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB) -> str:
    name = f"t{uuid.uuid4().hex}"
    account = {"user": "penstock", "password": "penstock", "host": "127.0.0.1", "port": mariadb_server.port}
    with pymysql.connect(**account, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return mariadb_server.url.rsplit("/", 1)[0] + f"/{name}"
