"""A proxy in front of a server that misbehaves on command: refuses, says nothing, breaks off.

Invariants: a fault is for one connection, in the order in which they were given; without one, bytes pass unchanged.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union


@dataclass(frozen=True)
class Refuse:
    """Answers the connection's first request itself."""

    status: str = "503 Slow Down"
    code: str = "SlowDown"


NOT_IMPLEMENTED = Refuse("501 Not Implemented", "NotImplemented")


@dataclass(frozen=True)
class Stall:
    """Takes what is sent and never says a word."""


@dataclass(frozen=True)
class Cut:
    """Breaks the connection off after so many bytes of answers."""

    after: int


Fault = Union[Refuse, Stall, Cut]


class FaultyProxy:
    def __init__(self, port: int, host: str = "127.0.0.1", *, unanswered: bool = False) -> None:
        """Listens at the address of the server that it stands before. `unanswered`: until `let_in` it takes no
        connections, and who asks for one is told nothing, as by an address that leads nowhere."""
        self._target = (host, port)
        self._listener = socket.create_server((host, 0), backlog=0 if unanswered else None)
        # Linux drops what asks for a connection when the queue of those to be accepted is full.
        self._filler = socket.create_connection(self._listener.getsockname()) if unanswered else None
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.port = int(self._listener.getsockname()[1])
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        """For every connection for which there is no other."""
        self._lose: tuple[bytes, Fault] | None = None
        self.unknown: bytes = b""
        """Requests in which these bytes are are refused with 501: the server does not know what is asked of it."""
        self.met: list[Fault] = []
        """Faults that came into effect."""

    @property
    def endpoint(self) -> str:
        return f"http://{self._target[0]}:{self.port}"

    def __enter__(self) -> FaultyProxy:
        if self._filler is None:
            threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._filler is not None:
            self._filler.close()
        with self._lock:
            for one in self._open:
                _close(one)

    def let_in(self) -> None:
        """Takes connections from now on."""
        assert self._filler is not None
        self._filler.close()
        self._listener.accept()[0].close()
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def asking(self) -> set[int]:
        """The ports of the connections that are being asked for, and not answered."""
        # State 2 is SYN_SENT.
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        to_us = f":{self.port:04X}"
        return {
            int(own.rpartition(":")[2], 16) for _, own, far, state, *_ in lines if state == "02" and far.endswith(to_us)
        }

    def lose_answer_to(self, text: bytes, then: Fault) -> None:
        """The next request in which these bytes are reaches the server and its answer nobody; then another fault."""
        self._lose = (text, then)

    def drop(self) -> None:
        """Closes the connections that are open, so that the next request meets the next fault."""
        with self._lock:
            for one in self._open:
                _close(one)
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            fault = self.faults.popleft() if self.faults else self.always
            if fault is not None:
                self.met.append(fault)
        with contextlib.suppress(OSError):
            if isinstance(fault, Refuse):
                _refuse(client, fault)
            elif isinstance(fault, Stall):
                while client.recv(65536):
                    pass
            else:
                self._pass_on(client, fault)
        _close(client)

    def _pass_on(self, client: socket.socket, fault: Cut | None) -> None:
        server = socket.create_connection(self._target)
        try:
            lost = threading.Event()
            threading.Thread(target=self._pump, args=(client, server, lost), daemon=True).start()
            left = None if fault is None else fault.after
            for data in _chunks(server):
                if lost.is_set():
                    self.drop()
                    return
                client.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        return
        finally:
            _close(server)

    def _pump(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            for data in _chunks(client):
                if self.unknown and self.unknown in data.lower():
                    self.met.append(NOT_IMPLEMENTED)
                    client.sendall(_answer(NOT_IMPLEMENTED, body=True))
                    client.shutdown(socket.SHUT_WR)
                    continue
                if self._lose is not None and self._lose[0] in data:
                    self.faults.append(self._lose[1])
                    self._lose = None
                    lost.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def _refuse(client: socket.socket, fault: Refuse) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := client.recv(65536)):
            return
        data += chunk
    client.sendall(_answer(fault, body=not data.startswith(b"HEAD ")))
    client.shutdown(socket.SHUT_WR)
    # What is still on its way is taken, or the answer would be lost with a reset.
    while client.recv(65536):
        pass


def _answer(fault: Refuse, *, body: bool) -> bytes:
    text = f"<Error><Code>{fault.code}</Code><Message>It was refused.</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (text if body else b"")


def _chunks(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(65536):
        yield data


def _close(one: socket.socket) -> None:
    """Shut down first: another thread that still reads would keep the connection."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
