"""`penstock overview`: how the installation does."""

from __future__ import annotations

import click
from penstock_api.v1 import insight_pb2 as pb

from penstock.cli.common import namespace_option, print_message, print_table, say, server_options
from penstock.client import Client


@click.command()
@namespace_option
@server_options
def overview(namespace: str, client: Client, as_json: bool) -> None:
    """Say what waits and runs, which executors are connected, and what is amiss. Ends with 1 when something is.

    Example: penstock overview
    """
    from penstock import render

    found = client.call(client.insight.GetOverview, pb.GetOverviewRequest(namespace=namespace))
    if as_json:
        print_message(found)
    else:
        say(f"server {found.server_version}, {found.database} (schema {found.schema_revision})")
        say(_runs(found))
        if found.executors:
            header = ("executor", "backend", "version", "runs", "attempts", "places", "heard of")
            print_table(render.table(header, [_row(one, found) for one in found.executors]))
        for problem in found.problems:
            say(f"problem: {problem}")
    if found.problems:
        raise click.exceptions.Exit(1)


def _runs(found: pb.Overview) -> str:
    from penstock import render

    states = ", ".join(f"{number} {state}" for state, number in sorted(found.open_runs.items()))
    if not states:
        return "no run is under way"
    if not found.waiting_runs:
        return f"runs: {states}"
    oldest = render.duration(found.at.ToMilliseconds() - found.waiting_since.ToMilliseconds())
    return f"runs: {states}; {found.waiting_runs} wait for an executor, the oldest for {oldest}"


def _row(one: pb.ExecutorOverview, found: pb.Overview) -> tuple[object, ...]:
    from penstock import render

    ago = render.duration(max(0, found.at.ToMilliseconds() - one.seen_at.ToMilliseconds()))
    return one.name, one.backend, one.version, one.held_runs, one.open_attempts, one.places or "", f"{ago} ago"
