"""A connection to a simulated worker's agent, in memory: what `relay` and the agent's socket are in a Pod.

Invariant: the agent's side is asyncio's own reader and writer, so that whatever it does with its socket it can do here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penstock_executor.agent.worker import LINE_BYTES

from tools.sim_kube.exec_calls import KILLED, STDOUT, Call

_PAUSE_BYTES = 64 * 1024


class _Transport(asyncio.Transport):
    """What the agent writes is what the relay says."""

    def __init__(self, call: Call, protocol: asyncio.StreamReaderProtocol) -> None:
        super().__init__()
        self._call = call
        self._protocol = protocol
        self._closing = False
        self._paused = False
        call.taken = self._taken

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._call.say(STDOUT, bytes(data))
        if self._call.queued > _PAUSE_BYTES and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._call.queued

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._call.exit(0)
            self._taken()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def _taken(self) -> None:
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()


class Relay:
    """`serve` is the agent's side: it is given this, and reader and writer of its connection."""

    def __init__(
        self, call: Call, serve: Callable[[Relay, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._call = call
        self._deaf = False
        """Whether what is said here leads nowhere any more."""
        self._reader = asyncio.StreamReader(limit=LINE_BYTES)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        writer = asyncio.StreamWriter(_Transport(call, protocol), protocol, self._reader, loop)
        self._serving = asyncio.ensure_future(serve(self, self._reader, writer))

    def hear(self, data: bytes) -> None:
        if not self._deaf:
            self._reader.feed_data(data)

    def hang_up(self) -> None:
        if not self._deaf:
            self._deaf = True
            self._reader.feed_eof()

    def freeze(self) -> None:
        """The node is away."""
        self._deaf = True
        self._call.freeze()

    def kill(self) -> None:
        """The container ends."""
        self._deaf = True
        self._call.exit(KILLED)
        self._serving.cancel()
