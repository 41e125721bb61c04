"""The process that reads documents: takes a task from its socket, does it, sends the result, takes the next.

Why a process: reading a document holds the GIL, and a large one holds it for seconds in which nobody else is served.

Invariants: what crosses the socket is JSON and bytes, never pickled objects, so a document that took this process over
would still not have the server. The process is nice, its memory is bounded, and it ends itself when a task takes too
much time of a processor, when it has grown, when nobody needs it for a while, and with its parent. It ends with 0 only
between tasks.

Messages, each a frame of `multiprocessing.connection`: a task is JSON (`task`, which is `module:function`, and
`values`) and content; a reply is JSON (`outcome`, `values`) and content. The function gets and returns values and
content.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

DONE, MEMORY, FAILED = "done", "memory", "failed"
IDLE_SECONDS = 120.0
OVERTIME = signal.SIGPROF
# Below tasks and other programs of the machine, but not so far that a busy one never reads a document.
_NICE = 5
# A process that has more than this after a task gives way to a new one.
_LARGE_BYTES = 192 << 20
_PR_SET_DUMPABLE = 4


def main(descriptor: int, memory_bytes: int, cpu_seconds: float) -> None:
    """Does tasks until the socket ends. A task that takes `cpu_seconds` of processor time ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    # When the machine has no memory left, this process and no other ends. Written before it cannot be dumped, which
    # gives the file to root.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "linux":
        # No task of the same user may read the documents of others in its memory.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # What documents become has no cycles, and looking for them takes as long as making it.
    gc.disable()
    # Systems without this limit refuse it.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    connection = Connection(descriptor)
    while connection.poll(IDLE_SECONDS):
        try:
            task, content = json.loads(connection.recv_bytes()), connection.recv_bytes()
        except (EOFError, OSError):
            return
        # The default action of its signal, OVERTIME, ends the process, even inside of a library.
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        outcome, values, result = _done(task, content)
        signal.setitimer(signal.ITIMER_PROF, 0)
        del task, content
        try:
            connection.send_bytes(json.dumps({"outcome": outcome, "values": values}).encode())
            connection.send_bytes(result)
        except OSError:
            return
        del values, result
        gc.collect()
        if outcome == MEMORY or _resident_bytes() > _LARGE_BYTES:
            return


def _done(task: dict[str, Any], content: bytes) -> tuple[str, Any, bytes]:
    """Outcome, values and content."""
    module, _, name = task["task"].partition(":")
    try:
        values, result = getattr(importlib.import_module(module), name)(task["values"], content)
    except MemoryError:
        return MEMORY, {}, b""
    except Exception:  # noqa: BLE001 - the parent logs it; this process must be there for the next task
        return FAILED, {"traceback": traceback.format_exc()[-4000:]}, b""
    return DONE, values, result


def _resident_bytes() -> int:
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


if __name__ == "__main__":
    # The directory of this file is no place to import from.
    del sys.path[0]
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
