"""Lists of runs in Chromium: what happens elsewhere is seen without asking, and without losing what was chosen."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import experiment_pb2, run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import COUNTS, opened, show, watches
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import browser

_NAMES = (
    "JSON.stringify([...document.querySelectorAll('main tbody tr')].map((row) => row.querySelector('a').innerText))"
)
_CHECKED = "document.querySelectorAll('main tbody input:checked').length"

# What the page was told, as text.
_HEARD = """
window.heard = "";
const plain = ReadableStreamDefaultReader.prototype.read;
ReadableStreamDefaultReader.prototype.read = async function () {
    const part = await plain.call(this);
    if (part.value instanceof Uint8Array) window.heard += new TextDecoder().decode(part.value);
    return part;
};
"""
# As when a hand moves over a row until the test says that it rests; counts the rows that come meanwhile.
_AIM = """(() => {
    const body = document.querySelector('main tbody');
    const move = () => body.rows[0].dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));
    window.moved = 0;
    new MutationObserver(() => { if (window.aim) window.moved++; }).observe(body, {childList: true});
    move();
    window.aim = setInterval(move, 50);
})()"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


def experiment(client: Client, name: str) -> str:
    request = experiment_pb2.CreateExperimentRequest()
    request.experiment.display_name = name
    return str(client.experiments.CreateExperiment(request).experiment_id)


def start(client: Client, experiment_id: str, name: str, command: list[str]) -> str:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = name
    request.run.experiment_id = experiment_id
    request.run.pipeline_spec.update(specs.container(command))
    return str(client.runs.CreateRun(request).run_id)


def until_file(path: Path) -> list[str]:
    return ["sh", "-c", f"while [ ! -e {path} ]; do sleep 0.05; done"]


def has_rows(*names: str) -> str:
    return f"{_NAMES} === {json.dumps(json.dumps(names, separators=(',', ':')))}"


def state_of(name: str, state: str) -> str:
    return (
        "[...document.querySelectorAll('main tbody tr')].some((row) =>"
        f" row.querySelector('a').innerText === {json.dumps(name)} && row.querySelector('[data-state={state}]'))"
    )


async def test_runs_come_and_change_on_the_page_over_one_stream(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        place = experiment(client, "live")
        start(client, place, "first", ["true"])
        async with opened(tmp_path / "profile", f"{served.http}/experiments/{place}", COUNTS) as page:
            await page.until(state_of("first", "SUCCEEDED"))
            await page.evaluate("document.querySelector('main tbody input').click()")
            await page.evaluate("document.querySelector('main tbody a').focus()")
            began = time.monotonic()
            run_id = start(client, place, "second", until_file(go))
            await page.until(has_rows("second", "first"))
            took = time.monotonic() - began
            await page.until(state_of("second", "RUNNING"))
            go.touch()
            await page.until(state_of("second", "SUCCEEDED"))
            # What was chosen is, and the keyboard is where it was.
            assert await page.evaluate(_CHECKED) == 1
            assert await page.evaluate("document.activeElement.innerText") == "first"
            client.runs.ArchiveRun(run_pb2.ArchiveRunRequest(run_id=run_id))
            await page.until(has_rows("first"))
            calls = await page.evaluate("window.calls")
            assert (calls["WatchRuns"], calls.get("ListRuns", 0)) == (1, 0)
    # A second, and what a busy machine adds.
    assert took < 3


async def test_another_filter_is_another_stream_and_the_one_before_is_left(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        place = experiment(client, "filtered")
        start(client, place, "good", ["true"])
        runs.finished(client, start(client, place, "bad", ["false"]))
    runs.until(lambda: watches(served), lambda number: number == 0)
    async with opened(tmp_path / "profile", f"{served.http}/experiments/{place}") as page:
        await page.until(has_rows("bad", "good"))
        assert watches(served) == 1
        await page.open(f"{served.http}/experiments/{place}?state=FAILED")
        await page.until(has_rows("bad"))
        await asyncio.to_thread(runs.until, lambda: watches(served), lambda number: number == 1)
        await show(page, hidden=True)
        await asyncio.to_thread(runs.until, lambda: watches(served), lambda number: number == 0)
        await show(page, hidden=False)
        await asyncio.to_thread(runs.until, lambda: watches(served), lambda number: number == 1)


async def test_the_start_page_has_one_stream(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        place = experiment(client, "home")
        start(client, place, "under way", until_file(go))
        async with opened(tmp_path / "profile", f"{served.http}/", COUNTS) as page:
            await page.until(state_of("under way", "RUNNING"))
            assert await page.evaluate("window.calls.WatchRuns") == 1
            go.touch()
            await page.until("![...document.querySelectorAll('main a')].some((a) => a.innerText === 'under way')")
            assert await page.evaluate("window.calls.WatchRuns") == 1


async def test_a_list_goes_on_when_its_server_comes_back(environments: Path, tmp_path: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as own:
        with Client(own.grpc) as client:
            place = experiment(client, "kept")
            runs.finished(client, start(client, place, "before", ["true"]))
        # Not `opened`: what a page cannot load while its server is away is no defect.
        async with browser(tmp_path / "profile") as page:
            await page.open(f"{own.http}/experiments/{place}")
            await page.until(state_of("before", "SUCCEEDED"))
            assert own.process is not None
            for child in (own.child("penstock_server"), own.child("penstock_executor")):
                child.kill()
            own.process.kill()
            own.process.wait()
            await page.until("document.querySelector('[data-link=lost]') !== null")
            assert await page.evaluate(has_rows("before"))
            own.start()
            await page.until("document.querySelector('[data-link=lost]') === null")
            with Client(own.grpc) as client:
                start(client, place, "after", ["true"])
            await page.until(has_rows("after", "before"))


async def test_rows_stay_where_they_are_while_one_is_aimed_at(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        place = experiment(client, "aimed")
        start(client, place, "first", ["true"])
        async with opened(tmp_path / "profile", f"{served.http}/experiments/{place}", _HEARD) as page:
            await page.until(state_of("first", "SUCCEEDED"))
            await page.evaluate(_AIM)
            start(client, place, "second", until_file(go))
            # It is told of the run, and once more a second later.
            await page.until("window.heard.split('second').length > 1")
            told = await page.evaluate("window.heard.length")
            go.touch()
            await page.until(f"window.heard.length > {told}")
            await page.evaluate("clearInterval(window.aim); window.aim = 0")
            await page.until(has_rows("second", "first"))
            assert await page.evaluate("window.moved") == 0
