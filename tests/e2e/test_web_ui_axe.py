"""The pages of the web UI under axe-core, light and dark: they break no rule of WCAG 2, levels A and AA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v1 import pool_pb2, upload_pb2
from penstock_api.v2beta1 import experiment_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support import schedules
from tools.embedded import Embedded
from tools.testing import runs, specs, trainings
from tools.testing.browser import Page, browser

_AXE = Path(__file__).resolve().parents[2] / "clients/web/node_modules/axe-core/axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What each page shows when it is there, by its name.
_PAGES = {
    "/": "document.querySelectorAll('td').length > 1",
    "/health": "document.querySelectorAll('section').length > 3 && document.body.innerText.includes('licence')",
    "/runs": "document.querySelectorAll('td').length > 3",
    "/runs?name=none": "document.querySelector('code') !== null",
    "/runs/{run}": "document.querySelectorAll('[role=row]').length > 2",
    "/runs/{run}?view=table&task=train": "document.querySelector('aside h4') !== null",
    "/runs/{run}?task=train&view=table": (
        "(() => { document.querySelectorAll('aside button[aria-expanded=false]').forEach((one) => one.click());"
        "return document.querySelectorAll('aside table').length > 0; })()"
    ),
    "/runs/{run}?view=graph&task=train": "document.querySelectorAll('.react-flow__edge').length > 0",
    "/runs/{run}?view=timeline&task=train": "document.querySelectorAll('[role=row] [data-bar]').length > 1",
    "/runs/{run}?view=timeline&critical=true": (
        "document.querySelector('[data-phase]') !== null && document.querySelector('ol a') !== null"
        " && document.querySelector('.u-select') !== null"
    ),
    "/runs/{run}?view=graph&critical=true": "document.querySelectorAll('.react-flow__node [data-critical]').length > 1",
    "/experiments": "document.querySelectorAll('td').length > 3",
    "/experiments/{experiment}": "document.querySelector('main h2') !== null",
    "/pipelines": "document.querySelectorAll('td').length > 1",
    "/pipelines/{pipeline}": "document.querySelectorAll('.react-flow__edge').length > 0",
    "/start?pipeline={pipeline}": "document.querySelector('main h3') !== null",
    "/start?clone={run}": "document.querySelector('main h3') !== null",
    "/recurring-runs": "document.querySelectorAll('td').length > 3",
    "/recurring-runs/new?pipeline={pipeline}": "document.querySelector('main form input') !== null",
    "/recurring-runs/{recurring}": "document.querySelectorAll('main time').length > 3",
    "/artifacts": "document.querySelectorAll('td').length > 3",
    "/artifacts?type=none": "document.querySelector('main code') !== null",
    "/artifacts?artifact={model}": "document.querySelector('[role=dialog] pre') !== null",
    "/lineage": "document.querySelector('main code') !== null",
    "/lineage?artifact={model}": "document.querySelectorAll('.react-flow__edge').length > 2",
    "/lineage?run={tuned}&task=prepare": "document.querySelector('aside dl') !== null",
    "/compare?run={run}": "document.querySelector('main thead button') !== null",
    "/access": "document.querySelector('main [role=tab]') !== null",
    "/access?tab=roles": "document.body.innerText.includes('Nobody was given a role')",
    "/access?tab=audit": "document.querySelectorAll('td').length > 3",
    "/runs/nothing": "document.querySelector('[role=alert]') !== null",
}


@dataclass(frozen=True)
class Served:
    http: str
    run: str
    experiment: str
    pipeline: str
    recurring: str
    tuned: str
    model: str

    def address(self, page: str) -> str:
        return self.http + page.format(**vars(self))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Served]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    spec = specs.chain({"load": ["true"], "train": ["sh", "-c", "echo no such file >&2; exit 3"], "show": ["true"]})
    content = json.dumps(spec).encode()
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up, Client(up.grpc) as client:
        pool = pool_pb2.Pool(name="licence", slots=2)
        client.call(client.pools.PutPool, pool_pb2.PutPoolRequest(pool=pool))
        run = runs.start(client, spec, name="a run that fails")
        named = experiment_pb2.Experiment(display_name="an experiment", description="What it is for")
        making = experiment_pb2.CreateExperimentRequest(experiment=named)
        experiment = client.call(client.experiments.CreateExperiment, making).experiment_id
        sent = upload_pb2.UploadPipelineRequest(name="a pipeline", content=content)
        pipeline = client.call(client.uploads.UploadPipeline, sent).pipeline_id
        nightly = {"cron_schedule": {"cron": "TZ=Europe/Berlin 0 30 2 * * *"}}
        recurring = schedules.schedule(client, spec, trigger=nightly).recurring_run_id
        runs.finished(client, run)
        runs.finished(client, runs.start(client, specs.loop(3), name="a run with a loop"))
        *_, tuned = trainings.trained(client, ["0.1", "0.2"])
        model = trainings.artifact(client, tuned, "model")
        yield Served(up.http, run, experiment, pipeline, recurring, tuned, model)


async def violations(page: Page) -> list[str]:
    """A line for each element that breaks a rule."""
    await page.evaluate(_AXE.read_text("utf-8"))
    found = await page.evaluate(
        f"axe.run(document, {{ runOnly: {json.dumps(_TAGS)}, resultTypes: ['violations'] }}).then(({{ violations }}) =>"
        "violations.flatMap(({ id, nodes }) => nodes.map(({ target, html, failureSummary }) =>"
        "`${id}: ${target.join(' ')} ${html.slice(0, 200)}: ${failureSummary.split('\\n').slice(1).join('; ')}`)))"
    )
    return [str(line) for line in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_breaks_a_rule(served: Served, tmp_path: Path, scheme: str) -> None:
    amiss: dict[str, list[str]] = {}
    async with browser(tmp_path / "profile") as page:
        await page.before_pages(f"localStorage.setItem('mantine-color-scheme-value', '{scheme}')")
        for path, shown in _PAGES.items():
            await page.open(served.address(path))
            await page.until(shown)
            await page.until(f"document.documentElement.dataset.mantineColorScheme === '{scheme}'")
            await page.until("document.getAnimations().every((one) => one.playState !== 'running')")
            if found := await violations(page):
                amiss[path] = found
    assert amiss == {}, json.dumps(amiss, indent=1)


async def test_what_breaks_a_rule_is_found(served: Served, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.open(served.address("/runs"))
        await page.until(_PAGES["/runs"])
        await page.evaluate("document.querySelector('main').append(document.createElement('input')), 0")
        assert [line.split(":")[0] for line in await violations(page)] == ["label"]


async def test_a_page_says_its_name_to_tabs_and_its_language_to_readers(served: Served, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.open(served.address("/runs/{run}"))
        await page.until("document.title === 'a run that fails – Penstock'")
        assert await page.evaluate("document.documentElement.lang") == "en"
        await page.evaluate("localStorage.setItem('penstock-language', '\"zh-CN\"')")
        await page.open(served.address("/recurring-runs"))
        await page.until("document.title === '定期运行 – Penstock'")
        assert await page.evaluate("document.documentElement.lang") == "zh-CN"
