"""Starts the server, says that it is ready, waits for a signal and stops it.

Invariants: one line `ready http=… grpc=… dispatch=…` goes to stdout when all ports answer, or to the supervisor of
several processes, whose end counts as a signal to them. SIGTERM and SIGINT end the server gracefully: health says
NOT_SERVING, calls under way get ten seconds.
"""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping

import click
import grpc
from penstock.option_types import Address

from penstock_server.access_composition import build_access, build_login
from penstock_server.composition import (
    build_executor_authentication,
    build_gateway,
    build_services,
    build_tls,
    open_database,
    proxies,
    read_store_config,
)
from penstock_server.gateway.server import SiteError
from penstock_server.metadata import open_metadata
from penstock_server.processes import ALONE, Process
from penstock_server.rpc.dispatch_server import build_dispatch_server
from penstock_server.rpc.server import build_server
from penstock_server.runtime import StopSignal
from penstock_server.services.refusals import refusals
from penstock_server.services.ticker import Ticker
from penstock_server.settings import Settings
from penstock_server.siblings import Notices, Siblings
from penstock_server.storage.database import Database
from penstock_server.telemetry import Port, Telemetry
from penstock_server.workers.pool import Workers

log = logging.getLogger(__name__)

_GRACE_SECONDS = 10.0
# How long a thread that computes keeps others from running, a tenth of Python's own value: a request changes threads
# several times, and waits for each of those that compute every time.
_SWITCH_SECONDS = 0.0005


def serve(settings: Settings, environ: Mapping[str, str], process: Process = ALONE) -> None:
    """Serves until a signal. `environ` holds the credentials of object stores; `process` is which of the server's
    processes this is.

    Raises PenstockError for a database that cannot be used, click.UsageError for other settings that cannot, such as
    ports that are taken.
    """
    stores = read_store_config(settings.store_config)
    tls = build_tls(settings)
    executor_authentication = build_executor_authentication(settings)
    _allow_many_connections()
    sys.setswitchinterval(_SWITCH_SECONDS)
    stop = StopSignal(process.supervisor)
    alone = process.is_alone()
    storage = open_database(settings)
    storage.migrate()
    siblings, notices = None if alone else Siblings(process), Notices(process)
    telemetry = (
        Telemetry(lambda: _queue_depth(storage))
        if siblings is None
        else Telemetry(lambda: _queue_depth(storage), process.number, siblings.metrics)
    )
    storage.observe(telemetry.transaction)
    workers = Workers(environ)
    if tls is not None:
        telemetry.certificate(tls.figures)
    services, dispatch = build_services(settings, storage, stores, environ, telemetry, workers, notices)
    metadata_url = settings.metadata_database_url()
    metadata = open_metadata(metadata_url) if metadata_url else None
    access = build_access(settings, storage, services, telemetry)
    running = build_server(
        services, metadata, telemetry, access.rules, proxies(settings), workers, shares_port=not alone
    )
    refused = refusals(services.audit, telemetry, Port.DISPATCH)
    executors = build_dispatch_server(
        dispatch, metadata, telemetry, executor_authentication, refused, shares_port=not alone
    )
    grpc_port = _bind(running.server, "--grpc", settings.grpc, tls.public_credentials() if tls else None)
    for_executors = tls.dispatch_credentials() if tls else None
    dispatch_port = _bind(executors.server, "--dispatch", settings.dispatch, for_executors)
    running.server.start()
    login, https = build_login(settings, access, process.key), tls.http_context() if tls else None
    gateway = build_gateway(settings, running.local, storage, telemetry, workers, login, https, process, siblings)
    try:
        http_port = gateway.start()[0]
    except SiteError as error:
        running.server.stop(None)
        address = Address(error.site.host, error.site.port)
        raise click.UsageError(f"{error.site.option}: {address} cannot be used: {error}") from error
    executors.server.start()
    for served in (running, executors):
        served.set_serving(True)
    ticker = Ticker(services.recurring_runs, telemetry.fired)
    ticker.start()
    services.watching.start()
    telemetry.watches(lambda: len(services.watching))
    services.logs.start()
    telemetry.logs(lambda: len(services.logs))
    services.audit.start()
    http_ready, grpc_ready = Address(settings.http.host, http_port), Address(settings.grpc.host, grpc_port)
    dispatch_ready = Address(settings.dispatch.host, dispatch_port)
    scheme = "https" if tls else "http"
    ready = f"ready http={scheme}://{http_ready} grpc={grpc_ready} dispatch={dispatch_ready}"
    if alone:
        click.echo(ready)
        sys.stdout.flush()
    else:
        process.say_ready(ready)
    stop.wait()
    log.info("stopping")
    for served in (running, executors):
        served.set_serving(False)
    ticker.stop()
    dispatch.stop()
    notices.close()
    services.watching.stop()
    services.logs.stop()
    # Connections are told at once, so that executors move to another server while calls under way end.
    stopped = [served.server.stop(_GRACE_SECONDS) for served in (running, executors)]
    gateway.stop(_GRACE_SECONDS)
    for ended in stopped:
        ended.wait()
    running.local.close()
    workers.close()
    services.audit.stop()
    access.close()
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


def _bind(server: grpc.Server, option: str, address: Address, tls: grpc.ServerCredentials | None) -> int:
    try:
        port = int(server.add_secure_port(str(address), tls) if tls else server.add_insecure_port(str(address)))
    except RuntimeError as error:
        raise click.UsageError(f"{option}: {address} cannot be used: the port is taken or not allowed") from error
    if port == 0:
        raise click.UsageError(f"{option}: {address} cannot be used: the port is taken or not allowed")
    return port
