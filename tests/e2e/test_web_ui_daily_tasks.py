"""The five questions of docs/ui-compared.md, asked of the web UI in Chromium with as many clicks as it says, or fewer.

Invariant: an answer counts when it is in the window, without scrolling.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import Page

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "ui-compared.md"
_RATES = (0.125, 0.25, 0.5)
_PREPARE = 'mkdir -p "$(dirname "$0")" && echo rows >"$0"'
_TRAIN = """
case "$0" in -*) echo "the rate $0 is below zero"; exit 3;; 9*) until test -e "$2"; do sleep 0.1; done;; esac
mkdir -p "$(dirname "$1")" && echo "weights" >"$1"
"""
_EVALUATE = """
import json, pathlib, sys
output, rate = pathlib.Path(sys.argv[1]), float(sys.argv[2])
output.parent.mkdir(parents=True, exist_ok=True)
metrics = [{"name": "metrics", "uri": "file:///nothing", "metadata": {"accuracy": 1 - rate}}]
output.write_text(json.dumps({"artifacts": {"metrics": {"artifacts": metrics}}}))
"""


@dataclass
class Reader:
    """Counts what is done on a page, as the document does."""

    page: Page
    clicks: int = 0
    entries: int = 0

    async def click(self, name: str, selector: str) -> None:
        await self.page.until(pressed(name, selector))
        self.clicks += 1

    async def enter(self, value: str, selector: str) -> None:
        field = f"document.querySelector({json.dumps(selector)})"
        await self.page.until(f"{field} && ({field}.select(), {field}.focus(), true)")
        await self.page.call("Input.insertText", text=value)
        self.entries += 1

    async def sees(self, *texts: str, within: str = "body") -> None:
        for text in texts:
            await self.page.until(_in_window(text, within))

    def needed_at_most(self, question: int) -> None:
        # The first table counts clicks, and Penstock's stand first.
        row = re.search(rf"(?m)^\| {question}\. [^|]*\| (\d+)(?: \+ (\d+))? ", _DOCUMENT.read_text("utf-8"))
        assert row is not None
        assert self.clicks <= int(row[1])
        assert self.entries <= int(row[2] or 0)


def _in_window(text: str, within: str) -> str:
    return f"""(() => {{
      const texts = document.createTreeWalker(document.querySelector({json.dumps(within)}) ?? document.head, 4);
      while (texts.nextNode()) {{
        if (!texts.currentNode.data.includes({json.dumps(text)})) continue;
        const range = document.createRange();
        range.selectNodeContents(texts.currentNode);
        const {{ left, width, bottom, height }} = range.getBoundingClientRect();
        if (width > 0 && height > 0 && bottom > 0 && bottom <= innerHeight && left < innerWidth) return true;
      }}
      return false;
    }})()"""


_PORTS = (("prepare", "data", "Dataset"), ("train", "model", "Model"), ("evaluate", "metrics", "Metrics"))


def _spec(go: Path) -> dict[str, Any]:
    """Prepares, trains with a rate, evaluates: each takes what the one before it made."""
    rate = "{{$.inputs.parameters['rate']}}"
    spec = specs.chain(
        {
            "prepare": ["sh", "-c", _PREPARE, "{{$.outputs.artifacts['data'].path}}"],
            "train": ["sh", "-c", _TRAIN, rate, "{{$.outputs.artifacts['model'].path}}", str(go)],
            "evaluate": [sys.executable, "-c", _EVALUATE, "{{$.outputs.output_file}}", rate],
        },
        name="fraud-model",
    )
    number = {"rate": {"parameterType": "NUMBER_DOUBLE"}}
    spec["root"]["inputDefinitions"] = {"parameters": number}
    made: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    for task, port, kind in _PORTS:
        if made:
            spec["components"][f"comp-{task}"]["inputDefinitions"] = {"parameters": number, "artifacts": made}
            given = {"rate": {"componentInputParameter": "rate"}}
            spec["root"]["dag"]["tasks"][task]["inputs"] = {"parameters": given, "artifacts": taken}
        made = {port: {"artifactType": {"schemaTitle": f"system.{kind}", "schemaVersion": "0.0.1"}}}
        taken = {port: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": port}}}
        spec["components"][f"comp-{task}"]["outputDefinitions"] = {"artifacts": made}
    return spec


def _reached(client: Client, run_id: str, task: str, state: str) -> None:
    runs.until(lambda: runs.tasks(client, run_id)[task].state, lambda found: bool(found == state))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[str]:
    """The address of a server with runs of three rates, one that failed, and one that waits for another's place."""
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    data = tmp_path_factory.mktemp("data")
    go = data / "go"
    with Embedded(data, "--parallelism", "2", environments=environments) as up, Client(up.grpc) as client:
        for rate in _RATES:
            run_id = runs.start(client, _spec(go), {"rate": rate}, name=f"rate {rate}")
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        failed = runs.start(client, _spec(go), {"rate": -1}, name="nightly")
        assert runs.finished(client, failed).state == run_pb2.FAILED
        for name in ("one", "two"):
            _reached(client, runs.start(client, _spec(go), {"rate": 9}, name=name), "train", "RUNNING")
        _reached(client, runs.start(client, _spec(go), {"rate": 9}, name="waits"), "prepare", "PENDING")
        yield up.http
        go.touch()


