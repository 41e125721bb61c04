"""`penstock audit`: who did, or was refused, what to which object."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import click
from penstock_api.v1 import access_pb2 as pb

from penstock.cli.common import print_messages, print_table, server_options
from penstock.client import Client
from penstock.durations import Duration


@click.command()
@click.option("--namespace", default="", help="Of one namespace; of all unless given.")
@click.option("--user", default="", help="What one user did.")
@click.option("--resource", default="", help="Of one kind: runs, experiments, pipelines, jobs, tokens, rolebindings.")
@click.option("--verb", default="", help="One kind of deed: create, delete, terminate, ...")
@click.option("--object", "object_id", default="", help="What became of one object, by its id.")
@click.option("--denied", is_flag=True, help="What was refused for want of a right.")
@click.option("--since", type=Duration(), default=None, help="How far back, such as 12h or 90d; all unless given.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@server_options
def audit(denied: bool, since: float | None, limit: int, client: Client, as_json: bool, **filters: Any) -> None:
    """Show the audit log, newest first. With --json each line is a document, for whoever keeps them elsewhere.

    Example: penstock audit --namespace team-a --denied --since 7d
    """
    from penstock import render

    request = pb.ListAuditEventsRequest(result="PERMISSION_DENIED" if denied else "", **filters)
    if since is not None:
        getattr(request, "from").FromSeconds(int(time.time() - since))
    events = list(islice(client.list_audit_events(request), limit))
    if as_json:
        print_messages(events)
        return
    rows = [
        (
            render.moment(event.at),
            event.user or event.source,
            f"{event.verb} {event.resource}".strip() or event.method.rpartition("/")[2],
            event.namespace,
            event.object_name or event.object_id,
            event.result if event.result == "OK" else f"{event.result}: {event.reason}",
        )
        for event in events
    ]
    print_table(render.table(("at", "who", "what", "namespace", "object", "result"), rows))
