"""The fires of a schedule that are still to come, by the functions that make it fire.

Invariant: what is told here is what happens when every fire is made on time: nothing here has rules of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock_server.domain.schedule import Schedule, Trigger, fire_time, next_fire

MOST = 100
DEFAULT = 10


@dataclass(frozen=True, slots=True)
class ComingFires:
    """`times` in milliseconds, the earliest first; those that were missed and are caught up lie in the past.

    `reason` says why there are none, or why they will not be made as it stands.
    """

    times: Sequence[int]
    reason: str = ""


def coming_fires(schedule: Schedule, now: int, zone: str, count: int) -> ComingFires:
    """At most `count`; 0 stands for DEFAULT. Raises InvalidArgumentError for a cron expression that cannot be read."""
    times: list[int] = []
    left = schedule
    while left.next_fire_at and len(times) < min(count or DEFAULT, MOST):
        at = fire_time(left, now, zone) if left.next_fire_at <= now else left.next_fire_at
        times.append(at)
        left = replace(left, fires=left.fires + 1, last_fired_at=at)
        left = replace(left, next_fire_at=next_fire(left, zone))
    return ComingFires(times, _reason(schedule, times))


def of_trigger(trigger: Trigger, now: int, zone: str, count: int) -> ComingFires:
    """Of a schedule that would be made now. Raises InvalidArgumentError."""
    made = Schedule(
        recurring_run_id="",
        display_name="",
        description="",
        experiment_id="",
        namespace="",
        service_account="",
        resource_name="",
        enabled=True,
        max_concurrency=1,
        no_catchup=False,
        trigger=trigger,
        spec_hash="",
        pipeline_id="",
        pipeline_version_id="",
        submitted_spec="",
        runtime_config=None,
        parameters="",
        pipeline_root="",
        created_at=now,
        updated_at=now,
    )
    return coming_fires(replace(made, next_fire_at=next_fire(made, zone)), now, zone, count)


def _reason(schedule: Schedule, times: Sequence[int]) -> str:
    if not times:
        return schedule.error or "its trigger has no time left before its end, or has fired its only time"
    return "" if schedule.enabled else "it is disabled: these are made once it is enabled"
