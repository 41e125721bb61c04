"""The log of one Pod, from the API server's stream to whoever takes it.

Why no thread: an event loop reads the streams of all Pods; others take what has come. A stream costs a connection to
the API server, and from there one to the node, but nothing here while the Pod is silent.

Invariants: what is kept has a bounded size, so that a reader who takes nothing holds up the Pod's stream alone; the
stream is closed at its end, and when nobody wants it any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

from penstock_kube.errors import InvalidError, KubeError, NotFoundError

from penstock_server import errors

_FULL_BYTES = 256 * 1024


class ClusterPodLog:
    """`loop` runs in a thread of its own; `when_more` is called there."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pieces: AsyncGenerator[bytes, None],
        name: str,
        when_more: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._pieces = pieces
        self._name = name
        self._when_more = when_more
        self._lock = threading.Lock()
        self._kept = bytearray()
        self._error: errors.PenstockError | None = None
        self._ended = False
        self._taken = asyncio.Event()
        self._reading = asyncio.run_coroutine_threadsafe(self._read(), loop)

    def take(self) -> bytes | None:
        """What has come, which may be nothing; None behind the end.

        Raises NotFoundError for a Pod that is gone or has not begun, UnavailableError.
        """
        with self._lock:
            found = bytes(self._kept)
            self._kept.clear()
            ended, error = self._ended, self._error
        if found:
            self._loop.call_soon_threadsafe(self._taken.set)
            return found
        if error is not None:
            raise error
        return None if ended else b""

    def close(self) -> None:
        """Ends the stream; nothing happens if it has ended."""
        self._reading.cancel()

    async def _read(self) -> None:
        error: errors.PenstockError | None = None
        begun = False
        try:
            async for piece in self._pieces:
                begun = True
                await self._keep(piece)
        except (NotFoundError, InvalidError):
            error = errors.NotFoundError("Pod", self._name)
        except KubeError as problem:
            what = "broke off" if begun else "cannot be had from the cluster"
            error = errors.UnavailableError(f"the log of {self._name} {what}: {problem}")
        finally:
            await self._pieces.aclose()
            with self._lock:
                self._error, self._ended = error, True
        self._when_more()

    async def _keep(self, piece: bytes) -> None:
        """Returns when there is room for another one."""
        with self._lock:
            self._kept += piece
            full = len(self._kept) >= _FULL_BYTES
            self._taken.clear()
        self._when_more()
        if full:
            await self._taken.wait()
