"""Recurring runs (api.md §2.9)."""

from __future__ import annotations

from typing import Any

from google.rpc import code_pb2, status_pb2
from penstock_api.v1beta1 import job_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb

from penstock_server.domain.schedule import Schedule, Trigger
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import (
    fill_config,
    millis,
    plain_values,
    struct_of_text,
    timestamp,
)
from penstock_server.rpc.convert.inline import inline_document
from penstock_server.rpc.convert.runs import fill_plugins, plugins_text, text_of_config
from penstock_server.services.recurring_runs import NewSchedule


def new_schedule(message: pb.RecurringRun) -> NewSchedule:
    """The schedule that a CreateRecurringRun request describes. Raises InvalidArgumentError."""
    config = message.runtime_config
    reference = message.pipeline_version_reference
    inline = message.WhichOneof("pipeline_source") == "pipeline_spec"
    return NewSchedule(
        display_name=message.display_name,
        description=message.description,
        experiment_id=message.experiment_id,
        pipeline_spec=inline_document(message.pipeline_spec, "recurring_run.pipeline_spec") if inline else None,
        pipeline_id=reference.pipeline_id,
        pipeline_version_id=reference.pipeline_version_id,
        parameters=plain_values(config.parameters, "recurring_run.runtime_config.parameters"),
        pipeline_root=config.pipeline_root,
        runtime_config=text_of_config(config) if message.HasField("runtime_config") else None,
        service_account=message.service_account,
        enabled=message.mode == pb.RecurringRun.ENABLE,
        max_concurrency=message.max_concurrency,
        no_catchup=message.no_catchup,
        trigger=trigger(message.trigger),
        plugins_input=plugins_text(message.plugins_input, "recurring_run.plugins_input"),
    )


def to_proto(schedule: Schedule) -> pb.RecurringRun:
    enabled = schedule.enabled
    message = pb.RecurringRun(
        recurring_run_id=schedule.recurring_run_id,
        display_name=schedule.display_name,
        description=schedule.description,
        service_account=schedule.service_account,
        max_concurrency=schedule.max_concurrency,
        mode=pb.RecurringRun.ENABLE if enabled else pb.RecurringRun.DISABLE,
        status=pb.RecurringRun.ENABLED if enabled else pb.RecurringRun.DISABLED,
        created_at=timestamp(schedule.created_at),
        updated_at=timestamp(schedule.updated_at),
        no_catchup=schedule.no_catchup,
        namespace=schedule.namespace,
        experiment_id=schedule.experiment_id,
    )
    if schedule.submitted_spec:
        message.pipeline_spec.CopyFrom(struct_of_text(schedule.submitted_spec))
    elif schedule.pipeline_id:
        message.pipeline_version_reference.pipeline_id = schedule.pipeline_id
        message.pipeline_version_reference.pipeline_version_id = schedule.pipeline_version_id
    if schedule.runtime_config is not None:
        fill_config(message.runtime_config, schedule.runtime_config)
        message.runtime_config.SetInParent()
    message.trigger.SetInParent()
    fill_trigger(message.trigger, schedule.trigger)
    if schedule.plugins_input:
        fill_plugins(message.plugins_input, schedule.plugins_input)
    if schedule.error:
        message.error.CopyFrom(status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=schedule.error))
    return message


def fill_trigger(message: pb.Trigger | job_pb2.Trigger, trigger: Trigger) -> None:
    """Fills a Trigger of v2beta1 or v1beta1, which have the same fields."""
    target: Any = None
    if trigger.cron:
        target = message.cron_schedule
        target.cron = trigger.cron
    elif trigger.interval_seconds:
        target = message.periodic_schedule
        target.interval_second = trigger.interval_seconds
    if target is not None:
        if trigger.start_at:
            target.start_time.CopyFrom(timestamp(trigger.start_at))
        if trigger.end_at:
            target.end_time.CopyFrom(timestamp(trigger.end_at))


def trigger(message: pb.Trigger) -> Trigger:
    """Raises InvalidArgumentError."""
    kind = message.WhichOneof("trigger")
    if kind is None:
        return Trigger()
    given = message.cron_schedule if kind == "cron_schedule" else message.periodic_schedule
    place = f"recurring_run.trigger.{kind}"
    start = millis(given.start_time, f"{place}.start_time") if given.HasField("start_time") else 0
    end = millis(given.end_time, f"{place}.end_time") if given.HasField("end_time") else 0
    if kind == "cron_schedule":
        if not message.cron_schedule.cron.strip():
            raise InvalidArgumentError(
                "a cron schedule needs an expression", "recurring_run.trigger.cron_schedule.cron"
            )
        return Trigger(cron=message.cron_schedule.cron, start_at=start, end_at=end)
    interval = message.periodic_schedule.interval_second
    if interval < 1:
        field = "recurring_run.trigger.periodic_schedule.interval_second"
        raise InvalidArgumentError(f"{field} must be at least 1, it is {interval}", field)
    return Trigger(interval_seconds=interval, start_at=start, end_at=end)
