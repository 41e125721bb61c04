"""Each attempt of a warm worker has an agent process of its own, which is forked from one with everything imported.

Why a process: what an attempt's store, threads or memory become ends with it. Why forked: to start Python and to import
the store would take longer than most of the attempts that a warm worker is for.

Invariants: the process that is forked from runs nothing but imports; a process that does not tell its result before it
ends counts as one that failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.protocol import AgentTask, AttemptResult

_IMPORTED = (
    # Each process runs it again, for what the program's own module defines.
    "penstock_executor.agent.__main__",
    "concurrent.futures.thread",
    "penstock_executor.agent.attempt",
    "penstock_executor.agent.inputs",
    "penstock_executor.agent.outputs",
    "penstock_executor.agent.uploads",
    "penstock_executor.agent.stores",
    "penstock_store.config",
    "penstock_store.files",
    "penstock_store.router",
)
_ENDING: set[asyncio.Future[None]] = set()
"""So that they are not lost before they are done."""


class AttemptProcesses:
    """`share` and `root` as the agent of a Pod has them; `environ` holds the store's credentials."""

    def __init__(self, share: Path, root: Path, environ: Mapping[str, str]) -> None:
        self._share = share
        self._root = root
        self._environ = dict(environ)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_IMPORTED))

    async def start(self) -> AttemptProcess:
        """One that waits for its attempt."""
        ours, theirs = self._context.Pipe()
        arguments = (theirs, str(self._share), str(self._root), self._environ)
        started = AttemptProcess(self._context.Process(target=_run, args=arguments, daemon=True), ours)
        await asyncio.to_thread(started.start, theirs)
        return started


class AttemptProcess:
    def __init__(self, process: multiprocessing.process.BaseProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection

    def start(self, theirs: Connection) -> None:
        """Returns when it can be stopped. One that ends before is heard of by `result`."""
        self._process.start()
        theirs.close()
        with contextlib.suppress(EOFError, OSError):
            self._connection.recv_bytes()

    def give(self, task: AgentTask) -> None:
        with contextlib.suppress(OSError):
            self._connection.send_bytes(task.to_json().encode())

    def wrapper_has_ended(self) -> None:
        """Known for certain, however little the wrapper left of it."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(b"ended")

    def stop(self) -> None:
        """As the end of the Pod: nothing new is fetched, and outputs are not taken any more."""
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    async def result(self) -> AttemptResult:
        result = await asyncio.to_thread(self._result)
        # What it does after its result is to end: nobody waits for that.
        _ENDING.add(ending := asyncio.ensure_future(asyncio.to_thread(self._process.join)))
        ending.add_done_callback(_ENDING.discard)
        return result

    def _result(self) -> AttemptResult:
        try:
            text = self._connection.recv_bytes().decode()
        except (EOFError, OSError):
            self._process.join()
            failure = (INFRASTRUCTURE, f"the agent's process ended with {self._process.exitcode} and no result")
            return AttemptResult(exit=None, failure=failure)
        self._connection.close()
        return AttemptResult.from_json(text)


def _run(connection: Connection, share: str, root: str, environ: Mapping[str, str]) -> None:
    from penstock_executor.agent.attempt import Attempt
    from penstock_executor.agent.outputs import PodFiles
    from penstock_executor.agent.share import Share
    from penstock_executor.agent.stores import open_store

    # Until the attempt takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    # The attempt may run as any user, who has to read and write these files.
    os.umask(0)
    connection.send_bytes(b"started")
    try:
        task = AgentTask.from_json(connection.recv_bytes().decode())
    except EOFError:
        os._exit(0)
    # Nothing comes over the connection but that the wrapper has ended.
    where = Share(Path(share), wrapper_ended=connection.fileno())
    attempt = Attempt(task, where, PodFiles(Path(root), Path(share)), lambda: open_store(task, environ))
    # The text of a failure may hold a file name that is not valid UTF-8.
    connection.send_bytes(attempt.run().to_json().encode("utf-8", "replace"))
    connection.close()
    # Threads of a store that hang are not waited for.
    os._exit(0)
