"""The gRPC server: what is registered, and its limits.

Invariants: threads are bounded; long-polling and streaming calls take a thread each, so there are more threads than
cores. Messages are bounded at 128 MiB. Every registered service is reflected, and has a health status of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from penstock_api.internal.v1 import dispatch_pb2, dispatch_pb2_grpc
from penstock_api.v1 import insight_pb2, insight_pb2_grpc, upload_pb2, upload_pb2_grpc
from penstock_api.v1beta1 import (
    auth_pb2,
    auth_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    task_pb2,
    task_pb2_grpc,
    visualization_pb2,
    visualization_pb2_grpc,
)
from penstock_api.v1beta1 import experiment_pb2 as experiment_v1_pb2
from penstock_api.v1beta1 import experiment_pb2_grpc as experiment_v1_pb2_grpc
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1_pb2
from penstock_api.v1beta1 import pipeline_pb2_grpc as pipeline_v1_pb2_grpc
from penstock_api.v1beta1 import run_pb2 as run_v1_pb2
from penstock_api.v1beta1 import run_pb2_grpc as run_v1_pb2_grpc
from penstock_api.v2beta1 import (
    experiment_pb2,
    experiment_pb2_grpc,
    pipeline_pb2,
    pipeline_pb2_grpc,
    recurring_run_pb2,
    recurring_run_pb2_grpc,
    run_pb2,
    run_pb2_grpc,
)

from penstock_server.rpc.dispatch_servicer import DispatchServicer
from penstock_server.rpc.experiment_servicer import ExperimentServicer
from penstock_server.rpc.insight_servicer import InsightServicer
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.local import HandlerRegistry, LocalCalls
from penstock_server.rpc.metadata_servicer import metadata_handler
from penstock_server.rpc.metadata_store import SERVICE as METADATA_SERVICE
from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.rpc.pipeline_servicer import PipelineServicer, PipelineUploadServicer
from penstock_server.rpc.recurring_run_servicer import RecurringRunServicer
from penstock_server.rpc.run_servicer import RunServicer
from penstock_server.rpc.v1beta1.experiments import ExperimentServicerV1
from penstock_server.rpc.v1beta1.jobs import JobServicerV1
from penstock_server.rpc.v1beta1.pipelines import PipelineServicerV1
from penstock_server.rpc.v1beta1.runs import RunServicerV1
from penstock_server.rpc.v1beta1.stubs import AuthServicerV1, VisualizationServicerV1
from penstock_server.rpc.v1beta1.tasks import TaskServicerV1
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.driver_tasks import DriverTaskService
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.explain import ExplainService
from penstock_server.services.insight import InsightService
from penstock_server.services.pipelines import PipelineService
from penstock_server.services.recurring_runs import RecurringRunService
from penstock_server.services.runs import RunService
from penstock_server.telemetry import Telemetry

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
_THREADS = 64
_REGISTERED = tuple(
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (experiment_pb2, "ExperimentService"),
        (pipeline_pb2, "PipelineService"),
        (run_pb2, "RunService"),
        (recurring_run_pb2, "RecurringRunService"),
        (insight_pb2, "InsightService"),
        (upload_pb2, "PipelineUploadService"),
        (dispatch_pb2, "DispatchService"),
        (experiment_v1_pb2, "ExperimentService"),
        (pipeline_v1_pb2, "PipelineService"),
        (run_v1_pb2, "RunService"),
        (job_pb2, "JobService"),
        (task_pb2, "TaskService"),
        (auth_pb2, "AuthService"),
        (visualization_pb2, "VisualizationService"),
    )
)
SERVICES = tuple(service.full_name for service in _REGISTERED)
_DISPATCH_SERVICE = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"].full_name


def public_services() -> list[ServiceDescriptor]:
    """All of Penstock's services but DispatchService."""
    return [service for service in _REGISTERED if service.full_name != _DISPATCH_SERVICE]


def web_methods() -> dict[str, bool]:
    """The methods that browsers may call, by full path; True for those with a streamed reply."""
    return {
        f"/{service.full_name}/{method.name}": bool(method.server_streaming)
        for service in (*public_services(), METADATA_SERVICE)
        for method in service.methods
        if not method.client_streaming
    }


@dataclass(frozen=True, slots=True)
class Services:
    """The application services that the servicers call."""

    experiments: ExperimentService
    pipelines: PipelineService
    runs: RunService
    recurring_runs: RecurringRunService
    dispatch: DispatchService
    insight: InsightService
    explain: ExplainService
    driver_tasks: DriverTaskService
    documents: Documents


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`local` makes the same calls inside the process; `health` is the servicer of grpc.health.v1."""

    server: grpc.Server
    local: LocalCalls
    health: health.HealthServicer

    def set_serving(self, serving: bool) -> None:
        state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *SERVICES, METADATA_SERVICE.full_name):
            self.health.set(name, state)


def build_server(services: Services, metadata: MetadataDatabase | None, telemetry: Telemetry) -> RunningServer:
    """A server with all services registered, not yet started or bound to a port."""
    interceptor = CallInterceptor(telemetry)
    grpc_server = grpc.server(
        ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="rpc"),
        interceptors=[interceptor],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # Executors and server ping each other often, so that no run is handed to an executor that is gone.
            ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.http2.max_pings_without_data", 0),
        ],
    )
    handlers = HandlerRegistry(grpc_server)
    server: Any = handlers
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(ExperimentServicer(services.experiments), server)
    pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(PipelineServicer(services.pipelines), server)
    run_pb2_grpc.add_RunServiceServicer_to_server(RunServicer(services.runs), server)
    recurring_run_pb2_grpc.add_RecurringRunServiceServicer_to_server(
        RecurringRunServicer(services.recurring_runs), server
    )
    insight_pb2_grpc.add_InsightServiceServicer_to_server(InsightServicer(services.insight, services.explain), server)
    upload_pb2_grpc.add_PipelineUploadServiceServicer_to_server(PipelineUploadServicer(services.pipelines), server)
    dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(DispatchServicer(services.dispatch), server)
    _add_v1beta1(services, server)
    names: Sequence[str] = SERVICES
    if metadata is not None:
        server.add_generic_rpc_handlers((metadata_handler(metadata),))
        names = (*names, METADATA_SERVICE.full_name)
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflected = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(reflected, server, pool=descriptor_pool.Default())
    return RunningServer(grpc_server, LocalCalls(handlers, interceptor), health_servicer)


def _add_v1beta1(services: Services, server: Any) -> None:
    experiment_v1_pb2_grpc.add_ExperimentServiceServicer_to_server(ExperimentServicerV1(services.experiments), server)
    pipeline_v1_pb2_grpc.add_PipelineServiceServicer_to_server(
        PipelineServicerV1(services.pipelines, services.documents), server
    )
    run_v1_pb2_grpc.add_RunServiceServicer_to_server(RunServicerV1(services.runs), server)
    job_pb2_grpc.add_JobServiceServicer_to_server(JobServicerV1(services.recurring_runs), server)
    task_pb2_grpc.add_TaskServiceServicer_to_server(TaskServicerV1(services.driver_tasks), server)
    auth_pb2_grpc.add_AuthServiceServicer_to_server(AuthServicerV1(), server)
    visualization_pb2_grpc.add_VisualizationServiceServicer_to_server(VisualizationServicerV1(), server)
