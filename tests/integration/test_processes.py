"""A server of several processes: its clients, its ports, its ends, and the end of one process."""

from __future__ import annotations

import errno
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import grpc
import psutil
import psycopg
import pytest
from google.protobuf import json_format
from penstock.settings import options, rows
from penstock_api.v1 import watch_pb2, watch_pb2_grpc
from penstock_api.v2beta1 import run_pb2, run_pb2_grpc
from penstock_server.composition import build_services
from penstock_server.processes import Process
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.runs import NewRun
from penstock_server.settings import Settings
from penstock_server.siblings import Notices
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry
from penstock_server.workers.pool import Workers
from penstock_store.config import StoreConfig

from tests.support.certificates import LOCAL, Authority
from tests.support.processes import ServerOfProcesses, got, server_of_processes
from tools.databases import PostgreSQL
from tools.testing import runs, specs

_WAIT_FOR_A_LOCK = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""

_ONE_WATCH = ("penstock_watches_open", 1.0)


@pytest.fixture(scope="module")
def server(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerOfProcesses]:
    """For tests that leave its processes as they are."""
    database = postgresql_server.database(f"p{uuid.uuid4().hex}")
    with server_of_processes(tmp_path_factory.mktemp("processes"), database) as running:
        yield running


@pytest.fixture
def own(postgresql_url: str, tmp_path: Path) -> Iterator[ServerOfProcesses]:
    with server_of_processes(tmp_path, postgresql_url) as running:
        yield running


def new_run() -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "one of many"
    json_format.ParseDict(specs.container(["true"]), request.run.pipeline_spec)
    return request


def service(channel: grpc.Channel) -> Any:
    return run_pb2_grpc.RunServiceStub(channel)


def created(channel: grpc.Channel) -> str:
    return str(service(channel).CreateRun(new_run(), timeout=30).run_id)


def terminated(connection: http.client.HTTPConnection, run_id: str) -> tuple[int, bytes]:
    """Of a termination."""
    connection.request("POST", f"/apis/v2beta1/runs/{run_id}:terminate", b"{}", {"Content-Type": "application/json"})
    reply = connection.getresponse()
    return reply.status, reply.read()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_connections_are_spread_and_any_process_tells_the_figures_of_all(server: ServerOfProcesses) -> None:
    before = Counter(server.answered("GetRun"))
    with ExitStack() as stack:
        channels = [stack.enter_context(server.channel()) for _ in range(24)]
        run_id = created(channels[0])
        for channel in channels:
            # That all go to one process happens once in eight million times.
            service(channel).GetRun(run_pb2.GetRunRequest(run_id=run_id), timeout=30)
    with server.connected() as connections:
        for connection in connections.values():
            status, content = got(connection, f"/apis/v2beta1/runs/{run_id}")
            assert (status, json.loads(content)["run_id"]) == (200, run_id)
    answered = Counter(server.answered("GetRun")) - before
    assert set(answered) == {"0", "1"}
    assert answered.total() == 26
    # Whichever is asked: the same series, once each, and those of the database without a process.
    seen = {frozenset(server.figures()) for _ in range(12)}
    assert len({frozenset(key for key in one if key[1]) for one in seen}) == 1
    assert ("penstock_runs_waiting", "", "") in server.figures()


def test_a_watch_tells_what_the_other_process_committed(server: ServerOfProcesses) -> None:
    with server.channel() as channel, server.connected() as connections:
        run_id = created(channel)
        request = watch_pb2.WatchRunRequest(run_id=run_id)
        watch: Any = watch_pb2_grpc.WatchServiceStub(channel).WatchRun(request, timeout=100)
        begun = next(watch)
        (watching,) = (one for (name, one, _), value in server.figures().items() if (name, value) == _ONE_WATCH)
        assert terminated(connections[1 - int(watching)], run_id) == (200, b"{}")
        assert next(watch).sequence > begun.sequence
        watch.cancel()


