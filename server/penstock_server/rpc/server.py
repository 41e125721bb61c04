"""The gRPC server of the public API: what is registered.

Invariant: every registered service is reflected, and has a health status of its own. The executors' service is not
among them (`dispatch_server`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection
from penstock_api.v1 import (
    access_pb2,
    access_pb2_grpc,
    insight_pb2,
    insight_pb2_grpc,
    pool_pb2,
    pool_pb2_grpc,
    upload_pb2,
    upload_pb2_grpc,
    watch_pb2,
    watch_pb2_grpc,
)
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

from penstock_server.access.authorization import Authorization
from penstock_server.access.roles import Binding
from penstock_server.domain.places import Network
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.access_servicer import AccessServicer
from penstock_server.rpc.dispatch_server import RefuseExecutors
from penstock_server.rpc.experiment_servicer import ExperimentServicer
from penstock_server.rpc.grpc_server import RunningServer, add_health, new_server
from penstock_server.rpc.insight_servicer import InsightServicer
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.local import HandlerRegistry, LocalCalls
from penstock_server.rpc.metadata_servicer import metadata_handler
from penstock_server.rpc.metadata_store import SERVICE as METADATA_SERVICE
from penstock_server.rpc.metadata_store import MetadataDatabase
from penstock_server.rpc.metadata_visibility import MetadataVisibility
from penstock_server.rpc.pipeline_servicer import PipelineServicer, PipelineUploadServicer
from penstock_server.rpc.pool_servicer import PoolServicer
from penstock_server.rpc.recurring_run_servicer import RecurringRunServicer
from penstock_server.rpc.run_servicer import RunServicer
from penstock_server.rpc.v1beta1.experiments import ExperimentServicerV1
from penstock_server.rpc.v1beta1.jobs import JobServicerV1
from penstock_server.rpc.v1beta1.pipelines import PipelineServicerV1
from penstock_server.rpc.v1beta1.runs import RunServicerV1
from penstock_server.rpc.v1beta1.stubs import AuthServicerV1, VisualizationServicerV1
from penstock_server.rpc.v1beta1.tasks import TaskServicerV1
from penstock_server.rpc.watch_servicer import WatchServicer
from penstock_server.services.attempts import AttemptService
from penstock_server.services.audit import AuditService
from penstock_server.services.comparison import ComparisonService
from penstock_server.services.documents import Documents
from penstock_server.services.driver_tasks import DriverTaskService
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.explain import ExplainService
from penstock_server.services.insight import InsightService
from penstock_server.services.lineage import LineageService
from penstock_server.services.list_watches import ListWatches
from penstock_server.services.log_streams import LogStreams
from penstock_server.services.object_namespaces import ObjectNamespaces
from penstock_server.services.overview import OverviewService
from penstock_server.services.pipelines import PipelineService
from penstock_server.services.pools import PoolService
from penstock_server.services.recurring_runs import RecurringRunService
from penstock_server.services.role_bindings import RoleBindingService
from penstock_server.services.runs import RunService
from penstock_server.services.tokens import TokenService
from penstock_server.services.watches import RunWatches
from penstock_server.services.watching import Watching
from penstock_server.telemetry import Port, Telemetry
from penstock_server.workers.elsewhere import Elsewhere

_REGISTERED = tuple(
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (experiment_pb2, "ExperimentService"),
        (pipeline_pb2, "PipelineService"),
        (run_pb2, "RunService"),
        (recurring_run_pb2, "RecurringRunService"),
        (insight_pb2, "InsightService"),
        (watch_pb2, "WatchService"),
        (upload_pb2, "PipelineUploadService"),
        (access_pb2, "AccessService"),
        (pool_pb2, "PoolService"),
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


def public_services() -> list[ServiceDescriptor]:
    """All of Penstock's services that the gRPC port has."""
    return list(_REGISTERED)


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
    insight: InsightService
    logs: LogStreams
    explain: ExplainService
    overview: OverviewService
    comparison: ComparisonService
    attempts: AttemptService
    lineage: LineageService
    watching: Watching
    watches: RunWatches
    list_watches: ListWatches
    namespaces: ObjectNamespaces
    tokens: TokenService
    role_bindings: RoleBindingService
    pools: PoolService
    audit: AuditService
    driver_tasks: DriverTaskService
    documents: Documents


