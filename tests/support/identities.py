"""A database of its own for tests of who calls, and a clock that they move."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from penstock_server.storage.database import Database


class MovableClock:
    """`now` in milliseconds."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def now_millis(self) -> int:
        return self.now


def sqlite(directory: Path) -> Database:
    """An empty database in `directory`, with its tables."""
    path = directory / "identities.db"
    path.write_bytes(_empty())
    return Database(f"sqlite:///{path}")


@cache
def _empty() -> bytes:
    """Made once, since that takes longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "empty.db")
        database = Database(f"sqlite:///{path}")
        database.migrate()
        database.dispose()
        return path.read_bytes()
