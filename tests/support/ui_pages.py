"""Pages of Penstock's own web UI in Chromium, and scripts that look at them and press what is there.

Invariant: a page that runs what its policy refuses, throws, or runs what a user wrote fails its test.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tools.testing.browser import Page, browser

_WATCH = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) => window.refused.push(
    `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`));
window.addEventListener("error", (event) => window.refused.push(event.message));
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
