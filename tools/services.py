"""A program that listens on a port of this machine, for as long as a block lasts.

Invariant: whatever the program started is ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, host: str = "127.0.0.1") -> Iterator[None]:
    """Until the port is listened on. Raises RuntimeError with what the program said when it never is."""
    with tempfile.TemporaryFile() as log:
        # A group of its own: what is called node may be a program that starts it.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            until = time.monotonic() + 60
            while not _listens(host, port):
                if time.monotonic() > until or process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]}: {log.read()[-2000:].decode(errors='replace')}")
                time.sleep(0.05)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
