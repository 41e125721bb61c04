"""Makes the parts of the server from its settings and puts them together.

Invariant: what a part needs is made here and passed in; no part makes another one or reads a setting by itself.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from penstock.secret_file import SecretFile, make_secret
from penstock.tls_files import TlsFiles, TlsFilesError
from penstock_store.base import ArtifactStoreError
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file

from penstock_server.access.authentication import Authentication
from penstock_server.access.executors import AUDIENCE, Certificates, ServiceAccounts, SharedSecret
from penstock_server.access.trusted_peers import TrustedPeers
from penstock_server.clusters import needed_cluster
from penstock_server.domain.options import OptionDefaults
from penstock_server.domain.places import Network
from penstock_server.errors import UnavailableError
from penstock_server.gateway.app import GatewaySettings, create_app
from penstock_server.gateway.cross_site import SitePolicy, is_local
from penstock_server.gateway.grpc_web import BrowserView
from penstock_server.gateway.limits import DEFAULT_LIMITS, HttpLimits
from penstock_server.gateway.login import Login
from penstock_server.gateway.pages import BUNDLE
from penstock_server.gateway.probes import probes_app
from penstock_server.gateway.server import GatewayServer, PrivateSite, Site
from penstock_server.gateway.ui import UiSettings
from penstock_server.processes import ALONE, Process
from penstock_server.readiness import Readiness
from penstock_server.rpc import browser_uris
from penstock_server.rpc.local import LocalCalls
from penstock_server.rpc.server import Services, public_services, web_methods
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.attempts import AttemptService
from penstock_server.services.audit import AuditService
from penstock_server.services.comparison import ComparisonService
from penstock_server.services.dispatch import DispatchService
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
from penstock_server.services.tenancy import Tenancy
from penstock_server.services.tokens import TokenService
from penstock_server.services.watches import RunWatches
from penstock_server.services.watching import Watching
from penstock_server.settings import Settings
from penstock_server.siblings import PROBES, Notice, Notices, Siblings
from penstock_server.storage.database import Database
from penstock_server.storage.fetch import PackageFetcher
from penstock_server.storage.objects import StoredObjects, canonical_uri, configured_store
from penstock_server.storage.pool import PoolSettings
from penstock_server.telemetry import Denial, Port, Telemetry
from penstock_server.tls import ServerTls
from penstock_server.workers.pool import Workers

if TYPE_CHECKING:
    from penstock_server.storage.pods import ClusterPods

log = logging.getLogger(__name__)


def open_database(settings: Settings) -> Database:
    """Raises InvalidArgumentError for what is no URL of a database."""
    pool = PoolSettings(
        size=settings.database_pool_size,
        overflow=settings.database_pool_overflow,
        recycle=settings.database_pool_recycle,
        pre_ping=settings.database_pre_ping,
    )
    return Database(settings.database_url(), pool)


def build_tls(settings: Settings) -> ServerTls | None:
    """None where the ports speak plain text. Raises click.UsageError for files that cannot be used."""
    files = TlsFiles(
        settings.tls_cert, settings.tls_key, settings.tls_client_ca, ("--tls-cert", "--tls-key", "--tls-client-ca")
    )
    client_auth = settings.tls_client_auth or ("required" if settings.tls_client_ca else "none")
    if not files.paths() and client_auth == "none":
        return None
    try:
        tls = ServerTls(files, client_auth, settings.tls_min_version)
    except TlsFilesError as error:
        raise click.UsageError(str(error)) from error
    for problem in tls.problems(time.time()):
        log.warning("%s", problem)
    return tls


def read_store_config(path: Path | None) -> StoreConfig:
    """Raises click.BadParameter for a file that cannot be read or says something wrong."""
    try:
        return parse_file(path.read_text("utf-8")) if path is not None else StoreConfig()
    except (OSError, UnicodeDecodeError, ArtifactStoreError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--store-config") from error


def build_services(
    settings: Settings,
    storage: Database,
    stores: StoreConfig,
    environ: Mapping[str, str],
    telemetry: Telemetry,
    workers: Workers,
    notices: Notices | None = None,
) -> tuple[Services, DispatchService]:
    """The use cases over a database that is up to date: of callers, and of executors.

    `environ` holds the credentials that `stores` names; `workers` read what is large. `notices` go to the other
    processes of this server, and come from them from now on.

    Raises click.BadParameter, click.UsageError for stores and clusters that cannot be used as they are set.
    """
    clock, documents = SystemClock(), Documents(workers)
    notices = notices or Notices(ALONE)
    new_runs = ConditionSignal(lambda: notices.tell(Notice.RUN_WAITS))
    tenancy = Tenancy(settings.multi_user, settings.require_namespace_for_pipelines)
    experiments = ExperimentService(storage, clock, tenancy)
    experiments.ensure_default()
    fetch = PackageFetcher(
        settings.package_hosts(),
        allow_http=settings.allow_http_pipelines,
        validate=settings.validate_pipeline_urls,
        max_bytes=settings.max_package_bytes(),
    )
    watching = Watching()

    def committed(events: int) -> None:
        telemetry.committed(events)
        watching.wake()
        notices.tell(Notice.COMMITTED)

    notices.start({Notice.RUN_WAITS: new_runs.heard, Notice.COMMITTED: watching.wake})

    dispatch = DispatchService(storage, new_runs, clock, lambda spec: documents.compiled(spec).name, committed)
    defaults = OptionDefaults(settings.caching, settings.max_cache_age, settings.infrastructure_retries)
    account = settings.runner_service_account()
    runs = RunService(storage, clock, documents, new_runs, account, defaults, tenancy, settings.max_runs_per_namespace)
    schedules = RecurringRunService(
        storage,
        clock,
        documents,
        runs,
        new_runs,
        zone=settings.schedule_timezone,
        namespace=settings.namespace,
        service_account=account,
        tenancy=tenancy,
    )
    explain = ExplainService(storage, documents, dispatch.executors, tenancy)
    namespaces = ObjectNamespaces(storage, documents, canonical_uri)
    objects, pods = _stored_objects(settings, stores, environ), _pods(settings)
    public = Services(
        experiments=experiments,
        pipelines=PipelineService(storage, clock, documents, fetch, settings.max_package_bytes(), tenancy),
        runs=runs,
        recurring_runs=schedules,
        insight=InsightService(storage, objects, namespaces, pods, tenancy),
        logs=LogStreams(storage, objects, explain.task, pods),
        explain=explain,
        overview=OverviewService(
            storage, dispatch.executors, storage.problems, storage.kind, storage.revision(), tenancy
        ),
        comparison=ComparisonService(storage),
        attempts=AttemptService(storage, clock),
        lineage=LineageService(storage),
        watching=watching,
        watches=RunWatches(storage, watching),
        list_watches=ListWatches(storage, watching, tenancy),
        namespaces=namespaces,
        tokens=TokenService(storage, clock),
        role_bindings=RoleBindingService(storage, clock),
        pools=PoolService(storage, clock, tenancy),
        audit=AuditService(storage, clock, settings.audit_retention_days),
        driver_tasks=DriverTaskService(storage, clock, tenancy),
        documents=documents,
    )
    return public, dispatch


def build_gateway(
    settings: Settings,
    calls: LocalCalls,
    storage: Database,
    telemetry: Telemetry,
    workers: Workers,
    login: Login | None = None,
    tls: ssl.SSLContext | None = None,
    process: Process = ALONE,
    siblings: Siblings | None = None,
) -> GatewayServer:
    """REST, gRPC-Web and the web UI over the handlers that `calls` reaches; probes on an address of their own.

    `workers` read large bodies. `siblings` are the other processes of the server that `process` is one of.
    """
    limits, problems = http_limits(settings), Readiness(storage.problems).problems
    shared, silent = not process.is_alone(), siblings.silent if siblings is not None else None
    gateway = GatewaySettings(
        settings.commit,
        settings.tag,
        multi_user=settings.multi_user,
        exposition=telemetry.exposition,
        limited=telemetry.limited(Port.PUBLIC),
        other_site=lambda: telemetry.denied(Port.PUBLIC, Denial.OTHER_SITE),
        services=public_services(),
        web_methods=web_methods(),
        web_view=BrowserView(browser_uris.request_from_browser, browser_uris.reply_for_browser),
        problems=problems,
        silent=silent,
        limits=limits,
        max_package_bytes=settings.max_package_bytes(),
        sites=SitePolicy.serving(settings.http.host, settings.allowed_hosts, settings.allowed_origins),
        ui=UiSettings(settings.ui, settings.ui_deployment, settings.side_navigation_is_hidden()),
        bundle=None if settings.ui else BUNDLE,
        elsewhere=workers,
        login=login,
    )
    app, http = create_app(calls, gateway), settings.http
    sites = [Site(app, http.host, http.port, option="--http", tls=tls, shared=shared)]
    if settings.health_address is not None:
        where = settings.health_address
        app = probes_app(telemetry.exposition, problems, silent)
        sites.append(Site(app, where.host, where.port, option="--health-address", shared=shared))
    private = []
    if shared:
        own = probes_app(telemetry.own_exposition, problems)
        private.append(PrivateSite(own, process.socket_name(process.number, PROBES)))
    return GatewayServer(sites, limits, telemetry.limited(Port.PUBLIC), private)


def http_limits(settings: Settings) -> HttpLimits:
    """Raises click.UsageError for bounds that contradict each other."""
    defaults = DEFAULT_LIMITS
    if settings.max_connections < 2 * (settings.max_requests + defaults.bodies):
        least = 2 * (settings.max_requests + defaults.bodies)
        raise click.UsageError(f"--max-connections: for {settings.max_requests} requests it must be {least} at least")
    return replace(
        defaults,
        connections=settings.max_connections,
        connections_per_address=_share(settings.max_connections),
        requests=settings.max_requests,
        requests_per_address=_share(settings.max_requests),
        header_seconds=settings.header_timeout,
        idle_seconds=settings.idle_timeout,
        bytes_per_second=settings.min_rate,
        proxies=proxies(settings),
    )


def proxies(settings: Settings) -> tuple[Network, ...]:
    """The networks of proxies, behind each of which many users stand."""
    return TrustedPeers.parse(settings.trusted_proxies or ()).networks


def _share(total: int) -> int:
    return total * 3 // 4


def _stored_objects(
    settings: Settings, stores: StoreConfig, environ: Mapping[str, str]
) -> Callable[[str], StoredObjects]:
    """The store of a namespace."""
    try:
        own = configured_store(settings.artifact_roots(), stores, environ)
    except ArtifactStoreError as error:
        raise click.BadParameter(str(error), param_hint="--artifacts, --store-config") from error
    if not settings.namespace_stores:
        if settings.store_endpoints:
            raise click.UsageError("--store-endpoint says something about --namespace-stores alone")
        objects = StoredObjects(own)
        return lambda namespace: objects
    if not settings.multi_user:
        raise click.UsageError("--namespace-stores needs --multi-user; one store for all is given with --store-config")
    cluster = needed_cluster(settings, "--namespace-stores")
    # Imported here: what it takes to reach a cluster is heavy, and a laptop has none.
    from penstock_server.storage.cluster_objects import ClusterObjects
    from penstock_server.storage.namespace_settings import NamespaceSettings
    from penstock_server.storage.namespace_stores import NamespaceStores
    from penstock_server.storage.store_endpoints import StoreEndpoints

    endpoints = StoreEndpoints(settings.store_endpoints or (), stores)
    return NamespaceStores(own, NamespaceSettings(ClusterObjects(cluster)), endpoints).of


def build_executor_authentication(settings: Settings) -> Authentication:
    """How executors prove themselves on the dispatch port.

    Raises click.UsageError where others than this machine could call and nobody is asked, or what is needed is missing.
    """
    kind = settings.executor_auth
    if kind == "none":
        if not is_local(settings.dispatch.host) and not settings.insecure:
            raise click.UsageError(
                f"--dispatch: other machines reach {settings.dispatch}, and whoever calls it may end anybody's run; "
                "choose how executors prove themselves with --executor-auth, or insist with --insecure"
            )
        return Authentication()
    if kind == "secret":
        return Authentication([SharedSecret(_accepted_secrets(settings))])
    if kind == "certificate":
        if not settings.executor_certificate_names:
            raise click.UsageError("--executor-auth certificate needs a --executor-certificate-name")
        if settings.tls_client_ca is None or settings.tls_client_auth == "none":
            raise click.UsageError(
                "--executor-auth certificate needs --tls-client-ca, and a --tls-client-auth that is not none"
            )
        return Authentication([Certificates(settings.executor_certificate_names)])
    if not settings.executor_accounts:
        raise click.UsageError("--executor-auth service-account needs an --executor-account")
    cluster = needed_cluster(settings, "--executor-auth service-account")
    # Imported here: what it takes to reach a cluster is heavy, and a laptop has none.
    from penstock_server.access.token_review import TokenReviews

    return Authentication([ServiceAccounts(TokenReviews(cluster, [AUDIENCE]).review, settings.executor_accounts)])


def _accepted_secrets(settings: Settings) -> Callable[[], Sequence[str]]:
    path = settings.dispatch_secret_file
    try:
        if path is None:
            path = settings.data_dir.expanduser().absolute() / "dispatch.key"
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_secret(path)
        file = SecretFile(path)
        file.secrets()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--dispatch-secret-file: {error}") from error

    def accepted() -> Sequence[str]:
        try:
            return file.secrets()
        except (OSError, ValueError) as error:
            raise UnavailableError("the server cannot read the secrets of executors; try again") from error

    return accepted


def _pods(settings: Settings) -> ClusterPods | None:
    if not settings.tasks_namespace:
        return None
    cluster = needed_cluster(settings, "--tasks-namespace")
    # Imported here: what it takes to reach a cluster is heavy, and a laptop has none.
    from penstock_server.storage.pods import ClusterPods

    return ClusterPods(cluster, settings.tasks_namespace)
