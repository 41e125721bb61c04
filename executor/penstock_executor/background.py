"""Work that goes on beside whoever began it.

Invariants: it is held on to until it ends, so the event loop does not drop it; an exception that nobody expected is in
the log, never lost; what is cancelled with the owner says nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """`owner` names in the log whose work it is. To be used on one event loop."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def cancel(self) -> None:
        """Cancels what has not ended; does not wait for it."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancels what has not ended and waits until it has."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of %s failed", self._owner, exc_info=error)
