"""A server's own calls inside the process, with the database below them, to see what a call asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from penstock.settings import options, rows
from penstock_server.composition import build_services
from penstock_server.rpc.local import LocalCalls
from penstock_server.rpc.server import build_server
from penstock_server.settings import Settings
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry
from penstock_server.workers.pool import Workers
from penstock_store.config import StoreConfig


@contextmanager
def local_calls(directory: Path) -> Iterator[tuple[LocalCalls, Database]]:
    command = click.Command("server", params=options(rows(Settings)))
    settings = Settings(**command.make_context("server", ["--data-dir", str(directory)]).params)
    database = Database(settings.database_url())
    database.migrate()
    workers = Workers({})
    telemetry = Telemetry(lambda: (0, 0))
    services, dispatch = build_services(settings, database, StoreConfig(), {}, telemetry, workers)
    local = build_server(services, None, telemetry).local
    yield local, database
    dispatch.stop()
    local.close()
    workers.close()
    database.dispose()
