"""How many processes a server has, and what they tell each other."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from aiohttp import web
from penstock.option_types import Address
from penstock.settings import options, rows
from penstock_server.gateway.probes import probes_app
from penstock_server.gateway.server import GatewayServer, PrivateSite
from penstock_server.processes import ALONE, Process, usable_cpus
from penstock_server.settings import MAX_PROCESSES, Settings
from penstock_server.siblings import PROBES, Notice, Notices, Siblings
from penstock_server.supervisor import how_many
from penstock_server.taken_ports import take
from penstock_server.telemetry import Port, Telemetry
from prometheus_client.parser import text_string_to_metric_families

POSTGRESQL = "postgresql://user@host/name"


def settings(*words: str) -> Settings:
    return Settings(**click.Command("test", params=options(rows(Settings))).make_context("test", [*words]).params)


@pytest.fixture
def processes() -> tuple[Process, Process, Process]:
    key = os.urandom(8).hex()
    first, second, third = (Process(number, 3, None, key) for number in range(3))
    return first, second, third


def serving(process: Process, app: web.Application) -> GatewayServer:
    gateway = GatewayServer([], private=[PrivateSite(app, process.socket_name(process.number, PROBES))])
    gateway.start()
    return gateway


def test_one_process_unless_more_are_asked_for() -> None:
    assert how_many(settings()) == 1
    several = ["--processes", "3", "--database", POSTGRESQL]
    assert how_many(settings(*several, "--metadata-database", "none")) == 3
    assert how_many(settings(*several, "--metadata-database", POSTGRESQL)) == 3
    for given in ("0", "-1", str(MAX_PROCESSES + 1), "many"):
        with pytest.raises(click.BadParameter):
            settings("--processes", given)


@pytest.mark.parametrize(
    ("words", "option"),
    [((), "--database"), (("--database", POSTGRESQL), "--metadata-database")],
)
def test_sqlite_is_for_one_process(words: tuple[str, ...], option: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        how_many(settings("--processes", "2", *words))
    assert f"--processes: 2 cannot be: {option} is SQLite" in str(caught.value)
    assert how_many(settings("--processes", "auto", *words)) == 1


def test_auto_is_as_many_as_there_are_processors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    quota = tmp_path / "cpu.max"
    assert usable_cpus(quota) == 8
    for text, count in (("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8)):
        quota.write_text(text)
        assert usable_cpus(quota) == count, text
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(500)), raising=False)
    auto = settings("--processes", "auto", "--database", POSTGRESQL, "--metadata-database", "none")
    assert 1 <= how_many(auto) <= MAX_PROCESSES


def test_an_address_is_taken_for_those_who_share_it_alone() -> None:
    address, taken = take(Address("localhost", 0), "--grpc")
    try:
        with pytest.raises(click.UsageError, match=r"--http: localhost:.* cannot be used"):
            take(address, "--http")
        with socket.socket() as shared:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(("127.0.0.1", address.port))
            shared.listen()
            # Nothing is kept by what only holds the port.
            for _ in range(20):
                socket.create_connection(("127.0.0.1", address.port)).close()
                shared.accept()[0].close()
    finally:
        for one in taken:
            one.close()
    for host in ("nobody.invalid", "203.0.113.1"):
        with pytest.raises(click.UsageError, match=r"--dispatch: .* cannot be used: "):
            take(Address(host, 0), "--dispatch")


def samples(exposition: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    names = []
    for family in text_string_to_metric_families(exposition.decode()):
        names.append(family.name)
        for one in family.samples:
            key = one.name, tuple(sorted(one.labels.items()))
            assert key not in found
            found[key] = one.value
    assert len(names) == len(set(names)), "the lines of a metric stand together"
    return found


def test_metrics_of_all_processes_are_told_apart() -> None:
    first = Telemetry(lambda: (3, 1), 0)
    second = Telemetry(lambda: (3, 1), 1, lambda: [first.own_exposition()])
    first.committed(5)
    second.committed(2)
    with first.call("/Get") as done:
        done("OK")
    found = samples(second.exposition())
    assert found[("penstock_run_events_total", (("process", "0"),))] == 5
    assert found[("penstock_run_events_total", (("process", "1"),))] == 2
    assert found[("penstock_rpc_seconds_count", (("code", "OK"), ("method", "/Get"), ("process", "0")))] == 1
    assert found[("penstock_runs_waiting", ())] == 3
    refusals = (("limit", "calls"), ("port", Port.DISPATCH.value), ("process", "1"))
    assert found[("penstock_limit_refusals_total", refusals)] == 0
    alone = samples(Telemetry(lambda: (3, 1)).exposition())
    assert not any(dict(labels).get("process") for _, labels in alone)
    assert {name for name, _ in alone} <= {name for name, _ in found}


def test_siblings_answer_are_silent_or_are_not_there(processes: tuple[Process, Process, Process]) -> None:
    """The first asks; of the second only the socket is there, as of a process that stands still."""
    first, second, third = processes
    asking = Siblings(first, answer_seconds=0.2)
    assert (asking.silent(), asking.metrics()) == ([], [])
    gateway = serving(third, probes_app(lambda: b"figures", list))
    with socket.socket(socket.AF_UNIX) as standing_still:
        standing_still.bind(first.socket_name(second.number, PROBES))
        standing_still.listen()
        assert (asking.silent(), asking.metrics()) == ([1], [b"figures"])
    assert asking.silent() == []
    gateway.stop(5)


def test_another_users_socket_is_not_believed(
    processes: tuple[Process, Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = processes
    gateway = serving(second, probes_app(lambda: b"figures", list))
    with monkeypatch.context() as another:
        another.setattr(os, "geteuid", lambda: 12345)
        assert Siblings(first).metrics() == []
    assert Siblings(first).metrics() == [b"figures"]
    gateway.stop(5)


def test_a_process_serves_its_siblings_nothing_of_others(processes: tuple[Process, Process, Process]) -> None:
    """Else they would ask each other in a circle."""
    first, second, _ = processes
    telemetry = Telemetry(lambda: (1, 1), 1, lambda: [b"never"])
    gateway = serving(second, probes_app(telemetry.own_exposition, list))
    (told,) = Siblings(first).metrics()
    assert b"never" not in told and b'process="1"' in told
    gateway.stop(5)


@pytest.fixture
def notices(processes: tuple[Process, Process, Process]) -> Iterator[list[Notices]]:
    made = [Notices(one) for one in processes]
    yield made
    for one in made:
        one.close()


def test_a_notice_is_heard_by_all_others(notices: list[Notices]) -> None:
    heard = [threading.Event() for _ in notices]
    for one, event in zip(notices, heard, strict=True):
        one.start({Notice.RUN_WAITS: event.set})
    # Nobody wants to hear of it.
    notices[0].tell(Notice.COMMITTED)
    notices[0].tell(Notice.RUN_WAITS)
    assert heard[1].wait(10) and heard[2].wait(10)
    assert not heard[0].is_set()


def test_telling_never_waits(notices: list[Notices]) -> None:
    """Of the others one reads nothing and one is gone."""
    notices[2].close()
    began = time.monotonic()
    for _ in range(5_000):
        notices[0].tell(Notice.COMMITTED)
    assert time.monotonic() - began < 10


def test_one_that_is_alone_has_nobody_to_tell() -> None:
    alone = Notices(ALONE)
    alone.start({Notice.COMMITTED: lambda: pytest.fail("nobody tells")})
    alone.tell(Notice.COMMITTED)
    alone.close()


def test_a_line_goes_to_the_supervisor() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Process(1, 2, theirs).say_ready("ready here")
        assert ours.recv(100) == b"ready here\n"
    ALONE.say_ready("nobody listens")


def test_names_of_sockets_do_not_tell_the_key() -> None:
    process = Process(0, 2, cast(Any, SimpleNamespace()), "secret")
    assert process.socket_name(1, "x") == Process(1, 2, None, "secret").socket_name(1, "x")
    assert process.socket_name(1, "x") != Process(1, 2, None, "another").socket_name(1, "x")
    assert "secret" not in process.socket_name(1, "x")
