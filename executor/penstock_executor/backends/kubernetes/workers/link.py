"""The connection to a worker's agent: one stream through the cluster's API server, opened again whenever it breaks.

Why through the API server: no Pod has to take connections, no network policy gets a hole, and who may do it is decided
by the cluster's own rights.

Invariants: what is asked is answered in order, so an answer belongs to the oldest question; when the stream breaks, all
questions that were sent fail as such, since nobody knows whether they arrived. Whether a question may still be asked is
decided at the moment when it is written. What an agent says is bounded; one that says something else is hung up on, and
whatever is wrong with what it says, or with what follows from it, ends no link for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from penstock_kube.errors import ForbiddenError, KubeError

from penstock_executor.agent.protocol import MAX_RESULT_BYTES
from penstock_executor.backoff import delays

log = logging.getLogger(__name__)

Message = Mapping[str, Any]

_LINE_BYTES = 2 * MAX_RESULT_BYTES
"""Of a result, whose text may be longer as JSON."""
_PING_SECONDS = 20.0
_SILENT_SECONDS = 60.0
_TOLD = ("state", "ended")
"""What an agent says without being asked."""


class LinkDownError(Exception):
    """What was to be asked was not sent."""


class LinkLostError(Exception):
    """What was asked was sent, and the answer did not come: it may have been done."""


class Stream(Protocol):
    async def send(self, data: bytes) -> None: ...

    async def receive(self) -> bytes:
        """The next piece, empty at the end."""
        ...


class AgentLink:
    """`open_stream` connects to the agent. `told(message)` is called with what it says by itself, `up()` when it
    says something over a new stream, `down(error)` when it broke or could not be opened."""

    def __init__(
        self,
        open_stream: Callable[[], AbstractAsyncContextManager[Stream]],
        told: Callable[[Message], None],
        up: Callable[[], None],
        down: Callable[[BaseException], None],
    ) -> None:
        self._open_stream = open_stream
        self._told = told
        self._up = up
        self._down = down
        self._stream: Stream | None = None
        self._asked: deque[tuple[Any, asyncio.Future[Message]]] = deque()
        self._writing = asyncio.Lock()
        self._pauses = delays(0.05, 5.0)
        self._heard_any = False

    @property
    def is_up(self) -> bool:
        return self._stream is not None

    async def work(self) -> None:
        """Keeps a stream open until cancelled."""
        while True:
            try:
                async with self._open_stream() as stream:
                    self._stream = stream
                    await self._listen(stream)
                error: BaseException = ConnectionError("the agent hung up")
            except (KubeError, OSError, ValueError, asyncio.TimeoutError) as broken:
                error = broken
            except Exception as defect:
                # Of ours, brought to light by what this agent said: this link goes on, and others do not see it.
                log.exception("what a worker's agent says cannot be worked with")
                error = defect
            finally:
                self._close()
            self._down(error)
            # Rights that are missing are not given within a moment.
            await asyncio.sleep(5.0 if isinstance(error, ForbiddenError) else next(self._pauses))

    async def ask(self, message: Message, allowed: Callable[[], bool] = lambda: True) -> Message | None:
        """The answer; None when it was not `allowed` any more, and nothing was sent.

        Raises LinkDownError, LinkLostError.
        """
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        async with self._writing:
            stream = self._stream
            if stream is None:
                raise LinkDownError
            # Nothing may come between this and the first byte that is written.
            if not allowed():
                return None
            answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._asked.append((message.get("id"), answer))
            try:
                await stream.send(data)
            except Exception:  # noqa: BLE001 - whatever it is, the stream is of no use any more
                # Some of it may have arrived; whoever listens to the stream notices that it is broken.
                log.debug("a worker's stream broke", exc_info=True)
        return await answer

    async def _listen(self, stream: Stream) -> None:
        self._heard_any = False
        pinging = asyncio.ensure_future(self._ping())
        held = bytearray()
        try:
            # As it answers pings in turn, silence is true of whatever it was asked.
            while piece := await asyncio.wait_for(stream.receive(), _SILENT_SECONDS):
                scanned = len(held)
                held += piece
                while (end := held.find(b"\n", scanned)) >= 0:
                    self._heard(bytes(held[:end]))
                    del held[: end + 1]
                    scanned = 0
                if len(held) > _LINE_BYTES:
                    raise ValueError("the agent's message is too long")
        finally:
            pinging.cancel()

    async def _ping(self) -> None:
        with contextlib.suppress(LinkDownError, LinkLostError):
            while True:
                await asyncio.sleep(_PING_SECONDS)
                await self.ask({"op": "ping"})

    def _heard(self, line: bytes) -> None:
        """Raises ValueError."""
        try:
            message = json.loads(line)
        except RecursionError:
            raise ValueError("the agent's message is nested too deeply") from None
        if not isinstance(message, dict) or not isinstance(message.get("event"), str):
            raise ValueError("the agent says what is no message")
        if not self._heard_any:
            # Not when the stream is open: over one it is also said that nothing runs there, and who hangs up without a
            # word is no better than who cannot be reached.
            self._heard_any, self._pauses = True, delays(0.05, 5.0)
            self._up()
        if message["event"] in _TOLD:
            self._told(message)
        elif not self._asked:
            raise ValueError("the agent answers what was not asked")
        else:
            identity, answer = self._asked.popleft()
            if message.get("id") != identity:
                self._asked.appendleft((identity, answer))
                raise ValueError("the agent answers something else")
            if not answer.done():
                answer.set_result(message)

    def _close(self) -> None:
        self._stream = None
        while self._asked:
            _, answer = self._asked.popleft()
            if not answer.done():
                answer.set_exception(LinkLostError())
                # Nobody may be waiting for it any more.
                answer.exception()
