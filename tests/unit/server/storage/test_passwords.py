"""No error text and no `repr` shows the password of a database or what a statement would write."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy
from penstock.settings import rows
from penstock_server.access.credentials import Credentials
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.settings import Settings
from penstock_server.storage.engine import open_engine, open_schema_engine
from penstock_server.storage.pool import DEFAULT_POOL

URLS = [
    "postgresql://penstock:hunter2@host:54x32/db",
    "postgresql://penstock:p@hunter2@host:5432/db",
    "hunter2",
]
# Not written out where it is used: a traceback quotes that line.
_SECRET = "hunter2"


def _everything_shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    opened: list[Callable[[str], object]] = [partial(open_engine, pool=DEFAULT_POOL), open_schema_engine]
    for refuse in opened:
        with pytest.raises(InvalidArgumentError) as caught:
            refuse(url)
        assert "hun" not in _everything_shown(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://penstock:hun/ter2@host:5432/db", "postgresql://penstock:[hunter2@host/db"]
)
def test_a_url_of_the_metadata_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        MetadataDatabase.open(url)
    assert "hun" not in _everything_shown(caught.value)


@pytest.mark.parametrize("opened", [partial(open_engine, pool=DEFAULT_POOL), open_schema_engine], ids=["all", "schema"])
def test_values_of_a_statement_are_in_no_error(opened: Callable[[str], sqlalchemy.Engine], tmp_path: Path) -> None:
    engine = opened(f"sqlite:///{tmp_path}/test.db")
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
        connection.execute(sqlalchemy.text("INSERT INTO nowhere VALUES (:value)"), {"value": _SECRET})
    assert _SECRET not in _everything_shown(caught.value)


def test_settings_with_passwords_are_shown_without_them() -> None:
    given = {name: "hunter2" if row.secret else None for name, row in rows(Settings).items()}
    assert given["database"] == given["metadata_database"] == "hunter2"
    assert "hunter2" not in repr(Settings(**given))  # type: ignore[arg-type]


def test_what_lets_a_caller_in_is_not_shown() -> None:
    shown = repr(Credentials({"authorization": ("Bearer hunter2",)}, "127.0.0.1", session="hunter2"))
    assert "hunter2" not in shown
    assert "127.0.0.1" in shown