@dataclass(frozen=True, slots=True)
class PublicServer(RunningServer):
    """`local` makes the same calls inside the process."""

    local: LocalCalls


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What stands between callers and handlers. As it is without arguments, everybody may do everything."""

    control: AccessControl = field(default_factory=AccessControl)
    authorization: Authorization | None = None
    visibility: MetadataVisibility | None = None
    file_bindings: Callable[[], Sequence[Binding]] = tuple


def build_server(
    services: Services,
    metadata: MetadataDatabase | None,
    telemetry: Telemetry,
    access: AccessRules | None = None,
    proxies: Sequence[Network] = (),
    elsewhere: Elsewhere | None = None,
    *,
    shares_port: bool = False,
) -> PublicServer:
    """A server with all services registered, not yet started or bound to a port.

    `elsewhere` takes large messages apart; without it they are here.

    Calls of `proxies` stand for many peers: bounds of one do not hold for them. `shares_port`: with other processes of
    this server.
    """
    access = access or AccessRules()
    limited = telemetry.limited(Port.PUBLIC)
    interceptor = CallInterceptor(telemetry, access.control, proxies, limited, elsewhere)
    grpc_server = new_server("rpc", [RefuseExecutors(), interceptor], proxies, limited, shares_port=shares_port)
    handlers = HandlerRegistry(grpc_server)
    server: Any = handlers
    experiment_pb2_grpc.add_ExperimentServiceServicer_to_server(ExperimentServicer(services.experiments), server)
    pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(PipelineServicer(services.pipelines), server)
    run_pb2_grpc.add_RunServiceServicer_to_server(RunServicer(services.runs), server)
    recurring_run_pb2_grpc.add_RecurringRunServiceServicer_to_server(
        RecurringRunServicer(services.recurring_runs), server
    )
    insight_pb2_grpc.add_InsightServiceServicer_to_server(
        InsightServicer(
            services.insight,
            services.logs,
            services.explain,
            services.recurring_runs,
            services.overview,
            services.comparison,
            services.attempts,
            services.lineage,
            access.authorization,
        ),
        server,
    )
    watch_pb2_grpc.add_WatchServiceServicer_to_server(WatchServicer(services.watches, services.list_watches), server)
    upload_pb2_grpc.add_PipelineUploadServiceServicer_to_server(PipelineUploadServicer(services.pipelines), server)
    pool_pb2_grpc.add_PoolServiceServicer_to_server(PoolServicer(services.pools), server)
    access_servicer = AccessServicer(
        services.tokens, services.role_bindings, services.audit, access.authorization, access.file_bindings
    )
    access_pb2_grpc.add_AccessServiceServicer_to_server(access_servicer, server)
    _add_v1beta1(services, server, access.authorization)
    names: Sequence[str] = SERVICES
    if metadata is not None:
        server.add_generic_rpc_handlers((metadata_handler(metadata, access.visibility, services.audit.intended),))
        names = (*names, METADATA_SERVICE.full_name)
    health_servicer = add_health(server)
    reflected = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(reflected, server, pool=descriptor_pool.Default())
    return PublicServer(grpc_server, health_servicer, names, LocalCalls(handlers, interceptor))


def _add_v1beta1(services: Services, server: Any, authorization: Authorization | None) -> None:
    experiment_v1_pb2_grpc.add_ExperimentServiceServicer_to_server(ExperimentServicerV1(services.experiments), server)
    pipeline_v1_pb2_grpc.add_PipelineServiceServicer_to_server(
        PipelineServicerV1(services.pipelines, services.documents), server
    )
    run_v1_pb2_grpc.add_RunServiceServicer_to_server(RunServicerV1(services.runs), server)
    job_pb2_grpc.add_JobServiceServicer_to_server(JobServicerV1(services.recurring_runs), server)
    task_pb2_grpc.add_TaskServiceServicer_to_server(TaskServicerV1(services.driver_tasks), server)
    auth_pb2_grpc.add_AuthServiceServicer_to_server(AuthServicerV1(authorization), server)
    visualization_pb2_grpc.add_VisualizationServiceServicer_to_server(VisualizationServicerV1(), server)
