"""Pages and their server in Chromium: one that breaks off a log, is replaced by another release, has another time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import has, logs, opened, pressed, show
from tools.embedded import Embedded
from tools.testing import runs, specs

_LOG = "(document.querySelector('[aria-label=Log] pre')?.innerText ?? '')"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), "--parallelism", "1", environments=environments) as up:
        yield up


def waiting(go: Path) -> list[str]:
    return ["sh", "-c", f"echo first; until test -e {go}; do sleep 0.05; done; echo last"]


async def test_a_log_goes_on_when_its_server_comes_back(environments: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Embedded(tmp_path / "data", environments=environments) as own:
        with Client(own.grpc) as client:
            run_id = runs.start(client, specs.container(waiting(go)))
        async with opened(tmp_path / "profile", f"{own.http}/runs/{run_id}?task=only") as page:
            await page.until(pressed("Show log"))
            await page.until(f"{_LOG} === 'first\\n'")
            assert own.process is not None
            for child in (own.child("penstock_server"), own.child("penstock_executor")):
                child.kill()
            own.process.kill()
            own.process.wait()
            await page.until("document.querySelector('[aria-label=Log] [data-link=lost]') !== null")
            # What was known stays.
            assert await page.evaluate(f"{_LOG} === 'first\\n'")
            own.start()
            await page.until("document.querySelector('[data-link=lost]') === null")
            go.touch()
            await page.until(f"{_LOG} === 'first\\nlast\\n'")


async def test_a_page_that_is_left_lets_its_log_go(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(waiting(go)))
        runs.until(lambda: logs(served), lambda number: number == 0)
        async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}?task=only") as page:
            await page.until(pressed("Show log"))
            await page.until(f"{_LOG} === 'first\\n'")
            assert logs(served) == 1
            # As when the browser keeps the page for the way back.
            await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
            await asyncio.to_thread(runs.until, lambda: logs(served), lambda number: number == 0)
            await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
            await asyncio.to_thread(runs.until, lambda: logs(served), lambda number: number == 1)
            await show(page, hidden=True)
            await asyncio.to_thread(runs.until, lambda: logs(served), lambda number: number == 0)
            go.touch()
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
            await show(page, hidden=False)
            await page.until(f"{_LOG} === 'first\\nlast\\n'")


async def test_the_log_of_a_task_that_is_tried_again_follows_the_new_attempt(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with Client(served.grpc) as client:
        run_id = runs.start(
            client, specs.container(["sh", "-c", f"test -e {go} && echo better || {{ echo worse; exit 1; }}"])
        )
        assert runs.finished(client, run_id).state == run_pb2.FAILED
        async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}?task=only") as page:
            await page.until(f"{_LOG} === 'worse\\n'")
            go.touch()
            await page.until(pressed("Retry"))
            await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")
            await page.until(f"{_LOG} === 'better\\n'")


@pytest.mark.parametrize("days", [2, -2])
async def test_the_servers_clock_counts_where_the_readers_is_wrong(served: Embedded, tmp_path: Path, days: int) -> None:
    go = tmp_path / "go"
    wrong = f"{{ const right = Date.now; Date.now = () => right() + {days} * 86400000; }}"
    with Client(served.grpc) as client:
        failed = runs.start(client, specs.container(["false"]), name="has just failed")
        assert runs.finished(client, failed).state == run_pb2.FAILED
        running = runs.start(client, specs.container(waiting(go)), name="holds the place")
        runs.until(lambda: runs.tasks(client, running)["only"].state, lambda state: state == "RUNNING")
        behind = runs.start(client, specs.container(["true"]), name="waits for it")
        async with opened(tmp_path / "profile", f"{served.http}/", wrong) as page:
            await page.until(has("has just failed"))
            cells = "[...document.querySelectorAll('main section:first-of-type td:nth-child(4)')]"
            # Seconds, or minutes at most.
            await page.until(f"{cells}.length > 0 && {cells}.every((one) => /^(\\d+m )?\\d+m?s/.test(one.innerText)"
                             " && !one.innerText.startsWith('0ms'))")  # fmt: skip
            await page.open(f"{served.http}/runs/{behind}")
            await page.until(has("waits for a free place"))
        go.touch()
        assert runs.finished(client, behind).state == run_pb2.SUCCEEDED


async def test_rows_stay_where_they_are_while_what_waits_comes_and_goes(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    top = "document.querySelector('[role=treegrid]').getBoundingClientRect().top"
    waits = "document.querySelector('[aria-label=\"Tasks that wait\"]')"
    with Client(served.grpc) as client:
        holder = runs.start(client, specs.container(waiting(go)))
        runs.until(lambda: runs.tasks(client, holder)["only"].state, lambda state: state == "RUNNING")
        behind = runs.start(client, specs.container(["true"]))
        async with opened(tmp_path / "profile", f"{served.http}/runs/{behind}") as page:
            await page.resize(1280, 800)
            await page.until(f"{waits} !== null")
            before = await page.evaluate(top)
            go.touch()
            await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")
            await page.until(f"{waits} === null")
            assert await page.evaluate(top) == before


async def test_a_page_whose_server_was_replaced_says_so_and_is_loaded_again(environments: Path, tmp_path: Path) -> None:
    release = tmp_path / "release" / "penstock-99.1.dist-info"
    release.mkdir(parents=True)
    (release / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock\nVersion: 99.1\n")
    (release / "entry_points.txt").write_text(distribution("penstock").read_text("entry_points.txt") or "")
    with Embedded(tmp_path / "data", environments=environments) as old:
        async with opened(tmp_path / "profile", f"{old.http}/runs?state=FAILED") as page:
            await page.until(has("No runs match"))
            assert not await page.evaluate(has("was replaced"))
            old.stop()
            environment = {"PYTHONPATH": f"{release.parent}:{os.environ.get('PYTHONPATH', '')}"}
            new = Embedded(tmp_path / "data", environment=environment, environments=environments)
            new.http, new.grpc, new.dispatch = old.http, old.grpc, old.dispatch
            with new:
                await page.until(has("The server was replaced by version 99.1"))
                await page.until(pressed("Load the page again"))
                await page.loaded(f"{has('No runs match')} && !{has('was replaced')}")
                assert await page.address() == f"{old.http}/runs?state=FAILED"
