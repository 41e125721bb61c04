"""What a warm worker's agent knows of the attempts that were begun here, and of the fences of their runs.

Invariants: an attempt that was begun stays known for as long as the worker lives, also when its result was forgotten.
A fence lower than one that was seen for its run is refused. At most so many results are kept as one termination
message has room for names, and so many bytes of them as the agent has memory for. Nothing here waits for anything.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock_executor.agent.failures import INFRASTRUCTURE
from penstock_executor.agent.protocol import MESSAGE_BYTES, AttemptResult

MAX_FENCES = 10_000
MAX_KEPT = 64
MAX_KEPT_BYTES = 256 * 1024 * 1024
_MAX_RUN_ID = 256
# So many names of this length, with quotes and commas, are less than a termination message.
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,60}")


class RefusedError(Exception):
    """What was asked for is not done; the text says why."""


class TooManyRunsError(RefusedError):
    """No fence of another run can be kept, so nothing of any other run can be begun here."""


@dataclass(slots=True)
class Begun:
    """An attempt that was begun at `at` (seconds, by the agent's clock), as the `number`th of the worker, with
    `log_token` in the marks of its log.

    `ended`: the line that tells its end, if it has.
    """

    run_id: str
    number: int
    log_token: str = ""
    at: float = 0.0
    ended: bytes = b""
    forgotten: bool = False

    def told(self, now: float) -> dict[str, Any]:
        """`seconds` is how long ago it was begun: clocks of machines differ."""
        return {
            "seconds": round(max(0.0, now - self.at), 3),
            "number": self.number,
            "running": not self.ended,
            "forgotten": self.forgotten,
            "log_token": self.log_token,
        }


class BegunAttempts:
    def __init__(self, most_fences: int = MAX_FENCES) -> None:
        self._attempts: dict[str, Begun] = {}
        self._fences: dict[str, int] = {}
        self._most_fences = most_fences

    def __len__(self) -> int:
        return len(self._attempts)

    def find(self, identity: str, run_id: str) -> Begun | None:
        """Raises RefusedError."""
        begun = self._attempts.get(identity)
        if begun is not None and begun.run_id != run_id:
            raise RefusedError("the attempt is another run's")
        return begun

    def check_fence(self, run_id: str, fence: int) -> None:
        """From now on lower ones of the run are refused. Raises RefusedError, TooManyRunsError."""
        seen = self._fences.get(run_id)
        if seen is None and len(self._fences) >= self._most_fences:
            raise TooManyRunsError(f"it knows of {self._most_fences} runs, and takes no more")
        if seen is not None and fence < seen:
            raise RefusedError("another executor holds the run")
        self._fences[run_id] = fence

    def check_room(self) -> None:
        """Whether one more may begin. Raises RefusedError."""
        if len(self.kept()) >= MAX_KEPT:
            raise RefusedError(f"the results of {MAX_KEPT} attempts were not taken yet")
        if sum(len(begun.ended) for begun in self._attempts.values() if not begun.forgotten) >= MAX_KEPT_BYTES:
            raise RefusedError(f"results of {MAX_KEPT_BYTES} bytes were not taken yet")

    def begin(self, identity: str, run_id: str, log_token: str, now: float) -> Begun:
        begun = self._attempts[identity] = Begun(run_id, len(self._attempts) + 1, log_token, now)
        return begun

    def withdraw(self, identity: str) -> None:
        """It was not begun after all."""
        del self._attempts[identity]

    def end(self, identity: str, result: AttemptResult) -> bytes:
        """The line that tells its end."""
        begun = self._attempts[identity]
        begun.ended = told(identity, result)
        return begun.ended

    def ended(self, identity: str) -> bytes:
        """The line that tells its end."""
        return self._attempts[identity].ended

    def forget(self, identity: str) -> bool:
        """Its result is not kept any more; whether that is new. One that runs is not forgotten."""
        begun = self._attempts.get(identity)
        if begun is None or not begun.ended or begun.forgotten:
            return False
        # Whoever asks for it is not to take it for one that left nothing.
        failure = (INFRASTRUCTURE, "the attempt's result was taken and forgotten before")
        begun.ended, begun.forgotten = told(identity, AttemptResult(exit=None, failure=failure)), True
        return True

    def kept(self) -> list[str]:
        """Those that were not forgotten, also one that runs."""
        return [identity for identity, begun in self._attempts.items() if not begun.forgotten]

    def of_run(self, run_id: str, now: float) -> list[dict[str, Any]]:
        return [
            {"id": identity, **begun.told(now)} for identity, begun in self._attempts.items() if begun.run_id == run_id
        ]


def told(identity: str, result: AttemptResult) -> bytes:
    """The line that tells an attempt's end."""
    return line({"event": "ended", "id": identity, "result": asdict(result)})


def line(message: Mapping[str, Any]) -> bytes:
    """A message as it is sent."""
    # ASCII: the text of a failure may hold a file name that is not valid UTF-8.
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def identity_in(message: Mapping[str, Any]) -> str:
    """Raises ValueError, KeyError."""
    identity = message["id"]
    if not isinstance(identity, str) or not _IDENTITY.fullmatch(identity):
        raise ValueError("no attempt has such an id")
    return identity


def run_and_fence_in(message: Mapping[str, Any]) -> tuple[str, int]:
    """Raises ValueError, KeyError."""
    run_id, fence = message["run_id"], message["fence"]
    if not isinstance(run_id, str) or not 0 < len(run_id) <= _MAX_RUN_ID:
        raise ValueError("no run has such an id")
    # A boolean is an int, too.
    if type(fence) is not int or not 0 <= fence < 2**63:
        raise ValueError("no run has such a fence")
    return run_id, fence


def write_message(path: Path, identities: Sequence[str]) -> None:
    """Leaves in the container's termination message which attempts were begun and not forgotten. Raises OSError.

    This program may be killed at any moment, and what lies there then is what is read. So the message begins at the
    file's start and is no longer than a page: the kernel looks for a signal that kills before it copies a page, not
    within one, so that the page has the former message or this one. Blanks cover what the former one has more, and are
    cut off afterwards: with or without them it is the same JSON. Nothing is synchronized: what a program wrote outlives
    it, and a node that fails tells no messages.
    """
    message = json.dumps({"begun": list(identities)}, separators=(",", ":")).encode()
    if len(message) > MESSAGE_BYTES:
        raise OSError(f"a termination message has no room for {len(identities)} attempts")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        padded = message.ljust(min(os.fstat(file).st_size, MESSAGE_BYTES))
        if os.pwrite(file, padded, 0) != len(padded):
            raise OSError(f"{path} does not take the termination message")
        os.ftruncate(file, len(message))
    finally:
        os.close(file)
