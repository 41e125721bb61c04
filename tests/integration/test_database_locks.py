"""A program that stands still in the middle of a transaction, with its connections open, holds nobody up.

Why: a suspended or paged-out server keeps its sockets alive through the kernel, so keepalives never end its locks. The
database must, on both kinds of server: otherwise the run it was writing stays locked to every other server.
"""

from __future__ import annotations

import time

import pytest
from penstock_server.errors import UnavailableError
from penstock_server.storage.engine import database_errors, open_engine
from penstock_server.storage.pool import DEFAULT_POOL


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_who_stands_still_in_a_transaction_loses_its_locks(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    still, other = open_engine(url, DEFAULT_POOL), open_engine(url, DEFAULT_POOL)
    with other.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE held (id INTEGER PRIMARY KEY, written INTEGER)")
        connection.exec_driver_sql("INSERT INTO held VALUES (1, 0)")
    with pytest.raises(UnavailableError), database_errors(), still.begin() as standing:
        standing.exec_driver_sql("UPDATE held SET written = 1 WHERE id = 1")
        began = time.monotonic()
        with other.begin() as going:
            going.exec_driver_sql("UPDATE held SET written = 2 WHERE id = 1")
        waited = time.monotonic() - began
        standing.exec_driver_sql("SELECT 1")
    # As long as one statement may wait for a lock, so the statement that waits does not fail.
    assert waited < 15
    with other.begin() as connection:
        assert connection.exec_driver_sql("SELECT written FROM held").scalar() == 2
    still.dispose()
    other.dispose()
