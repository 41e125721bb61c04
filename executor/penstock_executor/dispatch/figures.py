"""What an executor can tell of itself at a moment: plain numbers, counted where things happen and read when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts since the start: transitions, launches, leases_lost. At this moment: everything else.

    `suspended` are runs whose lease is not certain; `attempts` counts open tasks by phase.
    """

    runs: int
    suspended: int
    attempts: Mapping[str, int]
    transitions: int
    launches: int
    leases_lost: int
    lineage_waiting: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """How to ask: `problems` says why the executor cannot do its work, nothing when it can."""

    figures: Callable[[], Figures]
    problems: Callable[[], Sequence[str]]
