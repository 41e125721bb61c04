"""Measures the page of a run with many tasks in Chromium: prints a table, writes JSON.

Of runs of 10,000 and 100,000 tasks: when the first rows are there and answer a key, by the page's own clock from where
it was opened in a browser that has nothing of it yet; when the last task has come; the memory of the page; how even it
scrolls while 400 pixels are gone in each frame.

Example: python -m tests.support.measure_ui
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import click
import psutil
from penstock.client import Client
from penstock_server.storage.database import Database

from tools.bench import large_run
from tools.bench.report import show
from tools.bench.result import Row, at_most
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import Page, browser

# Tasks, seconds until the table answers a key.
_SIZES = ((10_000, 1.5), (100_000, 3.0))
_MIB = 400.0
_LOOK_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0
_WATCH = """
window.rows = 0;
window.key = new Promise((answered) => {
    const look = () => {
        const list = document.querySelector("[role=treegrid]");
        const count = Number(list?.ariaRowCount ?? 0);
        if (count > window.rows) [window.rows, window.grown] = [count, performance.now()];
        if (list && document.activeElement === list) answered(performance.now());
        else if (document.querySelector("[role=row]"))
            document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "j", bubbles: true, cancelable: true}));
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


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "data") as up:
        for number, seconds in _SIZES:
            with Client(up.grpc) as client:
                run_id = runs.start(client, specs.container(["true"]))
                runs.finished(client, run_id)
            large_run.write(Database(f"sqlite:///{up.data_dir}/penstock.db"), run_id, number)
            profile = Path(directory) / f"profile-{number}"
            rows += asyncio.run(_page(f"{up.http}/runs/{run_id}", profile, number, seconds))
    return rows


async def _page(address: str, profile: Path, number: int, limit: float) -> list[Row]:
    title = f"page of a run of {number:,} tasks"
    async with browser(profile) as page:
        await page.before_pages(_WATCH)
        await page.open(address)
        answered = await page.evaluate("window.key")
        await page.until("document.querySelector('[role=row] button') !== null")
        await page.evaluate("document.querySelector('[role=row] button').click()")
        peak = await _filled(page, number)
        gaps = await page.evaluate(_SCROLL)
        peak = max(peak, _renderer_mib())
        grown = await page.evaluate("window.grown")
        heap = await page.evaluate("performance.memory.usedJSHeapSize")
    return [
        at_most(f"{title}: rows are there and answer a key", answered / 1000, "s", limit),
        Row(f"{title}: all tasks have come, the loop unfolded", grown / 1000, "s"),
        at_most(f"{title}: the most memory", peak, "MiB", _MIB),
        Row(f"{title}: data and scripts then", heap / 2**20, "MiB"),
        Row(f"{title}: from frame to frame while scrolling, median", gaps[len(gaps) // 2], "ms"),
        Row(f"{title}: of a hundred frames the slowest five", gaps[int(len(gaps) * 0.95)], "ms"),
    ]


async def _filled(page: Page, number: int) -> float:
    """Waits for all rows; the most memory meanwhile, in MiB. Raises TimeoutError."""
    peak = 0.0
    until = time.monotonic() + _PATIENCE_SECONDS
    while await page.evaluate("window.rows") < number:
        if time.monotonic() > until:
            raise TimeoutError(await page.text())
        peak = max(peak, _renderer_mib())
        await asyncio.sleep(_LOOK_SECONDS)
    return peak


def _renderer_mib() -> float:
    """What the largest of the browser's processes that show pages has to itself; 130 MiB more is shared by all."""
    found = [0.0]
    for process in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                found.append(process.memory_full_info().uss / 2**20)
        except psutil.NoSuchProcess:
            continue
    return max(found)


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/ui.json"), show_default=True)
def main(report: Path) -> None:
    show(measure(), report)


if __name__ == "__main__":
    main()
