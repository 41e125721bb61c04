"""The settings of `penstock-server`, one row each: its options, their variables and docs/settings.md come from here.

Invariant: importing this module is cheap, because `penstock up` does so before it starts anything: no gRPC, no
SQLAlchemy, no aiohttp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from penstock.option_types import Address, AddressType, CheckedText
from penstock.settings import UpOption, setting

from penstock_server.domain.options import MAX_INFRASTRUCTURE_RETRIES, NO_SETTINGS
from penstock_server.storage.pool import DEFAULT_POOL

# Per user. A process of a server does 200 to 660 calls a second (docs/measurements.md) and has 48 streams of bytes.
DEFAULT_CALLS = 100
DEFAULT_STREAMS = 24
DEFAULT_UPLOAD_BYTES = 256 * 1024 * 1024
MAX_PROCESSES = 64
_FILE = click.Path(path_type=Path, dir_okay=False)


def _host_name(text: str) -> str:
    # Imported here: it brings a web server along.
    from penstock_server.gateway.cross_site import host_name

    return host_name(text)


def _origin(text: str) -> str:
    # Imported here: it brings a web server along.
    from penstock_server.gateway.cross_site import origin

    return origin(text)


class _Processes(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number, or `auto`, which is 0."""

    name = "NUMBER|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == 0 or str(value).lower() == "auto":
            return 0
        return int(click.IntRange(1, MAX_PROCESSES)(value, param, ctx))


def _service_account(text: str) -> str:
    namespace, separator, name = text.strip().partition(":")
    if not (namespace and separator and name) or ":" in name:
        raise ValueError(f"{text!r} is not NAMESPACE:NAME")
    return f"{namespace}:{name}"


def _store_endpoint(text: str) -> str:
    # Imported here: nothing needs it on a laptop.
    from penstock_server.storage.store_endpoints import checked_endpoint

    return checked_endpoint(text)


def _peer(text: str) -> str:
    # Imported here: nothing needs it on a laptop.
    from penstock_server.access.trusted_peers import TrustedPeers

    TrustedPeers.parse([text])
    return text.strip()


