"""Attempts and timelines of penstock.v1. Times keep their milliseconds: phases are often shorter than a second."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.attempts import Attempt, LeafTask, Phase, Span
from penstock_server.domain.timeline import Bin, Timeline, TimelineRequest
from penstock_server.rpc.convert.common import millis

_PHASES = {phase: f"ATTEMPT_PHASE_{phase.name}" for phase in Phase}


def timeline_request(message: pb.GetTimelineRequest) -> TimelineRequest:
    """Raises InvalidArgumentError for what is no time."""
    # Their names are words of Python.
    return TimelineRequest(
        run_id=message.run_id,
        parent_path=message.parent_path,
        start=max(0, millis(getattr(message, "from"), "from")),
        end=max(0, millis(message.to, "to")),
        max_attempts=message.max_attempts,
        max_bins=message.max_bins,
    )


def timeline_to_proto(timeline: Timeline) -> pb.Timeline:
    message = pb.Timeline(
        total_attempts=timeline.total,
        attempts=map(attempt_to_proto, timeline.attempts),
        bins=map(_bin, timeline.bins),
        critical_path=map(_critical, timeline.critical_path),
        to=_time(timeline.end),
        at=_time(timeline.at),
    )
    if timeline.start:
        getattr(message, "from").FromMilliseconds(timeline.start)
    return message


def attempt_to_proto(attempt: Attempt) -> pb.Attempt:
    row = attempt.row
    return pb.Attempt(
        path=attempt.path,
        number=attempt.number,
        state=attempt.state.value,
        failure=attempt.failure,
        exit_code=row.exit_code,
        error=row.error,
        pod_name=row.pod_name,
        log_uri=row.log_uri,
        node=row.node,
        placement=row.placement,
        phases=map(_span, attempt.spans),
    )


def _span(span: Span) -> pb.PhaseSpan:
    return pb.PhaseSpan(phase=_PHASES[span.phase], start=_time(span.start), end=_time(span.end))


def _bin(one: Bin) -> pb.TimelineBin:
    return pb.TimelineBin(
        start=_time(one.start), attempts={_PHASES[phase]: number for phase, number in one.attempts.items()}
    )


def _critical(task: LeafTask) -> pb.CriticalTask:
    return pb.CriticalTask(
        path=task.path,
        display_name=task.display_name,
        state=task.state.value,
        start=_time(task.created_at),
        end=_time(task.finished_at),
    )


def _time(at: int) -> Timestamp | None:
    """Unset for 0."""
    if not at:
        return None
    message = Timestamp()
    message.FromMilliseconds(at)
    return message
