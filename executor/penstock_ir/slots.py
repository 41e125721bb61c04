"""What a task asks of pools: the annotations of the unmodified SDK that name them.

    kubernetes.add_pod_annotation(task, "penstock.dev/pool", "gpu=2,licence")

asks for two slots of the pool `gpu` and one of `licence`; `penstock.dev/pool-slots` gives the number where the list
gives none. They hold on every backend (docs/queueing.md).

Invariant: pure. A pool is in the demands of a task once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

POOL = "penstock.dev/pool"
SLOTS = "penstock.dev/pool-slots"
POOL_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
MAX_SLOTS = 100_000
MAX_POOLS = 8
"""So many pools one task may ask for."""


class Demand(NamedTuple):
    """So many slots of a pool, by its name."""

    pool: str
    slots: int


def demands_of(annotations: Mapping[str, object]) -> tuple[Demand, ...]:
    """By the name of the pool. Raises ValueError, which says what is wrong with which annotation."""
    written = annotations.get(POOL)
    if written is None:
        if SLOTS in annotations:
            raise ValueError(f"{SLOTS} is set without {POOL}")
        return ()
    general = _slots(str(annotations.get(SLOTS, "1")), SLOTS)
    demands: dict[str, Demand] = {}
    for part in str(written).split(","):
        name, equals, number = (text.strip() for text in part.partition("="))
        if not POOL_NAME.fullmatch(name):
            raise ValueError(f"{POOL}: {name[:80]!r} is no name of a pool (small letters, digits, dots and dashes)")
        if name in demands:
            raise ValueError(f"{POOL} names {name!r} twice")
        demands[name] = Demand(name, _slots(number, POOL) if equals else general)
    if len(demands) > MAX_POOLS:
        raise ValueError(f"{POOL} names {len(demands)} pools, more than {MAX_POOLS}")
    return tuple(sorted(demands.values()))


def _slots(text: str, annotation: str) -> int:
    slots = int(text) if re.fullmatch(r"[0-9]{1,6}", text.strip()) else 0
    if not 1 <= slots <= MAX_SLOTS:
        raise ValueError(f"{annotation}: {text[:80]!r} is no whole number from 1 to {MAX_SLOTS}")
    return slots
