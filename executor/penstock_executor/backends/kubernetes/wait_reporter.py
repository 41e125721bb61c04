"""Reports why attempts wait, once that has lasted for a moment.

Why not at once: every Pod passes through short waits, and each report is a row that is written.

Invariants: a reason is reported when it has lasted half a second; one that every Pod passes through (`Wait.quiet`),
when it has lasted three. No text is reported twice in a row. The end of a wait is not reported: the attempt's start or
end says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.kubernetes.waiting import Wait

_AFTER_SECONDS = 0.5
_QUIET_AFTER_SECONDS = 3.0


@dataclass(slots=True)
class _Waiting:
    text: str = ""
    told: str = ""
    timer: asyncio.TimerHandle | None = None


class WaitReporter:
    """`tell(key, text)` is called on the event loop."""

    def __init__(self, tell: Callable[[AttemptKey, str], None]) -> None:
        self._tell = tell
        self._waiting: dict[AttemptKey, _Waiting] = {}

    def update(self, key: AttemptKey, wait: Wait | None) -> None:
        """Why the attempt waits now; None when it does not."""
        if wait is None:
            self.forget(key)
            return
        known = self._waiting.setdefault(key, _Waiting())
        known.text = wait.text
        loop = asyncio.get_running_loop()
        after = _QUIET_AFTER_SECONDS if wait.quiet else _AFTER_SECONDS
        if wait.text == known.told or (known.timer is not None and known.timer.when() <= loop.time() + after):
            return
        if known.timer is not None:
            known.timer.cancel()
        known.timer = loop.call_later(after, self._due, key, known)

    def forget(self, key: AttemptKey) -> None:
        known = self._waiting.pop(key, None)
        if known is not None and known.timer is not None:
            known.timer.cancel()

    def close(self) -> None:
        for key in list(self._waiting):
            self.forget(key)

    def _due(self, key: AttemptKey, known: _Waiting) -> None:
        known.timer = None
        if known.text != known.told:
            known.told = known.text
            self._tell(key, known.text)
