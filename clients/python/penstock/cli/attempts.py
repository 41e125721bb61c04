"""`penstock runs attempts` and `penstock runs timeline`: where the time of a run went, attempt by attempt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import click
from penstock_api.v1 import insight_pb2 as pb

from penstock.cli.common import print_message, print_table, say, server_options
from penstock.client import Client

_MOST_PATHS = 200
"""The server takes so many in a call."""


@click.command("attempts")
@click.argument("run_id")
@click.argument("task", default="")
@click.option("--limit", type=click.IntRange(1, _MOST_PATHS), default=50, show_default=True, help="So many tasks.")
@server_options
def attempts(run_id: str, task: str, limit: int, client: Client, as_json: bool) -> None:
    """List the attempts of a task, or of the tasks of a run, with the time that each phase took.

    Example: penstock runs attempts 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 for-loop-1[0]/train
    """
    from penstock import timelines

    paths = [task] if task else _paths(client, run_id, limit)
    reply = pb.ListAttemptsResponse()
    if paths:
        reply = client.call(client.insight.ListAttempts, pb.ListAttemptsRequest(run_id=run_id, paths=paths))
    if as_json:
        print_message(reply)
        return
    if not reply.attempts:
        say("nothing was tried yet")
        return
    print_table(timelines.attempt_table(reply.attempts))


@click.command("timeline")
@click.argument("run_id")
@click.option("--parent", default="", metavar="PATH", help="Only tasks below this one, at any depth.")
@click.option("--limit", type=click.IntRange(1, 5000), default=200, show_default=True, help="So many bars at most.")
@server_options
def timeline(run_id: str, parent: str, limit: int, client: Client, as_json: bool) -> None:
    """Draw what the attempts of a run did over time; `*` marks the tasks that its end waited for.

    With more attempts than bars it says how many were in each phase.

    Example: penstock runs timeline 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 --parent for-loop-1
    """
    from penstock import timelines

    request = pb.GetTimelineRequest(run_id=run_id, parent_path=parent, max_attempts=limit, max_bins=timelines.LINES)
    found = client.call(client.insight.GetTimeline, request)
    if as_json:
        print_message(found)
        return
    if not found.total_attempts:
        say("nothing was tried yet")
        return
    print_table(timelines.bars(found) if found.attempts else timelines.counts(found))
    say(timelines.LEGEND)
    if found.critical_path:
        say(f"the end waited for: {_chain(found.critical_path)}")


def _paths(client: Client, run_id: str, limit: int) -> Sequence[str]:
    """Of tasks that hold no others, as they were created."""
    found = client.list_tasks(run_id, sort_by="created_at")
    return list(islice((one.path for one in found if one.kind == "container"), limit))


def _chain(tasks: Sequence[pb.CriticalTask]) -> str:
    """Of a long one its end."""
    shown = [one.path for one in tasks[-20:]]
    return " > ".join(shown if len(shown) == len(tasks) else ["…", *shown])
