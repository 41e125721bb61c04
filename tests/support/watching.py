"""Watches by a clock that is set by hand and readers that take what they like."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from penstock_server.errors import PenstockError
from penstock_server.services.watching import Watching


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """Blocks in `send` while `stuck`."""

    def __init__(self, peer: str = "a") -> None:
        self.peer = peer
        self.takes = True
        self.told: list[Any] = []
        self.ended: list[PenstockError | None] = []
        self.abandoned = threading.Event()
        self.stuck = False
        self._something = threading.Condition()

    def ready(self) -> bool:
        return self.takes

    def when_ready(self, call: Callable[[], None]) -> None:
        pass

    def send(self, change: Any) -> None:
        if self.stuck:
            assert self.abandoned.wait(60)
            return
        with self._something:
            self.told.append(change)
            self._something.notify_all()

    def end(self, error: PenstockError | None) -> None:
        with self._something:
            self.ended.append(error)
            self._something.notify_all()

    def abandon(self) -> None:
        self.abandoned.set()

    def waits_for(self, number: int) -> list[Any]:
        with self._something:
            assert self._something.wait_for(lambda: len(self.told) >= number, 60)
            return list(self.told)

    def waits_for_end(self) -> PenstockError | None:
        with self._something:
            assert self._something.wait_for(lambda: self.ended, 60)
            return self.ended[0]


def look_until(watching: Watching, reader: Reader, number: int) -> list[Any]:
    """A round finds those busy that the one before is still sending to, so it may take several."""
    while len(reader.told) < number and not reader.ended:
        watching.look()
    return reader.waits_for(number)
