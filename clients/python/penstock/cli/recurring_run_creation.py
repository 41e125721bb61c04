"""`penstock recurring-runs create`: a schedule of a file, or of a pipeline that is stored."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from penstock_api.v2beta1 import pipeline_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb

from penstock import documents
from penstock.cli.common import namespace_option, print_message, say, server_options
from penstock.cli.run import experiment_id
from penstock.client import Client
from penstock.durations import Duration

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--pipeline", "pipeline_id", default="", metavar="ID", help="A stored pipeline instead of a file.")
@click.option("--version", "version_id", default="", metavar="ID", help="Of that pipeline; the newest unless given.")
@click.option("--cron", default="", help="Six fields, seconds first; with TZ=Europe/Berlin before them in that zone.")
@click.option("--every", type=Duration(), default=None, metavar="TIME", help="Instead of --cron: 30m, 6h, 1d.")
@click.option("--start", type=click.DateTime(), default=None, help="No fire before, in the terminal's time zone.")
@click.option("--end", type=click.DateTime(), default=None, help="No fire after, likewise.")
@click.option("-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="An argument; may be repeated.")
@click.option("--name", default="", help="Its name; the pipeline's unless given.")
@click.option("--experiment", default="", envvar="PENSTOCK_EXPERIMENT", help="Experiment by name, made if needed.")
@click.option("--max-concurrency", type=click.IntRange(1, 10), default=1, show_default=True, help="Runs at a time.")
@click.option("--catch-up/--no-catch-up", default=True, show_default=True, help="Whether all missed fires are made up.")
@click.option("--disabled", is_flag=True, help="It begins to fire when it is enabled.")
@namespace_option
@server_options
def create(
    file: Path | None,
    pipeline_id: str,
    version_id: str,
    cron: str,
    every: float | None,
    start: datetime | None,
    end: datetime | None,
    params: tuple[str, ...],
    name: str,
    experiment: str,
    max_concurrency: int,
    catch_up: bool,
    disabled: bool,
    namespace: str,
    client: Client,
    as_json: bool,
) -> None:
    """Make a recurring run, of a compiled pipeline or of one that is stored.

    Example: penstock recurring-runs create nightly.yaml --cron 'TZ=Europe/Berlin 0 30 2 * * *' -p rate=0.1
    """
    from google.protobuf import json_format

    from penstock.whole_numbers import parse_dict

    if (file is None) == (not pipeline_id):
        raise click.UsageError("name either a file or --pipeline")
    if bool(cron) == (every is not None):
        raise click.UsageError("name either --cron or --every")
    request = pb.CreateRecurringRunRequest()
    new = request.recurring_run
    try:
        if file is not None:
            document = documents.load(file)
            parse_dict(document, new.pipeline_spec)
        else:
            document = _stored(client, pipeline_id, version_id)
            new.pipeline_version_reference.pipeline_id = pipeline_id
            new.pipeline_version_reference.pipeline_version_id = version_id
        parse_dict({"parameters": documents.arguments(document, params)}, new.runtime_config)
    except json_format.ParseError as error:
        raise click.ClickException(str(error)) from error
    new.display_name = name or documents.name_of(document)
    schedule = new.trigger.cron_schedule if cron else new.trigger.periodic_schedule
    if cron:
        new.trigger.cron_schedule.cron = cron
    else:
        new.trigger.periodic_schedule.interval_second = int(every or 0)
    _set_moment(schedule.start_time, start)
    _set_moment(schedule.end_time, end)
    new.max_concurrency = max_concurrency
    new.no_catchup = not catch_up
    new.mode = pb.RecurringRun.DISABLE if disabled else pb.RecurringRun.ENABLE
    new.namespace = namespace
    if experiment or namespace:
        new.experiment_id = experiment_id(client, experiment or "Default", namespace)
    created = client.call(client.recurring_runs.CreateRecurringRun, request)
    if as_json:
        print_message(created)
        return
    say(created.recurring_run_id)
    say(f"see when it fires with: penstock recurring-runs fires {created.recurring_run_id}", err=True)


def _stored(client: Client, pipeline_id: str, version_id: str) -> dict[str, Any]:
    """The document of the version, of the newest for no id: its parameters say how arguments are read."""
    from penstock.whole_numbers import to_dict

    if version_id:
        request = pipeline_pb2.GetPipelineVersionRequest(pipeline_id=pipeline_id, pipeline_version_id=version_id)
        version = client.call(client.pipelines.GetPipelineVersion, request)
    else:
        version = next(iter(client.list_pipeline_versions(pipeline_id, sort_by="created_at desc")), None)
        if version is None:
            raise click.ClickException(f"pipeline {pipeline_id} has no version")
    document: dict[str, Any] = to_dict(version.pipeline_spec)
    return document


def _set_moment(field: Timestamp, moment: datetime | None) -> None:
    if moment is not None:
        field.FromDatetime(moment.astimezone())
