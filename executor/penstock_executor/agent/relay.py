"""Passes what comes in to a warm worker's agent, and what that says out: the cluster starts it beside the agent.

Invariant: it looks at nothing of what it passes, and holds little of it however long a message is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

_PIECE_BYTES = 65536


def relay(socket: Path) -> int:
    """Until either side ends."""
    asyncio.run(_relayed(socket))
    return 0


async def _relayed(socket: Path) -> None:
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_unix_connection(str(socket))
    incoming = asyncio.StreamReader()
    # The loop closes what it is given, and these are others' to close.
    stdin, stdout = (os.fdopen(file, mode, 0, closefd=False) for file, mode in ((0, "rb"), (1, "wb")))
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(incoming), stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, stdout)
    outgoing = asyncio.StreamWriter(transport, protocol, None, loop)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE_BYTES):
                target.write(piece)
                await target.drain()

    ways = [asyncio.ensure_future(pump(incoming, writer)), asyncio.ensure_future(pump(reader, outgoing))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    writer.close()
