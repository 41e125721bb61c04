"""Recurring runs, and when they fire (api.md §2.9).

Invariants: pure. A fire depends only on the schedule and its last fire, so two servers compute the same; with catch-up
every missed point fires once, in order, without it only the latest. `end_at` is inclusive. Times are milliseconds
(UTC), negative before 1970; 0 means none, so a fire at the epoch itself is stored as 1. A schedule without trigger
fires exactly once. A cron expression has six fields, beginning with seconds; the last, the day of the week, may be
omitted, as upstream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from penstock_server.domain import cron as expressions
from penstock_server.domain.cron import Cron, CronError
from penstock_server.errors import InvalidArgumentError

MAX_CONCURRENCY = 10
_AT_EPOCH = 1
_FIELD = "recurring_run.trigger.cron_schedule.cron"
_ZONE = re.compile(r"^(?:CRON_TZ|TZ)=(\S+)\s+(.*)$")
_EVERY = re.compile(r"@every ((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|m|s))+)")
_PART = re.compile(r"([0-9.]+)(h|ms|m|s)")
_MILLIS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_LONGEST = 10 * 366 * 86_400
# Bounds of start times, so that time zones and the search for the first fire stay within the years 1 to 9999.
_EARLIEST = int(datetime(1, 1, 3, tzinfo=timezone.utc).timestamp()) * 1000
_LATEST = int(datetime(9990, 1, 1, tzinfo=timezone.utc).timestamp()) * 1000


@dataclass(frozen=True, slots=True)
class Trigger:
    """At most one of `cron` and `interval_seconds` is set."""

    cron: str = ""
    interval_seconds: int = 0
    start_at: int = 0
    end_at: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of `recurring_runs`. `fires` is the number of runs made, and so the index of the latest.

    `spec_hash` is empty if each fire uses the newest version of `pipeline_id`; `submitted_spec` is an inline spec as it
    was sent; `runtime_config` and `plugins_input` are JSON, None if not sent; `next_fire_at` is 0 if it never fires
    again.
    """

    recurring_run_id: str
    display_name: str
    description: str
    experiment_id: str
    namespace: str
    service_account: str
    resource_name: str
    enabled: bool
    max_concurrency: int
    no_catchup: bool
    trigger: Trigger
    spec_hash: str
    pipeline_id: str
    pipeline_version_id: str
    submitted_spec: str
    runtime_config: str | None
    parameters: str
    pipeline_root: str
    created_at: int
    updated_at: int
    fires: int = 0
    last_fired_at: int = 0
    next_fire_at: int = 0
    error: str = ""
    plugins_input: str | None = None


def validated(trigger: Trigger, zone: str) -> Trigger:
    """Raises InvalidArgumentError with what to do."""
    if trigger.cron:
        _parse_cron(trigger.cron, zone)
    if trigger.interval_seconds < 0 or (not trigger.cron and trigger.interval_seconds > _LONGEST):
        raise InvalidArgumentError(
            "interval_second must be at least 1 and at most ten years",
            "recurring_run.trigger.periodic_schedule.interval_second",
        )
    if trigger.start_at and not _EARLIEST <= trigger.start_at < _LATEST:
        kind = "cron_schedule" if trigger.cron else "periodic_schedule"
        raise InvalidArgumentError(
            "a schedule starts between 0001-01-03 and 9989-12-31", f"recurring_run.trigger.{kind}.start_time"
        )
    if trigger.start_at and trigger.end_at and trigger.end_at < trigger.start_at:
        raise InvalidArgumentError("end_time lies before start_time", "recurring_run.trigger")
    return trigger


def next_fire(schedule: Schedule, zone: str) -> int:
    """The time of the next fire, which may be in the past; 0 if it never fires again."""
    trigger = schedule.trigger
    reference = schedule.last_fired_at or trigger.start_at or schedule.created_at
    if reference == _AT_EPOCH:
        reference = 0
    fire: int | None
    if trigger.cron:
        fire = _after(trigger.cron, reference, zone)
    elif trigger.interval_seconds:
        fire = reference + trigger.interval_seconds * 1000
    else:
        fire = None if schedule.fires else schedule.created_at
    if fire is None or (trigger.end_at and fire > trigger.end_at):
        return 0
    return fire or _AT_EPOCH


def fire_time(schedule: Schedule, now: int, zone: str) -> int:
    """The scheduled time of a fire that is due: the first missed point, or without catch-up the latest."""
    due, trigger = schedule.next_fire_at, schedule.trigger
    if not schedule.no_catchup:
        return due
    until = min(now, trigger.end_at) if trigger.end_at else now
    if trigger.cron:
        latest = _at_or_before(trigger.cron, until, zone)
        return due if latest is None else max(due, latest or _AT_EPOCH)
    if trigger.interval_seconds:
        return until if until - due >= trigger.interval_seconds * 1000 else due
    return due


def run_name(schedule: Schedule, index: int, at: int) -> str:
    """`<name>-<index>-<hash>`, deterministic, so that a fire that is repeated gives the same name."""
    return f"{schedule.resource_name}-{index}-{_fnv32a(f'{schedule.recurring_run_id}/{index}/{at}')}"


def _after(cron: str, reference: int, zone: str) -> int | None:
    grid, where = _parse_cron(cron, zone)
    if isinstance(grid, int):
        return reference + grid
    # Points in time are whole seconds, strictly after the reference.
    return _millis(grid.after(_local(reference, where)))


def _at_or_before(cron: str, until: int, zone: str) -> int | None:
    grid, where = _parse_cron(cron, zone)
    if isinstance(grid, int):
        return until
    return _millis(grid.before(_local(until, where) + timedelta(milliseconds=1)))


def _parse_cron(cron: str, zone: str) -> tuple[Cron | int, tzinfo]:
    """The cron expression, or the interval in milliseconds, and its time zone. Raises InvalidArgumentError."""
    match = _ZONE.match(cron.strip())
    text, name = (match.group(2), match.group(1)) if match else (cron.strip(), zone)
    try:
        where: tzinfo = ZoneInfo(name) if name else timezone.utc
    except (KeyError, ValueError, OSError) as error:
        raise InvalidArgumentError(f"{name!r} is no time zone; use a name such as Europe/Berlin", _FIELD) from error
    try:
        return (_every(text) if text.startswith("@every") else expressions.parse(text)), where
    except CronError as error:
        raise InvalidArgumentError(f"{cron[:80]!r} is no cron expression: {error}", _FIELD) from error


def _every(text: str) -> int:
    """The interval of `@every 1h30m` in milliseconds, truncated to seconds, at least 1 s. Raises CronError."""
    match = _EVERY.fullmatch(text)
    if not match:
        raise CronError("@every takes a time such as 1h30m: hours, minutes, seconds, milliseconds")
    seconds = sum(float(number) * _MILLIS[unit] for number, unit in _PART.findall(match.group(1))) / 1000
    if seconds > _LONGEST:
        raise CronError("@every takes at most ten years")
    return max(1, int(seconds)) * 1000


def _local(millis: int, where: tzinfo) -> datetime:
    return datetime.fromtimestamp(millis / 1000, tz=timezone.utc).astimezone(where)


def _millis(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp()) * 1000


def _fnv32a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
