"""The fires that are told are the fires that are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest
from penstock_server.domain.coming_fires import DEFAULT, MOST, coming_fires, of_trigger
from penstock_server.domain.schedule import Schedule, Trigger, fire_time, next_fire
from penstock_server.errors import InvalidArgumentError

from tests.support.rows import schedule

HOUR = 3_600_000
NOW = int(datetime(2026, 3, 28, 12, 30, tzinfo=timezone.utc).timestamp()) * 1000


def made(trigger: Trigger, **fields: object) -> Schedule:
    one = replace(schedule(1), trigger=trigger, created_at=NOW, **fields)  # type: ignore[arg-type]
    return replace(one, next_fire_at=next_fire(one, "UTC"))


def hours(times: object) -> list[str]:
    assert isinstance(times, (list, tuple))
    return [datetime.fromtimestamp(at / 1000, tz=timezone.utc).strftime("%d %H:%M") for at in times]


def really_fired(one: Schedule, now: int, count: int) -> list[int]:
    """As the ticker does, every fire as soon as it is due."""
    times: list[int] = []
    while one.next_fire_at and len(times) < count:
        now = max(now, one.next_fire_at)
        at = fire_time(one, now, "UTC")
        times.append(at)
        one = replace(one, fires=one.fires + 1, last_fired_at=at)
        one = replace(one, next_fire_at=next_fire(one, "UTC"))
    return times


@pytest.mark.parametrize("no_catchup", [True, False])
@pytest.mark.parametrize(
    "trigger",
    [
        Trigger(cron="0 0 */6 * * *"),
        Trigger(cron="CRON_TZ=Europe/Berlin 0 30 2 * * *"),
        Trigger(interval_seconds=5400),
        Trigger(interval_seconds=5400, start_at=NOW - 10 * HOUR, end_at=NOW + 3 * HOUR),
        Trigger(cron="0 0 * * * *", start_at=NOW - 5 * HOUR),
        Trigger(),
    ],
)
def test_they_are_those_of_the_ticker(trigger: Trigger, no_catchup: bool) -> None:
    one = made(trigger, no_catchup=no_catchup)
    assert coming_fires(one, NOW, "UTC", 7).times == really_fired(one, NOW, 7)


def test_an_hour_that_does_not_exist_in_the_zone() -> None:
    """In the night to the 29th the clocks go from 2:00 to 3:00."""
    found = of_trigger(Trigger(cron="CRON_TZ=Europe/Berlin 0 30 2 * * *"), NOW, "UTC", 3)
    assert hours(found.times)[1:] == ["30 00:30", "31 00:30"]


def test_how_many() -> None:
    trigger = Trigger(interval_seconds=60)
    assert len(of_trigger(trigger, NOW, "UTC", 0).times) == DEFAULT
    assert len(of_trigger(trigger, NOW, "UTC", 10**6).times) == MOST


def test_none_are_left_or_it_is_disabled() -> None:
    over = made(Trigger(interval_seconds=3600, end_at=NOW + 1))
    assert coming_fires(over, NOW, "UTC", 5).times == []
    assert "no time left" in coming_fires(over, NOW, "UTC", 5).reason
    failed = replace(over, error="it fires no more: the expression")
    assert coming_fires(failed, NOW, "UTC", 5).reason == "it fires no more: the expression"
    disabled = made(Trigger(interval_seconds=3600), enabled=False)
    found = coming_fires(disabled, NOW, "UTC", 2)
    assert (hours(found.times), "disabled" in found.reason) == (["28 13:30", "28 14:30"], True)
    assert coming_fires(made(Trigger(interval_seconds=3600)), NOW, "UTC", 2).reason == ""


def test_an_expression_that_cannot_be_read() -> None:
    with pytest.raises(InvalidArgumentError, match="no cron expression"):
        of_trigger(Trigger(cron="every day"), NOW, "UTC", 1)
