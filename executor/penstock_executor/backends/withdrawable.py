"""Preparation of one attempt that is broken off when the attempt is canceled.

Invariant: whoever waits for the preparation is cancelled itself only by others, never by `withdraw`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class WithdrawnError(Exception):
    """The attempt was canceled before anything of it was created."""


class Withdrawable:
    def __init__(self) -> None:
        self._withdrawn = False
        self._work: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What `work` gives. Raises WithdrawnError when it is withdrawn before, and what `work` raises."""
        self._work = asyncio.ensure_future(work)
        try:
            if self._withdrawn:
                self._work.cancel()
            return await self._work
        except asyncio.CancelledError:
            self._work.cancel()
            if self._withdrawn:
                raise WithdrawnError from None
            raise
        finally:
            self._work = None

    def withdraw(self) -> None:
        """Breaks off what runs, and whatever is to be run later."""
        self._withdrawn = True
        self.close()

    def close(self) -> None:
        """Breaks off what runs: its caller gets a CancelledError."""
        if self._work is not None:
            self._work.cancel()
