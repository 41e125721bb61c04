"""Starts the server, says that it is ready, waits for a signal and stops it.

Invariants: one line `ready http=… grpc=…` goes to stdout when both ports answer. SIGTERM and SIGINT end the server
gracefully: health says NOT_SERVING, calls under way get ten seconds.
"""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping

import click
import grpc
from penstock.option_types import Address

from penstock_server.composition import build_gateway, build_services, open_database, read_store_config
from penstock_server.gateway.server import GatewayServer
from penstock_server.metadata import open_metadata
from penstock_server.rpc.server import build_server
from penstock_server.runtime import StopSignal
from penstock_server.services.ticker import Ticker
from penstock_server.settings import Settings
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10.0


def serve(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serves until a signal. `environ` holds the credentials of object stores.

    Raises PenstockError for a database that cannot be used, click.UsageError for other settings that cannot, such as
    ports that are taken.
    """
    stores = read_store_config(settings.store_config)
    _allow_many_connections()
    stop = StopSignal()
    storage = open_database(settings)
    storage.migrate()
    telemetry = Telemetry(lambda: _queue_depth(storage))
    storage.observe(telemetry.transaction)
    services = build_services(settings, storage, stores, environ, telemetry)
    metadata_url = settings.metadata_database_url()
    metadata = open_metadata(metadata_url) if metadata_url else None
    running = build_server(services, metadata, telemetry)
    grpc_port = _bind(running.server, settings.grpc)
    running.server.start()
    app = build_gateway(settings, running.local, storage, telemetry)
    gateway = GatewayServer(app, settings.http.host, settings.http.port)
    try:
        http_port = gateway.start()
    except OSError as error:
        running.server.stop(None)
        raise click.UsageError(f"--http: {settings.http} cannot be used: {error.strerror or error}") from error
    running.set_serving(True)
    ticker = Ticker(services.recurring_runs, telemetry.fired)
    ticker.start()
    http_ready, grpc_ready = Address(settings.http.host, http_port), Address(settings.grpc.host, grpc_port)
    click.echo(f"ready http=http://{http_ready} grpc={grpc_ready}")
    sys.stdout.flush()
    stop.wait()
    log.info("stopping")
    running.set_serving(False)
    ticker.stop()
    services.dispatch.stop()
    # Connections are told at once, so that executors move to another server while calls under way end.
    stopped = running.server.stop(_GRACE_SECONDS)
    gateway.stop(_GRACE_SECONDS)
    stopped.wait()
    running.local.close()
    if metadata is not None:
        metadata.close()
    storage.dispose()


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
