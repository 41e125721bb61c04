"""Opens a database and hands out transactions.

On SQLite writers of one process queue in the process, where waiting is cheap, instead of polling the file. On
PostgreSQL and MySQL writers run side by side (read committed); what a writer reads in order to change it, it locks
(`FOR UPDATE`), rows of several runs in the order of their ids.

Invariants: nothing outside this package sees a connection; `reading` and `writing` are the only ways in; what the
driver throws because the database is away comes out as UnavailableError.
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
from penstock_server.storage.engine import DEFAULT_POOL, PoolSettings, open_engine, translated
from penstock_server.storage.probe import unwritable
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
from penstock_server.storage.schema import Schema, problem


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
        """`observer(kind, seconds)` hears of every transaction."""
        self._observer = observer

    @contextmanager
    def reading(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("read"), translated(), self._engine.begin() as connection:
            yield SqlUnitOfWork(connection, writing=False)

    @contextmanager
    def writing(self) -> Iterator[SqlUnitOfWork]:
        with self._timed("write"), translated(), self._writer:
            engine = self._engine.execution_options(penstock_writing=True)
            with engine.begin() as connection:
                yield SqlUnitOfWork(connection, writing=True)
            self._wrote_at = time.monotonic()

    def migrate(self) -> None:
        """Brings the schema up to date. Raises UnavailableError when the database cannot be reached."""
        schema = Schema(self._url)
        try:
            schema.upgrade()
        finally:
            schema.dispose()

    def problems(self) -> list[str]:
        """Why it cannot be used, empty when it can: it does not answer, its schema is another program's, or it takes no
        writes.
        """
        try:
            with translated(), self._engine.connect() as connection:
                found = problem(connection)
            with translated():
                found = found or unwritable(self._engine, self._lock, lambda: self._wrote_at)
        except UnavailableError as error:
            found = str(error)
        return [f"database: {found}"] if found else []

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._observer(kind, time.perf_counter() - started)

    def dispose(self) -> None:
        self._engine.dispose()
