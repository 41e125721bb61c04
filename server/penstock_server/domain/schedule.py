"""Recurring runs and the one function that says when they fire (api.md §2.9).

Invariants: pure. A fire is decided by the schedule and its latest fire alone, so two servers decide the same; with
catch-up every point of the grid fires once, in order, without it only the latest one that was missed. `end_at` is
inclusive. Times are milliseconds (UTC), negative before 1970; 0 means none, so a fire at that very moment is told as
the millisecond after it. A schedule without trigger fires exactly once. A cron expression begins with seconds; of six
fields the last, the day of the week, may be left out, as upstream reads them.
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
_EPOCH = 1
_FIELD = "recurring_run.trigger.cron_schedule.cron"
_ZONE = re.compile(r"^(?:CRON_TZ|TZ)=(\S+)\s+(.*)$")
_EVERY = re.compile(r"@every ((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|m|s))+)")
_PART = re.compile(r"([0-9.]+)(h|ms|m|s)")
_MILLIS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_LONGEST = 10 * 366 * 86_400
# A start leaves room for its zone and for the search of the first fire in the years that there are, 1 to 9999.
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
    """One row of `recurring_runs`. `fires` counts the runs made, which is the index of the latest.

    `spec_hash` is empty when each fire takes the newest version of `pipeline_id`; `submitted_spec` is an inline spec as
    it came; `runtime_config` and `plugins_input` are JSON, None when none was sent; `next_fire_at` is 0 when it never
    fires again.
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


def checked(trigger: Trigger, zone: str) -> Trigger:
    """Raises InvalidArgumentError with what to do."""
    if trigger.cron:
        _read(trigger.cron, zone)
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
    """When the schedule fires next by its grid, 0 for never again; it may lie in the past."""
    trigger = schedule.trigger
    reference = schedule.last_fired_at or trigger.start_at or schedule.created_at
    if reference == _EPOCH:
        reference = 0
    found: int | None
    if trigger.cron:
        found = _after(trigger.cron, reference, zone)
    elif trigger.interval_seconds:
        found = reference + trigger.interval_seconds * 1000
    else:
        found = None if schedule.fires else schedule.created_at
    if found is None or (trigger.end_at and found > trigger.end_at):
        return 0
    return found or _EPOCH


def fire_time(schedule: Schedule, now: int, zone: str) -> int:
    """For which moment a schedule that is due fires now: the first one missed, or without catch-up the latest."""
    due, trigger = schedule.next_fire_at, schedule.trigger
    if not schedule.no_catchup:
        return due
    until = min(now, trigger.end_at) if trigger.end_at else now
    if trigger.cron:
        latest = _at_or_before(trigger.cron, until, zone)
        return due if latest is None else max(due, latest or _EPOCH)
    if trigger.interval_seconds:
        return until if until - due >= trigger.interval_seconds * 1000 else due
    return due


def run_name(schedule: Schedule, index: int, at: int) -> str:
    """`<name>-<index>-<hash>`: the same for the same fire, whoever makes it."""
    return f"{schedule.resource_name}-{index}-{_fnv32a(f'{schedule.recurring_run_id}/{index}/{at}')}"


def _after(cron: str, reference: int, zone: str) -> int | None:
    grid, where = _read(cron, zone)
    if isinstance(grid, int):
        return reference + grid
    # Points are whole seconds, and strictly after the reference.
    return _millis(grid.after(_local(reference, where)))


def _at_or_before(cron: str, until: int, zone: str) -> int | None:
    grid, where = _read(cron, zone)
    if isinstance(grid, int):
        return until
    return _millis(grid.before(_local(until, where) + timedelta(milliseconds=1)))


def _read(cron: str, zone: str) -> tuple[Cron | int, tzinfo]:
    """The grid, or milliseconds between two fires, and the zone it is in. Raises InvalidArgumentError."""
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
    """Milliseconds of `@every 1h30m`, whole seconds and at least one. Raises CronError."""
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
