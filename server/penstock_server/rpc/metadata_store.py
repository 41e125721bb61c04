"""The ML Metadata store inside the ml-metadata wheel, in a process of its own.

Why: the wheel's C++ extension implements the service on serialized messages; metadata_process says why it has a process
of its own. SQLite is put into WAL mode once, which the file remembers: a write costs 0.3 ms instead of 8 ms, and
committed rows survive the death of the process.

Invariants: one call at a time, in order; a call whose deadline passes while it waits is not begun; the number of
waiting callers is bounded, so they never take all threads. A process that does not answer for HANG_SECONDS is killed
and started again with the next call; only unanswered calls are lost. A process that dies between two calls fails no
call; one that dies during a call fails that call, which is not repeated because it may have been carried out; if an
assertion of the library ended it, the request is refused. A process whose database connection broke is ended, since the
extension does not reconnect. The worker thread survives all of this.
"""

from __future__ import annotations

import logging
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ml_metadata.metadata_store.pywrap import metadata_store_extension
from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

from penstock_server.errors import InvalidArgumentError, UnavailableError
from penstock_server.rpc import metadata_process

log = logging.getLogger(__name__)

SERVICE = metadata_store_service_pb2.DESCRIPTOR.services_by_name["MetadataStoreService"]
HANG_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_TYPE_METHODS = ("PutArtifactType", "PutExecutionType", "PutContextType", "PutTypes")
_MAX_CALLERS = 32
_LIBRARY = metadata_store_extension.__file__
_INVALID_ARGUMENT = 3
_INTERNAL = 13
_NO_URL = (
    "this is no URL of a database; in user and password, characters such as @ : / # are written as %40 %3A %2F %23"
)
_CRASH_SIGNALS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
# Texts of the extension for a broken connection; it never reconnects. PostgreSQL's client gives a reason only the first
# time; errors of statements begin with ERROR.
_BROKEN = re.compile(
    r"PostgreSQL metadata source error: (\s*$|FATAL|server closed the connection|no connection to the server|"
    r"could not|connection to server|SSL )|Lost connection to|server has gone away|Can't connect to"
)
Reply = tuple[bytes, str, int]


