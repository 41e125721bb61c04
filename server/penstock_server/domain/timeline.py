"""What the attempts of a run did over time: one by one, or, when they are too many to be drawn, counted in bins.

Invariants: times are whole milliseconds, and the sum over all bins of a phase is the time that attempts spent in it
within the bounds, exactly. What goes on is counted up to now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from penstock_server.domain.attempts import Attempt, LeafTask, Life, Phase, spans_of
from penstock_server.errors import InvalidArgumentError

DEFAULT_ATTEMPTS, MOST_ATTEMPTS = 1000, 5000
DEFAULT_BINS, MOST_BINS = 200, 1000


@dataclass(frozen=True, slots=True)
class TimelineRequest:
    """As GetTimelineRequest; times in milliseconds since 1970, 0 for no bound."""

    run_id: str
    parent_path: str = ""
    start: int = 0
    end: int = 0
    max_attempts: int = 0
    max_bins: int = 0

    def check(self) -> None:
        """Raises InvalidArgumentError."""
        for name, value, most in (
            ("max_attempts", self.max_attempts, MOST_ATTEMPTS),
            ("max_bins", self.max_bins, MOST_BINS),
        ):
            if not 0 <= value <= most:
                raise InvalidArgumentError(f"{value} is not from 0 to {most}", name)
        if self.end and self.start > self.end:
            raise InvalidArgumentError("it lies before from", "to")


@dataclass(frozen=True, slots=True)
class Bin:
    """For each phase how many attempts were in it, on the average over the bin."""

    start: int
    attempts: dict[Phase, float]


@dataclass(frozen=True, slots=True)
class Timeline:
    """`start` and `end` are 0 when nothing is shown."""

    start: int
    end: int
    total: int
    attempts: Sequence[Attempt]
    bins: Sequence[Bin]
    critical_path: Sequence[LeafTask]
    at: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An attempt with its first and its last moment."""

    start: int
    end: int
    task: LeafTask
    life: Life


def placed(task: LeafTask, life: Life, request: TimelineRequest, now: int) -> Placed | None:
    """None for an attempt of which no moment is known, and for one that does not touch the request's time."""
    start = next(filter(None, life.times), 0)
    if not start:
        return None
    latest = max(start, *life.times)
    end = max(latest, life.closed_at or now)
    if end < request.start or (request.end and start > request.end):
        return None
    return Placed(start, end, task, life)


def bounds(found: Sequence[Placed], request: TimelineRequest) -> tuple[int, int]:
    """From the first moment to the last of what is found, within those of the request; zeros when there is nothing."""
    if not found:
        return 0, 0
    first, last = min(one.start for one in found), max(one.end for one in found)
    return max(first, request.start), min(last, request.end or last)


def binned(found: Iterable[Placed], start: int, end: int, most: int) -> list[Bin]:
    """Bins of equal length, `most` at most (0: DEFAULT_BINS), which cover the time from `start` to `end`."""
    length = max(1, -(-(end - start) // (most or DEFAULT_BINS)))
    count = max(1, -(-(end - start) // length))
    # A span that begins in a bin fills the rest of it, and all of those behind it; one that ends takes that away again.
    parts = {phase: [0] * (count + 1) for phase in Phase}
    steps = {phase: [0] * (count + 1) for phase in Phase}
    for one in found:
        for phase, began, ended in spans_of(one.life.times, one.life.closed_at):
            since, until = max(began - start, 0), min(ended or one.end, end) - start
            if until <= since:
                continue
            part, step = parts[phase], steps[phase]
            index = since // length
            part[index] += (index + 1) * length - since
            step[index] += 1
            index = until // length
            part[index] -= (index + 1) * length - until
            step[index] -= 1
    bins = [Bin(start + index * length, {}) for index in range(count)]
    for phase in Phase:
        # How many there are that began before each bin.
        before = accumulate(steps[phase], initial=0)
        for one_bin, number, part_of in zip(bins, before, parts[phase], strict=False):
            millis = number * length + part_of
            if millis:
                one_bin.attempts[phase] = millis / length
    return bins
