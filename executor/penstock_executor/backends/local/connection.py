"""The executor's connection to a fork server: starts the server when it does not run, sends launches, is told of exits.

Invariants: a fork server belongs to the path of its socket, not to an executor: it has a session of its own and
outlives us. When the connection breaks, the callback of every attempt is called, which looks at the attempt's
directory. Only an error of reading or decoding breaks the connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_START_SECONDS = 30.0
_LINE_BYTES = 64 * 1024 * 1024
PROGRAM = Path(__file__).with_name("fork_server.py")


class ForkServerGoneError(Exception):
    """The fork server cannot be reached."""


class ForkServerConnection:
    """`ended(attempt id)` is called when an attempt's exit is on disk, `lost()` when the connection broke."""

    def __init__(self, socket: Path, python: str, preload: str, environment: Mapping[str, str], log_file: Path) -> None:
        self._socket = socket
        self._python = python
        self._preload = preload
        self._environment = environment
        self._log_file = log_file
        self._writer: asyncio.StreamWriter | None = None
        self._reader_task: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._watchers: dict[str, Callable[[], None]] = {}
        self._connecting = asyncio.Lock()

    async def launch(self, attempt: str, task: Mapping[str, Any], ended: Callable[[], None]) -> dict[str, Any]:
        """The server's answer: `started`, `claimed` (somebody did before) or `failed`. Raises ForkServerGoneError."""
        await self.connect(start=True)
        return await self._ask(attempt, {"op": "launch", "id": attempt, **task}, ended)

    async def watch(self, attempt: str, ended: Callable[[], None]) -> bool:
        """Whether the server has this attempt running; `ended` is called when it ends. Raises ForkServerGoneError."""
        await self.connect(start=False)
        answer = await self._ask(attempt, {"op": "watch", "id": attempt}, ended)
        if not answer["known"]:
            self._watchers.pop(attempt, None)
        return bool(answer["known"])

    def cancel(self, attempt: str, grace_seconds: float) -> None:
        if self._writer is not None:
            self._send({"op": "cancel", "id": attempt, "grace": grace_seconds})

    async def connect(self, *, start: bool) -> None:
        async with self._connecting:
            if self._writer is not None:
                return
            deadline = asyncio.get_running_loop().time() + _START_SECONDS
            server: subprocess.Popen[bytes] | None = None
            # No retry of one call: between tries it starts the server when none runs.
            while True:
                try:
                    reader, self._writer = await asyncio.open_unix_connection(str(self._socket), limit=_LINE_BYTES)
                    break
                except OSError as error:
                    if not start or asyncio.get_running_loop().time() > deadline:
                        raise ForkServerGoneError(f"the fork server {self._socket} cannot be reached") from error
                # One that ends at once met a predecessor on its way out; the next finds the place free.
                if server is None or server.poll() is not None:
                    server = await asyncio.to_thread(self._start)
                await asyncio.sleep(0.01)
            self._reader_task = asyncio.create_task(self._read(reader))

    async def close(self) -> None:
        if self._reader_task is not None:
            self._reader_task.cancel()
        if self._writer is not None:
            self._send({"op": "retire"})
            self._writer.close()
            self._writer = None

    def _start(self) -> subprocess.Popen[bytes]:
        command = [self._python, "-I", str(PROGRAM), str(self._socket)]
        if self._preload:
            command += ["--preload", self._preload]
        with self._log_file.open("ab") as errors:
            return subprocess.Popen(  # noqa: S603 - an interpreter that the executor chose
                command,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
                start_new_session=True,
            )

    async def _ask(self, attempt: str, message: Mapping[str, Any], ended: Callable[[], None]) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[attempt] = answer
        self._watchers[attempt] = ended
        self._send(message)
        try:
            return await answer
        finally:
            self._answers.pop(attempt, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is None:
            raise ForkServerGoneError("the fork server has gone")
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while (message := await self._next(reader)) is not None:
            self._handle(message)
        self._writer = None
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ForkServerGoneError("the fork server has gone"))
        watchers, self._watchers = self._watchers, {}
        for ended in watchers.values():
            self._tell(ended)

    async def _next(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        """The next message; None when there will be none any more."""
        try:
            line = await reader.readline()
            return dict(json.loads(line)) if line else None
        except (OSError, ValueError, TypeError) as error:
            log.warning("connection to the fork server %s: %s", self._socket, error)
            return None

    def _handle(self, message: dict[str, Any]) -> None:
        attempt = message["id"]
        if message["event"] == "exited":
            ended = self._watchers.pop(attempt, None)
            if ended is not None:
                self._tell(ended)
            return
        answer = self._answers.get(attempt)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _tell(self, ended: Callable[[], None]) -> None:
        """What goes wrong with whoever hears of it is no fault of the connection."""
        try:
            ended()
        except Exception:
            log.exception("an end that the fork server %s told of", self._socket)