@asynccontextmanager
async def reader(served: str, tmp_path: Path) -> AsyncIterator[Reader]:
    async with opened(tmp_path / "profile", f"{served}/") as page:
        await page.resize(1440, 900)
        yield Reader(page)


async def test_last_nights_failure_and_its_log(served: str, tmp_path: Path) -> None:
    async with reader(served, tmp_path) as me:
        await me.click("nightly", "section a")
        await me.sees("the rate -1 is below zero", within="aside section")
        await me.sees("train", within="aside")
        me.needed_at_most(1)
        # Who closes the panel does not get it back.
        await me.page.until(pressed("Close", "aside button"))
        await me.page.until("document.querySelector('aside') === null")


async def test_why_a_task_waits(served: str, tmp_path: Path) -> None:
    async with reader(served, tmp_path) as me:
        await me.sees("waits", "prepare", "2 of 2 are taken", within="main section:last-of-type")
        me.needed_at_most(2)
        await me.page.until(pressed("waits", "section:last-of-type li a"))
        # The run's own page says it as well.
        await me.page.until("document.querySelector('h2')?.innerText === 'waits'")
        await me.sees("waits for a free place on its executor")
        await me.page.until(pressed("prepare", "ul a"))
        await me.page.address(lambda url: url.endswith("?task=prepare"))


async def test_three_runs_side_by_side(served: str, tmp_path: Path) -> None:
    async with reader(served, tmp_path) as me:
        await me.click("Runs", "nav a")
        for rate in _RATES:
            await me.click(f"Select rate {rate}", "input")
        await me.click("Compare (3)", "a")
        await me.sees("rate", "accuracy", *map(str, _RATES), *(str(1 - rate) for rate in _RATES), within="main table")
        me.needed_at_most(3)


async def test_a_run_again_with_one_parameter_changed(served: str, tmp_path: Path) -> None:
    async with reader(served, tmp_path) as me:
        await me.click("nightly", "section a")
        await me.click("Run again with changes", "a")
        await me.enter("0.75", "[data-input=rate]")
        await me.click("Start", "form button")
        await me.page.address(lambda url: "/runs/" in url)
        await me.sees("Parameters", "0.75")
        me.needed_at_most(4)


async def test_what_made_a_model(served: str, tmp_path: Path) -> None:
    async with reader(served, tmp_path) as me:
        await me.click("Artifacts", "nav a")
        row = "[...document.querySelectorAll('tbody tr')].find((row) => /Model[^]*rate 0.25/.test(row.innerText))"
        await me.page.until(
            f"(() => {{ const row = {row}; row?.setAttribute('data-wanted', ''); return Boolean(row); }})()"
        )
        await me.click("Lineage: model", "[data-wanted] a")
        await me.sees("rate 0.25", "Parameters", "0.25", "train", "model", within="aside")
        await me.sees("prepare", "data", "train", "model", within="main .react-flow")
        me.needed_at_most(5)
