"""Versions of the schema: which one a database has, and the way to another.

Invariants: changes are made by one program at a time, also when several servers start at once: they take a lock in the
database, and whoever comes second finds nothing to do. A schema newer than this server knows is used as it is: by the
rule of docs/architecture.md ("Versions") what a release adds, its predecessor can live with, and only what two releases
have not used any more is taken away. Revisions are a chain without branches, each in a file that begins with its name.

Alembic makes the changes, and is imported when there is one: it costs a fifth of a server's start (0.4 s of CPU), which
nearly always finds nothing to change.
"""

from __future__ import annotations

import ast
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from penstock_server.errors import FailedPreconditionError, InvalidArgumentError
from penstock_server.storage.engine import open_schema_engine, translated
from penstock_server.storage.locks import alone

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
        Revision(one.name.partition("_")[0], (ast.get_docstring(ast.parse(one.read_text())) or "").strip())
        for one in files
    )


def problem(connection: Connection) -> str:
    """Why a server of this version cannot work with the schema, empty when it can."""
    found, wanted = _current(connection), known_revisions()[-1].name
    if found == wanted or _is_newer(found):
        return ""
    return f"its schema is at {found}, this server wants {wanted}"


class Schema:
    """Of one database. Raises UnavailableError when it cannot be reached."""

    def __init__(self, url: str) -> None:
        self._engine = open_schema_engine(url)

    def current(self) -> str | None:
        """The revision it has, None when it is empty."""
        with translated(), self._engine.connect() as connection:
            return _current(connection)

    def upgrade(self, revision: str = "head") -> None:
        """Does nothing when the schema is newer than this server knows.

        Raises InvalidArgumentError, FailedPreconditionError.
        """
        _check_known(revision)
        found = self.current()
        if _is_newer(found):
            log.info("the schema is at %s, newer than this server knows; it is used as it is", found)
        elif found != known_revisions()[-1].name or revision != "head":
            self._change("upgrade", revision)

    def downgrade(self, revision: str) -> None:
        """`base` leaves nothing. Raises InvalidArgumentError, FailedPreconditionError."""
        _check_known(revision)
        found = self.current()
        if _is_newer(found):
            raise FailedPreconditionError(
                f"the schema is at {found}, which this version does not know: only the version that made it can undo it"
            )
        self._change("downgrade", revision)

    def _change(self, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with translated(), self._engine.connect() as connection:
            try:
                with alone(connection, "schema"):
                    if connection.dialect.name == "postgresql":
                        # A change that waits for a table keeps everybody else from it, too.
                        connection.execute(text("SET LOCAL lock_timeout = '15s'"))
                    config.attributes["connection"] = connection
                    (command.upgrade if direction == "upgrade" else command.downgrade)(config, revision)
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                raise FailedPreconditionError(f"the schema cannot be changed: {error.orig}") from error

    def dispose(self) -> None:
        self._engine.dispose()


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSIONS):
        return None
    statement = text(f"SELECT version_num FROM {_VERSIONS}")  # noqa: S608 - a constant
    found: str | None = connection.execute(statement).scalar()
    return found


def _is_newer(found: str | None) -> bool:
    """By a later version of ours: its revisions go on counting."""
    newest = known_revisions()[-1].name
    return found is not None and found.isdecimal() and len(found) == len(newest) and found > newest


def _check_known(revision: str) -> None:
    names = [one.name for one in known_revisions()]
    if revision not in ("head", "base", *names):
        raise InvalidArgumentError(f"{revision!r} is no revision of the schema: it is one of {', '.join(names)}")
