"""`penstock cache explain RUN TASK`."""

from __future__ import annotations

import click
from penstock_api.v1 import insight_pb2

from penstock.cli.common import print_message, print_table, say, server_options
from penstock.client import Client


@click.group()
def cache() -> None:
    """Ask about cached results.

    Example: penstock cache explain 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 train
    """


@cache.command("explain")
@click.argument("run_id")
@click.argument("task")
@server_options
def explain(run_id: str, task: str, client: Client, as_json: bool) -> None:
    """Say whether a task was answered from the cache, and if not, what differs from the nearest result.

    Example: penstock cache explain 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 for-loop-1[3]/train
    """
    from penstock import render

    explanation = client.call(client.insight.ExplainCache, insight_pb2.ExplainCacheRequest(run_id=run_id, task=task))
    if as_json:
        print_message(explanation)
        return
    outcome = insight_pb2.ExplainCacheResponse.Outcome.Name(explanation.outcome).removeprefix("OUTCOME_").lower()
    say(f"{outcome.replace('_', ' ')}: {explanation.summary}")
    if explanation.differences:
        rows = [
            (difference.field, difference.this_value, difference.other_value) for difference in explanation.differences
        ]
        print_table(render.table(("part of the key", "this task", "the nearest result"), rows))
