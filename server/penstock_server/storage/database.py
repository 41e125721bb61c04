"""Opens a database and provides transactions.

On SQLite the writers of one process wait for a lock of the process, which is cheaper than polling the file. On
PostgreSQL and MySQL writers run concurrently (read committed); a writer locks the rows that it reads in order to change
them (`FOR UPDATE`), rows of several runs in the order of their ids.

Invariants: no other package gets a connection, only `reading` and `writing`; errors of the driver for a database that
cannot be reached become UnavailableError.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine

from penstock_server.errors import UnavailableError
from penstock_server.services import ports
from penstock_server.storage.engine import database_errors, open_engine
from penstock_server.storage.pool import DEFAULT_POOL, PoolSettings
from penstock_server.storage.probe import write_problem
from penstock_server.storage.repositories.artifacts import SqlArtifactRepository
from penstock_server.storage.repositories.attempts import SqlAttemptRepository
from penstock_server.storage.repositories.audit import SqlAuditRepository
from penstock_server.storage.repositories.cache import SqlCacheRepository
from penstock_server.storage.repositories.driver_tasks import SqlDriverTaskRepository
from penstock_server.storage.repositories.executors import SqlExecutorRepository
from penstock_server.storage.repositories.experiments import SqlExperimentRepository
from penstock_server.storage.repositories.lineage import SqlLineageRepository
from penstock_server.storage.repositories.locations import SqlLocationRepository
from penstock_server.storage.repositories.pipelines import SqlPipelineRepository
from penstock_server.storage.repositories.pools import SqlPoolRepository
from penstock_server.storage.repositories.queue import SqlQueueRepository
from penstock_server.storage.repositories.role_bindings import SqlRoleBindingRepository
from penstock_server.storage.repositories.runs import SqlRunRepository
from penstock_server.storage.repositories.schedules import SqlScheduleRepository
from penstock_server.storage.repositories.sessions import SqlSessionRepository
from penstock_server.storage.repositories.specs import SqlSpecRepository
from penstock_server.storage.repositories.tasks import SqlTaskRepository
from penstock_server.storage.repositories.tokens import SqlTokenRepository
from penstock_server.storage.repositories.versions import SqlVersionRepository
from penstock_server.storage.schema import Schema, current_revision, problem


class SqlUnitOfWork:
    """All repositories on one connection, inside one transaction."""

    def __init__(self, connection: Connection, *, writing: bool) -> None:
        self.experiments: ports.ExperimentRepository = SqlExperimentRepository(connection)
        self.pipelines: ports.PipelineRepository = SqlPipelineRepository(connection)
        self.versions: ports.VersionRepository = SqlVersionRepository(connection)
        self.specs: ports.SpecRepository = SqlSpecRepository(connection)
        self.runs: ports.RunRepository = SqlRunRepository(connection, lock=writing)
        self.tasks: ports.TaskRepository = SqlTaskRepository(connection)
        self.attempts: ports.AttemptRepository = SqlAttemptRepository(connection)
        self.artifacts: ports.ArtifactRepository = SqlArtifactRepository(connection)
        self.lineage: ports.LineageRepository = SqlLineageRepository(connection)
        self.cache: ports.CacheRepository = SqlCacheRepository(connection)
        self.queue: ports.QueueRepository = SqlQueueRepository(connection, lock=writing)
        self.pools: ports.PoolRepository = SqlPoolRepository(connection, lock=writing)
        self.executors: ports.ExecutorRepository = SqlExecutorRepository(connection)
        self.schedules: ports.ScheduleRepository = SqlScheduleRepository(connection)
        self.driver_tasks: ports.DriverTaskRepository = SqlDriverTaskRepository(connection)
        self.audit: ports.AuditRepository = SqlAuditRepository(connection)
        self.role_bindings: ports.RoleBindingRepository = SqlRoleBindingRepository(connection)
        self.tokens: ports.TokenRepository = SqlTokenRepository(connection)
        self.sessions: ports.SessionRepository = SqlSessionRepository(connection)
        self.locations: ports.LocationRepository = SqlLocationRepository(connection)


class Database:
    def __init__(self, url: str, pool: PoolSettings = DEFAULT_POOL) -> None:
        self._url = url
        self._engine = open_engine(url, pool)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._observer: Callable[[str, float], None] = lambda kind, seconds: None
        self._lock = threading.Lock()
        self._writer: AbstractContextManager[Any] = self._lock if self._sqlite else nullcontext()
        self._wrote_at = 0.0

    @property
    def engine(self) -> Engine:
        return self._engine

    def observe(self, observer: Callable[[str, float], None]) -> None:
        """`observer(kind, seconds)` is called after every transaction."""
        self._observer = observer

    @contextmanager
    def reading(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("read"), database_errors(), self._engine.begin() as connection:
            yield SqlUnitOfWork(connection, writing=False)

    @contextmanager
    def writing(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("write"), database_errors(), self._writer:
            engine = self._engine.execution_options(penstock_writing=True)
            with engine.begin() as connection:
                yield SqlUnitOfWork(connection, writing=True)
            self._wrote_at = time.monotonic()

    @property
    def kind(self) -> str:
        """sqlite, postgresql, mysql or mariadb."""
        return self._engine.dialect.name

    def revision(self) -> str:
        """Of the schema, empty when there is none. Raises UnavailableError."""
        with database_errors(), self._engine.connect() as connection:
            return current_revision(connection) or ""

    def migrate(self) -> None:
        """Upgrades the schema. Raises UnavailableError when the database cannot be reached."""
        schema = Schema(self._url)
        try:
            schema.upgrade()
        finally:
            schema.dispose()

    def problems(self) -> list[str]:
        """Why the database cannot be used, empty when it can: it does not answer, has another schema, or takes no
        writes.
        """
        try:
            with database_errors(), self._engine.connect() as connection:
                reason = problem(connection)
            with database_errors():
                reason = reason or write_problem(self._engine, self._lock, lambda: self._wrote_at)
        except UnavailableError as error:
            reason = str(error)
        return [f"database: {reason}"] if reason else []

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._observer(kind, time.perf_counter() - started)

    def dispose(self) -> None:
        self._engine.dispose()
