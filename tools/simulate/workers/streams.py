"""A stream to a worker's agent in virtual time: what is sent arrives later, in order, or not at all once it is cut.

Invariant: either side hears of a cut, but not at once: until then what it sends is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from penstock_kube.errors import UnavailableError

from tools.sim_kube.exec_calls import STDOUT, Call
from tools.sim_kube.relays import Relay


class Pipe(Call):
    """`delay()` is how long a message is on its way, in seconds."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay
        self._relay: Relay | None = None
        self._up: deque[bytes] = deque()
        self._down: deque[bytes] = deque()
        self._pieces: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._down_at = self._up_at = 0.0
        self._cut = False
        self._frozen = False
        self._ended = False
        self.queued = 0
        self.taken: Callable[[], None] = lambda: None

    def connect(self, relay: Relay) -> None:
        self._relay = relay

    # --- the executor's side ---------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Raises UnavailableError."""
        if self._ended:
            raise UnavailableError(0, "ConnectionLost", "the stream is broken")
        loop = asyncio.get_running_loop()
        self._up_at = max(self._up_at, loop.time() + self._delay())
        # Timers of one moment have no order.
        self._up.append(data)
        loop.call_at(self._up_at, self._arrive)
        await asyncio.sleep(0)

    async def receive(self) -> bytes:
        """Raises UnavailableError."""
        while not self._pieces:
            if self._ended:
                raise UnavailableError(0, "ConnectionLost", "the stream broke")
            self._news.clear()
            await self._news.wait()
        return self._pieces.popleft()

    def _arrive(self) -> None:
        data = self._up.popleft()
        if not self._cut and not self._frozen and self._relay is not None:
            self._relay.hear(data)

    def stall(self, seconds: float) -> None:
        """What is on its way to the executor, and comes from now on, comes so much later."""
        self._down_at = max(self._down_at, asyncio.get_running_loop().time() + seconds)

    # --- the agent's side ------------------------------------------------------------------------------------------

    def say(self, channel: int, data: bytes) -> None:
        if channel == STDOUT and data and not self._cut and not self._frozen:
            loop = asyncio.get_running_loop()
            self._down_at = max(self._down_at, loop.time() + self._delay())
            self._down.append(data)
            loop.call_at(self._down_at, self._come)

    def exit(self, code: int) -> None:
        loop = asyncio.get_running_loop()
        self._down_at = max(self._down_at, loop.time() + self._delay())
        self._down.append(b"")
        loop.call_at(self._down_at, self._come)

    def end(self, status: dict[str, Any]) -> None:
        self.exit(1)

    def freeze(self) -> None:
        self._frozen = True

    def cut(self) -> None:
        """What is on its way is lost, both ways."""
        if self._cut:
            return
        self._cut = True
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay(), self._end)
        if self._relay is not None:
            loop.call_later(self._delay(), self._relay.hang_up)

    def _come(self) -> None:
        data = self._down.popleft()
        if not data:
            self._end()
        elif not self._cut and not self._ended:
            self._pieces.append(data)
            self._news.set()

    def _end(self) -> None:
        self._ended = True
        self._news.set()
