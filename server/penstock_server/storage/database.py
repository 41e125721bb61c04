"""Opens a database and hands out transactions.

SQLite runs in WAL mode with synchronous=NORMAL: a commit survives the death of the process (kill -9), which is what a
laptop needs; a power failure may lose the last commits but never corrupts. Writers take the lock when they begin, and
writers of one process queue in the process, where waiting is cheap, instead of polling the file. On PostgreSQL and
MySQL writers run side by side (read committed); what a writer reads in order to change it, it locks (`FOR UPDATE`),
rows of several runs in the order of their ids.

Invariants: nothing outside this package sees a connection; `reading` and `writing` are the only ways in; what the
driver throws because the database is away comes out as UnavailableError.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from penstock_server.errors import AlreadyExistsError, UnavailableError
from penstock_server.services import ports
from penstock_server.storage.repositories.artifacts import SqlArtifactRepository
from penstock_server.storage.repositories.cache import SqlCacheRepository
from penstock_server.storage.repositories.driver_tasks import SqlDriverTaskRepository
from penstock_server.storage.repositories.experiments import SqlExperimentRepository
from penstock_server.storage.repositories.pipelines import SqlPipelineRepository
from penstock_server.storage.repositories.queue import SqlQueueRepository
from penstock_server.storage.repositories.runs import SqlRunRepository
from penstock_server.storage.repositories.schedules import SqlScheduleRepository
from penstock_server.storage.repositories.specs import SqlSpecRepository
from penstock_server.storage.repositories.tasks import SqlTaskRepository
from penstock_server.storage.repositories.versions import SqlVersionRepository

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MILLIS = 15_000
_POOL_SECONDS = 10
# Used when a URL names a database and no driver.
_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
# Nothing waits for ever: not for a connection, not for a lock, not for a statement.
_CONNECT: dict[str, dict[str, Any]] = {
    "postgresql": {"connect_timeout": 5, "options": "-c statement_timeout=60000 -c lock_timeout=15000"},
    "mysql": {"connect_timeout": 5, "read_timeout": 60, "write_timeout": 60, "charset": "utf8mb4"},
    "mariadb": {"connect_timeout": 5, "read_timeout": 60, "write_timeout": 60, "charset": "utf8mb4"},
}


class SqlUnitOfWork:
    """All repositories on one connection, inside one transaction."""

    def __init__(self, connection: Connection, *, writing: bool) -> None:
        self.experiments: ports.ExperimentRepository = SqlExperimentRepository(connection)
        self.pipelines: ports.PipelineRepository = SqlPipelineRepository(connection)
        self.versions: ports.VersionRepository = SqlVersionRepository(connection)
        self.specs: ports.SpecRepository = SqlSpecRepository(connection)
        self.runs: ports.RunRepository = SqlRunRepository(connection, lock=writing)
        self.tasks: ports.TaskRepository = SqlTaskRepository(connection)
        self.artifacts: ports.ArtifactRepository = SqlArtifactRepository(connection)
        self.cache: ports.CacheRepository = SqlCacheRepository(connection)
        self.queue: ports.QueueRepository = SqlQueueRepository(connection, lock=writing)
        self.schedules: ports.ScheduleRepository = SqlScheduleRepository(connection)
        self.driver_tasks: ports.DriverTaskRepository = SqlDriverTaskRepository(connection)


class Database:
    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._observer: Callable[[str, float], None] = lambda kind, seconds: None
        self._writer: AbstractContextManager[Any] = threading.Lock() if self._sqlite else nullcontext()

    @property
    def engine(self) -> Engine:
        return self._engine

    def observe(self, observer: Callable[[str, float], None]) -> None:
        """`observer(kind, seconds)` hears of every transaction."""
        self._observer = observer

    @contextmanager
    def reading(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("read"), _translated(), self._engine.begin() as connection:
            yield SqlUnitOfWork(connection, writing=False)

    @contextmanager
    def writing(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("write"), _translated(), self._writer:
            engine = self._engine.execution_options(penstock_writing=True)
            with engine.begin() as connection:
                yield SqlUnitOfWork(connection, writing=True)

    def migrate(self) -> None:
        """Brings the schema up to date. Raises UnavailableError when the database cannot be reached."""
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with _translated(), self._writer, self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def problems(self) -> list[str]:
        """Why it cannot be used, empty when it can: it does not answer, or its schema is another program's."""
        try:
            with _translated(), self._engine.connect() as connection:
                found = MigrationContext.configure(connection).get_current_revision()
        except UnavailableError as error:
            return [f"database: {error}"]
        wanted = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
        return [] if found == wanted else [f"database: its schema is at {found}, this server wants {wanted}"]

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._observer(kind, time.perf_counter() - started)

    def dispose(self) -> None:
        self._engine.dispose()


def _engine(url: str) -> Engine:
    parsed = sqlalchemy.make_url(url)
    backend = parsed.get_backend_name()
    if backend != "sqlite":
        if parsed.drivername == backend and backend in _DRIVERS:
            parsed = parsed.set(drivername=f"{backend}+{_DRIVERS[backend]}")
        return sqlalchemy.create_engine(
            parsed,
            # MariaDB's own default would show a writer what was there when it began, not what it is about to change.
            isolation_level="READ COMMITTED",
            pool_size=16,
            max_overflow=32,
            pool_timeout=_POOL_SECONDS,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args=_CONNECT.get(backend, {}),
        )
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(parsed, pool_size=16, max_overflow=32)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: it would begin them late and without the write lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MILLIS}",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("penstock_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise AlreadyExistsError("a resource of that name exists already. Please specify a new name") from error
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise UnavailableError("the database does not answer; try again") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise UnavailableError("the connection to the database was lost; try again") from error
        raise