def test_a_claim_that_waits_in_one_process_hears_of_a_run_made_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services of two processes, here in one, where claims never look by themselves."""
    monkeypatch.setattr(DispatchService, "_recheck", lambda _: False)
    database, looked = Database(f"sqlite:///{tmp_path}/penstock.db"), threading.Event()
    database.migrate()
    command = click.Command("server", params=options(rows(Settings)))
    settings = Settings(**command.make_context("server", ["--data-dir", str(tmp_path)]).params)
    key = uuid.uuid4().hex
    all_notices = [Notices(Process(number, 2, None, key)) for number in range(2)]
    (public, making), (_, claiming) = (
        build_services(settings, database, StoreConfig(), {}, Telemetry(lambda: (0, 0)), Workers({}), notices)
        for notices in all_notices
    )
    database.observe(lambda kind, seconds: looked.set())
    with ThreadPoolExecutor(1) as pool:
        claim = pool.submit(claiming.claim, "executor/1", 1, 20_000, 60_000)
        assert looked.wait(30), "there is no run yet"

        def made() -> bool:
            public.runs.create(NewRun("one", pipeline_spec=specs.container(["true"])))
            return claim.done()

        runs.until(made, bool)
        assert len(claim.result().runs) == 1
    for dispatch in (making, claiming):
        dispatch.stop()
    for notices in all_notices:
        notices.close()
    database.dispose()


def test_the_death_of_a_process_costs_its_calls_alone(own: ServerOfProcesses) -> None:
    """Its clients hear UNAVAILABLE, go on at once, and find what was acknowledged; it is replaced."""
    before, over = own.pids(), threading.Event()
    failures: list[grpc.StatusCode] = []
    acknowledged: list[str] = []
    after_the_death = Counter[int]()
    killed = threading.Event()

    def client(number: int) -> None:
        with own.channel() as channel:
            run_id = ""
            while not over.is_set():
                try:
                    if not run_id or after_the_death[number] % 2:
                        run_id = created(channel)
                        acknowledged.append(run_id)
                    service(channel).GetRun(run_pb2.GetRunRequest(run_id=run_id), timeout=30)
                except grpc.RpcError as error:
                    failures.append(error.code())
                else:
                    after_the_death[number] += killed.is_set()

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        try:
            runs.until(lambda: len(acknowledged), lambda many: many >= 8)
            psutil.Process(before[0]).kill()
            killed.set()
            runs.until(lambda: min(after_the_death[number] for number in range(8)), lambda least: least >= 10)
            runs.until(own.pids, lambda pids: pids[0] != before[0])
        finally:
            over.set()
        for one in clients:
            one.result()
    assert set(failures) == {grpc.StatusCode.UNAVAILABLE}
    assert own.pids()[1] == before[1]
    assert f"process 0, pid {before[0]}, ended: signal 9; again in 0.5 s" in own.log
    with own.channel() as channel, own.connected():
        for run_id in acknowledged:
            service(channel).GetRun(run_pb2.GetRunRequest(run_id=run_id), timeout=30)
    print(f"{len(acknowledged)} runs, {len(failures)} calls failed")  # noqa: T201


def test_pauses_grow_for_a_process_that_dies_again(own: ServerOfProcesses) -> None:
    for seconds in ("0.5", "1", "2"):
        pid = own.pids()[1]
        psutil.Process(pid).kill()
        runs.until(own.pids, lambda pids: pids[1] != pid)  # noqa: B023
        assert f"process 1, pid {pid}, ended: signal 9; again in {seconds} s" in own.log


def test_calls_under_way_in_every_process_end_well(own: ServerOfProcesses, postgresql_url: str) -> None:
    """SIGTERM to the first process while each has a call that waits for a lock."""
    everything = own.all_processes()
    with own.channel() as channel:
        ids = [created(channel) for _ in range(2)]
    with (
        own.connected() as connections,
        ThreadPoolExecutor(2) as pool,
        psycopg.connect(postgresql_url, autocommit=True) as looking,
    ):
        with psycopg.connect(postgresql_url) as holding:
            holding.execute("SELECT run_id FROM runs FOR UPDATE")
            calls = [
                pool.submit(terminated, connection, run_id)
                for connection, run_id in zip(connections.values(), ids, strict=True)
            ]
            runs.until(lambda: looking.execute(_WAIT_FOR_A_LOCK).fetchone(), lambda row: row == (2,))
            own.send(signal.SIGTERM)
            for number in own.pids():
                runs.until(lambda: f"[{number}] penstock_server.serving: stopping" in own.log, bool)  # noqa: B023
            until_refused(own)
        assert [one.result(30) for one in calls] == [(200, b"{}")] * 2
    assert own.process is not None
    assert own.process.wait(30) == 0
    assert gone(everything)


def until_refused(server: ServerOfProcesses) -> None:
    """Each process closes its port by itself, right after it says that it stops."""

    def refused() -> bool:
        with socket.socket() as probe:
            host, _, port = server.http.rpartition(":")
            return probe.connect_ex((host, int(port))) == errno.ECONNREFUSED

    runs.until(refused, bool)


def test_processes_end_with_their_supervisor_and_leave_their_ports(own: ServerOfProcesses) -> None:
    everything = own.all_processes()
    own.kill()
    runs.until(lambda: gone(everything), bool, 30)
    own.start()
    own.ready()
    assert set(own.pids().values()).isdisjoint({one.pid for one in everything})
    with own.connected():
        pass


def test_a_process_that_stands_still_is_told_by_the_other(server: ServerOfProcesses) -> None:
    stopped = psutil.Process(server.pids()[1])
    with server.connected() as connections:
        other = connections[0]
        assert got(other, "/livez") == (200, b'{"alive": true}')
        stopped.suspend()
        runs.until(stopped.status, lambda status: status == psutil.STATUS_STOPPED)
        try:
            status, content = got(other, "/livez")
            assert (status, json.loads(content)["problems"]) == (503, ["process 1 does not answer"])
            # Its figures are missing, those of the other are not.
            assert b'process_start_time_seconds{process="0"}' in got(other, "/metrics")[1]
            assert got(other, "/readyz")[0] == 200
        finally:
            stopped.resume()
        assert runs.until(lambda: got(other, "/livez")[0], lambda status: status == 200) == 200


def started(*options: str) -> subprocess.CompletedProcess[str]:
    """A server that cannot start."""
    command = [sys.executable, "-m", "penstock_server.main", "--processes", "3", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_what_cannot_be_used_is_said_once(tmp_path: Path, postgresql_url: str) -> None:
    ports = [word for port in ("--grpc", "--http", "--dispatch") for word in (port, "127.0.0.1:0")]
    given = ["--data-dir", str(tmp_path), "--metadata-database", "none", *ports]
    away = started(*given, "--database", "postgresql://nobody@127.0.0.1:1/none")
    assert (away.returncode, away.stderr.count("Error: ")) == (1, 1)
    assert "Connection refused" in away.stderr
    wrong = started(*given, "--database", postgresql_url, "--multi-user")
    assert (wrong.returncode, wrong.stderr.count("Error: ")) == (2, 1)
    assert "--multi-user: namespaces can be kept apart only where callers say who they are" in wrong.stderr
    assert not away.stdout and not wrong.stdout


@pytest.mark.parametrize("option", ["grpc", "http", "dispatch"])
def test_ports_of_another_server_of_processes_are_refused(
    option: str, server: ServerOfProcesses, tmp_path: Path, postgresql_url: str
) -> None:
    """The system would let them be shared, as both are of one user."""
    ports = {"grpc": "127.0.0.1:0", "http": "127.0.0.1:0", "dispatch": "127.0.0.1:0", option: getattr(server, option)}
    given = [word for name, address in ports.items() for word in (f"--{name}", address)]
    second = started(*given, "--data-dir", str(tmp_path), "--metadata-database", "none", "--database", postgresql_url)
    assert second.returncode == 2
    assert f"--{option}: {ports[option]} cannot be used: Address already in use" in second.stderr


def test_a_port_that_the_system_chooses_is_the_same_for_all(postgresql_url: str, tmp_path: Path) -> None:
    listening: Callable[[int], set[int]] = lambda pid: {  # noqa: E731
        one.laddr.port
        for one in psutil.Process(pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr
    }
    with server_of_processes(tmp_path, postgresql_url, 2, "--grpc", "127.0.0.1:0", "--http", "localhost:0") as chosen:
        first, second = (listening(pid) for pid in chosen.pids().values())
        assert first == second
        assert len(first) == 3


def test_a_renewed_certificate_is_served_by_every_process(postgresql_url: str, tmp_path: Path) -> None:
    certificate, private = tmp_path / "tls.crt", tmp_path / "tls.key"

    def renew() -> bytes:
        issued, key = Authority().issue("server", LOCAL)
        private.write_bytes(key)
        certificate.write_bytes(issued)
        return ssl.PEM_cert_to_DER_cert(issued.decode())

    first = renew()
    tls = ["--tls-cert", str(certificate), "--tls-key", str(private)]
    with server_of_processes(tmp_path, postgresql_url, 2, *tls) as secure:
        assert served(secure) == {first}
        second = renew()
        # Of sixteen connections all go to one process once in thirty thousand times.
        runs.until(lambda: served(secure), lambda found: found == {second})


def served(secure: ServerOfProcesses) -> set[bytes]:
    """The certificates that sixteen connections to the HTTP port are shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = secure.http.rpartition(":")
    found = set()
    for _ in range(16):
        with socket.create_connection((host, int(port)), 30) as plain, context.wrap_socket(plain) as wrapped:
            found.add(wrapped.getpeercert(binary_form=True) or b"")
    return found
