"""Pages of Penstock's own web UI in Chromium, and scripts that look at them and press what is there.

Invariant: a page that runs what its policy refuses, throws, or runs what a user wrote fails its test.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import http
from tools.embedded import Embedded
from tools.testing.browser import Page, browser

_WATCH = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => window.refused.push(
    `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`));
window.addEventListener("error", (event) => window.refused.push(event.message));
"""

# Counts the calls that the page makes, by the last part of their addresses.
COUNTS = """
window.calls = {};
const plain = window.fetch;
window.fetch = (address, ...rest) => {
    const name = String(address.url ?? address).split("/").pop();
    window.calls[name] = (window.calls[name] ?? 0) + 1;
    return plain(address, ...rest);
};
"""


@asynccontextmanager
async def opened(profile: Path, url: str, *scripts: str) -> AsyncIterator[Page]:
    """A page that must not run what its policy refuses, nor throw; `scripts` run in it before its own."""
    async with browser(profile) as page:
        for script in (_WATCH, *scripts):
            await page.before_pages(script)
        await page.open(url)
        yield page
        assert await page.evaluate("window.refused") == []
        assert await page.evaluate("window.hacked") is None


def pressed(name: str, selector: str = "button") -> str:
    """A script that presses what is called so, once it is there."""
    return (
        f"(() => {{ const found = [...document.querySelectorAll({json.dumps(selector)})]"
        f".find((one) => (one.ariaLabel ?? one.innerText).trim() === {json.dumps(name)});"
        "found?.click(); return Boolean(found); })()"
    )


def has(text: str) -> str:
    return f"document.body.innerText.includes({json.dumps(text)})"


def watches(up: Embedded) -> int:
    """How many the server has open."""
    return _open(up, "watches")


def logs(up: Embedded) -> int:
    """How many the server has open."""
    return _open(up, "logs")


def _open(up: Embedded, what: str) -> int:
    text = http.call("GET", f"{up.http}/metrics").body.decode()
    return int(float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"penstock_{what}_open "))))


async def show(page: Page, *, hidden: bool) -> None:
    """As when its tab is left, or come back to."""
    await page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {json.dumps(hidden)}, configurable: true}});"
        " document.dispatchEvent(new Event('visibilitychange'))"
    )


def called_by(user: str) -> str:
    """A script that does what the proxy does."""
    return (
        "{ const real = window.fetch; window.fetch = (to, options = {}) => {"
        "const headers = new Headers(options.headers);"
        f"headers.set('kubeflow-userid', {json.dumps(user)}); return real(to, {{ ...options, headers }}); }} }}"
    )
