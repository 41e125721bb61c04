"""`penstock runs compare RUN RUN…`: parameters and metrics side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from google.protobuf import json_format
from penstock_api.v1 import insight_pb2 as pb
from penstock_api.v2beta1 import run_pb2

from penstock.cli.common import print_message, print_table, say, server_options
from penstock.client import Client


@click.command("compare")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN…")
@click.option("--all", "everything", is_flag=True, help="Also what is the same in all of them.")
@server_options
def compare(run_ids: tuple[str, ...], everything: bool, client: Client, as_json: bool) -> None:
    """Show parameters and metrics of runs side by side; 20 runs at most.

    Example: penstock runs compare 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 0b9c6c1e-7f0e-4b61-8a3e-1f2d3c4b5a69
    """
    from penstock import render

    reply = client.call(client.insight.CompareRuns, pb.CompareRunsRequest(run_ids=run_ids))
    if as_json:
        print_message(reply)
        return
    runs = reply.runs
    rows: list[tuple[object, ...]] = [
        ("state", *(run_pb2.RuntimeState.Name(one.run.state) for one in runs)),
        ("created", *(one.run.created_at.ToJsonString() for one in runs)),
    ]
    parameters = [json_format.MessageToDict(one.parameters) for one in runs]
    rows += _rows("parameter", parameters, everything, _json)
    rows += _rows("metric", [dict(one.metrics) for one in runs], everything, lambda value: f"{value:g}")
    print_table(render.table(("", *(one.run.display_name or one.run.run_id for one in runs)), rows))
    if not everything:
        say("what is the same in all of them is left out; --all shows it")


def _rows(
    what: str, found: Sequence[Mapping[str, Any]], everything: bool, shown: Callable[[Any], str]
) -> list[tuple[object, ...]]:
    """A row for each name; a run that has none of it has an empty cell, and 1 is not "1"."""
    rows: list[tuple[object, ...]] = []
    for name in sorted({name for one in found for name in one}):
        values = {json.dumps(one[name], sort_keys=True) if name in one else "" for one in found}
        if everything or len(values) > 1:
            rows.append((f"{what} {name}", *(shown(one[name]) if name in one else "" for one in found)))
    return rows


def _json(value: Any) -> str:
    """A text is quoted where it could be taken for something else."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)
