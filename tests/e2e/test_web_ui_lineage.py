"""Artifacts and their lineage, in the web UI and the terminal: two runs, of which the second got its data cached."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import has, opened, pressed
from tools.embedded import PENSTOCK, Embedded
from tools.testing import runs, specs, trainings

_HOSTILE = "<img src=x onerror='window.hacked = 1'>\u202e"
_CARDS = "[...document.querySelectorAll('.react-flow__node')].map((one) => one.innerText.replace(/\\s+/g, ' ').trim())"


@dataclass(frozen=True)
class Served:
    up: Embedded
    first: str
    second: str
    data: str
    models: tuple[str, str]

    def address(self, page: str) -> str:
        return f"{self.up.http}{page}"

    def terminal(self, *arguments: str) -> str:
        command = [PENSTOCK, "lineage", *arguments, "--server", self.up.grpc]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Served]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up, Client(up.grpc) as client:
        first, second = trainings.trained(client, ["0.1", "0.2"], _HOSTILE + " {}")
        states = {path: one.state for path, one in runs.tasks(client, second).items()}
        assert (states["prepare"], states["train"]) == ("CACHED", "SUCCEEDED")
        models = tuple(trainings.artifact(client, run_id, "model") for run_id in (first, second))
        yield Served(up, first, second, trainings.artifact(client, first, "data"), (models[0], models[1]))


def drawn(*cards: str) -> str:
    """True once there are as many cards, and each begins so."""
    return (
        f"(() => {{ const found = {_CARDS}; return found.length === {len(cards)} &&"
        f" {json.dumps(cards)}.every((text) => found.some((one) => one.startsWith(text))); }})()"
    )


def clicked(card: str, kind: str = "click") -> str:
    """A script that clicks the card that begins so, or what `kind` says."""
    return (
        "(() => { const found = [...document.querySelectorAll('.react-flow__node')]"
        f".find((one) => one.innerText.replace(/\\s+/g, ' ').trim().startsWith({json.dumps(card)}));"
        f"found?.dispatchEvent(new MouseEvent({json.dumps(kind)}, {{ bubbles: true, view: window }}));"
        "return Boolean(found); })()"
    )


async def test_from_a_model_back_to_the_data_over_the_cache_hit(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address(f"/runs/{served.second}?task=train")) as page:
        await page.until(pressed("model", "aside a"))
        await page.until(pressed("Lineage", "[role=dialog] a"))
        await page.until("document.title === 'Lineage of model – Penstock'")
        # Both ways: what it was made from, and what was made from it.
        await page.until(drawn("model", "train", "data", "Prepare the data", "Prepare the data", "evaluate", "report"))
        await page.until(pressed("Made from", "label"))
        await page.until(drawn("model", "train", "data", "Prepare the data SUCCEEDED", "Prepare the data CACHED"))
        assert "direction=backwards" in await page.address()
        # Whose result it was: the panel of the task leads to its run.
        await page.until(clicked("Prepare the data SUCCEEDED"))
        await page.until(f"document.querySelector('aside a[href=\"/runs/{served.first}\"]') !== null")
        await page.until(pressed("prepare", "aside a"))
        await page.until(f"location.pathname === '/runs/{served.first}' && location.search.includes('task=prepare')")


async def test_from_the_data_to_the_models_of_both_runs(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address("/artifacts?type=system.Dataset")) as page:
        await page.until("document.querySelectorAll('tbody tr').length === 1")
        await page.until(pressed("Lineage: data", "main a"))
        await page.until(pressed("Used for", "label"))
        both = ["train", "model", "evaluate", "report"] * 2
        await page.until(drawn("data", *both))
        # The content of what is chosen is beside the graph.
        await page.until(has("a,b"))
        await page.until(clicked("model"))
        await page.until("document.querySelector('aside')?.innerText.includes('trained at 0.')")
        await page.until(clicked("train"))
        await page.until("document.querySelector('aside h3')?.innerText === 'train'")
        await page.until(clicked("train", "dblclick"))
        await page.until("document.title === 'Lineage of train – Penstock'")
        assert "task=train" in await page.address()
        await page.until(drawn("train", "model", "evaluate", "report"))


async def test_a_task_has_its_lineage_and_the_way_back(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address(f"/runs/{served.second}?task=prepare")) as page:
        await page.until(pressed("Lineage", "aside a"))
        await page.until("document.title === 'Lineage of Prepare the data – Penstock'")
        # It answered with what the first run made.
        await page.until(f"{_CARDS}.filter((one) => one.startsWith('Prepare the data')).length === 2")
        await page.evaluate("history.back(), 0")
        await page.until("document.querySelector('aside h4') !== null && location.pathname.startsWith('/runs/')")


async def test_the_list_of_artifacts(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address("/")) as page:
        await page.until(pressed("Artifacts", "nav a"))
        # One data set, two models, two reports; runs by their names.
        await page.until("document.querySelectorAll('tbody tr').length === 5")
        await page.until(has(_HOSTILE + " 0.1"))
        assert served.first not in await page.evaluate("document.body.innerText")
        await page.until(pressed("model", "tbody a"))
        await page.until("document.querySelector('[role=dialog]')?.innerText.includes('trained at')")
        assert "artifact=" in await page.address()
    async with opened(tmp_path / "other", served.address(f"/artifacts?run={served.second}")) as page:
        await page.until("document.querySelectorAll('tbody tr').length === 2")


async def test_with_the_keyboard(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address(f"/lineage?artifact={served.models[1]}")) as page:
        await page.until("document.querySelectorAll('.react-flow__node').length === 7")
        await page.until("document.querySelector('aside h3')?.innerText === 'model'")
        card = "[...document.querySelectorAll('.react-flow__node')].find((one) => one.innerText.startsWith('evaluate'))"
        await page.evaluate(f"{card}.focus(), 0")
        assert await page.evaluate(f"document.activeElement === {card}")
        await page.evaluate(f"{card}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true }})), 0")
        await page.until("document.querySelector('aside h3')?.innerText === 'evaluate'")
        await page.until(pressed("Follow its lineage"))
        await page.until("document.title === 'Lineage of evaluate – Penstock'")
        await page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })), 0")
        await page.until("document.querySelector('aside') === null")


async def test_what_is_not_there_and_where_nothing_is_asked_for(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", served.address("/lineage")) as page:
        await page.until(has("penstock lineage ARTIFACT"))
        await page.open(served.address("/lineage?artifact=nothing"))
        await page.until(has("Artifact 'nothing' not found"))
        await page.open(served.address("/artifacts?type=system.HTML"))
        await page.until(has("penstock run pipeline.yaml"))
        await page.evaluate("localStorage.setItem('penstock-language', '\"zh-CN\"')")
        await page.open(served.address(f"/lineage?run={served.first}&task=train&depth=1"))
        await page.until("document.title === 'train 的谱系 – Penstock'")
        await page.until(has("最多相隔任务数：1"))


def test_in_the_terminal(served: Served) -> None:
    back = served.terminal(served.models[1], "--backwards")
    lines = [line.strip("│├└─ ") for line in back.splitlines()]
    assert [line.split("  ")[0] for line in lines[:6]] == [
        "model", "made from", "train", "data", "Prepare the data", "Prepare the data",
    ]  # fmt: skip
    assert "CACHED" in back
    # Names are those of the runs, without what a terminal would obey.
    assert "<img src=x onerror='window.hacked = 1'>" in back
    assert "\u202e" not in back
    forward = served.terminal("--run", served.first, "--task", "prepare", "--forwards")
    assert [forward.count(f" {one}  ") for one in ("model", "report")] == [2, 2]
    found: dict[str, Any] = json.loads(served.terminal(served.data, "--depth", "1", "--json"))
    assert {(one["run_id"], one["path"]) for one in found["tasks"]} == {
        (served.first, "prepare"),
        *((run_id, path) for run_id in (served.first, served.second) for path in ("train", "evaluate")),
    }


def test_an_importer_is_where_lineage_begins(served: Served, tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("given")
    with Client(served.up.grpc) as client:
        run_id = runs.start(client, specs.imported(f"file://{given}", ["true"]), name="imports")
        runs.finished(client, run_id)
    assert "import  SUCCEEDED  run imports" in served.terminal("--run", run_id, "--task", "only", "--backwards")
