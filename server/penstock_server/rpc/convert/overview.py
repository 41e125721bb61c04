"""The overview of penstock.v1, and what executors say of themselves."""

from __future__ import annotations

from penstock_api.internal.v1 import dispatch_pb2
from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.executors import ConnectedExecutor, ExecutorStatus, Overview, told
from penstock_server.rpc.convert.common import timestamp


def status_from_proto(status: dispatch_pb2.ExecutorStatus) -> ExecutorStatus:
    return told(status.backend, status.version, status.places, status.open_attempts)


def overview_to_proto(overview: Overview) -> pb.Overview:
    runs = overview.runs
    return pb.Overview(
        open_runs=runs.by_state,
        waiting_runs=runs.waiting,
        waiting_since=timestamp(runs.waiting_since) if runs.waiting_since else None,
        executors=map(_executor, overview.executors),
        problems=overview.problems,
        server_version=overview.version,
        database=overview.database,
        schema_revision=overview.schema,
        at=timestamp(runs.at),
    )


def _executor(executor: ConnectedExecutor) -> pb.ExecutorOverview:
    status = executor.status
    return pb.ExecutorOverview(
        name=executor.name,
        backend=status.backend,
        version=status.version,
        places=status.places,
        open_attempts=status.open_attempts,
        held_runs=executor.held_runs,
        seen_at=timestamp(executor.seen_at),
    )
