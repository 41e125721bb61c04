"""The page of a run with many tasks: when it answers a key and has all tasks, what it takes, how even it scrolls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

import psutil

from tools.bench.api_server import ApiServer
from tools.bench.result import Row, at_most
from tools.testing.browser import Page, browser

_ROUNDS = 3
_MIB = 400.0
# A frame of a screen that shows 60 a second, and what its clock may differ.
_FRAME_MILLIS = 17.0
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0
# The loop is unfolded as soon as it is there, so that rows are counted; `j` is pressed until it has an effect.
_WATCH = """
window.rows = 0;
window.key = new Promise((answered) => {
    let unfolded = false;
    const look = () => {
        const list = document.querySelector("[role=treegrid]");
        const count = Number(list?.ariaRowCount ?? 0);
        if (count > window.rows) [window.rows, window.grown] = [count, performance.now()];
        if (list && document.activeElement === list) answered(performance.now());
        else if (document.querySelector("[role=row]"))
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "j", bubbles: true, cancelable: true}));
        const unfold = document.querySelector("[role=row] button[aria-expanded=false]");
        if (unfold && !unfolded) [unfolded] = [true, unfold.click()];
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
});
"""
_SCROLL = """new Promise((done) => {
    const list = document.querySelector("[role=treegrid]");
    const gaps = [];
    const began = performance.now();
    let last = began;
    const step = (now) => {
        gaps.push(now - last);
        last = now;
        list.scrollTop += 400;
        if (now - began < 3000) requestAnimationFrame(step);
        else done(gaps.slice(1).sort((a, b) => a - b));
    };
    requestAnimationFrame(step);
})"""


@dataclass(frozen=True, slots=True)
class _Round:
    """Seconds but for `memory` and `heap`, in MiB, and the time between two frames, in milliseconds."""

    answered: float
    whole: float
    server: float
    page: float
    memory: float
    heap: float
    frame: float
    slow_frame: float


async def measure(up: ApiServer, run_id: str, place: Path, number: int, limit: float) -> list[Row]:
    address = f"http://{up.http}/runs/{run_id}"
    found = [await _opened(up, address, place / f"run-{number}-{count}", number) for count in range(_ROUNDS)]
    one = _Round(*(median(getattr(each, field.name) for each in found) for field in fields(_Round)))
    title = f"page of a run of {number:,} tasks"
    return [
        Row(f"{title}: rows are there and answer a key", one.answered, "s"),
        at_most(f"{title}: and all tasks have come, the loop unfolded", max(one.answered, one.whole), "s", limit),
        Row(f"{title}: CPU of the server until then", one.server, "s"),
        Row(f"{title}: CPU of the page until then", one.page, "s"),
        at_most(f"{title}: the most memory", one.memory, "MiB", _MIB),
        Row(f"{title}: data and scripts then", one.heap, "MiB"),
        at_most(f"{title}: from frame to frame while scrolling, median", one.frame, "ms", _FRAME_MILLIS),
        Row(f"{title}: of a hundred frames the fifth slowest", one.slow_frame, "ms"),
    ]


async def _opened(up: ApiServer, address: str, profile: Path, number: int) -> _Round:
    before = _cpu(up.process)
    async with browser(profile) as page:
        await page.before_pages(_WATCH)
        await page.open(address)
        answered = await page.evaluate("window.key")
        peak = await _filled(page, number)
        server, cpu = _cpu(up.process) - before, _cpu(_renderer())
        gaps = await page.evaluate(_SCROLL)
        peak = max(peak, _mib(_renderer()))
        grown = await page.evaluate("window.grown")
        heap = await page.evaluate("performance.memory.usedJSHeapSize")
    slow_frame = gaps[int(len(gaps) * 0.95)]
    return _Round(answered / 1000, grown / 1000, server, cpu, peak, heap / 2**20, gaps[len(gaps) // 2], slow_frame)


async def _filled(page: Page, number: int) -> float:
    """Waits for all rows; the most memory meanwhile, in MiB. Raises TimeoutError."""
    peak = 0.0
    until = time.monotonic() + _PATIENCE_SECONDS
    while await page.evaluate("window.rows") < number:
        if time.monotonic() > until:
            raise TimeoutError(await page.text())
        peak = max(peak, _mib(_renderer()))
        await asyncio.sleep(_LOOK_SECONDS)
    return peak


def _renderer() -> psutil.Process:
    """The largest of the browser's processes that show pages."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                found.append((process.memory_info().rss, process))
        except psutil.NoSuchProcess:
            continue
    return max(found, key=lambda one: one[0])[1]


def _mib(process: psutil.Process) -> float:
    """What it has to itself; 130 MiB more is shared by all."""
    return float(process.memory_full_info().uss) / 2**20


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
