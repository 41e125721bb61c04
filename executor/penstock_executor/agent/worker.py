"""The agent of a warm worker: takes attempts one after another, over a socket that only its own container has.

Whoever follows the worker is connected through `relay`, which the cluster starts in this container. Messages are lines
of JSON (docs/workers.md).

Invariants: an attempt is begun once, whoever asks for it, however often. That it was begun is in the termination
message before its program can begin. A result is kept until it is forgotten. When the worker is over, this program ends
once its results are forgotten, or after a while. What one client says wrong costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from penstock_executor.agent.attempt_process import AttemptProcesses
from penstock_executor.agent.begun import (
    BegunAttempts,
    RefusedError,
    TooManyRunsError,
    identity_in,
    line,
    run_and_fence_in,
    write_message,
)
from penstock_executor.agent.connections import Connection, Connections
from penstock_executor.agent.hand_over import HandOver
from penstock_executor.agent.life import TOLD_TO_END, Life
from penstock_executor.agent.patience import Patience, Situation
from penstock_executor.agent.protocol import AgentTask, AttemptResult
from penstock_executor.agent.share import log_line

LINE_BYTES = 16 * 1024 * 1024
"""The longest message to the agent; what it says itself may be longer by a result."""
_CLOSE_SECONDS = 5.0
_MAX_HOLDER = 200
_WRONG = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What a message that is no request raises."""


