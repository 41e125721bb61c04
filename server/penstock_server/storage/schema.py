"""Revisions of the schema: which one a database has, upgrades and downgrades.

Invariants: one program at a time migrates, also when several servers start at once: they take a lock in the database,
and the second finds nothing to do. A schema newer than this server knows is used unchanged: by the rule of
docs/architecture.md ("Versions") the release before works with what a release adds, and nothing is removed that the
release before still uses. Revisions are a chain without branches, each in a file that begins with its name. Servers of
the release before go on meanwhile: a change that waits for a table in their use for seconds, or in a circle with them,
gives way and is made again. What a change has to fill in (`fills`) is filled in short transactions between that change
and the next, so a schema that is beyond the change is complete, and one that was left at it is filled again.

Alembic makes the changes. It is imported only for that, since it costs a fifth of a server's start (0.4 s of CPU) and
there is nearly always nothing to change.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from tenacity import before_sleep_log, retry, retry_if_exception, stop_after_attempt, wait_random

from penstock_server.errors import FailedPreconditionError, InvalidArgumentError
from penstock_server.storage.engine import SCHEMA_LOCK_SECONDS, database_errors, gave_way, open_schema_engine
from penstock_server.storage.fills import FILLS
from penstock_server.storage.locks import exclusive, exclusive_on

log = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"


@dataclass(frozen=True, slots=True)
class Revision:
    """`name` such as 0004."""

    name: str
    text: str


@lru_cache(maxsize=1)
def known_revisions() -> tuple[Revision, ...]:
    """Oldest first."""
    files = sorted((_MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    return tuple(
        Revision(path.name.partition("_")[0], (ast.get_docstring(ast.parse(path.read_text())) or "").strip())
        for path in files
    )


def problem(connection: Connection) -> str:
    """Why this server cannot use the schema, empty when it can."""
    current, newest = current_revision(connection), known_revisions()[-1].name
    if current == newest or _is_newer(current):
        return ""
    return f"its schema is at {current}, this server wants {newest}"


class Schema:
    """The schema of one database. Methods raise UnavailableError when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_schema_engine(url)

    def current(self) -> str | None:
        """The revision of the database, None when it is empty."""
        with database_errors(), self._engine.connect() as connection:
            return current_revision(connection)

    def upgrade(self, revision: str = "head") -> None:
        """Upgrades the schema; does nothing when it is newer than this server knows.

        Raises InvalidArgumentError, FailedPreconditionError.
        """
        _check_known(revision)
        current = self.current()
        if _is_newer(current):
            log.info("the schema is at %s, newer than this server knows; it is used as it is", current)
        elif current != known_revisions()[-1].name or revision != "head":
            self._fill(revision)
            self._change("upgrade", revision)

    def downgrade(self, revision: str) -> None:
        """Downgrades the schema; `base` removes all of it. Raises InvalidArgumentError, FailedPreconditionError."""
        _check_known(revision)
        current = self.current()
        if _is_newer(current):
            raise FailedPreconditionError(
                f"the schema is at {current}, which this version does not know: only the version that made it can undo "
                "it"
            )
        self._change("downgrade", revision)

    def _fill(self, revision: str) -> None:
        """Makes the changes up to the last one that has something to fill in, and fills it in; one program at a time,
        others find it done.
        """
        names = [known.name for known in known_revisions()]
        last = "" if revision == "base" else names[-1] if revision == "head" else revision
        for name, fill in FILLS.items():
            after = names[names.index(name) + 1]
            # An empty database has nothing of before.
            if last < after or self.current() is None:
                continue
            with exclusive_on(self._url, "fill"):
                if (self.current() or "") < after:
                    self._change("upgrade", name)
                    with database_errors():
                        fill(self._engine)
                    self._change("upgrade", after)

    def _change(self, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))

        def run(connection: Connection) -> None:
            config.attributes["connection"] = connection
            (command.upgrade if direction == "upgrade" else command.downgrade)(config, revision)

        with database_errors(), self._engine.connect() as connection:
            try:
                _change(connection, run)
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                raise FailedPreconditionError(f"the schema cannot be changed: {error.orig}") from error

    def __enter__(self) -> Schema:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def dispose(self) -> None:
        self._engine.dispose()


@retry(
    retry=retry_if_exception(gave_way),
    wait=wait_random(0.1, 2),
    stop=stop_after_attempt(12),
    before_sleep=before_sleep_log(log, logging.INFO),
    reraise=True,
)
def _change(connection: Connection, run: Callable[[Connection], None]) -> None:
    """All of it again after another won a lock. (Where each statement commits, the engine repeats that alone.)"""
    with exclusive(connection, "schema"):
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{SCHEMA_LOCK_SECONDS}s'"))
        run(connection)


def current_revision(connection: Connection) -> str | None:
    """None when the database is empty."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    statement = text(f"SELECT version_num FROM {_VERSIONS}")  # noqa: S608 - a constant
    revision: str | None = connection.execute(statement).scalar()
    return revision


def _is_newer(revision: str | None) -> bool:
    """Whether a later release made the revision: its number is higher than all that are known here."""
    newest = known_revisions()[-1].name
    return revision is not None and revision.isdecimal() and len(revision) == len(newest) and revision > newest


def _check_known(revision: str) -> None:
    names = [known.name for known in known_revisions()]
    if revision not in ("head", "base", *names):
        raise InvalidArgumentError(f"{revision!r} is no revision of the schema: it is one of {', '.join(names)}")
