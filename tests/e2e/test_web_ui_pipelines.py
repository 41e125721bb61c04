"""What changed between two versions of a pipeline, and how its last runs went, in Chromium on a live server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from penstock.client import Client
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import specs

_HOSTILE = "<script>window.hacked = 1</script>"
_DESCRIPTION = f"# Trains\n\nOn **Mondays** {_HOSTILE}, see [the team](https://example.com/team)"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


@pytest.fixture(scope="module")
def pipeline(served: Embedded) -> str:
    """A pipeline with two versions, of which the second has another task and another command; one run of it failed."""
    with Client(served.grpc) as client:
        first = yaml.safe_dump(specs.chain({"load": ["true"], "train": ["false"]})).encode()
        request = upload_pb2.UploadPipelineRequest(
            name="trains", description=_DESCRIPTION, file_name="a.yaml", content=first
        )
        made = str(client.call(client.uploads.UploadPipeline, request).pipeline_id)
        second = yaml.safe_dump(specs.chain({"load": ["true", _HOSTILE], "test": ["true"]})).encode()
        changed = upload_pb2.UploadPipelineVersionRequest(
            pipeline_id=made, name="second", file_name="b.yaml", content=second
        )
        client.call(client.uploads.UploadPipelineVersion, changed)
        versions = [one.pipeline_version_id for one in client.list_pipeline_versions(made, sort_by="created_at asc")]
        for version in versions:
            new = run_pb2.Run(display_name=f"run of {version}")
            new.pipeline_version_reference.pipeline_id = made
            new.pipeline_version_reference.pipeline_version_id = version
            run = client.call(client.runs.CreateRun, run_pb2.CreateRunRequest(run=new))
            client.wait_for_run(run.run_id, timeout=60)
    return made


async def test_the_changes_of_a_version_are_told_by_task_and_by_line(
    served: Embedded, pipeline: str, tmp_path: Path
) -> None:
    lines = "[...document.querySelectorAll('[data-change]')].filter((line) => line.dataset.change === '{}')"
    async with opened(tmp_path / "profile", f"{served.http}/pipelines/{pipeline}?view=changes") as page:
        await page.until(f"{lines.format('+')}.some((line) => line.innerText.includes({json.dumps(_HOSTILE)}))")
        told = (
            "[...[...document.querySelectorAll('[role=tabpanel]')].at(-1).querySelectorAll('p')]"
            ".map((one) => one.innerText + one.nextSibling?.innerText)"
        )
        assert await page.evaluate(told) == ["Added:test", "Removed:train", "Changed:load"]
        assert await page.evaluate(f"{lines.format('-')}.some((line) => line.innerText.includes('\"train\"'))")
        # Compared the other way round: what was added is removed.
        await page.until(pressed("trains", "table a"))
        await page.until(f"({told}).join() === 'Added:train,Removed:test,Changed:load'")
        description = (
            "document.querySelector('h4').innerText === 'Trains' && document.querySelector('strong').innerText"
        )
        assert await page.evaluate(description) == "Mondays"
        assert await page.evaluate(has(_HOSTILE))


async def test_a_pipelines_last_runs_are_bars_that_lead_to_them(
    served: Embedded, pipeline: str, tmp_path: Path
) -> None:
    bars = "[...document.querySelectorAll('[aria-label=\"Latest runs\"] a')]"
    async with opened(tmp_path / "profile", f"{served.http}/pipelines") as page:
        await page.until(f"{bars}.length === 2")
        assert await page.evaluate(f"{bars}.map((bar) => bar.ariaLabel.split(',')[0].split(': ')[1])") == [
            "Failed",
            "Succeeded",
        ]
        await page.until(f"({bars}[0].click(), true)")
        await page.until(has("exited with code 1"))
