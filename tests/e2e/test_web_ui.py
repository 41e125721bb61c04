"""Penstock's own web UI in Chromium, on a live server: runs, the three views of one, a task's log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_forms import filled
from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import browser

_FILES = ("jsonl", "log")
_NAME = "<script>window.hacked = 1</script> & <b>bold</b>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


async def test_a_run_is_found_and_looked_into(served: Embedded, tmp_path: Path) -> None:
    spec = specs.chain({"load": ["echo", "said by load"], "train": ["echo", "<i>said</i> by train"]})
    with Client(served.grpc) as client:
        run_id = runs.start(client, spec, name=_NAME)
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    async with opened(tmp_path / "profile", f"{served.http}/") as page:
        await page.until(pressed("Runs", "nav a"))
        assert await page.address(lambda url: url.endswith("/runs"))
        await page.until(pressed(_NAME, "a"))
        await page.address(lambda url: url.endswith(f"/runs/{run_id}"))
        await page.until("document.querySelectorAll('[role=row]').length === 2")
        assert await page.evaluate("document.querySelector('h2').innerText") == _NAME
        await page.until(pressed("Graph", "[role=tab]"))
        await page.until("document.querySelectorAll('.react-flow__node').length === 2")
        await page.until("document.querySelectorAll('.react-flow__edge').length === 1")
        assert await page.evaluate(
            "(() => { const [a, b] = [...document.querySelectorAll('.react-flow__node')]"
            ".map((one) => one.getBoundingClientRect()); return Math.abs(a.top - b.top) >= a.height; })()"
        )
        await page.until(pressed("Timeline", "[role=tab]"))
        await page.until("document.querySelectorAll('[role=row] [data-bar]').length === 2")
        await page.until(pressed("train", "[role=row]"))
        await page.until(pressed("Show log"))
        await page.until(has("<i>said</i> by train"))
        links = [(one, await page.evaluate(f"document.querySelector('a[download$={one}]').pathname")) for one in _FILES]
        assert [(await page.fetch(path))[0] for _, path in links] == [200, 200]
        assert "said by load" not in (await page.fetch(dict(links)["log"]))[1]
        assert "<i>said</i> by train" in (await page.fetch(dict(links)["log"]))[1]
        assert "view=timeline" in await page.address() and "task=train" in await page.address()
    # The address alone shows the same.
    async with opened(tmp_path / "other", f"{served.http}/runs/{run_id}?view=timeline&task=train") as page:
        await page.until("document.querySelector('aside') !== null && document.querySelectorAll('[role=row]').length")


async def test_a_log_is_followed_while_the_task_writes(served: Embedded, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    colours = r"echo first; printf '\033[31mred\033[0m <b>x</b>\n10%%\r100%%\n'"
    script = f"{colours}; until test -e {seen}; do sleep 0.1; done; echo last"
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(["sh", "-c", script]))
    async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}") as page:
        await page.until(pressed("only", "[role=row] span"))
        await page.until(pressed("Show log"))
        await page.until(has("first"))
        assert not await page.evaluate(has("last"))
        log = "document.querySelector('[aria-label=Log] pre')"
        await page.until(f"{log}.innerText === 'first\\nred <b>x</b>\\n100%\\n'")
        assert await page.evaluate(f"{log}.querySelector('span').innerText") == "red"
        colours = f"[{log}, {log}.querySelector('span')].map((one) => getComputedStyle(one).color)"
        assert len(set(await page.evaluate(colours))) == 2
        await page.until(filled("Lines with …", "RED"))
        await page.until(f"{log}.innerText === 'red <b>x</b>' && {has('Lines: 1')}")
        await page.until(filled("Lines with …", ""))
        seen.touch()
        await page.until(has("last"))
        await page.until("document.querySelector('main [data-state]')?.dataset.state === 'SUCCEEDED'")


async def test_a_loop_is_one_node_with_counts_and_folds_as_rows(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.loop(3))
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}?view=graph") as page:
        await page.until(has("3 × Succeeded"))
        assert await page.evaluate("document.querySelectorAll('.react-flow__node').length") == 1
        await page.until(pressed("Table", "[role=tab]"))
        await page.until("document.querySelectorAll('[role=row]').length === 1")
        await page.until(pressed("Unfold"))
        await page.until("document.querySelectorAll('[role=row]').length === 7")


async def test_runs_are_filtered_by_the_address_in_the_readers_language(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        for name, command in (("filter good", "true"), ("filter bad", "false")):
            runs.finished(client, runs.start(client, specs.container([command]), name=name))
    async with opened(tmp_path / "profile", f"{served.http}/runs?state=FAILED&name=filter") as page:
        await page.until(has("filter bad"))
        assert not await page.evaluate(has("filter good"))
        await page.evaluate("localStorage.setItem('penstock-language', '\"zh-CN\"')")
        await page.open(f"{served.http}/runs?name=filter%20good")
        await page.until(has("filter good"))
        assert await page.evaluate(has("成功")) and await page.evaluate("document.documentElement.lang") == "zh-CN"


async def test_a_file_of_the_page_that_cannot_be_had_is_asked_for_again_once(served: Embedded, tmp_path: Path) -> None:
    """As when the network is away for a moment, or a newer server has taken the place of the one that made the page."""
    async with browser(tmp_path / "profile") as page:
        await page.before_pages("sessionStorage.loads = Number(sessionStorage.loads ?? 0) + 1")
        await page.call("Network.enable")
        await page.call("Network.setBlockedURLs", urls=["*/assets/*.css"])
        await page.open(f"{served.http}/runs")
        await page.address(lambda url: url.endswith("/runs"))
        await page.loaded("sessionStorage.loads === '2'")
        await page.until(has("Load the page again"))
        await page.call("Network.setBlockedURLs", urls=[])
        await page.until(pressed("Load the page again"))
        await page.loaded("sessionStorage.loads === '3'")
        await page.until("document.title.startsWith('Runs')")


async def test_the_panel_says_why_a_result_was_or_was_not_taken_from_the_cache(
    served: Embedded, tmp_path: Path
) -> None:
    name = f"cached {tmp_path.name}"
    made, again, other = (
        specs.container(["echo", word], name=name, cached=True) for word in ("<b>one</b>", "<b>one</b>", "<i>two</i>")
    )
    with Client(served.grpc) as client:
        ids = []
        for spec in (made, again, other):
            ids.append(runs.start(client, spec))
            assert runs.finished(client, ids[-1]).state == run_pb2.SUCCEEDED
        (task,) = (one for one in client.list_tasks(ids[0]) if one.path == "only")
    async with opened(tmp_path / "profile", f"{served.http}/runs/{ids[1]}?task=only") as page:
        await page.until(pressed("Cache"))
        await page.until(pressed("The task that made this result", "a"))
        await page.address(lambda url: f"/runs/{ids[0]}?" in url and "task=only" in url)
        await page.until(pressed("Pod and its events"))
        await page.until(has("task only is SUCCEEDED"))
        assert await page.evaluate(has(task.pod_name))
    async with opened(tmp_path / "other", f"{served.http}/runs/{ids[2]}?task=only") as page:
        await page.until(pressed("Cache"))
        await page.until("document.querySelectorAll('aside tbody tr').length === 1")
        row = await page.evaluate("document.querySelector('aside tbody tr').innerText")
        assert "<i>two</i>" in row
        assert "<b>one</b>" in row
