"""The first page that is opened, a list of runs: when it can be used, with and without what a browser keeps of it."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from tools.bench.result import Row, at_most
from tools.testing.browser import browser

_ROUNDS = 5
_WARM_SECONDS = 1.0
_SCRIPT_KB = 350.0
# In sight, and drawn.
_USABLE = """
window.usable = new Promise((usable) => {
    const look = () => {
        if (document.querySelector("tbody a[href^='/runs/']")) requestAnimationFrame(() => usable(performance.now()));
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
});
"""
# As they came over the wire: compressed.
_SCRIPT_BYTES = """
performance.getEntriesByType("resource")
    .filter(({name}) => new URL(name).pathname.endsWith(".js"))
    .reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0)
"""


async def measure(address: str, place: Path) -> list[Row]:
    cold, warm, size = [], [], 0
    for number in range(_ROUNDS):
        async with browser(place / f"first-page-{number}") as page:
            await page.before_pages(_USABLE)
            await page.open(address)
            cold.append(await page.evaluate("window.usable"))
            size = await page.evaluate(_SCRIPT_BYTES)
            await page.open("about:blank")
            await page.open(address)
            warm.append(await page.evaluate("window.usable"))
    title = "first page, a list of runs"
    return [
        at_most(f"{title}: can be used, opened before", median(warm) / 1000, "s", _WARM_SECONDS),
        Row(f"{title}: can be used, never opened before", median(cold) / 1000, "s"),
        at_most(f"{title}: its scripts, compressed", size / 1000, "kB", _SCRIPT_KB),
    ]
