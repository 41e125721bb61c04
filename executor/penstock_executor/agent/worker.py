"""The agent of a warm worker: takes attempts one after another, over a socket that only its own container has.

Whoever follows the worker is connected through `relay`, which the cluster starts in this container. Messages are lines
of JSON (docs/workers.md).

Invariants: an attempt is begun once, whoever asks for it, however often: all that were begun are known for as long as
the worker lives. One attempt at a time. A result is kept until it is forgotten. A request with a fence lower than one
that was seen for the same run is refused. When the worker cannot be used any more, nothing is begun, and this program
ends when its results are forgotten, or after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock_executor.agent.attempt_process import AttemptProcess, AttemptProcesses
from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.hand_over import HandOver, WorkerStuckError
from penstock_executor.agent.protocol import AgentTask, AttemptResult
from penstock_executor.agent.share import log_line

LINE_BYTES = 16 * 1024 * 1024
"""The longest message."""
TOLD_TO_END = "it was told to end"
# For a result that nobody has taken when the worker ends.
_LINGER_SECONDS = 10.0
_CLOSE_SECONDS = 5.0
_CLIENTS = 16
_QUEUED_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class _Begun:
    """An attempt that was begun, as the `number`th of the worker; `result` when it has ended."""

    number: int
    process: AttemptProcess | None = None
    result: AttemptResult | None = None
    forgotten: bool = False


class RefusedError(Exception):
    """What was asked for is not done; the text says why."""


class Worker:
    def __init__(self, hand_over: HandOver, processes: AttemptProcesses) -> None:
        self._hand_over = hand_over
        self._processes = processes
        self._attempts: dict[str, _Begun] = {}
        self._fences: dict[str, int] = {}
        self._clients: set[asyncio.StreamWriter] = set()
        self._running = ""
        self._ready = False
        self._waiting: AttemptProcess | None = None
        self._over = ""
        self._retiring = False
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, socket: Path) -> str:
        """Until the worker is of no use any more; says why."""
        server = await asyncio.start_unix_server(self._client, str(socket), limit=LINE_BYTES)
        socket.chmod(0o600)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._pod_ends)
        self._begin(self._make_ready())
        try:
            await self._ended.wait()
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            if self._waiting is not None:
                self._waiting.kill()
            # What was told last is still under way.
            for client in list(self._clients):
                client.close()
                with contextlib.suppress(OSError, asyncio.TimeoutError):
                    await asyncio.wait_for(client.wait_closed(), _CLOSE_SECONDS)
        return self._over

    # --- clients ---------------------------------------------------------------------------------------------------

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= _CLIENTS:
            writer.close()
            return
        self._clients.add(writer)
        self._send(writer, self._state())
        try:
            while line := await reader.readline():
                message = json.loads(line)
                try:
                    answer = await self._handle(message)
                except RefusedError as error:
                    answer = {"event": "refused", "why": str(error)}
                self._send(writer, {"id": message.get("id"), **answer})
                begun = self._attempts.get(str(message.get("id")))
                if message["op"] in ("run", "watch") and begun is not None and begun.result is not None:
                    self._send(writer, _ended(str(message["id"]), begun.result))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log_line(f"hung up on a client: {error!r}")
        finally:
            self._clients.discard(writer)
            writer.close()

    def _send(self, writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
        if writer.transport.get_write_buffer_size() > _QUEUED_BYTES:
            writer.transport.abort()
            return
        writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _tell(self, message: Mapping[str, Any]) -> None:
        for writer in self._clients:
            self._send(writer, message)

    def _state(self) -> dict[str, Any]:
        return {
            "event": "state",
            "ready": self._ready and not self._running and not self._retiring,
            "running": self._running,
            "attempts": len(self._attempts),
            "over": self._over,
        }

    async def _handle(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Raises RefusedError; KeyError, TypeError, ValueError for what is no request."""
        op = message["op"]
        if op == "retire":
            self._retiring = True
            if not self._running and self._ready:
                self._finish(TOLD_TO_END)
            return {"event": "retiring"}
        identity = str(message["id"])
        self._check_fence(str(message["run_id"]), int(message["fence"]))
        begun = self._attempts.get(identity)
        if op == "run":
            return self._run(identity, message) if begun is None else _known(begun)
        if op == "watch":
            return {"event": "unknown"} if begun is None else _known(begun)
        if op == "cancel":
            if begun is not None and begun.result is None:
                await self._cancel(begun, at_once=bool(message.get("at_once")))
            return {"event": "canceling"}
        if op == "forget":
            if begun is not None and begun.result is not None:
                # That it was begun stays known.
                begun.result, begun.forgotten = AttemptResult(exit=begun.result.exit), True
                self._end_if_nobody_waits()
            return {"event": "forgotten"}
        raise ValueError(f"no such request: {op!r}")

    def _check_fence(self, run_id: str, fence: int) -> None:
        """Raises RefusedError."""
        if fence < self._fences.get(run_id, 0):
            raise RefusedError("another executor holds the run")
        self._fences[run_id] = fence

    # --- attempts --------------------------------------------------------------------------------------------------

    def _run(self, identity: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Raises RefusedError."""
        if self._over:
            raise RefusedError(self._over)
        if self._running or self._retiring or not self._ready or self._waiting is None:
            raise RefusedError("it is busy")
        task = AgentTask.from_json(json.dumps(message["task"]))
        arguments, variables = [str(word) for word in message["arguments"]], dict(message["variables"])
        try:
            instructions = self._hand_over.instructions(["run", *arguments], variables, str(message["log_token"]))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        process, self._waiting = self._waiting, None
        begun = self._attempts[identity] = _Begun(len(self._attempts) + 1, process)
        self._running, self._ready = identity, False
        self._begin(self._carried_out(identity, begun, process, task, instructions))
        return {"event": "started", "number": begun.number}

    async def _carried_out(
        self, identity: str, begun: _Begun, process: AttemptProcess, task: AgentTask, instructions: bytes
    ) -> None:
        try:
            # Before the program begins, so that its end is never missed.
            process.give(task)
            await self._hand_over.give(instructions)
            begun.result = await process.result()
        except WorkerStuckError as error:
            failure = (INFRASTRUCTURE, f"the worker cannot be used: {error}")
            begun.result = AttemptResult(exit=None, failure=failure)
            self._over = str(error)
            process.kill()
        begun.process = None
        self._tell(_ended(identity, begun.result))
        await self._go_on()

    async def _go_on(self) -> None:
        """After an attempt whose result is known."""
        try:
            if not self._over:
                await self._hand_over.taken(goes_on=not self._retiring)
        except WorkerStuckError as error:
            self._over = str(error)
        self._running = ""
        if self._over or self._retiring:
            self._finish(self._over or TOLD_TO_END)
        else:
            await self._make_ready()

    async def _cancel(self, begun: _Begun, *, at_once: bool) -> None:
        if begun.process is not None:
            begun.process.stop()
            await self._hand_over.stop(at_once=at_once)

    async def _make_ready(self) -> None:
        try:
            await self._hand_over.ready()
            self._waiting = await self._processes.start()
        except WorkerStuckError as error:
            self._finish(str(error))
            return
        self._ready = True
        if self._retiring:
            self._finish(TOLD_TO_END)
        self._tell(self._state())

    def _pod_ends(self) -> None:
        """The worker's first process is told so, too."""
        self._retiring = True
        begun = self._attempts.get(self._running)
        if begun is None:
            self._finish(TOLD_TO_END)
        elif begun.process is not None:
            begun.process.stop()

    def _finish(self, why: str) -> None:
        self._over, self._ready = self._over or why, False
        self._tell(self._state())
        self._end_if_nobody_waits()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._ended.set)

    def _end_if_nobody_waits(self) -> None:
        if self._over and all(begun.forgotten for begun in self._attempts.values()):
            self._ended.set()

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _known(begun: _Begun) -> dict[str, Any]:
    return {"event": "known", "number": begun.number, "running": begun.result is None}


def _ended(identity: str, result: AttemptResult) -> dict[str, Any]:
    return {"event": "ended", "id": identity, "result": asdict(result)}


def work(socket: Path, share: Path, root: Path, environ: Mapping[str, str]) -> int:
    """Serves until the worker is of no use any more; the exit code is 0 when it was told to end."""
    why = asyncio.run(Worker(HandOver(share), AttemptProcesses(share, root, environ)).serve(socket))
    log_line(why)
    return 0 if why == TOLD_TO_END else os.EX_SOFTWARE


def relay(socket: Path) -> int:
    """Passes what comes in to the worker's agent, and what it says out, until either side ends."""
    asyncio.run(_relayed(socket))
    return 0


async def _relayed(socket: Path) -> None:
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=LINE_BYTES)
    incoming = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(incoming), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    outgoing = asyncio.StreamWriter(transport, protocol, None, loop)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                target.write(piece)
                await target.drain()

    ways = [asyncio.ensure_future(pump(incoming, writer)), asyncio.ensure_future(pump(reader, outgoing))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    writer.close()
