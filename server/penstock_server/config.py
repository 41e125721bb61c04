"""Settings of the server, read once by `main` and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock_store.config import StoreConfig

from penstock_server.domain.options import NO_SETTINGS, OptionDefaults
from penstock_server.gateway.cross_site import LOCAL_ONLY, SitePolicy
from penstock_server.storage.engine import DEFAULT_POOL, PoolSettings


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @staticmethod
    def parse(text: str) -> Address:
        """Raises ValueError."""
        host, separator, port = text.rpartition(":")
        if not separator or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return Address(host.strip("[]") or "127.0.0.1", int(port))


@dataclass(frozen=True, slots=True)
class Settings:
    """URLs in SQLAlchemy's form. An empty `metadata_database` turns the metadata service off. `artifact_roots` are
    paths and URIs; `environment` holds the credentials that `stores` names.
    """

    grpc: Address
    http: Address
    database: str
    metadata_database: str
    artifact_roots: tuple[str, ...]
    pool: PoolSettings = DEFAULT_POOL
    stores: StoreConfig = field(default_factory=StoreConfig)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    service_account: str = "pipeline-runner"
    user_header: str = ""
    commit: str = "unknown"
    tag: str = "unknown"
    allowed_hosts: tuple[str, ...] = ()
    allow_http: bool = False
    validate_urls: bool = True
    run_defaults: OptionDefaults = NO_SETTINGS
    schedule_timezone: str = ""
    namespace: str = "kubeflow"
    max_package_bytes: int = 32 * 1024 * 1024
    sites: SitePolicy = LOCAL_ONLY
    ui_directory: Path | None = None
    ui_deployment: str = ""
    hide_side_navigation: bool = False
    tasks_namespace: str = ""
    """Where tasks are Pods; empty: they are not."""
    kubeconfig: str = ""
    kube_context: str = ""
