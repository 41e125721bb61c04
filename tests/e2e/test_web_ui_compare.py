"""Runs side by side in the web UI, in Chromium on a live server: selected in the list, held against one of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs

_HOSTILE = "<script>window.hacked = 1</script>\u202egnp" + "x" * 400
# Name, rate and accuracy of each run.
_RUNS = (("slow", 0.25, 0.5), ("fast", 0.75, 0.875), (_HOSTILE, 0.75, 0.625))
_TYPES = {"metrics": "system.Metrics", "roc": "system.ClassificationMetrics"}
_SCRIPT = """
import json, pathlib, sys
output, metadata = sys.argv[1], json.loads(sys.argv[2])
pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(output).write_text(json.dumps({"artifacts": {
    port: {"artifacts": [{"name": port, "uri": "file:///nothing", "metadata": values}]}
    for port, values in metadata.items()
}}))
"""


@dataclass(frozen=True)
class Served:
    http: str
    # By name.
    ids: dict[str, str]


def started(client: Client, name: str, rate: float, accuracy: float) -> str:
    curve = [(1, 0, 0), (0.5, 0.25, 0.25), (0.4, 0.25, accuracy), (0, 1, 1)]
    metadata = {
        "metrics": {"accuracy": accuracy, "classes": 2, name[:100]: 1},
        "roc": {
            "confidenceMetrics": [
                {"confidenceThreshold": threshold, "falsePositiveRate": false, "recall": true}
                for threshold, false, true in curve
            ],
            "confusionMatrix": {
                "annotationSpecs": [{"displayName": "cat"}, {"displayName": "<i>dog</i>"}],
                "rows": [{"row": [round(1000 * accuracy), 2]}, {"row": [3, 4]}],
            },
        },
    }
    command = [sys.executable, "-c", _SCRIPT, "{{$.outputs.output_file}}", json.dumps(metadata)]
    spec = specs.container(command, artifacts=_TYPES)
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            "rate": {"parameterType": "NUMBER_DOUBLE"},
            "note": {"parameterType": "STRING"},
            "seed": {"parameterType": "NUMBER_INTEGER", "defaultValue": 7},
        }
    }
    request = run_pb2.CreateRunRequest(run=run_pb2.Run(display_name=name))
    json_format.ParseDict(spec, request.run.pipeline_spec)
    request.run.runtime_config.parameters["rate"].number_value = rate
    request.run.runtime_config.parameters["note"].string_value = _HOSTILE
    return str(client.call(client.runs.CreateRun, request).run_id)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Served]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    data = tmp_path_factory.mktemp("data")
    with Embedded(data, environments=environments) as up, Client(up.grpc) as client:
        ids = {name: started(client, name, rate, accuracy) for name, rate, accuracy in _RUNS}
        for run_id in ids.values():
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
        yield Served(up.http, ids)


def compared(served: Served, *names: str, **search: str) -> str:
    chosen = [("run", served.ids[name]) for name in names]
    return f"{served.http}/compare?{urlencode([*chosen, *search.items()])}"


def row(name: str) -> str:
    """A script that gives the cells of the row that begins with this name; null unless it is there."""
    return (
        "((row) => row && [...row.querySelectorAll('td')].map((cell) =>"
        " [...cell.querySelectorAll(':scope > span')].map((part) => part.lastChild.textContent)))"
        "([...document.querySelectorAll('tbody tr')].find((row) =>"
        f" row.querySelector('th bdi')?.textContent === {json.dumps(name)}) ?? null)"
    )


def differs(name: str) -> str:
    return (
        "[...document.querySelectorAll('tbody tr[data-differs] th bdi')]"
        f".some((one) => one.textContent === {json.dumps(name)})"
    )


async def test_runs_are_selected_in_the_list_and_compared(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/runs") as page:
        for name in served.ids:
            assert not await page.evaluate(pressed("Compare (3)", "a"))
            box = f"document.querySelector('input[aria-label=' + CSS.escape({json.dumps('Select ' + name)}) + ']')"
            await page.until(f"(() => {{ const box = {box}; box?.click(); return Boolean(box); }})()")
        await page.until(pressed("Compare (3)", "a"))
        await page.until(f"({row('rate')}) !== null")
        # The list has the newest first.
        assert await page.evaluate(row("rate")) == [["0.75"], ["0.75"], ["0.25"]]
        assert await page.evaluate(row("accuracy")) == [["0.625"], ["0.875"], ["0.5"]]
        assert await page.evaluate(row("seed")) == [["7"], ["7"], ["7"]]
        marks = [await page.evaluate(differs(name)) for name in ("rate", "accuracy", _HOSTILE[:100], "seed", "note")]
        assert marks == [True, True, True, False, False]
        assert await page.evaluate("document.querySelectorAll('thead th a [data-state]').length") == 0
        assert await page.evaluate("document.querySelectorAll('thead [data-state=SUCCEEDED]').length") == 3


async def test_a_baseline_what_differs_and_a_run_taken_out_are_in_the_address(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", compared(served, "slow", "fast", _HOSTILE)) as page:
        await page.until(pressed("Baseline: slow"))
        await page.until("document.querySelector('thead [aria-pressed=true]')?.ariaLabel === 'Baseline: slow'")
        assert await page.evaluate(row("accuracy")) == [["0.5"], ["0.875", "+0.375"], ["0.625", "+0.125"]]
        # Differences are of metrics, not of parameters.
        assert await page.evaluate(row("rate")) == [["0.25"], ["0.75"], ["0.75"]]
        await page.until("document.querySelector('input[role=switch]').click() ?? true")
        await page.until(f"({row('seed')}) === null && ({row('rate')}) !== null")
        link = await page.address(lambda url: "baseline=" in url and "rows=differing" in url)
        await page.until(pressed("Take out: slow"))
        # Both others have the same rate.
        await page.until(f"({row('rate')}) === null")
        assert await page.evaluate(row("accuracy")) == [["0.875"], ["0.625"]]
        assert "baseline" not in await page.address(lambda url: served.ids["slow"] not in url)
        assert await page.evaluate("document.activeElement.getAttribute('role')") == "region"
    async with opened(tmp_path / "other", link) as page:
        await page.until(f"({row('accuracy')}) !== null")
        assert await page.evaluate(row("accuracy")) == [["0.5"], ["0.875", "+0.375"], ["0.625", "+0.125"]]
        assert await page.evaluate(row("seed")) is None


async def test_the_names_of_rows_stay_in_sight_and_nothing_widens_the_page(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", compared(served, *served.ids, baseline=served.ids["slow"])) as page:
        await page.until(f"({row('accuracy')}) !== null")
        # What is hidden but for screen readers must not lie beyond the page, either.
        root = "document.documentElement"
        await page.evaluate(f"{root}.style.setProperty('width', '390px')")
        assert await page.evaluate(f"{root}.scrollWidth <= innerWidth")
        place = "document.querySelector('[role=region]')"
        left = "document.querySelector('tbody th[scope=row]').getBoundingClientRect().left"
        before = await page.evaluate(left)
        await page.until(f"({place}.scrollLeft = 200) && {place}.scrollLeft === 200")
        assert await page.evaluate(left) == before
        widest = await page.evaluate(
            "Math.max(...[...document.querySelectorAll('td, thead th')].map((one) => one.offsetWidth))"
        )
        assert widest < 300
        assert await page.evaluate("document.querySelector('main').scrollWidth <= document.body.clientWidth")


async def test_what_cannot_be_compared_is_said(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{compared(served, 'slow')}&run=unknown") as page:
        await page.until("document.querySelector('[role=alert]')?.innerText.includes('unknown')")
        assert await page.evaluate("document.querySelector('table')") is None
        await page.open(f"{served.http}/compare")
        await page.until(has("penstock runs compare"))
        await page.until(pressed("To the runs", "a"))
        await page.address(lambda url: url.endswith("/runs"))


async def test_curves_are_in_one_chart_and_matrices_beside_another(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", compared(served, "slow", _HOSTILE)) as page:
        chart = "document.querySelector('section[aria-label=\"ROC curves\"]')"
        await page.until(f"{chart}?.querySelector('canvas')?.width > 0")
        assert await page.evaluate(f"{chart}.querySelectorAll('canvas').length") == 1
        legend = f"[...{chart}.querySelectorAll('li')].map((one) => one.querySelector('bdi').textContent)"
        assert await page.evaluate(legend) == ["slow", _HOSTILE]
        # By trapezoids: 0.25 wide up to 0.25, then 0.75 wide from the accuracy to 1.
        assert "0.5938" in await page.evaluate(f"{chart}.querySelector('li').innerText")
        lines = f"[...{chart}.querySelectorAll('line')].map((one) => getComputedStyle(one).stroke)"
        first, second = await page.evaluate(lines)
        assert first != second
        # Both are drawn, in the colours of the legend.
        drawn = (
            f"(() => {{ const canvas = {chart}.querySelector('canvas');"
            "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
            "const found = new Set(); for (let at = 0; at < data.length; at += 4)"
            " if (data[at + 3] === 255) found.add(`rgb(${data[at]}, ${data[at + 1]}, ${data[at + 2]})`);"
            f"return {lines}.map((colour) => found.has(colour)); }})()"
        )
        assert await page.evaluate(drawn) == [True, True]
        matrices = "[...document.querySelectorAll('section[aria-label=\"Confusion matrices\"] table')]"
        assert await page.evaluate(f"{matrices}.map((one) => one.querySelector('td').innerText)") == ["500", "625"]
        assert await page.evaluate(f"{matrices}.every((one) => one.innerText.includes('<i>dog</i>'))")
        await page.until(pressed("Take out: slow"))
        await page.until(f"{matrices}.length === 1 && {chart}.querySelectorAll('li').length === 1")
