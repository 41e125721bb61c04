"""api.TaskService, in which upstream's drivers record finished tasks (api.md §1.6)."""

from __future__ import annotations

import grpc
from penstock_api.v1beta1 import task_pb2 as pb
from penstock_api.v1beta1 import task_pb2_grpc

from penstock_server.domain.task import DriverTask
from penstock_server.rpc.convert.common import list_request, millis, timestamp
from penstock_server.rpc.v1beta1.common import namespace_of_list
from penstock_server.services.driver_tasks import DriverTaskService


class TaskServicerV1(task_pb2_grpc.TaskServiceServicer):
    def __init__(self, service: DriverTaskService) -> None:
        self._service = service

    def CreateTaskV1(self, request: pb.CreateTaskRequest, context: grpc.ServicerContext) -> pb.Task:
        task = request.task
        created = self._service.create(
            DriverTask(
                task_id=task.id,
                namespace=task.namespace,
                pipeline_name=task.pipelineName,
                run_id=task.runId,
                execution_id=task.mlmdExecutionID,
                fingerprint=task.fingerprint,
                created_at=millis(task.created_at, "task.created_at"),
                finished_at=millis(task.finished_at, "task.finished_at"),
            )
        )
        return _to_proto(created)

    def ListTasksV1(self, request: pb.ListTasksRequest, context: grpc.ServicerContext) -> pb.ListTasksResponse:
        page = self._service.list(list_request(request), namespace_of_list(request.resource_reference_key))
        return pb.ListTasksResponse(
            tasks=map(_to_proto, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )


def _to_proto(task: DriverTask) -> pb.Task:
    return pb.Task(
        id=task.task_id,
        namespace=task.namespace,
        pipelineName=task.pipeline_name,
        runId=task.run_id,
        mlmdExecutionID=task.execution_id,
        created_at=timestamp(task.created_at),
        finished_at=timestamp(task.finished_at),
        fingerprint=task.fingerprint,
    )
