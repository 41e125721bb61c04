"""The place in a queue as one number: the server orders runs by it, and requests for slots; an executor its launches.

Why one number: an order that never changes with time can be an indexed column. A point of priority counts as much as
AGEING_MILLIS of waiting.

Invariant: whoever came D milliseconds earlier is overtaken only by those with more than D / AGEING_MILLIS points more,
so nobody waits for ever behind what comes later (docs/queueing.md).
"""

from __future__ import annotations

MAX_PRIORITY = 1000
"""Priorities are from -MAX_PRIORITY to MAX_PRIORITY; 0 unless one is given."""
AGEING_MILLIS = 60_000


def rank(since: int, priority: int) -> int:
    """Of whoever waits since then, in milliseconds of any clock that all of the queue share. The lowest is first."""
    return since - priority * AGEING_MILLIS
