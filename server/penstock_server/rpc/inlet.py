"""The other end of an outlet for a call in the process: keeps messages until they are asked for.

Invariants: nothing waits in a thread; a question is answered once, by whichever thread has the message; few messages
are kept, and few bytes of them, and whoever sends them is told when there is place again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

_FULL = 8
# One message more than this is kept at most.
_FULL_BYTES = 256 * 1024


class Inlet:
    """`encode` is applied to every message; `failure` gives the error that the stream ended with, None for none."""

    def __init__(self, encode: Callable[[Any], Any], failure: Callable[[], BaseException | None]) -> None:
        self._encode = encode
        self._failure = failure
        self._lock = threading.Lock()
        self._messages: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._asked: Future[Any] | None = None
        self._ended = False
        self._taken: Callable[[], None] = lambda: None

    def ready(self) -> bool:
        return len(self._messages) < _FULL and self._bytes < _FULL_BYTES

    def when_ready(self, call: Callable[[], None]) -> None:
        self._taken = call

    def __call__(self, message: Any) -> None:
        """None is the end."""
        encoded = None if message is None else self._encode(message)
        with self._lock:
            asked, self._asked = self._asked, None
            if message is None:
                self._ended = True
            elif asked is None and encoded is not None:
                size = len(encoded) if isinstance(encoded, bytes) else encoded.ByteSize()
                self._messages.append((encoded, size))
                self._bytes += size
        if asked is not None:
            self._answer(asked, encoded)

    def next(self, future: Future[Any] | None = None) -> Future[Any]:
        """The next message, None behind the last, by the future that is given or a new one."""
        asked: Future[Any] = Future() if future is None else future
        with self._lock:
            if not self._messages and not self._ended:
                self._asked = asked
                return asked
            was_full = not self.ready()
            message, size = self._messages.popleft() if self._messages else (None, 0)
            self._bytes -= size
        self._answer(asked, message)
        if was_full:
            self._taken()
        return asked

    def _answer(self, asked: Future[Any], message: Any) -> None:
        settle(asked, message, self._failure() if message is None else None)


def settle(future: Future[Any], result: Any = None, error: BaseException | None = None) -> None:
    """Unless whoever waited for it is gone."""
    with suppress(InvalidStateError):
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
