"""What a run's event log says of one task: its attempts and the cache's answer.

Invariant: the log is the executor's; what is not known here is passed over, so that a newer executor's log still reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock_ir.event_log import AttemptEnded, AttemptStarted, CacheAnswered, FailureCause, FailureKind, decode_known


@dataclass(slots=True)
class Attempt:
    """Times in milliseconds, 0 when not yet."""

    number: int
    started_at: int = 0
    ended_at: int = 0
    failure: FailureKind | None = None
    exit_code: int | None = None
    error: str = ""
    cause: FailureCause | None = None


@dataclass(slots=True)
class TaskHistory:
    """`cache_answer`: the last answer of the cache, None when it was not asked."""

    attempts: dict[int, Attempt] = field(default_factory=dict)
    cache_answer: CacheAnswered | None = None


def history_of(events: Iterable[bytes], path: str) -> TaskHistory:
    """What the log says of one task. Linear in the log."""
    history = TaskHistory()
    needle = json.dumps(path, ensure_ascii=False).encode()
    for line in events:
        if needle not in line:
            continue
        event = decode_known(line)
        if not isinstance(event, (CacheAnswered, AttemptStarted, AttemptEnded)) or event.path != path:
            continue
        if isinstance(event, CacheAnswered):
            history.cache_answer = event
            continue
        attempt = history.attempts.setdefault(event.attempt, Attempt(event.attempt))
        if isinstance(event, AttemptStarted):
            attempt.started_at = event.at
        else:
            attempt.ended_at = event.at
            attempt.failure = event.failure
            attempt.cause = event.cause
            attempt.exit_code = event.exit_code
            attempt.error = event.error
    return history
