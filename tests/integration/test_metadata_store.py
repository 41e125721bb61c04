"""The errors that callers get when the metadata store's process dies or cannot be started."""

from __future__ import annotations

import fcntl
import sys
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
import pymysql
import pytest
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock_server.errors import UnavailableError
from penstock_server.rpc.metadata_store import MetadataDatabase

from tools.databases import MariaDB, postgresql
from tools.embedded import Embedded
from tools.testing import runs


@pytest.fixture
def database(tmp_path: Path) -> Iterator[MetadataDatabase]:
    opened = MetadataDatabase.open(f"sqlite:///{tmp_path}/mlmd.db")
    yield opened
    opened.close()


def call(database: MetadataDatabase, name: str) -> int:
    """The id of an execution type that is made when it is not there."""
    request = service_pb.PutExecutionTypeRequest()
    request.execution_type.name = name
    reply, text, code = database.call("PutExecutionType", request.SerializeToString(), 60)
    assert code == 0, text
    return int(service_pb.PutExecutionTypeResponse.FromString(reply).type_id)


def process() -> psutil.Process:
    """This test's own metadata process, living."""
    (found,) = [one for one in psutil.Process().children() if any("metadata_process" in word for word in one.cmdline())]
    return found


def unread(stopped: psutil.Process) -> int:
    """Bytes that were sent to it and that it has not taken."""
    with Path(f"/proc/{stopped.pid}/fd/0").open("rb", buffering=0) as pipe:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_death_between_two_calls_fails_neither(database: MetadataDatabase) -> None:
    first = call(database, "a")
    for _ in range(3):
        dying = process()
        dying.kill()
        # A zombie until the store looks: killed for good, not merely told to end.
        runs.until(dying.status, lambda status: status == psutil.STATUS_ZOMBIE)
        assert call(database, "a") == first


def test_a_death_during_a_call_fails_that_call_alone(database: MetadataDatabase) -> None:
    first = call(database, "a")
    stopped = process()
    stopped.suspend()
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(call, database, "b")
        runs.until(lambda: unread(stopped), bool)
        waiting = pool.submit(call, database, "a")
        stopped.kill()
        with pytest.raises(UnavailableError):
            under_way.result()
        assert waiting.result() == first


def test_a_request_that_ends_the_library_is_refused(database: MetadataDatabase) -> None:
    """It aborts where a value has no type. Not to be tried again: it would end it again."""
    first = call(database, "a")
    made = service_pb.PutExecutionsRequest()
    made.executions.add(type_id=first)
    reply, _, code = database.call("PutExecutions", made.SerializeToString(), 60)
    assert code == 0
    (known,) = service_pb.PutExecutionsResponse.FromString(reply).execution_ids
    made.executions[0].id = known
    made.executions[0].custom_properties["without a type"].SetInParent()
    _, text, code = database.call("PutExecutions", made.SerializeToString(), 60)
    assert (code, text) == (3, "the metadata library cannot carry this request out")
    assert call(database, "a") == first


def test_no_process_can_be_started_for_a_while(database: MetadataDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    first = call(database, "a")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        process().kill()
        for _ in range(3):
            with pytest.raises(UnavailableError):
                call(database, "a")
    assert call(database, "a") == first


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_restarts(mode: str) -> None:
    """Of a connection that broke the extension says INTERNAL, without a reason, for ever."""
    with postgresql() as server:
        survives(server.url, lambda: server.stop(mode), server.start)


def test_mariadb_breaks_connections_off(mariadb_server: MariaDB, mariadb_url: str) -> None:
    with pymysql.connect(**account(mariadb_server), autocommit=True) as admin, admin.cursor() as cursor:
        database = MetadataDatabase.open(mariadb_url)
        try:
            first = call(database, "a")
            name = mariadb_url.rpartition("/")[2]
            assert cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name]) > 0
            for (number,) in cursor.fetchall():
                cursor.execute(f"KILL CONNECTION {number}")
            with pytest.raises(UnavailableError):
                call(database, "a")
            assert call(database, "a") == first
        finally:
            database.close()


def account(server: MariaDB) -> dict[str, Any]:
    return {"user": "penstock", "password": "penstock", "host": "127.0.0.1", "port": server.port}


def survives(url: str, stop: Callable[[], None], start: Callable[[], None]) -> None:
    database = MetadataDatabase.open(url)
    try:
        first = call(database, "a")
        stop()
        for _ in range(3):
            with pytest.raises(UnavailableError):
                call(database, "a")
        start()
        assert call(database, "a") == first
        stop()
        start()
        # Nobody noticed but the next call.
        with pytest.raises(UnavailableError):
            call(database, "a")
        assert call(database, "a") == first
    finally:
        database.close()


def test_what_exists_is_the_callers_error_and_no_sql_is_shown(up: Embedded) -> None:
    """The store itself says INTERNAL, and shows its statement."""
    with grpc.insecure_channel(up.grpc) as channel:
        store = service_rpc.MetadataStoreServiceStub(channel)
        for name, external_id in (("first", "the same"), ("second", "")):
            request = service_pb.PutExecutionTypeRequest()
            request.execution_type.name = f"of one external id, {name}"
            request.execution_type.external_id = external_id
            store.PutExecutionType(request, timeout=60)
        request.execution_type.external_id = "the same"
        with pytest.raises(grpc.RpcError) as refused:
            store.PutExecutionType(request, timeout=60)
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    details = refused.value.details() or ""
    assert "Type.external_id" in details
    assert "INSERT" not in details and "UPDATE" not in details
