"""The page of a run in Chromium: it hears of changes as they are made, survives its server, and is moved in by keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE
from penstock_server.storage.database import Database

from tests.support.ui_pages import COUNTS, show, watches
from tools.bench import large_run
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import Page, browser

_ACTIVE = """(() => {
    const list = document.activeElement;
    const row = document.getElementById(list?.getAttribute("aria-activedescendant") ?? "");
    return Number(row?.getAttribute("aria-rowindex"));
})()"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


def waiting(directory: Path, *names: str) -> dict[str, list[str]]:
    """Commands of tasks that each wait for a file with their name."""
    return {name: ["sh", "-c", f"while [ ! -e {directory / name} ]; do sleep 0.05; done"] for name in names}


def row_in(name: str, state: str) -> str:
    """A script that tells whether there is a row of a task in a state."""
    return (
        "[...document.querySelectorAll('[role=row]')].some((row) =>"
        f" row.querySelector('[role=gridcell]').innerText.trim() === {json.dumps(name)}"
        f" && row.querySelector('[data-state={state}]') !== null)"
    )


async def press(page: Page, key: str) -> None:
    """Where the focus is."""
    event = json.dumps({"key": key, "bubbles": True, "cancelable": True})
    focused = "(document.activeElement ?? document.body)"
    await page.evaluate(f"{focused}.dispatchEvent(new KeyboardEvent('keydown', {event}))")


async def test_a_run_moves_on_its_page_by_one_stream_and_without_polling(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.chain(waiting(tmp_path, "first", "second")))
    async with browser(tmp_path / "profile") as page:
        await page.before_pages(COUNTS)
        await page.open(f"{served.http}/runs/{run_id}")
        await page.until(row_in("first", "RUNNING"))
        (tmp_path / "first").touch()
        await page.until(row_in("first", "SUCCEEDED"))
        await page.until(row_in("second", "RUNNING"))
        (tmp_path / "second").touch()
        await page.until(row_in("second", "SUCCEEDED"))
        await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")
        calls = await page.evaluate("window.calls")
        assert (calls["WatchRun"], calls["GetRun"], calls["ListTasks"]) == (1, 1, 1)


