"""api.JobService: recurring runs."""

from __future__ import annotations

import grpc
from google.protobuf import empty_pb2
from penstock_api.v1beta1 import job_pb2 as pb
from penstock_api.v1beta1 import job_pb2_grpc

from penstock_server.domain.pipeline import Spec
from penstock_server.domain.schedule import Schedule
from penstock_server.rpc.convert.common import list_request, timestamp
from penstock_server.rpc.convert.recurring_runs import fill_trigger
from penstock_server.rpc.v1beta1 import common
from penstock_server.services.recurring_runs import RecurringRunService


class JobServicerV1(job_pb2_grpc.JobServiceServicer):
    def __init__(self, service: RecurringRunService) -> None:
        self._service = service

    def GetJob(self, request: pb.GetJobRequest, context: grpc.ServicerContext) -> pb.Job:
        return _to_proto(*self._service.with_document(request.id))

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:
        experiment_id = common.list_filter_id(
            request.resource_reference_key, "resource_reference_key", common.EXPERIMENT
        )
        namespace = common.namespace_of_list(request.resource_reference_key)
        page = self._service.list(list_request(request), experiment_id, namespace)
        return pb.ListJobsResponse(
            jobs=map(_to_proto, page.items), total_size=page.total_size, next_page_token=page.next_page_token
        )

    def EnableJob(self, request: pb.EnableJobRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.set_enabled(request.id, True)
        return empty_pb2.Empty()

    def DisableJob(self, request: pb.DisableJobRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.set_enabled(request.id, False)
        return empty_pb2.Empty()

    def DeleteJob(self, request: pb.DeleteJobRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._service.delete(request.id)
        return empty_pb2.Empty()


def _to_proto(schedule: Schedule, spec: Spec | None = None) -> pb.Job:
    message = pb.Job(
        id=schedule.recurring_run_id,
        name=schedule.display_name,
        description=schedule.description,
        pipeline_spec=common.pipeline_spec(schedule.pipeline_id, schedule.runtime_config, spec),
        resource_references=[common.reference(common.EXPERIMENT, schedule.experiment_id, common.OWNER)],
        max_concurrency=schedule.max_concurrency,
        mode=pb.Job.ENABLED if schedule.enabled else pb.Job.DISABLED,
        created_at=timestamp(schedule.created_at),
        updated_at=timestamp(schedule.updated_at),
        status="Enabled" if schedule.enabled else "Disabled",
        error=schedule.error,
        enabled=schedule.enabled,
        no_catchup=schedule.no_catchup,
        service_account=schedule.service_account,
    )
    if schedule.pipeline_version_id:
        message.resource_references.append(
            common.reference(common.PIPELINE_VERSION, schedule.pipeline_version_id, common.CREATOR)
        )
    message.trigger.SetInParent()
    fill_trigger(message.trigger, schedule.trigger)
    return message
