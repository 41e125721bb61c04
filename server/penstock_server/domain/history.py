"""A run's event log as the server reads it: enough of each event to explain what happened.

Invariant: the log is the executor's; what is not known here is passed over, so that a newer executor's log still reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Attempt:
    """Times in milliseconds, 0 when not yet."""

    number: int
    started_at: int = 0
    ended_at: int = 0
    failure: str = ""
    exit_code: int | None = None
    error: str = ""


@dataclass(slots=True)
class TaskHistory:
    """`cache_answer`: the last answer of the cache as the event has it, None when it was not asked."""

    attempts: dict[int, Attempt] = field(default_factory=dict)
    cache_answer: dict[str, Any] | None = None


def history_of(events: Iterable[bytes], path: str) -> TaskHistory:
    """What the log says of one task. Linear in the log."""
    history = TaskHistory()
    needle = json.dumps(path, ensure_ascii=False).encode()
    for line in events:
        if needle not in line:
            continue
        event = json.loads(line)
        if event.get("path") != path:
            continue
        kind = event.get("type")
        if kind == "CacheAnswered":
            history.cache_answer = event
        elif kind in ("AttemptStarted", "AttemptEnded"):
            number = int(event.get("attempt", 0))
            attempt = history.attempts.setdefault(number, Attempt(number))
            if kind == "AttemptStarted":
                attempt.started_at = event["at"]
            else:
                attempt.ended_at = event["at"]
                attempt.failure = event.get("failure", "")
                attempt.exit_code = event.get("exit_code")
                attempt.error = event.get("error", "")
    return history
