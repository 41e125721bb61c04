"""How the processes of one server reach each other: what has to be asked of all, and what all hear at once.

Why: a scrape of /metrics and a probe of /livez come to one process, whichever the system chose, and have to be about
all. A claim or a watch that waits in one process would hear of what another committed only when it looks at the
database again, half a second later.

Invariants: sockets have abstract names, so nothing is left on a disk, and only a peer of the same user is believed.
Asking is bounded by time, whatever the others do. A notice may be lost, as whoever waits looks by itself too.
"""

from __future__ import annotations

import http.client
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum

from penstock_server.processes import Process

log = logging.getLogger(__name__)

# Of one of them, which may be busy; probes of Kubernetes wait for five seconds.
_ANSWER_SECONDS = 3.0
_ASKED_AT_ONCE = 16
_CREDENTIALS = struct.Struct("3i")


class Siblings:
    """Asks the other processes of `process` over the sockets on which they serve probes; `metrics` and `silent` block.

    One that is not there, as it is being started, is passed over: no connection comes to it.
    """

    def __init__(self, process: Process, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._process = process
        self._answer_seconds = answer_seconds
        self._pool = ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="siblings")

    def metrics(self) -> list[bytes]:
        """The text format of each that answers."""
        return [body for body in self._ask("/metrics").values() if body]

    def silent(self) -> list[int]:
        """The numbers of those that are there and do not answer."""
        return [number for number, body in self._ask("/livez").items() if body is None]

    def _ask(self, path: str) -> dict[int, bytes | None]:
        """By number: the answer, None for one that took too long, empty for one that is not there."""
        numbers = self._process.siblings()
        return dict(zip(numbers, self._pool.map(lambda number: self._asked(number, path), numbers), strict=True))

    def _asked(self, number: int, path: str) -> bytes | None:
        connection = _Connection(self._process.socket_name(number, PROBES), self._answer_seconds)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.read() if reply.status == http.client.OK else None
        except TimeoutError:
            log.warning("process %d does not answer %s", number, path)
            return None
        except (OSError, http.client.HTTPException):
            return b""
        finally:
            connection.close()


PROBES = "probes"
"""The purpose of a process's socket on which `gateway.probes` is served for the others."""
_NOTICES = "notices"


class _Connection(http.client.HTTPConnection):
    def __init__(self, name: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._name = name

    def connect(self) -> None:
        """To the socket of that name. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._name)
        _, user, _ = _CREDENTIALS.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user != os.geteuid():
            raise PermissionError(f"{self._name!r} is another user's")


class Notice(Enum):
    """What a process tells the others."""

    RUN_WAITS = b"r"
    """A run waits for an executor."""
    COMMITTED = b"c"
    """Something of a run was committed."""


class Notices:
    """Between the processes of a server; does nothing in one that is alone. `close` ends what `start` began."""

    def __init__(self, process: Process) -> None:
        self._socket: socket.socket | None = None
        self._others: Sequence[str] = ()
        if not process.is_alone():
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(process.socket_name(process.number, _NOTICES))
            self._others = [process.socket_name(number, _NOTICES) for number in process.siblings()]

    def tell(self, notice: Notice) -> None:
        """Returns at once. One that is not there, or has not yet read what it was told before, is passed over."""
        if self._socket is not None:
            for name in self._others:
                with suppress(OSError):
                    self._socket.sendto(notice.value, socket.MSG_DONTWAIT, name)

    def start(self, heard: Mapping[Notice, Callable[[], None]]) -> None:
        """Calls these, each on the same thread, when another process tells."""
        if self._socket is not None:
            arguments = self._socket, {notice.value: call for notice, call in heard.items()}
            threading.Thread(target=_listen, args=arguments, name="notices", daemon=True).start()

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def _listen(own: socket.socket, heard: Mapping[bytes, Callable[[], None]]) -> None:
    while True:
        try:
            notice = own.recv(16)
        except OSError:
            return
        if not notice:
            return
        call = heard.get(notice)
        if call is not None:
            call()
