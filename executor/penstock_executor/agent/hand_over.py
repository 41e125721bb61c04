"""The agent's side of handing attempts to a warm worker's first process (worker.c, docs/workers.md).

Invariants: a FIFO is looked for under a name that only worker and agent know, unless no attempt runs, so that an
attempt cannot take one over; what does not come in time ends the worker. One attempt is handed over at a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

FIRST_TOKEN = "first"  # noqa: S105 - a name
WORK_BYTES = 8 * 1024 * 1024
"""The longest instructions that a worker reads."""
WORD_BYTES = 128 * 1024 - 1
"""The longest argument or variable that Linux gives to a program, without the NUL at its end."""
_TOKEN = re.compile(r"[0-9a-z]{1,63}")
# The worker clears for half a minute at most, after it has ended the processes of an attempt within as long.
_READY_SECONDS = 75.0
# It does within a few milliseconds when there is little to clear.
_FIRST_POLL_SECONDS = 0.001
_POLL_SECONDS = 0.005
_SLOW_POLL_SECONDS = 0.05


class WorkerStuckError(Exception):
    """The worker does not do what it should: no attempt can be given to it any more."""


class HandOver:
    """`share` is the directory that worker, attempts and agent share."""

    def __init__(self, share: Path) -> None:
        self._share = share
        self._next = FIRST_TOKEN
        self._current = ""
        self._stop = ""

    async def ready(self) -> None:
        """Returns when the worker has cleared everything and takes an attempt. Raises WorkerStuckError."""
        await self._found("work", self._next)

    def instructions(self, arguments: Sequence[str], variables: Mapping[str, str], log_token: str) -> bytes:
        """Of the next attempt: `arguments` of the wrapper, the first of which is its own name.

        Raises ValueError for what is too long or holds NUL, and for a token that the worker does not take.
        """
        current = secrets.token_hex(16)
        instructions = encoded(current, log_token, arguments, variables)
        # From here on it can be stopped: the worker listens before it takes an attempt.
        self._current, self._stop = current, self._next
        return instructions

    async def give(self, instructions: bytes) -> None:
        """Has the worker begin the attempt. Raises WorkerStuckError."""
        await self._written("work", self._next, instructions)

    async def leave(self) -> None:
        """Instead of an attempt: there is to be none any more. A worker that has ended is told nothing."""
        with suppress(WorkerStuckError):
            await self._written("work", self._next, b"\0", wait=False)

    async def attempt_ended(self) -> None:
        """Returns when none of the attempt's processes is there any more, if ever."""
        path = self._share / f"done-{self._current}"
        # What is waited for is a state of another program.
        while not path.is_fifo():  # noqa: ASYNC110
            await asyncio.sleep(_SLOW_POLL_SECONDS)

    async def stop(self, *, at_once: bool) -> None:
        """Asks the attempt that runs to end. An attempt may have taken the FIFO away: then nothing comes of it."""
        with suppress(WorkerStuckError):
            await self._written("stop", self._stop, b"K" if at_once else b"T", wait=False)

    async def taken(self, *, goes_on: bool) -> None:
        """All that the attempt left was taken; `goes_on`: another one may come. Raises WorkerStuckError."""
        self._next = secrets.token_hex(16)
        await self._written("done", self._current, (self._next.encode() if goes_on else b"") + b"\0")

    async def _found(self, kind: str, token: str) -> Path:
        path = self._share / f"{kind}-{token}"
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not path.is_fifo():
            waited = loop.time() - began
            if waited > _READY_SECONDS:
                raise WorkerStuckError(f"the worker does not come to {kind!r}")
            fast = _FIRST_POLL_SECONDS if waited < _SLOW_POLL_SECONDS else _POLL_SECONDS
            await asyncio.sleep(fast if waited < 1 else _SLOW_POLL_SECONDS)
        return path

    async def _written(self, kind: str, token: str, content: bytes, *, wait: bool = True) -> None:
        path = await self._found(kind, token) if wait else self._share / f"{kind}-{token}"
        try:
            # Not blocking: a FIFO without a reader is refused.
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise WorkerStuckError(f"the worker does not listen to {kind!r}: {error.strerror}") from error
        try:
            await asyncio.wait_for(_write_all(file, content), _READY_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            raise WorkerStuckError(f"the worker does not take {kind!r}") from error
        finally:
            os.close(file)


async def _write_all(file: int, content: bytes) -> None:
    """Raises OSError."""
    left = memoryview(content)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:
            await asyncio.sleep(_FIRST_POLL_SECONDS)


def encoded(token: str, log_token: str, arguments: Sequence[str], variables: Mapping[str, str]) -> bytes:
    """The instructions of an attempt as the worker reads them. Raises ValueError."""
    if not _TOKEN.fullmatch(log_token):
        raise ValueError("a token is up to 63 small letters and digits")
    settings = [f"{name}={value}" for name, value in variables.items()]
    words = [token, log_token, str(len(arguments)), *arguments, str(len(settings)), *settings]
    if any("\0" in word for word in words):
        raise ValueError("a command, an argument or a variable holds NUL")
    encoded_words = [os.fsencode(word) for word in words]
    longest = max(map(len, encoded_words))
    if longest > WORD_BYTES:
        raise ValueError(f"an argument or a variable has {longest} bytes, {WORD_BYTES} are the most")
    body = b"".join(word + b"\0" for word in encoded_words)
    if len(body) > WORK_BYTES:
        raise ValueError(f"command, arguments and variables have {len(body)} bytes, {WORK_BYTES} are the most")
    return f"{len(body)}".encode() + b"\0" + body
