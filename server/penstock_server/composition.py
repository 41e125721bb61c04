"""Makes the parts of the server from its settings and puts them together.

Invariant: what a part needs is made here and passed in; no part makes another one or reads a setting by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from aiohttp import web
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file

from penstock_server.domain.options import OptionDefaults
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.cross_site import SitePolicy
from penstock_server.gateway.grpc_web import BrowserView
from penstock_server.gateway.ui import UiSettings
from penstock_server.readiness import Readiness
from penstock_server.rpc import browser_uris
from penstock_server.rpc.local import LocalCalls
from penstock_server.rpc.server import Services, public_services, web_methods
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.driver_tasks import DriverTaskService
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.explain import ExplainService
from penstock_server.services.insight import InsightService
from penstock_server.services.pipelines import PipelineService
from penstock_server.services.recurring_runs import RecurringRunService
from penstock_server.services.runs import RunService
from penstock_server.settings import Settings
from penstock_server.storage.database import Database
from penstock_server.storage.fetch import PackageFetcher
from penstock_server.storage.objects import StoredObjects
from penstock_server.storage.pool import PoolSettings
from penstock_server.telemetry import Telemetry

if TYPE_CHECKING:
    from penstock_server.storage.pods import ClusterPods


def open_database(settings: Settings) -> Database:
    """Raises InvalidArgumentError for what is no URL of a database."""
    pool = PoolSettings(
        size=settings.database_pool_size,
        overflow=settings.database_pool_overflow,
        recycle=settings.database_pool_recycle,
        pre_ping=settings.database_pre_ping,
    )
    return Database(settings.database_url(), pool)


def read_store_config(path: Path | None) -> StoreConfig:
    """Raises click.BadParameter for a file that cannot be read or says something wrong."""
    try:
        return parse_file(path.read_text("utf-8")) if path is not None else StoreConfig()
    except (OSError, UnicodeDecodeError, ArtifactStoreError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--store-config") from error


def build_services(
    settings: Settings, storage: Database, stores: StoreConfig, environ: Mapping[str, str], telemetry: Telemetry
) -> Services:
    """The use cases over a database that is up to date. `environ` holds the credentials that `stores` names.

    Raises click.BadParameter, click.UsageError for stores and clusters that cannot be used as they are set.
    """
    clock, new_runs, documents = SystemClock(), ConditionSignal(), Documents()
    experiments = ExperimentService(storage, clock)
    experiments.ensure_default()
    fetch = PackageFetcher(
        settings.package_hosts(),
        allow_http=settings.allow_http_pipelines,
        validate=settings.validate_pipeline_urls,
        max_bytes=settings.max_package_bytes(),
    )
    dispatch = DispatchService(storage, new_runs, telemetry.committed)
    defaults = OptionDefaults(settings.caching, settings.max_cache_age, settings.infrastructure_retries)
    runs = RunService(storage, clock, documents, new_runs, settings.service_account, defaults)
    schedules = RecurringRunService(
        storage,
        clock,
        documents,
        runs,
        new_runs,
        zone=settings.schedule_timezone,
        namespace=settings.namespace,
        service_account=settings.service_account,
    )
    explain = ExplainService(storage, documents, dispatch.backends.names)
    return Services(
        experiments=experiments,
        pipelines=PipelineService(storage, clock, documents, fetch, settings.max_package_bytes()),
        runs=runs,
        recurring_runs=schedules,
        dispatch=dispatch,
        insight=InsightService(storage, _stored_objects(settings, stores, environ), explain.task, _pods(settings)),
        explain=explain,
        driver_tasks=DriverTaskService(storage, clock),
        documents=documents,
    )


def build_gateway(settings: Settings, calls: LocalCalls, storage: Database, telemetry: Telemetry) -> web.Application:
    """REST, gRPC-Web and the web UI over the handlers that `calls` reaches."""
    gateway = GatewaySettings(
        settings.user_header,
        settings.commit,
        settings.tag,
        exposition=telemetry.exposition,
        services=public_services(),
        web_methods=web_methods(),
        web_view=BrowserView(browser_uris.request_from_browser, browser_uris.reply_for_browser),
        problems=Readiness(storage.problems).problems,
        max_package_bytes=settings.max_package_bytes(),
        sites=SitePolicy.serving(settings.http.host, settings.allowed_hosts, settings.allowed_origins),
        ui=UiSettings(settings.ui, settings.ui_deployment, settings.side_navigation_is_hidden()),
    )
    return create_app(calls, gateway)


def _stored_objects(settings: Settings, stores: StoreConfig, environ: Mapping[str, str]) -> StoredObjects:
    try:
        return StoredObjects.configured(settings.artifact_roots(), stores, environ)
    except ArtifactStoreError as error:
        raise click.BadParameter(str(error), param_hint="--artifacts, --store-config") from error


def _pods(settings: Settings) -> ClusterPods | None:
    if not settings.tasks_namespace:
        return None
    # Imported here: what it takes to find a cluster is heavy, and a laptop has none.
    from penstock_kube.config import load_cluster
    from penstock_kube.errors import KubeConfigError

    from penstock_server.storage.pods import ClusterPods

    try:
        cluster = load_cluster(kubeconfig=settings.kubeconfig, context=settings.kube_context)
    except KubeConfigError as error:
        raise click.UsageError(f"--tasks-namespace: {error}") from error
    return ClusterPods(cluster, settings.tasks_namespace)