class MetadataDatabase:
    """Thread-safe. `type_lock` is entered around calls that make types: if two servers made
    the same type at the same moment, the library would make it twice.
    """

    def __init__(self, config: bytes, type_lock: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._config = config
        self._type_lock = type_lock
        self._process: subprocess.Popen[bytes] | None = None
        self._callers = threading.BoundedSemaphore(_MAX_CALLERS)
        self._calls: queue.SimpleQueue[tuple[str, bytes, Future[Reply]] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="metadata", daemon=True)

    @staticmethod
    def open(url: str, type_lock: Callable[[], AbstractContextManager[None]] = nullcontext) -> MetadataDatabase:
        """Opens `sqlite:///path`, `mysql://user:password@host:port/db` or `postgresql://…`, making tables as needed.

        Raises InvalidArgumentError for a URL it does not know, UnavailableError when the database cannot be opened.
        """
        database = MetadataDatabase(_connection(url).SerializeToString(), type_lock)
        try:
            database._start()
        except UnavailableError:
            database._kill()
            raise
        database._worker.start()
        return database

    def call(self, method: str, request: bytes, timeout: float | None) -> Reply:
        """(reply, error text, status code) of one method; code 0 is success. Raises TimeoutError, UnavailableError."""
        if not self._callers.acquire(blocking=False):
            raise UnavailableError(f"the metadata store is busy: {_MAX_CALLERS} calls wait for it; try again")
        try:
            future: Future[Reply] = Future()
            self._calls.put((method, request, future))
            try:
                return future.result(timeout)
            except FutureTimeoutError as error:
                future.cancel()
                raise TimeoutError from error
        finally:
            self._callers.release()

    def close(self) -> None:
        """Waits for the pending call, then ends the process."""
        self._calls.put(None)
        self._worker.join(_CLOSE_SECONDS)
        self._kill()

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            method, request, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                if self._process is not None and self._process.poll() is not None:
                    log.warning("the metadata process ended (%s): another is started", self._process.returncode)
                    self._kill()
                if self._process is None:
                    self._start()
                with self._type_lock() if method in _TYPE_METHODS else nullcontext():
                    reply = self._exchange(method.encode(), request)
                if reply[2] == _INTERNAL and _BROKEN.search(reply[1]):
                    raise UnavailableError("the metadata store has lost its database; try again")
            except UnavailableError as error:
                log.warning("metadata call %s failed: %s", method, error)
                self._kill()
                future.set_exception(error)
            except (OSError, RuntimeError) as error:
                # The system had no process or thread left: that may pass, but this worker must not end.
                self._kill()
                log.error("the metadata process cannot be used: %s", error)
                future.set_exception(UnavailableError("the metadata store cannot be started; try again"))
            else:
                future.set_result(reply)

    def _start(self) -> None:
        """Raises UnavailableError, OSError."""
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, a file of ours
            [sys.executable, "-S", "-E", metadata_process.__file__, _LIBRARY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        _, text, code = self._exchange(b"", self._config)
        if code != 0:
            raise UnavailableError(f"the metadata database cannot be opened: {text[:300]}")

    def _exchange(self, method: bytes, request: bytes) -> Reply:
        """Raises UnavailableError when the process ends or does not answer."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(HANG_SECONDS, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            metadata_process.write_parts(process.stdin, method, request)
            code, text, reply = (metadata_process.read_part(process.stdout) for _ in range(3))
        except (OSError, EOFError) as error:
            if _has_crashed(process):
                log.error("the metadata library ended on %s", method.decode())
                return b"", "the metadata library cannot carry this request out", _INVALID_ARGUMENT
            raise UnavailableError("the metadata store did not answer; try again") from error
        finally:
            watchdog.cancel()
        return reply, text.decode("utf-8", "replace"), int(code)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _has_crashed(process: subprocess.Popen[bytes]) -> bool:
    """Whether the library crashed or failed an assertion: the same request would do it again."""
    try:
        return -process.wait(_CLOSE_SECONDS) in _CRASH_SIGNALS
    except subprocess.TimeoutExpired:
        return False


def supported(method: str) -> bool:
    """Whether the wheel's extension has the method."""
    return hasattr(metadata_store_extension.metadata_store, method)


def _connection(url: str) -> metadata_store_pb2.ConnectionConfig:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # Not `from`: what is quoted as a wrong port may be a part of the password.
        raise InvalidArgumentError(_NO_URL, "metadata-database") from None
    scheme = parts.scheme.split("+", 1)[0]
    config = metadata_store_pb2.ConnectionConfig()
    if scheme == "sqlite":
        path = Path(unquote(parts.path[1:] if parts.path.startswith("//") else parts.path))
        path = Path(unquote(url.split("sqlite:///", 1)[-1])) if "sqlite:///" in url else path
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        config.sqlite.filename_uri = str(path)
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    elif scheme in ("mysql", "mariadb"):
        config.mysql.host = parts.hostname or "127.0.0.1"
        config.mysql.port = port or 3306
        config.mysql.database = parts.path.lstrip("/")
        config.mysql.user = unquote(parts.username or "")
        config.mysql.password = unquote(parts.password or "")
    elif scheme in ("postgresql", "postgres"):
        config.postgresql.host = parts.hostname or "127.0.0.1"
        config.postgresql.port = str(port or 5432)
        config.postgresql.dbname = parts.path.lstrip("/")
        config.postgresql.user = unquote(parts.username or "")
        config.postgresql.password = unquote(parts.password or "")
    else:
        raise InvalidArgumentError(
            f"{scheme}:// is no metadata database; use sqlite:///PATH, mysql:// or postgresql://", "metadata-database"
        )
    return config
