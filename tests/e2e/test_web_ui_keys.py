"""The keys of the web UI in Chromium, on a live server: `?` lists them on every page, `/` leads to the search field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import opened
from tools.embedded import Embedded
from tools.testing.browser import Page

_FOCUSED = "document.activeElement"
_LISTED = "document.querySelectorAll('[role=dialog] tbody tr').length > 5"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


async def press(page: Page, key: str) -> None:
    """Where the focus is."""
    event = json.dumps({"key": key, "bubbles": True, "cancelable": True})
    await page.evaluate(f"{_FOCUSED}.dispatchEvent(new KeyboardEvent('keydown', {event}))")


@pytest.mark.parametrize("path", ["/runs", "/experiments", "/pipelines", "/recurring-runs"])
async def test_a_list_is_searched_and_its_keys_are_listed(served: Embedded, tmp_path: Path, path: str) -> None:
    async with opened(tmp_path / "profile", f"{served.http}{path}") as page:
        await page.until("document.querySelector('main [type=search]') !== null")
        assert await page.evaluate(f"{_FOCUSED} === document.body")
        await press(page, "?")
        await page.until(_LISTED)
        await page.until(f"{_FOCUSED}.closest('[role=dialog]') !== null")
        await press(page, "/")
        assert not await page.evaluate(f"{_FOCUSED}.type === 'search'")
        await press(page, "Escape")
        await page.until("document.querySelector('[role=dialog]') === null")
        await press(page, "/")
        await page.until(f"{_FOCUSED}.type === 'search'")
        # There it is a letter as any other.
        await press(page, "?")
        assert await page.evaluate("document.querySelector('[role=dialog]') === null")


async def test_a_page_without_a_search_field_lists_the_keys_too(served: Embedded, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/start") as page:
        await page.until("document.querySelector('main h2') !== null")
        await press(page, "/")
        await press(page, "?")
        await page.until(_LISTED)


async def test_a_dialog_that_is_closed_gives_the_focus_back(served: Embedded, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/pipelines") as page:
        button = "[...document.querySelectorAll('main button')].find((one) => one.innerText === 'Add a pipeline')"
        await page.until(f"{button} !== undefined")
        await page.evaluate(f"({button}.focus(), {button}.click())")
        await page.until(f"{_FOCUSED}.closest('[role=dialog]') !== null")
        await press(page, "Escape")
        await page.until("document.querySelector('[role=dialog]') === null")
        assert await page.evaluate(f"{_FOCUSED} === {button}")
