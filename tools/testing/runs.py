"""Starting runs and waiting for them through the client."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

ENDED = (run_pb2.SUCCEEDED, run_pb2.FAILED, run_pb2.SKIPPED, run_pb2.CANCELED)


def start(
    client: Client,
    spec: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
    name: str = "test",
    **options: Any,
) -> str:
    """`options` as in RunOptions."""
    request = run_pb2.CreateRunRequest()
    request.run.display_name = name
    json_format.ParseDict(dict(spec), request.run.pipeline_spec)
    json_format.ParseDict({"parameters": dict(parameters or {})}, request.run.runtime_config)
    request.run.options.CopyFrom(run_pb2.RunOptions(**options))
    return str(client.call(client.runs.CreateRun, request).run_id)


def get(client: Client, run_id: str) -> run_pb2.Run:
    run: run_pb2.Run = client.call(client.runs.GetRun, run_pb2.GetRunRequest(run_id=run_id))
    return run


def finished(client: Client, run_id: str, timeout: float = 120.0) -> run_pb2.Run:
    """The run when it has ended. Raises AssertionError when it does not."""
    return until(lambda: get(client, run_id), lambda run: run.state in ENDED, timeout)


def over(client: Client, run_id: str, timeout: float = 120.0) -> run_pb2.Run:
    """As `finished`, without tasks and pipeline: polls that cost little of what is measured."""
    request = run_pb2.GetRunRequest(run_id=run_id, view=run_pb2.GetRunRequest.BASIC)
    look = partial(client.call, client.runs.GetRun, request)
    run: run_pb2.Run = until(look, lambda found: found.state in ENDED, timeout)
    return run


def unfinished(client: Client) -> int:
    """How many runs have not ended. One row without its tasks: a poll that does not cost what is measured."""
    predicate = {"operation": "IN", "key": "state", "string_values": {"values": ["PENDING", "RUNNING"]}}
    request = run_pb2.ListRunsRequest(filter=json.dumps({"predicates": [predicate]}), page_size=1)
    return int(client.call(client.runs.ListRuns, request, 60).total_size)


def tasks(client: Client, run_id: str) -> dict[str, insight_pb2.Task]:
    """Tasks by path."""
    reply = client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id))
    return {one.path: one for one in reply.tasks}


def outputs(client: Client, run_id: str, path: str) -> dict[str, Any]:
    """The output parameters of a task."""
    return dict(json_format.MessageToDict(tasks(client, run_id)[path].outputs))


def until(look: Callable[[], Any], holds: Callable[[Any], bool], timeout: float = 60.0) -> Any:
    """Polls `look` until `holds` accepts its result, and returns that; ignores errors of a server that restarts."""
    end = time.monotonic() + timeout
    last: Any = None
    pause = 0.02
    while time.monotonic() < end:
        try:
            last = look()
            if holds(last):
                return last
        except Exception as error:  # noqa: BLE001 - shown when the time is over
            last = error
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
    raise AssertionError(f"not within {timeout:g} s; last seen: {last!r}")


def log(client: Client, run_id: str, task: str, *, follow: bool = False) -> bytes:
    request = insight_pb2.ReadLogRequest(run_id=run_id, node_id=task, follow=follow)
    return b"".join(chunk.data for chunk in client.stream(client.insight.ReadLog, request))
