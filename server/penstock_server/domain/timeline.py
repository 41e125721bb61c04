"""What the attempts of a run did over time: one by one, or, when they are too many to be drawn, counted in bins.

Invariants: times are whole milliseconds, and the sum over all bins of a phase is the time that attempts spent in it
within the bounds, exactly. What goes on is counted up to now.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeAlias

from penstock_server.domain.attempts import Attempt, LeafTask, Life, Phase, Told, first_of, lives_of, moments_of
from penstock_server.domain.reports import LAST_MILLIS
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


Placed: TypeAlias = tuple[tuple[int, ...], LeafTask, Life]
"""An attempt behind its moments, of which the last is now for one that goes on."""


def placed(
    tasks: Iterable[tuple[LeafTask, Sequence[Told]]], request: TimelineRequest, run_ended_at: int, now: int
) -> tuple[list[LeafTask], list[Placed]]:
    """All tasks, and the attempts that the request asks for, of which any moment is known."""
    below = f"{request.parent_path}/" if request.parent_path else ""
    begin, end = request.start, request.end or LAST_MILLIS
    every: list[LeafTask] = []
    found: list[Placed] = []
    for task, told in tasks:
        every.append(task)
        if below and not task.path.startswith(below):
            continue
        for life in lives_of(task, told, run_ended_at):
            _, times, closed_at, _ = life
            if times[0] or first_of(times):
                moments = moments_of(times, closed_at, now)
                if moments[0] <= end and moments[-1] >= begin:
                    found.append((moments, task, life))
    return every, found


def bounds(found: Sequence[Placed], request: TimelineRequest) -> tuple[int, int]:
    """From the first moment to the last of what is found, within those of the request; zeros when there is nothing."""
    if not found:
        return 0, 0
    first, last = min(moments[0] for moments, _, _ in found), max(moments[-1] for moments, _, _ in found)
    return max(first, request.start), min(last, request.end or last)


def binned(attempts: Sequence[tuple[int, ...]], start: int, end: int, most: int) -> list[Bin]:
    """Bins of equal length, `most` at most (0: DEFAULT_BINS), which cover the time from `start` to `end`.

    `attempts` by their moments, of which there is one at least.
    """
    length = max(1, -(-(end - start) // (most or DEFAULT_BINS)))
    starts = range(start, max(end, start + 1), length)
    bins = [Bin(at, {}) for at in starts]
    # For each moment the time that all attempts have spent behind it: what two of them differ by is a phase's.
    behind = [_behind(sorted(column), [*starts, end]) for column in zip(*attempts, strict=True)]
    for phase, began, ended in zip(Phase, behind[:-1], behind[1:], strict=True):
        spent = [more - less for more, less in zip(began, ended, strict=True)]
        for one, (before, after) in zip(bins, pairwise(spent), strict=True):
            if after > before:
                one.attempts[phase] = (after - before) / length
    return bins


def _behind(moments: Sequence[int], edges: Sequence[int]) -> list[int]:
    """For each edge the time from the moments to it, over those that lie before it. `moments` are sorted."""
    sums = list(accumulate(moments, initial=0))
    numbers = [bisect_left(moments, edge) for edge in edges]
    return [number * edge - sums[number] for number, edge in zip(numbers, edges, strict=True)]
