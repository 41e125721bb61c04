"""The rank of what waits: earlier is better, a point of priority is a minute, and the bound on being overtaken."""

from __future__ import annotations

from random import Random

from penstock_ir.ranks import AGEING_MILLIS, MAX_PRIORITY, rank


def test_who_came_first_is_first_and_a_point_counts_a_minute() -> None:
    assert rank(1_000, 0) < rank(1_001, 0)
    assert rank(1_000, 0) > rank(1_000 + AGEING_MILLIS - 1, 1)
    assert rank(1_000, 0) < rank(1_000 + AGEING_MILLIS + 1, 1)


def test_nobody_is_overtaken_by_what_comes_later_than_the_difference_of_priorities() -> None:
    random = Random(7)
    for _ in range(2_000):
        first, later = sorted(random.randrange(10**9) for _ in range(2))
        mine, theirs = (random.randint(-MAX_PRIORITY, MAX_PRIORITY) for _ in range(2))
        if rank(later, theirs) < rank(first, mine):
            assert later - first < (theirs - mine) * AGEING_MILLIS
