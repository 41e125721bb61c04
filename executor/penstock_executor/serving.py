"""Runs the executor until a signal: connects it to the server, says when that was reached, serves its figures.

Invariants: one line `ready executor=<id>` goes to stdout when the server was reached; logs go to stderr. SIGTERM and
SIGINT drain: pending transitions are committed, leases handed back, attempts left running for the next executor.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
from penstock.secret_file import SecretFile
from penstock.tls_files import TlsFiles, TlsFilesError

from penstock_executor import garbage_collection
from penstock_executor.backoff import retried
from penstock_executor.composition.build import build_backend
from penstock_executor.composition.configured import ConfiguredBackend
from penstock_executor.dispatch.client import DispatchClient, ExecutorDescription
from penstock_executor.dispatch.executor import Executor, ExecutorSettings
from penstock_executor.dispatch.figures import Vitals
from penstock_executor.errors import ExecutorError
from penstock_executor.metadata.base import Recorder
from penstock_executor.metadata.null import NullRecorder
from penstock_executor.settings import Settings

if TYPE_CHECKING:
    from penstock_executor.telemetry import Telemetry

log = logging.getLogger(__name__)


def serve(settings: Settings, environ: Mapping[str, str]) -> None:
    """Runs until a signal. `environ` holds the credentials of object stores, and what `--pass-env` hands on.

    Raises click.UsageError for settings that cannot be used, such as a port that is taken.
    """
    telemetry = _telemetry() if settings.http else None
    observe = telemetry.kubernetes_call if telemetry else lambda verb, code, seconds: None
    configured = build_backend(settings, environ, observe)
    # Incarnations of one name are in order, so that a later one can tell that it is.
    executor_id = f"{settings.name or socket.gethostname() + '-' + str(os.getpid())}/{time.time_ns():020d}"
    garbage_collection.tune()
    asyncio.run(_serve(settings, executor_id, configured, telemetry))


async def _serve(
    settings: Settings, executor_id: str, configured: ConfiguredBackend, telemetry: Telemetry | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    secret = _secret(settings)
    try:
        tls = settings.tls_files()
        description = ExecutorDescription(configured.name, version("penstock"), configured.places)
        client = DispatchClient(settings.server, executor_id, description, tls, secret)
    except TlsFilesError as error:
        raise click.UsageError(str(error)) from error
    if tls is not None and tls.exposed_key():
        log.warning("%s", tls.exposed_key())
    executor_settings = ExecutorSettings(
        default_root=configured.pipeline_root,
        workspace_path=configured.workspace_path,
        lease=settings.lease_seconds,
        free_preemptions=settings.free_preemptions,
    )
    recorder = _recorder(settings, tls, secret)
    address = settings.http
    if telemetry is None or address is None:
        await _run(Executor(client, configured.backend, recorder, executor_settings), client, executor_id, stop)
        return
    executor = Executor(client, configured.backend, recorder, executor_settings, telemetry.reported)
    vitals = Vitals(executor.figures, executor.problems)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(telemetry.serving(vitals, address.host, address.port))
        except OSError as error:
            raise click.UsageError(f"--http: {address} cannot be used: {error.strerror or error}") from error
        await _run(executor, client, executor_id, stop)


async def _run(executor: Executor, client: DispatchClient, executor_id: str, stop: asyncio.Event) -> None:
    announced = asyncio.create_task(_announce(client, executor_id))
    try:
        await executor.run(stop)
    finally:
        announced.cancel()


async def _announce(client: DispatchClient, executor_id: str) -> None:
    await retried(
        lambda: client.heartbeat([], 1),
        # One that refuses may be of another version, in the middle of an upgrade.
        if_=lambda error: isinstance(error, ExecutorError),
        failed=lambda error: log.info("waiting for the server: %s", error),
    )
    click.echo(f"ready executor={executor_id}")
    sys.stdout.flush()


def _telemetry() -> Telemetry:
    # Imported here: nobody else pays for a web server and a metrics library.
    from penstock_executor.telemetry import Telemetry

    return Telemetry()


def _secret(settings: Settings) -> SecretFile | None:
    if settings.dispatch_secret_file and settings.token_file:
        raise click.UsageError("--dispatch-secret-file and --token-file: the server asks for one of the two")
    path = settings.dispatch_secret_file or settings.token_file
    if path is None:
        return None
    secret = SecretFile(path.absolute())
    try:
        secret.newest()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--dispatch-secret-file, --token-file: {error}") from error
    return secret


def _recorder(settings: Settings, tls: TlsFiles | None, secret: SecretFile | None) -> Recorder:
    if not settings.lineage:
        return NullRecorder()
    # Imported here: the wheel costs memory that an executor without lineage need not pay.
    from penstock_executor.metadata.mlmd import MlmdRecorder

    return MlmdRecorder(settings.server, tls, secret)
