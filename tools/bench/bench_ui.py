"""The budgets of the web UI in Chromium without a display: how soon pages can be used, what they take, what they cost.

A server without an executor has the runs; what executors report comes from here. Figures are medians of several rounds,
each in a browser that has nothing of the page unless a row says otherwise. Seconds are those of a machine that browser,
server and bench share, and depend on what else it does; seconds of CPU, which stand beside them, depend less on that.

Example: python -m tools.bench --only ui
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from penstock.client import Client
from penstock_server.storage.database import Database

from tools.bench import large_run, ui_first_page, ui_live_run, ui_run_page
from tools.bench.api_server import ApiServer, api_server
from tools.bench.result import Row
from tools.testing import runs, specs

# Of each: tasks, seconds until all can be used.
_SIZES = ((10_000, 1.5), (100_000, 3.0))
_RUNS = 200


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        url = f"sqlite:///{place / 'penstock.db'}"
        database = Database(url)
        database.migrate()
        database.dispose()
        with api_server(place / "data", url) as up, Client(up.grpc) as client:
            # First, because it takes whatever run can be claimed.
            rows += ui_live_run.measure(up, client, place)
            for number, seconds in _SIZES:
                run_id = _large_run(client, url, number)
                rows += asyncio.run(ui_run_page.measure(up, run_id, place, number, seconds))
            rows = _first_page(up, client, place) + rows
    return rows


def _large_run(client: Client, url: str, number: int) -> str:
    run_id = runs.start(client, specs.container(["true"]))
    large_run.write(Database(url), run_id, number)
    return run_id


def _first_page(up: ApiServer, client: Client, place: Path) -> list[Row]:
    for number in range(_RUNS):
        runs.start(client, specs.container(["true"]), name=f"run {number}")
    return asyncio.run(ui_first_page.measure(f"http://{up.http}/runs", place))