class Worker:
    """`leave_message` leaves which attempts were begun and not forgotten where they are read when this program was
    killed; it may raise OSError.
    """

    def __init__(
        self,
        hand_over: HandOver,
        processes: AttemptProcesses,
        *,
        leave_message: Callable[[Sequence[str]], None] = lambda _: None,
        patience: Patience = Patience(),  # noqa: B008 - nothing changes it
        attempts: BegunAttempts | None = None,
    ) -> None:
        self._hand_over = hand_over
        self._leave_message = leave_message
        self._patience = patience
        self._attempts = BegunAttempts() if attempts is None else attempts
        self._connections = Connections()
        self._life = Life(hand_over, processes, self._ended, self._changed)
        self._situation: Situation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expired = False
        self._gone = asyncio.Event()

    @property
    def stuck(self) -> bool:
        """Whether the worker ended otherwise than it should."""
        return self._life.stuck

    async def serve(self, socket: Path) -> str:
        """Until the worker is of no use any more; says why."""
        server = await asyncio.start_unix_server(self.client, str(socket), limit=LINE_BYTES)
        socket.chmod(0o600)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.pod_ends)
        try:
            return await self.live()
        finally:
            server.close()

    async def live(self) -> str:
        """As `serve`, for clients and signals that come otherwise."""
        self._note_begun()
        life = asyncio.get_running_loop().create_task(self._life.live())
        life.add_done_callback(self._life_ended)
        try:
            await self._gone.wait()
        finally:
            life.cancel()
            self._life.close()
            # What was told last is still under way.
            await self._connections.close(_CLOSE_SECONDS)
        return self._life.over

    def pod_ends(self) -> None:
        self._life.pod_ends()

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one until it goes."""
        try:
            connection = self._connections.join(writer)
        except RefusedError as error:
            writer.write(line({"event": "refused", "why": str(error)}))
            writer.close()
            return
        connection.send(self._state())
        self._reconsider()
        try:
            while text := await reader.readline():
                await self._serve(connection, json.loads(text))
                # Whoever does not read is not listened to.
                await writer.drain()
        except (OSError, *_WRONG) as error:
            log_line(f"hung up on a client: {type(error).__name__}: {str(error)[:200]}")
        finally:
            if self._connections.leave(connection):
                self._connections.tell(self._state())
            writer.close()
            self._reconsider()

    async def _serve(self, connection: Connection, message: Mapping[str, Any]) -> None:
        """Raises one of _WRONG."""
        op = str(message["op"])
        echoed = {key: message[key] for key in ("id", "run_id") if key in message}
        try:
            event = await self._answer(connection, op, message)
        except RefusedError as error:
            event = {"event": "refused", "op": op, "why": str(error)}
        connection.send(line({**echoed, **event}))
        if event["event"] == "known" and not event["running"]:
            connection.send(self._attempts.ended(message["id"]))
        elif event["event"] in ("known", "started"):
            connection.following.add(message["id"])

    async def _answer(self, connection: Connection, op: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Raises RefusedError, or one of _WRONG."""
        if op == "ping":
            return {"event": "pong"}
        if op == "hold":
            return self._hold(connection, message["holder"])
        if op == "retire":
            self._connections.check_hold(connection)
            self._life.take_no_more(TOLD_TO_END)
            return {"event": "retiring"}
        if op == "fence":
            run_id, fence = self._checked_fence(message)
            attempts = self._attempts.of_run(run_id, _now())
            return {"event": "fenced", "run_id": run_id, "fence": fence, "attempts": attempts}
        if op in ("run", "watch", "cancel", "forget"):
            return await self._about_attempt(connection, op, message)
        raise ValueError(f"no such request: {op[:50]!r}")

    def _hold(self, connection: Connection, holder: object) -> dict[str, Any]:
        """Raises RefusedError, ValueError."""
        if not isinstance(holder, str) or not 0 < len(holder) <= _MAX_HOLDER:
            raise ValueError("nobody has such an id")
        self._connections.hold(connection, holder)
        return {"event": "held"}

    async def _about_attempt(self, connection: Connection, op: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Raises RefusedError, or one of _WRONG."""
        identity = identity_in(message)
        if op == "run":
            self._connections.check_hold(connection)
        run_id, _ = self._checked_fence(message)
        begun = self._attempts.find(identity, run_id)
        if op == "run" and begun is None:
            return self._run(identity, run_id, message)
        if op in ("run", "watch"):
            return {"event": "unknown"} if begun is None else {"event": "known", **begun.told(_now())}
        if op == "cancel":
            await self._life.cancel(identity, at_once=bool(message.get("at_once")))
            return {"event": "canceling"}
        if self._attempts.forget(identity):
            self._note_begun()
            self._reconsider()
        return {"event": "forgotten"}

    def _checked_fence(self, message: Mapping[str, Any]) -> tuple[str, int]:
        """Raises RefusedError, or one of _WRONG."""
        run_id, fence = run_and_fence_in(message)
        try:
            self._attempts.check_fence(run_id, fence)
        except TooManyRunsError as error:
            # Nothing of that run was begun, and nothing will be.
            self._life.take_no_more(str(error))
        return run_id, fence

    def _run(self, identity: str, run_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Raises RefusedError."""
        self._life.check_ready()
        self._attempts.check_room()
        try:
            task = AgentTask.from_json(json.dumps(message["task"]))
            arguments, variables = [str(word) for word in message["arguments"]], dict(message["variables"])
            instructions = self._hand_over.instructions(["run", *arguments], variables, str(message["log_token"]))
        except _WRONG as error:
            raise RefusedError(f"its instructions cannot be given: {error}") from error
        begun = self._attempts.begin(identity, run_id, str(message["log_token"]), _now())
        if not self._note_begun():
            self._attempts.withdraw(identity)
            raise RefusedError(self._life.over)
        self._life.begin(identity, task, instructions)
        self._reconsider()
        return {"event": "started", "number": begun.number}

    def _note_begun(self) -> bool:
        try:
            self._leave_message(self._attempts.kept())
        except OSError as error:
            self._life.take_no_more(f"its termination message cannot be written: {error}", stuck=True)
            return False
        return True

    # --- what comes of itself --------------------------------------------------------------------------------------

    def _ended(self, identity: str, result: AttemptResult) -> None:
        self._connections.tell_followers(identity, self._attempts.end(identity, result))

    def _changed(self) -> None:
        self._connections.tell(self._state())
        self._reconsider()

    def _state(self) -> bytes:
        life = self._life
        state = {"ready": life.ready, "running": life.running, "attempts": len(self._attempts), "over": life.over}
        return line({"event": "state", **state, "held": self._connections.held})

    def _reconsider(self) -> None:
        """Begins to wait anew when what is waited for has changed."""
        now = Situation(
            busy=self._life.busy,
            over=bool(self._life.over),
            leaving=self._life.leaving,
            attended=len(self._connections) > 0 and not self._life.over,
            kept=bool(self._attempts.kept()),
        )
        if now == self._situation:
            return
        self._situation = now
        if self._timer is not None:
            self._timer.cancel()
        seconds = 0.0 if self._expired and not now.busy else self._patience.seconds(now)
        if seconds == 0:
            self._gone.set()
        elif seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._waited, seconds)

    def _waited(self, seconds: float) -> None:
        self._expired = True
        if self._life.over:
            self._gone.set()
        else:
            self._life.take_no_more(f"nobody was there for {seconds:g} seconds")

    def _life_ended(self, life: asyncio.Task[None]) -> None:
        if not life.cancelled() and (error := life.exception()) is not None:
            log_line(f"a defect of the agent: {error!r}")
            self._life.take_no_more(repr(error), stuck=True)
            self._gone.set()


def work(socket: Path, share: Path, root: Path, message: Path, environ: Mapping[str, str], patience: Patience) -> int:
    """Serves until the worker is of no use any more; the exit code is 0 when that was as it should be."""
    worker = Worker(
        HandOver(share),
        AttemptProcesses(share, root, environ),
        leave_message=partial(write_message, message),
        patience=patience,
    )
    log_line(asyncio.run(worker.serve(socket)))
    return os.EX_SOFTWARE if worker.stuck else 0


def _now() -> float:
    return asyncio.get_running_loop().time()
