"""Lineage of penstock.v1."""

from __future__ import annotations

from penstock_api.v1 import insight_pb2 as pb

from penstock_server.domain.lineage import Direction, Lineage, LineageRequest, LineageTask
from penstock_server.errors import InvalidArgumentError
from penstock_server.rpc.convert.common import timestamp
from penstock_server.rpc.convert.insight import artifact_to_proto


def lineage_request(message: pb.GetLineageRequest) -> LineageRequest:
    """Raises InvalidArgumentError for a direction that is not known."""
    try:
        direction = Direction(message.direction)
    except ValueError as error:
        raise InvalidArgumentError(f"{message.direction} is none", "direction") from error
    return LineageRequest(message.artifact, message.run_id, message.path, direction, message.depth, message.max_nodes)


def lineage_to_proto(lineage: Lineage) -> pb.Lineage:
    paths = {task.key: task.path for task in lineage.tasks}
    return pb.Lineage(
        artifacts=[
            pb.LineageArtifact(artifact=artifact_to_proto(one.artifact), more=one.more) for one in lineage.artifacts
        ],
        tasks=map(_task, lineage.tasks),
        uses=[
            pb.LineageUse(
                run_id=use.task.run_id,
                path=paths[use.task],
                artifact=use.artifact,
                output=use.output,
                port=use.port,
            )
            for use in lineage.uses
        ],
        truncated=lineage.truncated,
    )


def _task(task: LineageTask) -> pb.LineageTask:
    return pb.LineageTask(
        run_id=task.run_id,
        path=task.path,
        display_name=task.display_name,
        state=task.state.value,
        kind=task.kind.value,
        run_display_name=task.run_display_name,
        finished_at=timestamp(task.finished_at) if task.finished_at else None,
        more=task.more,
    )
