"""A PostgreSQL for the whole session, a database of its own for every test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tools.databases import PostgreSQL, postgresql


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
