"""Background tasks of asyncio.

Invariants: a reference to each task is kept until it ends, so it is not garbage-collected; an unhandled exception is
logged; a task that is cancelled logs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """The background tasks of `owner`, a name for the log. Belongs to one event loop."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    def cancel(self) -> None:
        """Cancels every task that has not ended; does not wait for them."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Cancels every task that has not ended and waits until all have."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of %s failed", self._owner, exc_info=error)
