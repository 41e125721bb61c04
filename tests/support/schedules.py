"""Recurring runs through the client, and the runs that they made."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v2beta1 import recurring_run_pb2 as pb
from penstock_api.v2beta1 import run_pb2


def made(client: Client, recurring_run_id: str) -> list[run_pb2.Run]:
    predicate = {"operation": "EQUALS", "key": "recurring_run_id", "string_value": recurring_run_id}
    request = run_pb2.ListRunsRequest(filter=json.dumps({"predicates": [predicate]}), page_size=100)
    return list(client.call(client.runs.ListRuns, request).runs)


def schedule(client: Client, spec: dict[str, Any] | None, **fields: Any) -> pb.RecurringRun:
    request = pb.CreateRecurringRunRequest()
    document = {
        "display_name": "a schedule",
        "max_concurrency": 10,
        "mode": "ENABLE",
        **({"pipeline_spec": spec} if spec is not None else {}),
        "trigger": {},
        **fields,
    }
    json_format.ParseDict(document, request.recurring_run)
    found: pb.RecurringRun = client.call(client.recurring_runs.CreateRecurringRun, request)
    return found


def past(minutes: int) -> dict[str, str]:
    """Three fires of every minute, all missed."""
    start = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(minutes=minutes)
    return {"start_time": start.isoformat(), "end_time": (start + timedelta(minutes=3)).isoformat()}
