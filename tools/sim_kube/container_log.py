"""What a container wrote, and who follows it.

Invariant: at most KEPT_CHARACTERS are kept, the last ones, as a kubelet rotates logs; followers get what came since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

KEPT_CHARACTERS = 1024 * 1024


class ContainerLog:
    def __init__(self, text: str = "") -> None:
        self._text = text
        self._dropped = 0
        self._news = asyncio.Event()
        self.closed = False

    @property
    def text(self) -> str:
        return self._text

    def write(self, text: str) -> None:
        self._text += text
        surplus = len(self._text) - KEPT_CHARACTERS
        if surplus > KEPT_CHARACTERS // 4:
            self._text, self._dropped = self._text[surplus:], self._dropped + surplus
        self._tell()

    def close(self) -> None:
        self.closed = True
        self._tell()

    def follow(self) -> AsyncIterator[str]:
        """What is written from now on, until the container ends."""
        return self._since(self._dropped + len(self._text))

    async def _since(self, seen: int) -> AsyncIterator[str]:
        while True:
            new = self._text[max(0, seen - self._dropped) :]
            seen = self._dropped + len(self._text)
            if new:
                yield new
            elif self.closed:
                return
            else:
                await self._news.wait()

    def _tell(self) -> None:
        # Those who wait now wake up; whoever comes later waits for the next.
        self._news.set()
        self._news = asyncio.Event()
