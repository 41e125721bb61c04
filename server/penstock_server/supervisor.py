"""Starts the processes of a server and keeps them running (`--processes`).

Each is a complete server that listens on the same ports (`SO_REUSEPORT`): the system gives each new connection to one
of them. This process only supervises. It forks, so that a process has the settings without reading them again, and
imports nothing that starts a thread, so that forking is safe.

Invariants: ports are chosen and taken once, before the first process, and kept while processes come and go; a port that
another program uses is refused, also one that is shared in the same way. The first process starts alone, so that what
cannot be used is said once, and the schema is there when the others start. A process that ends is started again after
a growing pause; one that fails to start while no other answers ends the server with its exit code, one that is killed
then only if none ever answered. SIGTERM and SIGINT go to all. When this process is gone, the others notice and stop.
"""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import click

from penstock_server.processes import Process, usable_cpus
from penstock_server.settings import MAX_PROCESSES, Settings
from penstock_server.taken_ports import take

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# A process that has answered for so long begins with the first pause again.
_HEALTHY_SECONDS = 60.0
# Longer than a process takes, which gives calls under way ten seconds.
_STOP_SECONDS = 20.0
_NEVER = float("inf")


def how_many(settings: Settings) -> int:
    """Processes of the server that these settings are for.

    Raises click.UsageError where several were asked for and cannot be.
    """
    problem = _why_one(settings)
    if settings.processes == 0:
        count = 1 if problem else min(usable_cpus(), MAX_PROCESSES)
        log.info("processes: %d%s", count, f", because {problem}" if problem else "")
        return count
    if settings.processes > 1 and problem:
        raise click.UsageError(f"--processes: {settings.processes} cannot be: {problem}")
    return settings.processes


def _why_one(settings: Settings) -> str:
    """Why there can be one process only; empty when there can be several."""
    if not sys.platform.startswith("linux"):
        return "only Linux spreads connections over processes"
    for option, url in (
        ("--database", settings.database_url()),
        ("--metadata-database", settings.metadata_database_url()),
    ):
        if url.startswith("sqlite"):
            return f"{option} is SQLite, a file for one process; several need PostgreSQL or MariaDB"
    return ""


def supervise(settings: Settings, count: int) -> tuple[Settings, Process]:
    """Returns in each process that it starts, with the ports that were chosen; by itself it ends the program.

    Raises click.UsageError for addresses that cannot be used, and SystemExit.
    """
    grpc, taken = take(settings.grpc, "--grpc")
    http, of_http = take(settings.http, "--http")
    dispatch, of_dispatch = take(settings.dispatch, "--dispatch")
    health, of_health = settings.health_address, list[socket.socket]()
    if health is not None:
        health, of_health = take(health, "--health-address")
    settings = replace(settings, grpc=grpc, http=http, dispatch=dispatch, health_address=health)
    return settings, _Supervisor(count, [*taken, *of_http, *of_dispatch, *of_health]).run()


@dataclass(slots=True)
class _Place:
    """Of a process, which is replaced when it ends. `pid` is 0 while there is none; `starts` is when there will be."""

    number: int
    pid: int = 0
    starts: float = _NEVER
    pause: float = _FIRST_PAUSE_SECONDS
    connection: socket.socket | None = None
    said: bytearray = field(default_factory=bytearray)
    ready: float | None = None
    """Since when its ports answer."""


