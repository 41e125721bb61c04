"""Times of an attempt as others tell them, checked against what can be true.

Why: the user's program can write the file and the message that say when it ran, and a time of the year 292,278,994 in
one run makes lists of all runs fail.

Invariants: pure; what comes out lies between the attempt's beginning and now, with room for clocks that differ.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from penstock_executor.attempts import AttemptTimes

log = logging.getLogger(__name__)

SKEW_MILLIS = 5 * 60 * 1000
"""How far the clocks of nodes, API server and executor may differ."""


def believable(what: str, told: int, earliest: int, now: int, *, instead: int) -> int:
    """`told` when it can be true, else `instead`, with a line in the log; a time of 0 is not told.

    Milliseconds since the epoch. `earliest` is when the attempt began, 0 when that is not known.
    """
    if not told:
        return instead
    if max(0, earliest - SKEW_MILLIS) <= told <= now + SKEW_MILLIS:
        return told
    log.warning(
        "%s is said to have been at %d ms since 1970, which cannot be; %d is taken instead", what, told, instead
    )
    return instead


def attempt_times(what: str, told: tuple[int, int], seen: tuple[int, int], earliest: int, now: int) -> tuple[int, int]:
    """Start and end of an attempt: as its program's wrapper told them, else as its container was seen, else now."""
    started, finished = (
        believable(
            f"{what}: its {word}",
            of_wrapper,
            earliest,
            now,
            instead=believable(f"{what}: its container's {word}", of_container, earliest, now, instead=now),
        )
        for word, of_wrapper, of_container in zip(("start", "end"), told, seen, strict=True)
    )
    return started, max(started, finished)


def begun(times: AttemptTimes, at: int) -> AttemptTimes:
    """Of an attempt that was prepared here and whose program began at `at`.

    What was done for it after its inputs were there (a container made, an interpreter started) is preparation, too: it
    is told as if it had come before them, so that each phase is as long as it took.
    """
    if not times.prepared:
        return times
    late = max(0, at - (times.fetched or times.prepared))
    return replace(times, prepared=times.prepared + late, fetched=times.fetched + late if times.fetched else 0)
