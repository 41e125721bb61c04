"""When schedules fire (api.md §2.9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_server.domain.schedule import Schedule, Trigger, checked, fire_time, next_fire, run_name
from penstock_server.errors import InvalidArgumentError

START = 10 * 3600 * 1000
MINUTE = 60_000
NOW = 100 * 3600 * 1000


def schedule(trigger: Trigger, **more: Any) -> Schedule:
    made = Schedule(
        recurring_run_id="id",
        display_name="name",
        description="",
        experiment_id="",
        namespace="",
        service_account="",
        resource_name="name",
        enabled=True,
        max_concurrency=1,
        no_catchup=False,
        trigger=trigger,
        spec_hash="",
        pipeline_id="",
        pipeline_version_id="",
        submitted_spec="",
        runtime_config=None,
        parameters="{}",
        pipeline_root="",
        created_at=START,
        updated_at=START,
    )
    return replace(made, **more)


def fires(given: Schedule, now: int = NOW, zone: str = "", most: int = 100) -> list[int]:
    """All fires until now."""
    found: list[int] = []
    current = replace(given, next_fire_at=next_fire(given, zone))
    while current.next_fire_at and current.next_fire_at <= now and len(found) < most:
        at = fire_time(current, now, zone)
        found.append(at)
        current = replace(current, fires=current.fires + 1, last_fired_at=at)
        current = replace(current, next_fire_at=next_fire(current, zone))
    return found


PAST: dict[str, Any] = {"start_at": START, "end_at": START + 2 * MINUTE}


@pytest.mark.parametrize("trigger", [Trigger(cron="0 * * * * ?", **PAST), Trigger(interval_seconds=60, **PAST)])
def test_missed_fires_are_made_up_or_not(trigger: Trigger) -> None:
    assert fires(schedule(trigger)) == [START + MINUTE, START + 2 * MINUTE]
    assert fires(schedule(trigger, no_catchup=True)) == [START + 2 * MINUTE]


def test_without_a_trigger_there_is_one_run() -> None:
    assert fires(schedule(Trigger())) == [START]


def test_the_first_periodic_run_is_an_interval_after_the_start() -> None:
    assert fires(schedule(Trigger(interval_seconds=60)), now=START + 59_000) == []
    assert fires(schedule(Trigger(interval_seconds=60)), now=START + MINUTE) == [START + MINUTE]


def test_periodic_without_catch_up_goes_off_the_grid_only_when_far_behind() -> None:
    given = schedule(Trigger(interval_seconds=60), no_catchup=True)
    assert fires(given, now=START + 90_000) == [START + MINUTE]
    assert fires(given, now=START + 150_000) == [START + 150_000]


def test_cron_without_catch_up_takes_the_latest_point() -> None:
    given = schedule(Trigger(cron="0 */10 * * * *"), no_catchup=True)
    assert fires(given, now=START + 35 * MINUTE) == [START + 30 * MINUTE]


@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("*/5 * * * *", [(7, 1, 0, 0, 5), (7, 1, 0, 0, 10)]),
        ("30 2 * * *", [(7, 1, 0, 2, 30), (7, 1, 1, 2, 30)]),
        ("TZ=Europe/Berlin 1 2 3 4 8", [(8, 4, 1, 2, 1)]),
        (" 5  4 * * * ", [(7, 1, 0, 4, 5), (7, 1, 1, 4, 5)]),
    ],
)
def test_five_fields_begin_with_seconds_too(cron: str, wanted: list[tuple[int, ...]]) -> None:
    created = _utc(2026, 7, 1, 0, 0)
    found = fires(schedule(Trigger(cron=cron), created_at=created), now=_utc(2026, 9, 1, 0, 0), most=len(wanted))
    assert found == [_utc(2026, *one) for one in wanted]


BEFORE_1970: dict[str, Any] = {"start_at": -2 * MINUTE, "end_at": 2 * MINUTE}


@pytest.mark.parametrize(
    "trigger", [Trigger(cron="0 * * * * ?", **BEFORE_1970), Trigger(interval_seconds=60, **BEFORE_1970)]
)
def test_fires_before_1970_are_like_others(trigger: Trigger) -> None:
    seconds = [at // 1000 for at in fires(schedule(trigger))]
    assert seconds == [-60, 0, 60, 120]
    assert [at // 1000 for at in fires(schedule(trigger, no_catchup=True))] == [120]
    assert fires(schedule(replace(trigger, end_at=-MINUTE), no_catchup=True)) == [-MINUTE]


def test_every() -> None:
    assert fires(schedule(Trigger(cron="@every 1m30s")), now=START + 4 * MINUTE) == [START + 90_000, START + 180_000]


@pytest.mark.parametrize(
    ("cron", "zone"), [("TZ=Europe/Berlin 0 30 2 * * *", ""), ("0 30 2 * * *", "Europe/Berlin"), ("0 30 0 * * *", "")]
)
def test_time_zones(cron: str, zone: str) -> None:
    created = _utc(2026, 7, 1, 0, 0)
    found = fires(schedule(Trigger(cron=cron), created_at=created), now=_utc(2026, 7, 2, 12, 0), zone=zone)
    assert found == [_utc(2026, 7, 1, 0, 30), _utc(2026, 7, 2, 0, 30)]


def test_an_hour_that_does_not_exist_fires_after_it() -> None:
    given = schedule(Trigger(cron="CRON_TZ=Europe/Berlin 0 30 2 * * *"), created_at=_utc(2026, 3, 28, 12, 0))
    assert fires(given, now=_utc(2026, 3, 29, 12, 0)) == [_utc(2026, 3, 29, 1, 0)]


@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("* * * *", "six: second"),
        ("0 0 0 1 1 1 2030", "six: second"),
        ("0 0 * * 13", "no cron expression"),
        ("61 * * * * *", "no cron expression"),
        ("0 0 0 0 0 0", "no cron expression"),
        ("TZ=Mars/Olympus 0 * * * * *", "no time zone"),
        ("TZ=../../etc/passwd 0 * * * * *", "no time zone"),
        ("@never", "no cron expression"),
        ("0 * * * * *; rm -rf", "fields"),
    ],
)
def test_wrong_expressions_say_what_to_do(cron: str, wanted: str) -> None:
    with pytest.raises(InvalidArgumentError, match=wanted):
        checked(Trigger(cron=cron), "")


def test_a_day_that_never_comes() -> None:
    assert fires(schedule(Trigger(cron="0 0 12 31 2 ?"))) == []


@given(st.integers(1, 100_000), st.integers(0, 10**9), st.booleans())
def test_fires_go_forward_and_stay_in_bounds(interval: int, length: int, no_catchup: bool) -> None:
    end = START + length
    found = fires(schedule(Trigger(interval_seconds=interval, end_at=end), no_catchup=no_catchup), most=20)
    assert found == sorted(set(found))
    assert all(START < at <= min(end, NOW) for at in found)


def test_names_are_the_same_for_the_same_fire() -> None:
    given = schedule(Trigger())
    assert run_name(given, 1, 5) == run_name(given, 1, 5)
    assert len({run_name(given, 1, 5), run_name(given, 2, 5), run_name(given, 1, 6)}) == 3


def _utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)  # type: ignore[misc,arg-type]
