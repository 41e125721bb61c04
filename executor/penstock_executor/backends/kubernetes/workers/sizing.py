"""How many workers there are to be, and which of them go.

Invariants: pure. No more than the namespace allows; a pool grows by what it has, so that a burst of short tasks does
not make Pods that come too late for it; one that nobody waits for shrinks to what is to be kept ready.
"""

from __future__ import annotations

from collections.abc import Iterable

from penstock_executor.backends.kubernetes.workers.worker import Worker

_FIRST = 4
"""So many are made at once for a pool that has none."""


def to_make(waiting: int, usable: int, coming: int, there: int, most: int) -> int:
    """How many workers a pool is to make.

    `waiting`: attempts without a worker; `usable`: its workers that run, `coming` those that are being made; `there`:
    all of the namespace, which may have `most`.
    """
    at_once = max(_FIRST, usable)
    wanted = min(waiting, at_once) - coming
    return max(0, min(wanted, most - there))


def to_retire(idle: Iterable[Worker], usable: int, least: int, idle_seconds: float, now: float) -> list[Worker]:
    """Of the idle workers of a pool, longest idle first, `usable` workers in all, of which `least` are kept."""
    old = sorted((one for one in idle if now - one.since >= idle_seconds), key=lambda one: one.since)
    return old[: max(0, usable - least)]


def longest_idle(workers: Iterable[Worker]) -> Worker | None:
    """None when none is idle."""
    return min((one for one in workers if one.idle), key=lambda one: one.since, default=None)
