"""The months of `tools.bench.bench_months`: where they begin, and which run is in which."""

from __future__ import annotations

from datetime import datetime, timezone

from tools.bench.months_calls import Pass
from tools.bench.months_filled import Filled, months_until, partition_of


def at(year: int, month: int, day: int = 1) -> int:
    return int(datetime(year, month, day, tzinfo=timezone.utc).timestamp() * 1000)


def test_months_end_with_the_next_one() -> None:
    assert months_until(at(2026, 1, 31), 3) == [at(2025, 11), at(2025, 12), at(2026, 1), at(2026, 2), at(2026, 3)]
    assert months_until(at(2026, 12, 31), 1) == [at(2026, 12), at(2027, 1), at(2027, 2)]


def test_every_run_is_in_a_month() -> None:
    now = at(2026, 11, 30)
    filled = Filled("", 1_000, True, now, months_until(now))
    assert filled.created_at(0) == filled.begin == at(2024, 12)
    assert all(
        begin <= filled.created_at(number) < end
        for number in range(1_000)
        for begin, end in [filled.month_of(filled.created_at(number))]
    )
    assert filled.month_of(at(2026, 11)) == (at(2026, 11), at(2026, 12))
    assert filled.month_of(at(2026, 11) - 1) == (at(2026, 10), at(2026, 11))
    assert partition_of(filled.begin) == "runs_2024_12"


def test_one_slow_call_of_two_hundred_is_not_the_99th_of_a_hundred() -> None:
    assert Pass([*[1.0] * 198, 5.0, 9.0]).p99 == 1.0
    assert Pass([*[1.0] * 197, 5.0, 9.0, 9.0]).p99 == 5.0
    assert Pass([2.0, 1.0, 3.0]).p99 == 3.0