class _Supervisor:
    def __init__(self, count: int, taken: Sequence[socket.socket]) -> None:
        self._taken = taken
        self._places = [_Place(number) for number in range(count)]
        self._key = secrets.token_hex(32)
        self._others_begun = False
        self._announced = False
        self._code = 0
        self._stops: float | None = None
        """By when all have to be gone."""
        self._reader, self._writer = socket.socketpair()
        self._selector = selectors.DefaultSelector()

    def run(self) -> Process:
        """Returns in a new process alone."""
        for one in (self._reader, self._writer):
            one.setblocking(False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._reader, selectors.EVENT_READ)
        self._places[0].starts = time.monotonic()
        while True:
            for place in self._places:
                if self._stops is None and not place.pid and place.starts <= time.monotonic():
                    process = self._start(place)
                    if process is not None:
                        return process
            events = self._selector.select(self._rest())
            # Signals first: what ends because it was told to, as we were, is not started again.
            if any(key.fileobj is self._reader for key, _ in events):
                self._signalled()
            for key, _ in events:
                if isinstance(key.data, _Place):
                    self._hear(key.data)
            self._reap()
            if self._stops is not None:
                self._end_when_all_are_gone(self._stops)

    def _rest(self) -> float | None:
        """Seconds until something has to be done that no event tells."""
        moments = [place.starts for place in self._places if not place.pid] if self._stops is None else [self._stops]
        first = min(moments, default=_NEVER)
        return None if first == _NEVER else max(0.0, first - time.monotonic())

    def _start(self, place: _Place) -> Process | None:
        """A process in that place: returns it there, and None here."""
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # Between the fork and the new process's own handlers a signal would go to ours.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._leave_behind()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return Process(place.number, len(self._places), theirs, self._key)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        theirs.close()
        ours.setblocking(False)
        place.pid, place.starts, place.ready, place.connection = pid, _NEVER, None, ours
        place.said.clear()
        self._selector.register(ours, selectors.EVENT_READ, place)
        return None

    def _leave_behind(self) -> None:
        """In a new process: closes what is the supervisor's, so that it is gone when the supervisor is."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        connections = [place.connection for place in self._places if place.connection is not None]
        for one in (self._reader, self._writer, *self._taken, *connections):
            one.close()

    def _signalled(self) -> None:
        try:
            numbers = self._reader.recv(4096)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()

    def _hear(self, place: _Place) -> None:
        if place.connection is None:
            return
        try:
            data = place.connection.recv(4096)
        except OSError:
            data = b""
        if not data:
            # It has ended, or is about to.
            self._hang_up(place)
            return
        place.said += data
        if place.ready is None and place.said.endswith(b"\n"):
            place.ready = time.monotonic()
            log.info("process %d is ready, pid %d", place.number, place.pid)
            self._one_is_ready(place.said.decode().rstrip("\n"))

    def _hang_up(self, place: _Place) -> None:
        if place.connection is not None:
            self._selector.unregister(place.connection)
            place.connection.close()
            place.connection = None

    def _one_is_ready(self, line: str) -> None:
        if not self._others_begun:
            self._others_begun = True
            for place in self._places[1:]:
                place.starts = time.monotonic()
        if not self._announced and all(place.ready is not None for place in self._places):
            self._announced = True
            click.echo(line)
            sys.stdout.flush()

    def _reap(self) -> None:
        while True:
            try:
                # Of all: as the first process of a container this one gets those that others leave behind.
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for place in self._places:
                if place.pid == pid:
                    self._ended(place, os.waitstatus_to_exitcode(status))

    def _ended(self, place: _Place, code: int) -> None:
        """A negative `code` is that of a signal."""
        pid, place.pid = place.pid, 0
        self._hear(place)
        self._hang_up(place)
        ready, place.ready = place.ready, None
        if self._stops is not None:
            # One that was told to stop before it listened to signals is ended by them.
            if code and not (ready is None and code in (-signal.SIGTERM, -signal.SIGINT)):
                self._code = self._code or 1
            return
        # What is killed has not said that it cannot start; where nothing ever answered, nobody waits to find out.
        failed = ready is None and (code > 0 or not self._others_begun)
        if failed and all(one.ready is None for one in self._places):
            log.error("process %d, pid %d, could not start, and no other answers: the server ends", place.number, pid)
            self._code = code if code > 0 else 1
            self._stop()
            return
        if ready is not None and time.monotonic() - ready >= _HEALTHY_SECONDS:
            place.pause = _FIRST_PAUSE_SECONDS
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        log.error("process %d, pid %d, ended: %s; again in %g s", place.number, pid, how, place.pause)
        place.starts = time.monotonic() + place.pause
        place.pause = min(2 * place.pause, _LONGEST_PAUSE_SECONDS)

    def _stop(self) -> None:
        """Tells all once; they give calls under way their time."""
        if self._stops is None:
            self._stops = time.monotonic() + _STOP_SECONDS
            self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        for place in self._places:
            if place.pid:
                os.kill(place.pid, number)

    def _end_when_all_are_gone(self, by: float) -> None:
        if not any(place.pid for place in self._places):
            self._exit()
        if time.monotonic() >= by:
            log.error("processes that did not end in %g s are killed", _STOP_SECONDS)
            self._code = self._code or 1
            self._send(signal.SIGKILL)
            self._stops = _NEVER

    def _exit(self) -> NoReturn:
        raise SystemExit(self._code)
