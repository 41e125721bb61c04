"""Who is connected to a warm worker's agent: who hears of which attempt, and who holds the worker.

Invariants: a hold is one connection's and ends with it, or with another one of the same holder. The end of an attempt
is told to those who follow it, once to each. Whoever does not read what it is told is hung up on before the memory is
full.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamWriter
from contextlib import suppress

from penstock_executor.agent.begun import RefusedError

CLIENTS = 16
QUEUED_BYTES = 256 * 1024 * 1024


class Connection:
    """`following`: the attempts whose end it is to hear of."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer
        self.following: set[str] = set()

    def send(self, line: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > QUEUED_BYTES:
            self._writer.transport.abort()
        else:
            self._writer.write(line)

    async def close(self, seconds: float) -> None:
        """When what was said has been taken, or after so many seconds."""
        self._writer.close()
        with suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), seconds)


class Connections:
    def __init__(self) -> None:
        self._all: set[Connection] = set()
        self._holding: Connection | None = None
        self._holder = ""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def held(self) -> bool:
        return self._holding is not None

    def join(self, writer: StreamWriter) -> Connection:
        """Raises RefusedError."""
        if len(self._all) >= CLIENTS:
            raise RefusedError(f"{CLIENTS} are connected already")
        connection = Connection(writer)
        self._all.add(connection)
        return connection

    def leave(self, connection: Connection) -> bool:
        """Whether it held the worker."""
        self._all.discard(connection)
        if self._holding is not connection:
            return False
        self._holding, self._holder = None, ""
        return True

    def hold(self, connection: Connection, holder: str) -> None:
        """Takes over from an earlier connection of the same holder, of whose end nobody may have heard here yet.

        Raises RefusedError.
        """
        if holder != self._holder:
            self.check_hold(connection)
        self._holding, self._holder = connection, holder

    def check_hold(self, connection: Connection) -> None:
        """That no other connection holds the worker. Raises RefusedError."""
        if self._holding not in (None, connection):
            raise RefusedError(f"{self._holder} holds the worker")

    def tell(self, line: bytes) -> None:
        for connection in self._all:
            connection.send(line)

    def tell_followers(self, identity: str, line: bytes) -> None:
        for connection in self._all:
            if identity in connection.following:
                connection.following.discard(identity)
                connection.send(line)

    async def close(self, seconds: float) -> None:
        await asyncio.gather(*(connection.close(seconds) for connection in self._all))
