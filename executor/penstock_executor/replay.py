"""Replays the event log of a real run and compares what it decides with what the run came to.

Why it exists: the engine is pure, so a log that a user sends decides here what it decided there; a difference is a
defect of the engine, or of this version against the one that wrote the log.

Invariants: reads a file, talks to nobody. Format: JSON lines as InsightService.ReadEventLog gives them: the run, its
events, its tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_ir.event_log import decode

from penstock_executor.dispatch.session import open_session
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import Node, RunState

FORMAT = 1


class ReplayError(Exception):
    """The file is no event log that this version reads."""


@dataclass(slots=True)
class Replay:
    """`differences`: one line each; empty when the log decides the same again."""

    run_id: str
    events: int = 0
    tasks: int = 0
    differences: list[str] = field(default_factory=list)


def replay(lines: Iterable[bytes], *, default_root: str, workspace_path: str) -> Replay:
    """Applies every event. Raises ReplayError, InvalidSpecError."""
    iterator = iter(lines)
    head = _head(iterator)
    claimed = _claimed(head)
    state = RunState(
        open_session(
            claimed, default_root=default_root, workspace_path=workspace_path, look_up=lambda session, effect: None
        ).context
    )
    result = Replay(claimed.run_id)
    seen: dict[str, Node] = {}
    for number, line in enumerate(iterator, start=2):
        if not line.strip():
            continue
        document = _document(line, number)
        if "type" in document:
            decision = apply(state, decode(line))
            result.events += 1
            seen.update((node.path, node) for node in decision.changed.values())
            if not decision.accepted:
                result.differences.append(f"line {number}: the event {document['type']} changes nothing")
        elif "task" in document:
            result.tasks += 1
            result.differences.extend(_compared(document, seen))
    if head.get("final") and not state.finished:
        result.differences.append("the run had ended, the replay has not")
    return result


def _compared(row: Mapping[str, Any], seen: Mapping[str, Node]) -> Iterator[str]:
    path = row["task"]
    node = seen.get(path)
    if node is None:
        yield f"{path or 'the run'}: {row['state']} in the run, not reached in the replay"
        return
    if node.state.value != row["state"]:
        yield f"{path or 'the run'}: {row['state']} in the run, {node.state.value} in the replay"
    outputs = json.loads(json.dumps(dict(node.outputs.parameters)))
    if outputs != row["outputs"]:
        yield f"{path or 'the run'}: its outputs were {row['outputs']}, in the replay they are {outputs}"


def _head(lines: Iterator[bytes]) -> dict[str, Any]:
    head = _document(next(lines, b""), 1)
    if head.get("format") != FORMAT:
        raise ReplayError(f"line 1: format {head.get('format')!r}, this version reads {FORMAT}")
    return head


def _document(line: bytes, number: int) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise ReplayError(f"line {number} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ReplayError(f"line {number} is no JSON object")
    return document


def _claimed(head: Mapping[str, Any]) -> pb.ClaimedRun:
    options = head.get("options") or {}
    platform = head.get("platform_spec")
    try:
        return pb.ClaimedRun(
            run_id=head["run_id"],
            display_name=head["display_name"],
            resource_name=head["resource_name"],
            namespace=head["namespace"],
            service_account=head["service_account"],
            created_at_millis=head["created_at"],
            scheduled_at_millis=head["scheduled_at"],
            pipeline_root=head["pipeline_root"],
            pipeline_spec_json=json.dumps(head["pipeline_spec"]).encode(),
            platform_spec_json=json.dumps(platform).encode() if platform else b"",
            parameters_json=json.dumps(head["arguments"]).encode(),
            policy=pb.RunPolicy(
                caching=options.get("caching", True),
                max_cache_age_millis=options.get("max_cache_age", 0) * 1000,
                fail_fast=options.get("fail_fast", False),
                deadline_millis=options.get("deadline", 0) * 1000,
                documented_final_status=options.get("documented_final_status", False),
                flat_collected=options.get("flat_collected", False),
                infrastructure_retries=options.get("infrastructure_retries"),
                priority=options.get("priority", 0),
                pool=options.get("pool", ""),
                workers=options.get("workers", ""),
            ),
        )
    except KeyError as error:
        raise ReplayError(f"line 1 has no {error}") from error
