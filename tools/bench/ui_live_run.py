"""The page of a run under way: how soon a change is seen there, and what open pages cost while nothing happens.

Changes are reported as an executor does, and noted in the page as soon as a row shows them. Both read the same clock: a
time in the page is `performance.timeOrigin` and what has passed since.
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import grpc
import psutil
from penstock.client import Client
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc as rpc
from penstock_ir.event_log import RunStarted, encode

from tools.bench.api_server import ApiServer, rest
from tools.bench.result import Row, at_most
from tools.testing import runs, specs
from tools.testing.browser import Page, browser

_TASKS = 1_000
_CHANGES = 240
# All are in sight; each changes every few seconds, so that none of its states is passed over.
_CHANGING = 20
_WINDOW = 1280, 1200
_SECONDS_BETWEEN = (0.05, 0.35)
_P50_MILLIS, _P99_MILLIS = 300.0, 1000.0
_PAGES = (1, 20)
_PAGE_MILLIS = 2.0
_SETTLED_SECONDS = 5.0
_PATIENCE_SECONDS = 300.0
_IDLE_SECONDS = 60.0
_LEASE_MILLIS = 3_600_000
_EXECUTOR = "bench/1"
_NOTE = """
window.seen = [];
const known = new Map();
const look = () => {
    for (const row of document.querySelectorAll("[role=row]")) {
        const name = row.querySelector("[role=gridcell]")?.textContent.trim();
        const state = row.querySelector("[data-state]")?.dataset.state;
        if (!name || known.get(name) === state) continue;
        known.set(name, state);
        window.seen.push([name, state, performance.timeOrigin + performance.now()]);
    }
};
new MutationObserver(look).observe(document, {
    subtree: true, childList: true, characterData: true, attributeFilter: ["data-state"],
});
"""


class _LiveRun:
    """A run that is held and reported from here."""

    def __init__(self, up: ApiServer, client: Client, channel: grpc.Channel) -> None:
        self._stub = rpc.DispatchServiceStub(channel)
        self.run_id = runs.start(client, specs.container(["true"]))
        claim = pb.ClaimRunsRequest(executor_id=_EXECUTOR, max_runs=1, lease_millis=_LEASE_MILLIS)
        (held,) = self._stub.ClaimRuns(claim, timeout=60).runs
        self._fence = held.fence
        self._began = began = time.time_ns() // 1_000_000
        rows = [_row(f"task-{number:02}", "RUNNING", began) for number in range(_CHANGING)]
        rows += [_row(f"waits-{number:03}", "PENDING", began) for number in range(_TASKS - _CHANGING)]
        self._report(
            pb.RunTransitions(
                events=[encode(RunStarted(began, "file:///root"))],
                tasks=rows,
                run=pb.RunUpdate(state="RUNNING", at_millis=began),
            )
        )

    def change(self, name: str, state: str) -> None:
        self._report(pb.RunTransitions(first_sequence=1, tasks=[_row(name, state, self._began)]))

    def _report(self, transitions: pb.RunTransitions) -> None:
        transitions.run_id, transitions.fence = self.run_id, self._fence
        request = pb.ReportTransitionsRequest(executor_id=_EXECUTOR, runs=[transitions])
        reply = self._stub.ReportTransitions(request, timeout=60)
        assert [one.outcome for one in reply.results] == [pb.RunReport.OUTCOME_COMMITTED], reply


def measure(up: ApiServer, client: Client, place: Path) -> list[Row]:
    with grpc.insecure_channel(up.dispatch) as channel:
        return asyncio.run(_measured(up, _LiveRun(up, client, channel), place))


async def _measured(up: ApiServer, run: _LiveRun, place: Path) -> list[Row]:
    address = f"http://{up.http}/runs/{run.run_id}"
    rows = []
    async with browser(place / "live") as page:
        quiet = await _idle(up.process)
        await page.before_pages(_NOTE)
        await page.resize(*_WINDOW)
        await page.open(address)
        await page.until(f"document.querySelector('[role=treegrid]')?.ariaRowCount === '{_TASKS}'")
        delays = sorted(await _delays(page, run))
        for number in range(1, max(_PAGES) + 1):
            if number > 1:
                await page.open_apart(address)
            if number in _PAGES:
                await _all_watch(up, number)
                await asyncio.sleep(_SETTLED_SECONDS)
                millis = (await _idle(up.process) - quiet) * 1000 / number
                await _all_watch(up, number)
                title = f"{number} open pages of a run, each: CPU of the server while nothing happens"
                rows.append(at_most(title, millis, "ms/s", _PAGE_MILLIS))
    seen = f"a task's change reported -> seen in the page of a run of {_TASKS:,}"
    return [
        at_most(f"{seen}, p50", delays[len(delays) // 2], "ms", _P50_MILLIS),
        at_most(f"{seen}, p99", delays[len(delays) * 99 // 100], "ms", _P99_MILLIS),
        *rows,
    ]


async def _delays(page: Page, run: _LiveRun) -> list[float]:
    """Milliseconds from just before a report to the row that shows it, for each change."""
    chance = random.Random(1)  # noqa: S311 - the same pauses each time
    reported: list[tuple[str, str, float]] = []
    for number in range(_CHANGES):
        name = f"task-{number % _CHANGING:02}"
        state = ("PENDING", "RUNNING")[number // _CHANGING % 2]
        reported.append((name, state, time.time() * 1000))
        await asyncio.to_thread(run.change, name, state)
        await asyncio.sleep(chance.uniform(*_SECONDS_BETWEEN))
    name, state, began = reported[-1]
    await page.until(f"seen.some((one) => one[0] === '{name}' && one[1] === '{state}' && one[2] >= {began})")
    seen = await page.evaluate("window.seen")
    return [
        min(at for *what, at in seen if what == [name, state] and at >= began) - began
        for name, state, began in reported
    ]


async def _all_watch(up: ApiServer, number: int) -> None:
    """Returns when so many pages are open and watch. Raises TimeoutError."""
    until = time.monotonic() + _PATIENCE_SECONDS
    with rest(up, "/metrics") as get:
        while f"\npenstock_watches_open {number:.1f}\n" not in get().decode():
            if time.monotonic() > until:
                raise TimeoutError(f"{number} pages do not watch")
            await asyncio.sleep(1)


async def _idle(process: psutil.Process) -> float:
    """Seconds of CPU a second."""
    before = _cpu(process)
    await asyncio.sleep(_IDLE_SECONDS)
    return (_cpu(process) - before) / _IDLE_SECONDS


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _row(name: str, state: str, began: int) -> pb.TaskRow:
    return pb.TaskRow(
        path=name, name=name, kind="container", state=state, attempt=1, created_at_millis=began,
        started_at_millis=began, phase="launched", iteration_index=-1,
    )  # fmt: skip
