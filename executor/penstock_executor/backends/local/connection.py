"""The executor's connection to a fork server: starts the server when it does not run, sends launches, is told of exits.

Invariants: a fork server belongs to the path of its socket, not to an executor: it has a session of its own and
outlives us. When the connection breaks, the callback of every attempt is called, which looks at the attempt's
directory. Only an error of reading or decoding breaks the connection. Whoever answers is bounded in time: a task may
have made the socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

log = logging.getLogger(__name__)

_START_SECONDS = 30.0
_ANSWER_SECONDS = 30.0
_LINE_BYTES = 64 * 1024 * 1024
PROGRAM = Path(__file__).with_name("fork_server.py")


Ended: TypeAlias = Callable[[object], None]


class ForkServerGoneError(Exception):
    """The fork server cannot be reached."""


class ForkServerConnection:
    """The callback `ended` of an attempt is called with what the server says of its end, or with None: the attempt's
    directory may tell."""

    def __init__(self, socket: Path, python: str, preload: str, environment: Mapping[str, str], log_file: Path) -> None:
        self._socket = socket
        self._python = python
        self._preload = preload
        self._environment = environment
        self._log_file = log_file
        self._writer: asyncio.StreamWriter | None = None
        self._reader_task: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._watchers: dict[str, Ended] = {}
        self._connecting = asyncio.Lock()

    async def launch(self, attempt: str, task: Mapping[str, Any], ended: Ended) -> dict[str, Any]:
        """The server's answer: `started`, `claimed` (somebody did before) or `failed`. Raises ForkServerGoneError."""
        await self.connect(start=True)
        return await self._ask(attempt, {"op": "launch", "id": attempt, **task}, ended)

    async def watch(self, attempt: str, ended: Ended) -> dict[str, Any] | None:
        """The server's answer when it has this attempt running, None when not; `ended` is called when it ends.

        Raises ForkServerGoneError.
        """
        await self.connect(start=False)
        answer = await self._ask(attempt, {"op": "watch", "id": attempt}, ended)
        if answer.get("known"):
            return answer
        self._watchers.pop(attempt, None)
        return None

    def cancel(self, attempt: str, grace_seconds: float) -> None:
        if self._writer is not None:
            self._send({"op": "cancel", "id": attempt, "grace": grace_seconds})

    async def connect(self, *, start: bool) -> None:
        async with self._connecting:
            if self._writer is not None:
                return
            reader = await self._opened(start=start)
            self._reader_task = asyncio.create_task(self._read(reader))

    async def _opened(self, *, start: bool) -> asyncio.StreamReader:
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        server: subprocess.Popen[bytes] | None = None
        try:
            # No retry of one call: between tries it starts the server when none runs.
            while True:
                try:
                    opening = asyncio.open_unix_connection(str(self._socket), limit=_LINE_BYTES)
                    reader, self._writer = await asyncio.wait_for(opening, _ANSWER_SECONDS)
                    return reader
                except (OSError, asyncio.TimeoutError) as error:
                    if not start or asyncio.get_running_loop().time() > deadline:
                        raise ForkServerGoneError(f"the fork server {self._socket} cannot be reached") from error
                # One that ends at once met a predecessor on its way out; the next finds the place free.
                if server is None or server.poll() is not None:
                    server = await asyncio.to_thread(self._start)
                await asyncio.sleep(0.01)
        finally:
            # It outlives us. Let go of here, and not when the traceback of an error is, it is waited for when the next
            # process is started.
            server = None

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

    async def _ask(self, attempt: str, message: Mapping[str, Any], ended: Ended) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[attempt] = answer
        self._watchers[attempt] = ended
        self._send(message)
        try:
            return await asyncio.wait_for(answer, _ANSWER_SECONDS)
        except asyncio.TimeoutError:
            self._watchers.pop(attempt, None)
            text = f"the fork server {self._socket} did not answer within {_ANSWER_SECONDS:g} seconds"
            raise ForkServerGoneError(text) from None
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
        for attempt, answer in self._answers.items():
            if not answer.done():
                # Whoever asked hears it that way.
                self._watchers.pop(attempt, None)
                answer.set_exception(ForkServerGoneError("the fork server has gone"))
        watchers, self._watchers = self._watchers, {}
        for ended in watchers.values():
            self._tell(ended, None)

    async def _next(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        """The next message; None when there will be none any more."""
        try:
            line = await reader.readline()
            return dict(json.loads(line)) if line else None
        except (OSError, ValueError, TypeError) as error:
            log.warning("connection to the fork server %s: %s", self._socket, error)
            return None

    def _handle(self, message: dict[str, Any]) -> None:
        attempt = str(message.get("id"))
        if message.get("event") == "exited":
            ended = self._watchers.pop(attempt, None)
            if ended is not None:
                self._tell(ended, message.get("exit"))
            return
        answer = self._answers.get(attempt)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _tell(self, ended: Ended, exit_: object) -> None:
        """What goes wrong with whoever hears of it is no fault of the connection."""
        try:
            ended(exit_)
        except Exception:
            log.exception("an end that the fork server %s told of", self._socket)
