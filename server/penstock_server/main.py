"""`penstock-server`: the composition root, the only reader of flags and environment in this program.

Invariants: everything is built here and passed down. One line `ready http=… grpc=…` goes to stdout when both ports
answer. SIGTERM and SIGINT end it gracefully: health says NOT_SERVING, calls under way get ten seconds.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import grpc
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file

from penstock_server import logs
from penstock_server.config import Address, Settings
from penstock_server.db_command import db_command
from penstock_server.domain.options import MAX_INFRASTRUCTURE_RETRIES, OptionDefaults
from penstock_server.errors import PenstockError
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.cross_site import SitePolicy, host_name, origin
from penstock_server.gateway.grpc_web import BrowserView
from penstock_server.gateway.server import GatewayServer
from penstock_server.gateway.ui import UiSettings
from penstock_server.metadata import open_metadata
from penstock_server.option_types import AddressType, Checked, Deployment
from penstock_server.readiness import Readiness
from penstock_server.rpc import browser_uris
from penstock_server.rpc.server import Services, build_server, public_services, web_methods
from penstock_server.runtime import ConditionSignal, StopSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.documents import Documents
from penstock_server.services.driver_tasks import DriverTaskService
from penstock_server.services.experiments import ExperimentService
from penstock_server.services.explain import ExplainService
from penstock_server.services.insight import InsightService
from penstock_server.services.pipelines import PipelineService
from penstock_server.services.recurring_runs import RecurringRunService
from penstock_server.services.runs import RunService
from penstock_server.services.ticker import Ticker
from penstock_server.storage.database import Database
from penstock_server.storage.engine import DEFAULT_POOL, PoolSettings
from penstock_server.storage.fetch import PackageFetcher
from penstock_server.storage.objects import StoredObjects
from penstock_server.telemetry import Telemetry

if TYPE_CHECKING:
    from penstock_server.storage.pods import ClusterPods

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10.0


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--grpc",
    "grpc_address",
    type=AddressType(),
    default="127.0.0.1:8887",
    show_default=True,
    envvar="PENSTOCK_GRPC",
    help="Where gRPC is served.",
)
@click.option(
    "--http",
    "http_address",
    type=AddressType(),
    default="127.0.0.1:8888",
    show_default=True,
    envvar="PENSTOCK_HTTP",
    help="Where REST is served.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    type=Checked("NAME", host_name),
    multiple=True,
    envvar="PENSTOCK_ALLOWED_HOSTS",
    help="A name that browsers may reach the HTTP port by, *.example.com for all below; may be repeated. Names of this "
    "machine alone and addresses always may. Bound to an address that others reach, any may unless one is given.",
)
@click.option(
    "--allowed-origin",
    "allowed_origins",
    type=Checked("ORIGIN", origin),
    multiple=True,
    envvar="PENSTOCK_ALLOWED_ORIGINS",
    help="Where pages come from that may call besides the server's own: behind a proxy that changes the Host header, "
    "https://pipelines.example.com; may be repeated.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.penstock"),
    show_default=True,
    envvar="PENSTOCK_DATA_DIR",
    help="Where everything lies that has no URL of its own.",
)
@click.option(
    "--database", default="", envvar="PENSTOCK_DATABASE", help="SQLAlchemy URL; SQLite in DATA_DIR unless given."
)
@click.option(
    "--database-pool-size",
    type=click.IntRange(min=1),
    default=DEFAULT_POOL.size,
    show_default=True,
    envvar="PENSTOCK_DATABASE_POOL_SIZE",
    help="Connections to a database server that are kept.",
)
@click.option(
    "--database-pool-overflow",
    type=click.IntRange(min=0),
    default=DEFAULT_POOL.overflow,
    show_default=True,
    envvar="PENSTOCK_DATABASE_POOL_OVERFLOW",
    help="Connections more when those are in use.",
)
@click.option(
    "--database-pool-recycle",
    type=click.IntRange(min=1),
    default=DEFAULT_POOL.recycle,
    show_default=True,
    envvar="PENSTOCK_DATABASE_POOL_RECYCLE",
    help="Seconds after which a connection is replaced; fewer than proxies on the way keep one that idles.",
)
@click.option(
    "--database-pre-ping/--no-database-pre-ping",
    default=DEFAULT_POOL.pre_ping,
    show_default=True,
    envvar="PENSTOCK_DATABASE_PRE_PING",
    help="Ask a connection whether it lives before it is used.",
)
@click.option(
    "--metadata-database",
    default="",
    envvar="PENSTOCK_METADATA_DATABASE",
    help="ML Metadata's database, `none` for no metadata service; SQLite in DATA_DIR unless given.",
)
@click.option(
    "--artifacts",
    default="",
    envvar="PENSTOCK_ARTIFACTS",
    help="Artifact root, to serve logs and downloads from: a directory or s3://…; DATA_DIR/artifacts unless given.",
)
@click.option(
    "--store-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    envvar="PENSTOCK_STORE_CONFIG",
    help="YAML file with the settings of object stores and what may be read from them (docs/stores.md).",
)
@click.option(
    "--service-account",
    default="pipeline-runner",
    show_default=True,
    envvar="DEFAULTPIPELINERUNNERSERVICEACCOUNT",
    help="Service account of runs that name none.",
)
@click.option(
    "--user-header",
    default="",
    envvar="KUBEFLOW_USERID_HEADER",
    help="Header that carries the caller's identity, forwarded to gRPC.",
)
@click.option(
    "--pipeline-hosts",
    default="",
    envvar="PIPELINE_URL_ALLOWED_DOMAINS",
    help="Further hosts that packages may be fetched from, comma-separated, wildcards allowed.",
)
@click.option(
    "--allow-http-pipelines/--no-allow-http-pipelines",
    default=False,
    envvar="PIPELINE_URL_ALLOW_HTTP",
    help="Lets packages be fetched without TLS.",
)
@click.option(
    "--validate-pipeline-urls/--no-validate-pipeline-urls",
    default=True,
    envvar="PIPELINE_URL_VALIDATION_ENABLED",
    help="Checks host, port and addresses of package URLs.",
)
@click.option(
    "--caching/--no-caching",
    default=True,
    show_default=True,
    envvar="PENSTOCK_CACHING",
    help="Answer tasks from the cache where their pipeline allows it.",
)
@click.option(
    "--max-cache-age",
    type=click.IntRange(min=0),
    default=0,
    show_default="no limit",
    envvar="PENSTOCK_MAX_CACHE_AGE",
    help="Seconds after which a cached result does not count any more.",
)
@click.option(
    "--infrastructure-retries",
    type=click.IntRange(0, MAX_INFRASTRUCTURE_RETRIES),
    default=OptionDefaults().infrastructure_retries,
    show_default=True,
    envvar="PENSTOCK_INFRASTRUCTURE_RETRIES",
    help="Further attempts of a task after failures of the platform, for runs that do not say.",
)
@click.option(
    "--schedule-timezone",
    default="",
    envvar="CRON_SCHEDULE_TIMEZONE",
    help="Time zone of cron expressions that name none, such as Europe/Berlin; UTC unless given.",
)
@click.option(
    "--max-package-mib",
    type=click.IntRange(1, 100),
    default=32,
    show_default=True,
    envvar="PENSTOCK_MAX_PACKAGE_MIB",
    help="Size of the largest pipeline package, packed and unpacked.",
)
@click.option(
    "--ui",
    "ui_directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    envvar="PENSTOCK_UI",
    help="Directory of a built web UI, served under / and /pipeline.",
)
@click.option(
    "--ui-deployment",
    type=Deployment(["", "KUBEFLOW", "MARKETPLACE"], case_sensitive=False),
    default="",
    envvar="DEPLOYMENT",
    help="What the web UI is told of where it runs; KUBEFLOW inside the central dashboard.",
)
@click.option(
    "--tasks-namespace",
    default="",
    envvar="PENSTOCK_NAMESPACE",
    help="Kubernetes namespace of tasks whose runs have none: logs, Pods and events are then asked of the cluster.",
)
@click.option(
    "--kubeconfig", default="", envvar="KUBECONFIG", help="Files to find that cluster in; else the Pod's own."
)
@click.option("--kube-context", default="", envvar="PENSTOCK_KUBE_CONTEXT", help="Context of the kubeconfig.")
@click.option("--hide-side-navigation/--no-hide-side-navigation", default=None, envvar="HIDE_SIDENAV", hidden=True)
@click.option("--namespace", default="kubeflow", show_default=True, envvar="POD_NAMESPACE", hidden=True)
@click.option("--commit", default="unknown", envvar="COMMIT_SHA", hidden=True)
@click.option("--tag", default="unknown", envvar="TAG_NAME", hidden=True)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="PENSTOCK_LOG_LEVEL",
    help="What is logged, and what is worse.",
)
@click.option(
    "--log-format",
    type=click.Choice(logs.FORMATS),
    default="text",
    show_default=True,
    envvar="PENSTOCK_LOG_FORMAT",
    help="Lines for people, or a JSON object a line.",
)
@click.pass_context
def main(
    context: click.Context,
    grpc_address: Address,
    http_address: Address,
    allowed_hosts: tuple[str, ...],
    allowed_origins: tuple[str, ...],
    data_dir: Path,
    database: str,
    database_pool_size: int,
    database_pool_overflow: int,
    database_pool_recycle: int,
    database_pre_ping: bool,
    metadata_database: str,
    artifacts: str,
    store_config: Path | None,
    service_account: str,
    user_header: str,
    pipeline_hosts: str,
    allow_http_pipelines: bool,
    validate_pipeline_urls: bool,
    caching: bool,
    max_cache_age: int,
    infrastructure_retries: int,
    schedule_timezone: str,
    max_package_mib: int,
    ui_directory: Path | None,
    ui_deployment: str,
    tasks_namespace: str,
    kubeconfig: str,
    kube_context: str,
    hide_side_navigation: bool | None,
    namespace: str,
    commit: str,
    tag: str,
    log_level: str,
    log_format: str,
) -> None:
    """Serves the Kubeflow Pipelines API over gRPC and REST.

    Example: penstock-server --grpc 127.0.0.1:8887 --http 127.0.0.1:8888
    """
    if context.invoked_subcommand is not None:
        return
    logs.configure(log_level, log_format)
    directory = data_dir.expanduser().absolute()
    settings = Settings(
        grpc=grpc_address,
        http=http_address,
        database=database or f"sqlite:///{directory / 'penstock.db'}",
        pool=PoolSettings(
            size=database_pool_size,
            overflow=database_pool_overflow,
            recycle=database_pool_recycle,
            pre_ping=database_pre_ping,
        ),
        metadata_database=""
        if metadata_database == "none"
        else metadata_database or f"sqlite:///{directory / 'metadata.db'}",
        artifact_roots=(
            artifacts if "://" in artifacts else str(Path(artifacts or directory / "artifacts").absolute()),
            str(directory / "work"),
        ),
        stores=_stores(store_config),
        environment=os.environ,
        service_account=service_account,
        user_header=user_header,
        commit=commit,
        tag=tag,
        allowed_hosts=tuple(host.strip() for host in pipeline_hosts.split(",") if host.strip()),
        allow_http=allow_http_pipelines,
        validate_urls=validate_pipeline_urls,
        run_defaults=OptionDefaults(caching, max_cache_age, infrastructure_retries),
        schedule_timezone=schedule_timezone,
        namespace=namespace,
        max_package_bytes=max_package_mib * 1024 * 1024,
        sites=SitePolicy.serving(http_address.host, allowed_hosts, allowed_origins),
        ui_directory=ui_directory,
        ui_deployment=ui_deployment,
        # The central dashboard has one of its own.
        hide_side_navigation=ui_deployment == "KUBEFLOW" if hide_side_navigation is None else hide_side_navigation,
        tasks_namespace=tasks_namespace,
        kubeconfig=kubeconfig,
        kube_context=kube_context,
    )
    try:
        serve(settings)
    except PenstockError as error:
        raise click.ClickException(error.for_operators()) from error


main.add_command(db_command)


def serve(settings: Settings) -> None:
    """Serves until a signal. Raises click.UsageError for ports that are taken."""
    _allow_many_connections()
    stop = StopSignal()
    clock, bell, documents = SystemClock(), ConditionSignal(), Documents()
    storage = Database(settings.database, settings.pool)
    storage.migrate()
    telemetry = Telemetry(lambda: _queue_depth(storage))
    storage.observe(telemetry.transaction)
    experiments = ExperimentService(storage, clock)
    experiments.ensure_default()
    fetch = PackageFetcher(
        settings.allowed_hosts,
        allow_http=settings.allow_http,
        validate=settings.validate_urls,
        max_bytes=settings.max_package_bytes,
    )
    dispatch = DispatchService(storage, bell, telemetry.committed)
    runs = RunService(storage, clock, documents, bell, settings.service_account, settings.run_defaults)
    schedules = RecurringRunService(
        storage,
        clock,
        documents,
        runs,
        bell,
        zone=settings.schedule_timezone,
        namespace=settings.namespace,
        service_account=settings.service_account,
    )
    explain = ExplainService(storage, documents, dispatch.backends.names)
    services = Services(
        experiments=experiments,
        pipelines=PipelineService(storage, clock, documents, fetch, settings.max_package_bytes),
        runs=runs,
        recurring_runs=schedules,
        dispatch=dispatch,
        insight=InsightService(storage, _objects(settings), explain.task, _pods(settings)),
        explain=explain,
        driver_tasks=DriverTaskService(storage, clock),
        documents=documents,
    )
    metadata = open_metadata(settings.metadata_database) if settings.metadata_database else None
    running = build_server(services, metadata, telemetry)
    grpc_port = _bind(running.server, settings.grpc)
    running.server.start()
    gateway = GatewayServer(
        create_app(
            running.local,
            GatewaySettings(
                settings.user_header,
                settings.commit,
                settings.tag,
                exposition=telemetry.exposition,
                services=public_services(),
                web_methods=web_methods(),
                web_view=BrowserView(browser_uris.request_from_browser, browser_uris.reply_for_browser),
                problems=Readiness(storage.problems).problems,
                max_package_bytes=settings.max_package_bytes,
                sites=settings.sites,
                ui=UiSettings(settings.ui_directory, settings.ui_deployment, settings.hide_side_navigation),
            ),
        ),
        settings.http.host,
        settings.http.port,
    )
    try:
        http_port = gateway.start()
    except OSError as error:
        running.server.stop(None)
        raise click.UsageError(f"--http: {settings.http} cannot be used: {error.strerror or error}") from error
    running.set_serving(True)
    ticker = Ticker(schedules, telemetry.fired)
    ticker.start()
    http_ready, grpc_ready = Address(settings.http.host, http_port), Address(settings.grpc.host, grpc_port)
    click.echo(f"ready http=http://{http_ready} grpc={grpc_ready}")
    sys.stdout.flush()
    stop.wait()
    log.info("stopping")
    running.set_serving(False)
    ticker.stop()
    dispatch.stop()
    # Connections are told at once, so that executors move to another server while calls under way end.
    stopped = running.server.stop(_GRACE_SECONDS)
    gateway.stop(_GRACE_SECONDS)
    stopped.wait()
    running.local.close()
    if metadata is not None:
        metadata.close()
    storage.dispose()


def _pods(settings: Settings) -> ClusterPods | None:
    """Raises click.UsageError when there is no way to the cluster that was asked for."""
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


def _stores(path: Path | None) -> StoreConfig:
    try:
        return parse_file(path.read_text("utf-8")) if path is not None else StoreConfig()
    except (OSError, UnicodeDecodeError, ArtifactStoreError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--store-config") from error


def _objects(settings: Settings) -> StoredObjects:
    try:
        return StoredObjects.configured(settings.artifact_roots, settings.stores, settings.environment)
    except ArtifactStoreError as error:
        raise click.BadParameter(str(error), param_hint="--artifacts, --store-config") from error


def _allow_many_connections() -> None:
    """As many open files as the system lets us have: every connection is one, idle ones too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _queue_depth(storage: Database) -> tuple[int, int]:
    with storage.reading() as uow:
        return uow.queue.depth()


def _bind(server: grpc.Server, address: Address) -> int:
    try:
        port = int(server.add_insecure_port(str(address)))
    except RuntimeError as error:
        raise click.UsageError(f"--grpc: {address} cannot be used: the port is taken or not allowed") from error
    if port == 0:
        raise click.UsageError(f"--grpc: {address} cannot be used: the port is taken or not allowed")
    return port


if __name__ == "__main__":
    main()