async def test_a_page_goes_on_when_its_server_comes_back(environments: Path, tmp_path: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as own:
        with Client(own.grpc) as client:
            run_id = runs.start(client, specs.chain(waiting(tmp_path, "first", "second")))
        async with browser(tmp_path / "profile") as page:
            await page.open(f"{own.http}/runs/{run_id}")
            await page.until(row_in("first", "RUNNING"))
            assert not await page.evaluate("document.querySelector('[data-link=lost]')")
            assert own.process is not None
            for child in (own.child("penstock_server"), own.child("penstock_executor")):
                child.kill()
            own.process.kill()
            own.process.wait()
            await page.until("document.querySelector('[data-link=lost]') !== null")
            # What was known stays.
            assert await page.evaluate(row_in("first", "RUNNING"))
            own.start()
            await page.until("document.querySelector('[data-link=lost]') === null")
            (tmp_path / "first").touch()
            (tmp_path / "second").touch()
            await page.until(row_in("second", "SUCCEEDED"))
            await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")


async def test_a_run_that_is_not_there_is_said_so_once(served: Embedded, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.before_pages(COUNTS)
        await page.open(f"{served.http}/runs/nobody")
        await page.until("document.querySelector('[role=alert]')?.innerText.includes('nobody')")
        assert await page.evaluate("window.calls.WatchRun") == 1


async def test_a_page_that_nobody_looks_at_leaves_its_watch(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.chain(waiting(tmp_path, "first", "second")))
    # Those of earlier pages have ended.
    runs.until(lambda: watches(served), lambda number: number == 0)
    async with browser(tmp_path / "profile") as page:
        await page.open(f"{served.http}/runs/{run_id}")
        await page.until(row_in("first", "RUNNING"))
        assert watches(served) == 1
        await show(page, hidden=True)
        await asyncio.to_thread(runs.until, lambda: watches(served), lambda number: number == 0)
        (tmp_path / "first").touch()
        await show(page, hidden=False)
        await page.until(row_in("second", "RUNNING"))
        (tmp_path / "second").touch()
        await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")


async def test_a_run_that_ended_is_asked_for_again_when_its_page_is_shown(served: Embedded, tmp_path: Path) -> None:
    """Somebody else has retried it."""
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(["test", "-e", str(go)]))
        async with browser(tmp_path / "profile") as page:
            await page.open(f"{served.http}/runs/{run_id}")
            await page.until("document.querySelector('main [data-state]')?.dataset.state === 'FAILED'")
            go.touch()
            client.runs.RetryRun(run_pb2.RetryRunRequest(run_id=run_id))
            await show(page, hidden=False)
            await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")
            await page.until(row_in("only", "SUCCEEDED"))


async def test_keys_move_choose_fold_and_search(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.loop(3))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    async with browser(tmp_path / "profile") as page:
        await page.open(f"{served.http}/runs/{run_id}")
        await page.until("document.querySelectorAll('[role=row]').length === 1")
        await press(page, "j")
        await page.until(f"{_ACTIVE} === 1")
        await press(page, "ArrowRight")
        await page.until("document.querySelectorAll('[role=row]').length === 7")
        await press(page, "j")
        await press(page, "ArrowDown")
        await page.until(f"{_ACTIVE} === 3")
        await press(page, "Enter")
        await page.until("document.querySelector('aside h3') !== null")
        assert "task=" in await page.address()
        await press(page, "Escape")
        await page.until("document.querySelector('aside') === null")
        assert "task=" not in await page.address()
        # To the iteration that it is in, which then folds; to the loop.
        for _ in range(3):
            await press(page, "ArrowLeft")
        await page.until(f"{_ACTIVE} === 1")
        assert await page.evaluate("document.querySelectorAll('[role=row]').length") == 6
        await press(page, "/")
        await page.until("document.activeElement?.type === 'search'")
        await press(page, "j")
        assert await page.evaluate("document.activeElement?.type") == "search"
    # A search is in the address; what is found is shown with what it is in.
    async with browser(tmp_path / "other") as page:
        await page.open(f"{served.http}/runs/{run_id}?name=%5B1%5D")
        await page.until("document.querySelectorAll('[role=row]').length === 2")
        assert await page.evaluate("document.querySelector('[type=search]').value") == "[1]"


async def test_a_timeline_has_a_time_axis_and_a_range_in_its_address(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.chain({"load": ["sleep", "0.3"], "train": ["sleep", "0.3"]}))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    axis = "[...document.querySelectorAll('[role=treegrid] time')].map((mark) => Date.parse(mark.dateTime))"
    async with browser(tmp_path / "profile") as page:
        await page.open(f"{served.http}/runs/{run_id}?view=timeline")
        await page.until("document.querySelectorAll('[role=row] [data-bar]').length === 2")
        whole = await page.until(f"{axis}.length > 1 && {axis}")
        # The wheel zooms where it points, here at the end: what was first is out of sight.
        await page.evaluate(
            "(() => { const box = document.querySelector('[role=treegrid]'); const at = box.getBoundingClientRect();"
            " box.dispatchEvent(new WheelEvent('wheel', {deltaY: -900, ctrlKey: true, bubbles: true,"
            " cancelable: true, clientX: at.right - 20, clientY: at.top + 60})); })()"
        )
        await page.until("document.querySelectorAll('[role=row] [data-bar]').length === 1")
        address = await page.address(lambda url: "since=" in url and "until=" in url)
        zoomed = await page.until(f"{axis}.length > 1 && {axis}")
        assert zoomed[1] - zoomed[0] < whole[1] - whole[0]
        await page.evaluate(
            "[...document.querySelectorAll('button')].find((one) => one.innerText === 'Whole time').click()"
        )
        await page.until("document.querySelectorAll('[role=row] [data-bar]').length === 2")
        await page.address(lambda url: "since=" not in url)
    async with browser(tmp_path / "other") as page:
        await page.open(address)
        await page.until("document.querySelectorAll('[role=row] [data-bar]').length === 1")
        await page.until(f"JSON.stringify({axis}) === {json.dumps(json.dumps(zoomed, separators=(',', ':')))}")


async def test_ten_thousand_tasks_are_no_more_in_the_page_than_those_in_sight(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(["true"]))
        runs.finished(client, run_id)
    large_run.write(Database(f"sqlite:///{served.data_dir}/penstock.db"), run_id, 10_000)
    async with browser(tmp_path / "profile") as page:
        await page.open(f"{served.http}/runs/{run_id}")
        await page.until("document.querySelectorAll('[role=row]').length === 2")
        await page.until("document.querySelector('[role=row] button[aria-expanded=false]') !== null")
        await page.evaluate("document.querySelector('[role=row] button').click()")
        await page.until("document.querySelector('[role=treegrid]').ariaRowCount === '10002'")
        assert await page.evaluate("document.querySelectorAll('[role=row]').length") < 100
        await press(page, "j")
        await press(page, "End")
        await page.until(f"{_ACTIVE} === 10002")
        await page.evaluate("document.querySelector('[type=search]').focus()")
        # As a reader writes: React hears of what is set over its own property.
        await page.evaluate(
            "(() => { const field = document.activeElement;"
            " Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, '[4999]');"
            " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        await page.until("document.querySelectorAll('[role=row]').length === 2")
        await page.address(lambda url: "4999" in url)
