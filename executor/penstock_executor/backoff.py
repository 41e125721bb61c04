"""Delays between tries: exponential with full jitter, so that many executors do not return at the same moment."""

from __future__ import annotations

import random
from collections.abc import Iterator


def delays(first: float = 0.1, longest: float = 5.0) -> Iterator[float]:
    """Endless delays in seconds."""
    ceiling = first
    while True:
        yield random.uniform(ceiling / 2, ceiling)
        ceiling = min(ceiling * 2, longest)
