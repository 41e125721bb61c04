"""The settings of `penstock-server`, one row each: its options, their variables and docs/settings.md come from here.

Invariant: importing this module is cheap, because `penstock up` does so before it starts anything: no gRPC, no
SQLAlchemy, no aiohttp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from penstock.option_types import Address, AddressType, CheckedText
from penstock.settings import UpOption, setting

from penstock_server.domain.options import MAX_INFRASTRUCTURE_RETRIES, NO_SETTINGS
from penstock_server.storage.pool import DEFAULT_POOL


def _host_name(text: str) -> str:
    # Imported here: it brings a web server along.
    from penstock_server.gateway.cross_site import host_name

    return host_name(text)


def _origin(text: str) -> str:
    # Imported here: it brings a web server along.
    from penstock_server.gateway.cross_site import origin

    return origin(text)


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
        "SQLAlchemy URL; SQLite in DATA_DIR unless given.",
        up=UpOption("SQLAlchemy URL; SQLite in the data directory unless given."),
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
        "ML Metadata's database, `none` for no metadata service; SQLite in DATA_DIR unless given.",
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

    # Callers, packages and runs.
    service_account: str = setting(
        "--service-account",
        "DEFAULTPIPELINERUNNERSERVICEACCOUNT",
        "Service account of runs that name none.",
        default="pipeline-runner",
    )
    user_header: str = setting(
        "--user-header",
        "KUBEFLOW_USERID_HEADER",
        "Header that carries the caller's identity, forwarded to gRPC.",
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
