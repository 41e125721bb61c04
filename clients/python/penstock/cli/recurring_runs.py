"""`penstock recurring-runs`: list, get, create, fires, enable, disable, delete."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb

from penstock.cli.common import namespace_option, print_message, print_messages, print_table, say, server_options
from penstock.cli.recurring_run_creation import create
from penstock.client import Client

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


@click.group("recurring-runs")
def recurring_runs() -> None:
    """Make and look at recurring runs, which make runs by themselves.

    Example: penstock recurring-runs list
    """


recurring_runs.add_command(create)


@recurring_runs.command("list")
@namespace_option
@server_options
def list_recurring_runs(namespace: str, client: Client, as_json: bool) -> None:
    """List recurring runs, newest first.

    Example: penstock recurring-runs list --json
    """
    from penstock import render

    found = list(client.list_recurring_runs(namespace=namespace, sort_by="created_at desc"))
    if as_json:
        print_messages(found)
        return
    rows = [
        (one.recurring_run_id, one.display_name, _status(one), _words(one.trigger), render.moment(one.created_at))
        for one in found
    ]
    print_table(render.table(("recurring run", "name", "status", "fires", "created"), rows))


@recurring_runs.command("get")
@click.argument("recurring_run_id")
@server_options
def get(recurring_run_id: str, client: Client, as_json: bool) -> None:
    """Show a recurring run and its next fires.

    Example: penstock recurring-runs get 0c3c9a6e-2a0f-4a7c-8f58-5f0d6e0a1b11
    """
    request = pb.GetRecurringRunRequest(recurring_run_id=recurring_run_id)
    found = client.call(client.recurring_runs.GetRecurringRun, request)
    if as_json:
        print_message(found)
        return
    say(f"{found.display_name}  {_status(found)}  {_words(found.trigger)}")
    say(f"at most {found.max_concurrency} at a time; missed fires are {_missed(found)}")
    if found.error.message:
        say(f"error: {found.error.message}")
    _say_fires(_next_fires(client, recurring_run_id, 3))


@recurring_runs.command("fires")
@click.argument("recurring_run_id")
@click.option("--count", type=click.IntRange(1, 100), default=10, show_default=True, help="So many at most.")
@server_options
def fires(recurring_run_id: str, count: int, client: Client, as_json: bool) -> None:
    """Say when a recurring run will fire.

    Example: penstock recurring-runs fires 0c3c9a6e-2a0f-4a7c-8f58-5f0d6e0a1b11 --count 3
    """
    found = _next_fires(client, recurring_run_id, count)
    if as_json:
        print_message(found)
    else:
        _say_fires(found)


@recurring_runs.command("delete")
@click.argument("recurring_run_id")
@click.option("--terminate-runs", is_flag=True, help="End those of its runs that have not ended.")
@server_options
def delete(recurring_run_id: str, terminate_runs: bool, client: Client, as_json: bool) -> None:
    """Delete a recurring run; the runs it made stay.

    Example: penstock recurring-runs delete 0c3c9a6e-2a0f-4a7c-8f58-5f0d6e0a1b11 --terminate-runs
    """
    policy = pb.FOREGROUND if terminate_runs else pb.ORPHAN
    request = pb.DeleteRecurringRunRequest(recurring_run_id=recurring_run_id, propagation_policy=policy)
    client.call(client.recurring_runs.DeleteRecurringRun, request)
    say("{}" if as_json else f"{recurring_run_id} is deleted", err=not as_json)


def _action(name: str, text: str, method: str, request: Any) -> None:
    @recurring_runs.command(
        name, help=f"{text}\n\nExample: penstock recurring-runs {name} 0c3c9a6e-2a0f-4a7c-8f58-5f0d6e0a1b11"
    )
    @click.argument("recurring_run_id")
    @server_options
    def command(recurring_run_id: str, client: Client, as_json: bool) -> None:
        client.call(getattr(client.recurring_runs, method), request(recurring_run_id=recurring_run_id))
        say("{}" if as_json else f"{recurring_run_id} is {name}d", err=not as_json)


_action("enable", "Have a recurring run fire.", "EnableRecurringRun", pb.EnableRecurringRunRequest)
_action("disable", "Have a recurring run pause.", "DisableRecurringRun", pb.DisableRecurringRunRequest)


def _next_fires(client: Client, recurring_run_id: str, count: int) -> insight_pb2.NextFires:
    request = insight_pb2.ListNextFiresRequest(recurring_run_id=recurring_run_id, count=count)
    found: insight_pb2.NextFires = client.call(client.insight.ListNextFires, request)
    return found


def _say_fires(found: insight_pb2.NextFires) -> None:
    if found.reason:
        say(found.reason)
    for fire in found.fires:
        say(_zoned(fire))


def _zoned(moment: Timestamp) -> str:
    """In the terminal's zone, with its distance from UTC, since a schedule may count in another one."""
    return datetime.fromtimestamp(moment.seconds).astimezone().isoformat(sep=" ")


def _status(recurring_run: pb.RecurringRun) -> str:
    return pb.RecurringRun.Status.Name(recurring_run.status)


def _missed(recurring_run: pb.RecurringRun) -> str:
    return "left out, but for one" if recurring_run.no_catchup else "made up"


def _words(trigger: pb.Trigger) -> str:
    if trigger.HasField("cron_schedule"):
        return trigger.cron_schedule.cron
    if trigger.HasField("periodic_schedule"):
        return f"every {trigger.periodic_schedule.interval_second} s"
    return "once"
