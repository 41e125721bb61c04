"""The databases that the suites run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_server.storage.database import Database


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/test.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")
    made = Database(url)
    made.migrate()
    made.migrate()
    yield made
    made.dispose()