class _UiDeployment(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """The variable's name is a common one: in the environment a value that is none of these says nothing of the UI."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        source = ctx.get_parameter_source(param.name or "") if ctx is not None and param is not None else None
        if source is click.core.ParameterSource.ENVIRONMENT and str(value).upper() not in self.choices:
            return ""
        return str(super().convert(value, param, ctx))


@dataclass(frozen=True, slots=True)
class Settings:
    """What was given, row by row; the methods say what follows from several rows."""

    # Network.
    grpc: Address = setting(
        "--grpc", "PENSTOCK_GRPC", "Where gRPC is served.", type=AddressType(), default="127.0.0.1:8887", up=UpOption()
    )
    http: Address = setting(
        "--http", "PENSTOCK_HTTP", "Where REST is served.", type=AddressType(), default="127.0.0.1:8888", up=UpOption()
    )
    dispatch: Address = setting(
        "--dispatch",
        "PENSTOCK_DISPATCH",
        "Where executors are served: a port of its own, for them alone.",
        type=AddressType(),
        default="127.0.0.1:8886",
        up=UpOption("Where the executor is served; port 0, unless given, is any that is free.", default="127.0.0.1:0"),
    )
    executor_auth: Literal["none", "secret", "service-account", "certificate"] = setting(
        "--executor-auth",
        "PENSTOCK_EXECUTOR_AUTH",
        "How executors prove themselves: a shared secret, a Kubernetes service account's token, a client certificate.",
        type=click.Choice(["none", "secret", "service-account", "certificate"]),
        default="none",
    )
    dispatch_secret_file: Path | None = setting(
        "--dispatch-secret-file",
        "PENSTOCK_DISPATCH_SECRET_FILE",
        "For --executor-auth secret: a file with the secrets that are accepted, one a line; unless given it is "
        "DATA_DIR/dispatch.key, which is made where there is none.",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
    )
    executor_accounts: tuple[str, ...] = setting(
        "--executor-account",
        "PENSTOCK_EXECUTOR_ACCOUNTS",
        "For --executor-auth service-account: NAMESPACE:NAME of an account that executors run as; may be repeated.",
        type=CheckedText("NAMESPACE:NAME", _service_account),
        several=True,
    )
    executor_certificate_names: tuple[str, ...] = setting(
        "--executor-certificate-name",
        "PENSTOCK_EXECUTOR_CERTIFICATE_NAMES",
        "For --executor-auth certificate: a subject alternative name or common name of executors; may be repeated.",
        type=CheckedText("NAME"),
        several=True,
    )
    insecure: bool = setting(
        "--insecure/--no-insecure",
        "PENSTOCK_INSECURE",
        "Serve on addresses that other machines reach without asking callers, or executors, who they are.",
        default=False,
        up=UpOption(),
    )
    allowed_hosts: tuple[str, ...] = setting(
        "--allowed-host",
        "PENSTOCK_ALLOWED_HOSTS",
        "A name that browsers may reach the HTTP port by, *.example.com for all below; may be repeated. Names of this "
        "machine alone and addresses always may. Bound to an address that others reach, any may unless one is given.",
        type=CheckedText("NAME", _host_name),
        several=True,
        up=UpOption("A name besides this machine's own that REST and the web UI may be reached by; may be repeated."),
    )
    allowed_origins: tuple[str, ...] = setting(
        "--allowed-origin",
        "PENSTOCK_ALLOWED_ORIGINS",
        "Where pages come from that may call besides the server's own: behind a proxy that changes the Host header, "
        "https://pipelines.example.com; may be repeated.",
        type=CheckedText("ORIGIN", _origin),
        several=True,
        up=UpOption(
            "Where pages come from that may call besides the server's own, such as https://pipelines.example.com; "
            "may be repeated."
        ),
    )

    # TLS, for all ports.
    tls_cert: Path | None = setting(
        "--tls-cert",
        "PENSTOCK_TLS_CERT",
        "PEM file with the server's certificate and those between it and its authority; all ports speak TLS with it.",
        type=_FILE,
        default=None,
    )
    tls_key: Path | None = setting(
        "--tls-key", "PENSTOCK_TLS_KEY", "PEM file with the key of that certificate.", type=_FILE, default=None
    )
    tls_client_ca: Path | None = setting(
        "--tls-client-ca",
        "PENSTOCK_TLS_CLIENT_CA",
        "PEM file with the authorities that sign clients' certificates.",
        type=_FILE,
        default=None,
    )
    tls_client_auth: Literal["none", "optional", "required"] | None = setting(
        "--tls-client-auth",
        "PENSTOCK_TLS_CLIENT_AUTH",
        "Whether clients need a certificate; optional: on the HTTP port they may have one (docs/admin/tls.md).",
        type=click.Choice(["none", "optional", "required"]),
        default=None,
        default_in_words="required with --tls-client-ca, else none",
    )
    tls_min_version: Literal["1.2", "1.3"] = setting(
        "--tls-min-version",
        "PENSTOCK_TLS_MIN_VERSION",
        "The oldest version of TLS that is spoken.",
        type=click.Choice(["1.2", "1.3"]),
        default="1.2",
    )

    # What callers may take of the HTTP port.
    health_address: Address | None = setting(
        "--health-address",
        "PENSTOCK_HEALTH_ADDRESS",
        "Where /livez, /readyz and /metrics are served besides the HTTP port, for probes alone; nowhere unless given.",
        type=AddressType(),
        default=None,
    )
    max_connections: int = setting(
        "--max-connections",
        "PENSTOCK_MAX_CONNECTIONS",
        "Connections to the HTTP port at a time; three quarters of them from one address.",
        type=click.IntRange(min=1),
        default=4096,
    )
    max_requests: int = setting(
        "--max-requests",
        "PENSTOCK_MAX_REQUESTS",
        "HTTP requests under way at a time, fewer than connections; three quarters of them from one address.",
        type=click.IntRange(min=1),
        default=1000,
    )
    header_timeout: int = setting(
        "--header-timeout",
        "PENSTOCK_HEADER_TIMEOUT",
        "Seconds from the first byte of an HTTP request to the end of its headers.",
        type=click.IntRange(min=1),
        default=20,
    )
    idle_timeout: int = setting(
        "--idle-timeout",
        "PENSTOCK_IDLE_TIMEOUT",
        "Seconds that a connection may be without a request; more than load balancers keep one that idles.",
        type=click.IntRange(min=1),
        default=630,
    )
    min_rate: int = setting(
        "--min-rate",
        "PENSTOCK_MIN_RATE",
        "Bytes a second, over 20 seconds, that a body has to bring and a reply's reader has to take.",
        type=click.IntRange(min=0),
        default=500,
    )

    # What one user may take. None is for what follows from whether callers are asked who they are.
    max_calls_per_user: int | None = setting(
        "--max-calls-per-user",
        "PENSTOCK_MAX_CALLS_PER_USER",
        "Calls a second of one user, of which ten seconds' worth may come at once; 0 for no limit. Unless given, "
        f"{DEFAULT_CALLS} where --auth asks who calls.",
        type=click.IntRange(min=0),
        default=None,
    )
    max_streams_per_user: int | None = setting(
        "--max-streams-per-user",
        "PENSTOCK_MAX_STREAMS_PER_USER",
        "Streams of one user at a time, such as downloads; ten times as many of those that hold no thread, logs and "
        f"watches; 0 for no limit. Unless given, {DEFAULT_STREAMS} where --auth asks who calls.",
        type=click.IntRange(min=0),
        default=None,
    )
    max_upload_bytes_per_user: int | None = setting(
        "--max-upload-bytes-per-user",
        "PENSTOCK_MAX_UPLOAD_BYTES_PER_USER",
        "Bytes a minute that one user sends with calls, packages above all; 0 for no limit. Unless given, "
        f"{DEFAULT_UPLOAD_BYTES} where --auth asks who calls.",
        type=click.IntRange(min=0),
        default=None,
    )

    # How much of the machine it takes.
    processes: int = setting(
        "--processes",
        "PENSTOCK_PROCESSES",
        "Processes that answer on the ports together, each on a processor of its own; `auto` for as many as there are "
        "processors. More than one needs Linux, and PostgreSQL or MariaDB (docs/admin/scaling.md).",
        type=_Processes(),
        default=1,
    )

    # Databases and stores.
    data_dir: Path = setting(
        "--data-dir",
        "PENSTOCK_DATA_DIR",
        "Where everything lies that has no URL of its own.",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("~/.penstock"),
        up=UpOption("Database, artifacts, environments and logs."),
    )
    database: str = setting(
        "--database",
        "PENSTOCK_DATABASE",
        "SQLAlchemy URL; SQLite in DATA_DIR unless given. One with a password is better given by the variable.",
        up=UpOption(
            "SQLAlchemy URL; SQLite in the data directory unless given. One with a password is better given by the "
            "variable."
        ),
        secret=True,
    )
    database_pool_size: int = setting(
        "--database-pool-size",
        "PENSTOCK_DATABASE_POOL_SIZE",
        "Connections to a database server that are kept.",
        type=click.IntRange(min=1),
        default=DEFAULT_POOL.size,
    )
    database_pool_overflow: int = setting(
        "--database-pool-overflow",
        "PENSTOCK_DATABASE_POOL_OVERFLOW",
        "Connections more when those are in use.",
        type=click.IntRange(min=0),
        default=DEFAULT_POOL.overflow,
    )
    database_pool_recycle: int = setting(
        "--database-pool-recycle",
        "PENSTOCK_DATABASE_POOL_RECYCLE",
        "Seconds after which a connection is replaced; fewer than proxies on the way keep one that idles.",
        type=click.IntRange(min=1),
        default=DEFAULT_POOL.recycle,
    )
    database_pre_ping: bool = setting(
        "--database-pre-ping/--no-database-pre-ping",
        "PENSTOCK_DATABASE_PRE_PING",
        "Ask a connection whether it lives before it is used.",
        default=DEFAULT_POOL.pre_ping,
    )
    metadata_database: str = setting(
        "--metadata-database",
        "PENSTOCK_METADATA_DATABASE",
        "ML Metadata's database, `none` for no metadata service; SQLite in DATA_DIR unless given. One with a password "
        "is better given by the variable.",
        secret=True,
    )
    artifacts: str = setting(
        "--artifacts",
        "PENSTOCK_ARTIFACTS",
        "Artifact root, to serve logs and downloads from: a directory or s3://…; DATA_DIR/artifacts unless given.",
        up=UpOption("Artifact root; DATA_DIR/artifacts unless given."),
    )
    store_config: Path | None = setting(
        "--store-config",
        "PENSTOCK_STORE_CONFIG",
        "YAML file with the settings of object stores and what may be read from them (docs/stores.md).",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
    )

    # Who calls, and what they may do.
    auth: tuple[str, ...] = setting(
        "--auth",
        "PENSTOCK_AUTH",
        "How callers prove who they are; may be repeated, the first that recognises a caller decides: `kubeflow` by "
        "the header of a trusted proxy or a token of the cluster, `oidc` by a token or a log-in, `tokens` by API "
        "tokens of this server, `none` nobody is asked.",
        type=click.Choice(["none", "kubeflow", "oidc", "tokens"]),
        several=True,
        up=UpOption(),
    )
    authorization: str = setting(
        "--authorization",
        "PENSTOCK_AUTHORIZATION",
        "Who knows what callers may do: `roles` of the role file and the database, or `kubernetes`, by a "
        "SubjectAccessReview.",
        type=click.Choice(["roles", "kubernetes"]),
        default="roles",
    )
    role_file: Path | None = setting(
        "--role-file",
        "PENSTOCK_ROLE_FILE",
        "YAML file with roles of users and groups in namespaces (docs/admin/authorization.md); changes count at once.",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
        up=UpOption(),
    )
    audit_retention_days: int = setting(
        "--audit-retention-days",
        "PENSTOCK_AUDIT_RETENTION_DAYS",
        "Days after which lines of the audit log are removed; 0 keeps them.",
        type=click.IntRange(min=0),
        default=0,
        default_in_words="they are kept",
    )

    # Who calls.
    trusted_proxies: tuple[str, ...] = setting(
        "--trusted-proxy",
        "PENSTOCK_TRUSTED_PROXIES",
        "With `--auth kubeflow`: whose headers are believed, a network such as 10.0.0.0/8 or a name in a client's "
        "certificate; may be repeated.",
        type=CheckedText("PEER", _peer),
        several=True,
    )
    user_header: str = setting(
        "--user-header",
        "KUBEFLOW_USERID_HEADER",
        "Header in which a trusted proxy names the user.",
        default="kubeflow-userid",
    )
    user_prefix: str = setting(
        "--user-prefix",
        "KUBEFLOW_USERID_PREFIX",
        "What that header's value begins with and the user's name does not, such as accounts.google.com:.",
    )
    groups_header: str = setting(
        "--groups-header",
        "PENSTOCK_GROUPS_HEADER",
        "Header in which a trusted proxy names the user's groups, separated by commas.",
        default="kubeflow-groups",
    )
    token_audiences: tuple[str, ...] = setting(
        "--token-audience",
        "TOKEN_REVIEW_AUDIENCE",
        "With `--auth kubeflow`: what tokens of the cluster must be for, all of them when several are given; "
        "pipelines.kubeflow.org unless given.",
        type=CheckedText("AUDIENCE"),
        several=True,
    )
    oidc_issuer: str = setting(
        "--oidc-issuer",
        "PENSTOCK_OIDC_ISSUER",
        "With `--auth oidc`: URL of the issuer of tokens, as tokens name it.",
    )
    oidc_client_id: str = setting(
        "--oidc-client-id",
        "PENSTOCK_OIDC_CLIENT_ID",
        "Name of this server at the issuer; with it users of the web UI log in there.",
    )
    oidc_client_secret_file: Path | None = setting(
        "--oidc-client-secret-file",
        "PENSTOCK_OIDC_CLIENT_SECRET_FILE",
        "File with the secret that goes with that name; several servers need one to log a user in together.",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
    )
    oidc_audiences: tuple[str, ...] = setting(
        "--oidc-audience",
        "PENSTOCK_OIDC_AUDIENCES",
        "What tokens of the issuer may be for; may be repeated; the client id unless given.",
        type=CheckedText("AUDIENCE"),
        several=True,
    )
    oidc_user_claim: str = setting(
        "--oidc-user-claim",
        "PENSTOCK_OIDC_USER_CLAIM",
        "Claim that names the user; an address counts only when the issuer has verified it.",
        default="email",
    )
    oidc_groups_claim: str = setting(
        "--oidc-groups-claim", "PENSTOCK_OIDC_GROUPS_CLAIM", "Claim that names the user's groups.", default="groups"
    )
    oidc_prefix: str = setting(
        "--oidc-prefix",
        "PENSTOCK_OIDC_PREFIX",
        "What is put before the issuer's users and groups, to tell them from those of others.",
    )
    oidc_allow_unverified_email: bool = setting(
        "--oidc-allow-unverified-email/--no-oidc-allow-unverified-email",
        "PENSTOCK_OIDC_ALLOW_UNVERIFIED_EMAIL",
        "Take addresses that the issuer has not verified, where users cannot choose theirs.",
        default=False,
    )
    oidc_scopes: str = setting(
        "--oidc-scopes",
        "PENSTOCK_OIDC_SCOPES",
        "What is asked of the issuer when a user logs in; some give groups only for a scope of their own.",
        default="openid email profile",
    )
    oidc_redirect_url: str = setting(
        "--oidc-redirect-url",
        "PENSTOCK_OIDC_REDIRECT_URL",
        "Where the issuer sends browsers back to, ending in /oauth2/callback; made of the request's host unless given.",
    )
    session_hours: int = setting(
        "--session-hours",
        "PENSTOCK_SESSION_HOURS",
        "Hours after which a user of the web UI logs in again.",
        type=click.IntRange(1, 720),
        default=12,
    )

    # Callers, packages and runs.
    service_account: str = setting(
        "--service-account",
        "DEFAULTPIPELINERUNNERSERVICEACCOUNT",
        "Service account of runs that name none; pipeline-runner unless given, in multi-user mode default-editor.",
    )
    multi_user: bool = setting(
        "--multi-user/--no-multi-user",
        "MULTIUSER",
        "Keep namespaces apart: experiments, runs, schedules, cached results and Pods have one, and pipelines may.",
        default=False,
    )
    require_namespace_for_pipelines: bool = setting(
        "--require-namespace-for-pipelines/--no-require-namespace-for-pipelines",
        "REQUIRE_NAMESPACE_FOR_PIPELINES",
        "In multi-user mode: no pipelines that all namespaces share.",
        default=False,
    )
    pipeline_hosts: str = setting(
        "--pipeline-hosts",
        "PIPELINE_URL_ALLOWED_DOMAINS",
        "Further hosts that packages may be fetched from, comma-separated, wildcards allowed.",
    )
    allow_http_pipelines: bool = setting(
        "--allow-http-pipelines/--no-allow-http-pipelines",
        "PIPELINE_URL_ALLOW_HTTP",
        "Lets packages be fetched without TLS.",
        default=False,
    )
    validate_pipeline_urls: bool = setting(
        "--validate-pipeline-urls/--no-validate-pipeline-urls",
        "PIPELINE_URL_VALIDATION_ENABLED",
        "Checks host, port and addresses of package URLs.",
        default=True,
    )
    caching: bool = setting(
        "--caching/--no-caching",
        "PENSTOCK_CACHING",
        "Answer tasks from the cache where their pipeline allows it.",
        default=NO_SETTINGS.caching,
        up=UpOption(),
    )
    max_cache_age: int = setting(
        "--max-cache-age",
        "PENSTOCK_MAX_CACHE_AGE",
        "Seconds after which a cached result does not count any more.",
        type=click.IntRange(min=0),
        default=NO_SETTINGS.max_cache_age,
        default_in_words="no limit",
        up=UpOption(),
    )
    infrastructure_retries: int = setting(
        "--infrastructure-retries",
        "PENSTOCK_INFRASTRUCTURE_RETRIES",
        "Further attempts of a task after failures of the platform, for runs that do not say.",
        type=click.IntRange(0, MAX_INFRASTRUCTURE_RETRIES),
        default=NO_SETTINGS.infrastructure_retries,
    )
    max_runs_per_namespace: int = setting(
        "--max-runs-per-namespace",
        "PENSTOCK_MAX_RUNS_PER_NAMESPACE",
        "Runs of a namespace that have not ended; without --multi-user, of the server (docs/admin/multi-user.md).",
        type=click.IntRange(min=0),
        default=0,
        default_in_words="no limit",
    )
    schedule_timezone: str = setting(
        "--schedule-timezone",
        "CRON_SCHEDULE_TIMEZONE",
        "Time zone of cron expressions that name none, such as Europe/Berlin; UTC unless given.",
    )
    max_package_mib: int = setting(
        "--max-package-mib",
        "PENSTOCK_MAX_PACKAGE_MIB",
        "Size of the largest pipeline package, packed and unpacked.",
        type=click.IntRange(1, 100),
        default=32,
    )

    # Web UI.
    ui: Path | None = setting(
        "--ui",
        "PENSTOCK_UI",
        "Directory of a built web UI, served under / and /pipeline.",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=None,
        up=UpOption(),
    )
    ui_deployment: str = setting(
        "--ui-deployment",
        "DEPLOYMENT",
        "What the web UI is told of where it runs; KUBEFLOW inside the central dashboard.",
        type=_UiDeployment(["", "KUBEFLOW", "MARKETPLACE"], case_sensitive=False),
    )

    # Kubernetes: where tasks are Pods.
    tasks_namespace: str = setting(
        "--tasks-namespace",
        "PENSTOCK_NAMESPACE",
        "Kubernetes namespace of tasks whose runs have none: logs, Pods and events are then asked of the cluster.",
    )
    kubeconfig: str = setting("--kubeconfig", "KUBECONFIG", "Files to find that cluster in; else the Pod's own.")
    kube_context: str = setting("--kube-context", "PENSTOCK_KUBE_CONTEXT", "Context of the kubeconfig.")
    namespace_stores: bool = setting(
        "--namespace-stores/--no-namespace-stores",
        "PENSTOCK_NAMESPACE_STORES",
        "With --multi-user: read artifacts and logs of a namespace with the settings of its ConfigMap kfp-launcher and "
        "the keys of the Secrets named there, which the server then has to be allowed to read (docs/stores.md).",
        default=False,
    )
    store_endpoints: tuple[str, ...] = setting(
        "--store-endpoint",
        "PENSTOCK_STORE_ENDPOINTS",
        "With --namespace-stores: an address of an object store that namespaces may name, besides those of "
        "--store-config and the clouds' own: https://HOST:PORT, or https://*.HOST where buckets' names may stand "
        "before the host; may be repeated.",
        type=CheckedText("URL", _store_endpoint),
        several=True,
    )

    # What deployments of Kubeflow Pipelines set; nobody gives it by hand.
    hide_side_navigation: bool | None = setting(
        "--hide-side-navigation/--no-hide-side-navigation", "HIDE_SIDENAV", default=None, hidden=True
    )
    namespace: str = setting("--namespace", "POD_NAMESPACE", default="kubeflow", hidden=True)
    commit: str = setting("--commit", "COMMIT_SHA", default="unknown", hidden=True)
    tag: str = setting("--tag", "TAG_NAME", default="unknown", hidden=True)

    # Log.
    log_level: str = setting(
        "--log-level",
        "PENSTOCK_LOG_LEVEL",
        "What is logged, and what is worse.",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        up=UpOption("What server and executor log.", default="warning"),
    )
    log_format: str = setting(
        "--log-format",
        "PENSTOCK_LOG_FORMAT",
        "Lines for people, or a JSON object a line.",
        type=click.Choice(["text", "json"]),
        default="text",
        up=UpOption(),
    )

    def database_url(self) -> str:
        """In SQLAlchemy's form."""
        return database_url(self.database, self.data_dir)

    def metadata_database_url(self) -> str:
        """In SQLAlchemy's form; empty for no metadata service."""
        if self.metadata_database == "none":
            return ""
        return self.metadata_database or _sqlite(self.data_dir, "metadata.db")

    def runner_service_account(self) -> str:
        """`service_account`, or the one that Kubeflow gives everybody's runs in the mode."""
        return self.service_account or ("default-editor" if self.multi_user else "pipeline-runner")

    def artifact_roots(self) -> tuple[str, ...]:
        """Paths and URIs below which artifacts are served: where tasks leave them, and runs' workspaces."""
        directory = _absolute(self.data_dir)
        root = self.artifacts
        return (
            root if "://" in root else str(Path(root or directory / "artifacts").absolute()),
            str(directory / "work"),
        )

    def package_hosts(self) -> tuple[str, ...]:
        """The single hosts of `pipeline_hosts`."""
        return tuple(host.strip() for host in self.pipeline_hosts.split(",") if host.strip())

    def max_package_bytes(self) -> int:
        """`max_package_mib` in bytes."""
        return self.max_package_mib * 1024 * 1024

    def side_navigation_is_hidden(self) -> bool:
        """Unless it is said, inside the central dashboard, which has one of its own."""
        return self.ui_deployment == "KUBEFLOW" if self.hide_side_navigation is None else self.hide_side_navigation


def database_url(database: str, data_dir: Path) -> str:
    """`database`, or the URL of a file of SQLite in `data_dir` when it is empty."""
    return database or _sqlite(data_dir, "penstock.db")


def _sqlite(data_dir: Path, name: str) -> str:
    return f"sqlite:///{_absolute(data_dir) / name}"


def _absolute(data_dir: Path) -> Path:
    return data_dir.expanduser().absolute()
