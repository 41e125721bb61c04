"""When schedules fire (api.md §2.9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_server.domain.schedule import Schedule, Trigger, fire_time, next_fire, run_name, validated
from penstock_server.errors import InvalidArgumentError

START = 10 * 3600 * 1000
MINUTE = 60_000
NOW = 100 * 3600 * 1000


def _utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)  # type: ignore[misc,arg-type]


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
        ("0 0 0 * * 7", "not within 0 to 6"),
        ("0 0 20-4 * * *", "begins after its end"),
        ("0 0 0 * * FRI-MON", "begins after its end"),
        ("0 0 0 L * ?", "no number"),
        ("0 0 0 15W * ?", "no number"),
        ("0 0 0 * * 1#2", "no number"),
        ("R R R * * *", "no number"),
        ("H H H * * *", "no number"),
        ("0 0 0 ٣ * *", "no number"),
        ("0 0 0 1-2-3 * *", "no number"),
        ("*/0 * * * * *", "step"),
        ("*/2/2 * * * * *", "step"),
        ("@Daily", "there is @yearly"),
        ("@reboot", "there is @yearly"),
        ("@every 99999999999999h", "at most ten years"),
        (f"@every {'9' * 400}h", "at most ten years"),
        ("@every 87841h", "at most ten years"),
        ("@every -1h", "a time such as 1h30m"),
        ("@every 1.2.3h", "a time such as 1h30m"),
        ("@everything", "a time such as 1h30m"),
    ],
)
def test_wrong_expressions_say_what_to_do(cron: str, wanted: str) -> None:
    with pytest.raises(InvalidArgumentError, match=wanted):
        validated(Trigger(cron=cron), "")


# What robfig/cron v1.2.0 says of 12 o'clock on 28 November 2026, as days of the month it comes to.
@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("0 0 0 */2 * 1", "12-07 12-21 01-11 01-25"),
        ("0 0 0 ? * 1", "11-30 12-07 12-14 12-21"),
        ("0 0 0 1,15 * 1", "11-30 12-01 12-07 12-14"),
        ("0 0 0 1-31 * 1", "11-29 11-30 12-01 12-02"),
        ("0 0 0 13 * */2", "12-13 02-13 03-13 04-13"),
        ("0 0 0 13 * 0-6", "11-29 11-30 12-01 12-02"),
        ("0 0 0 13 * 5/1", "12-04 12-05 12-11 12-12"),
        ("0 0 0 13 * ?", "12-13 01-13 02-13 03-13"),
        ("0 0 0 1/2 * *", "11-29 12-01 12-03 12-05"),
        ("0 0 0 31 * *", "12-31 01-31 03-31 05-31"),
        ("0 0 0 29 2 1", "02-01 02-08 02-15 02-22"),
        ("0 0 0 1 1/4 *", "01-01 05-01 09-01 01-01"),
        ("0 0 0 1 jan,Feb ?", "01-01 02-01 01-01 02-01"),
        ("? ?/61 ?/61 1 * ?", "12-01 12-01 12-01 12-01"),
        ("@weekly", "11-29 12-06 12-13 12-20"),
        ("@annually", "01-01 01-01 01-01 01-01"),
    ],
)
def test_days_are_those_of_upstream(cron: str, wanted: str) -> None:
    now = _utc(2026, 11, 28, 12, 0)
    found = fires(schedule(Trigger(cron=cron), created_at=now), now=_utc(2040, 1, 1), most=4)
    assert [datetime.fromtimestamp(at / 1000, timezone.utc).strftime("%m-%d") for at in found] == wanted.split()


@pytest.mark.parametrize(
    ("cron", "step"),
    [("@every 1500ms", 1), ("@every 1ms", 1), ("@every 1.5h", 5400), ("@every .5m", 30), ("@every 87840h", 316224000)],
)
def test_every_is_in_whole_seconds(cron: str, step: int) -> None:
    assert next_fire(schedule(Trigger(cron=cron)), "") == START + step * 1000


@pytest.mark.parametrize("cron", ["", "* * * * * *", "TZ=Pacific/Kiritimati 0 0 0 * * *", "@every 87600h"])
@pytest.mark.parametrize("at", [_utc(9990, 1, 1), _utc(9999, 12, 31, 23, 59, 59), _utc(1, 1, 1, 0, 0, 1), 10**30])
def test_starts_at_the_edge_of_time_are_refused(cron: str, at: int) -> None:
    kind = "cron_schedule" if cron else "periodic_schedule"
    with pytest.raises(InvalidArgumentError) as caught:
        validated(Trigger(cron=cron, interval_seconds=0 if cron else 60, start_at=at), "")
    assert caught.value.field == f"recurring_run.trigger.{kind}.start_time"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("cron", ["* * * * * *", "0 0 0 29 2 *", "0 0 0 31 2 *"])
@pytest.mark.parametrize("at", [_utc(1, 1, 3), _utc(9989, 12, 31, 23, 59, 59)])
def test_starts_within_them_fire_or_never_do(at: int, cron: str, zone: str) -> None:
    given = schedule(validated(Trigger(cron=cron, start_at=at, end_at=_utc(9999, 12, 31, 23, 59, 59)), zone))
    found = next_fire(given, zone)
    assert found == 0 if "31 2" in cron else found > at
    if found:
        fire_time(replace(given, next_fire_at=found, no_catchup=True), found, zone)


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
