"""The TypeScript client: compiled, calling a live server from Node (gRPC) and from a real browser (gRPC-Web)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client

from tests.clients import scenario
from tests.clients.programs import TYPESCRIPT, run
from tools import debian
from tools.embedded import Embedded
from tools.testing import runs, specs


def test_every_call(typescript_output: str) -> None:
    assert "methods called" in typescript_output


def test_examples(built: Path, open_server: Embedded, tmp_path: Path, finished_run: str) -> None:
    server, examples = f"http://{open_server.grpc}", built / "examples"
    assert finished_run in run(TYPESCRIPT, "node", str(examples / "list_runs.js"), server)
    package = tmp_path / "pipeline.json"
    package.write_text(json.dumps(scenario.document()))
    said = run(TYPESCRIPT, "node", str(examples / "run_pipeline.js"), server, str(package))
    assert said.endswith("SUCCEEDED\n")
    assert "only output data file://" in run(TYPESCRIPT, "node", str(examples / "lineage.js"), server, finished_run)


@pytest.fixture(scope="module")
def page(built: Path, tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """A server that serves the example page as its web UI."""
    directory = tmp_path_factory.mktemp("page")
    web = directory / "web"
    run(TYPESCRIPT, "npm", "run", "--silent", "bundle", "--", f"--outfile={web / 'page.js'}", "--log-level=warning")
    shutil.copy(TYPESCRIPT / "examples" / "web" / "index.html", web)
    with Embedded(directory / "data", "--ui", str(web), environments=environments) as embedded:
        yield embedded


@pytest.mark.parametrize("prefix", ["/", "/pipeline/"])
def test_a_page_in_a_browser(page: Embedded, built: Path, tmp_path: Path, prefix: str) -> None:
    """Lists runs, follows one to its end, and reads its lineage over gRPC-Web."""
    debian.require("chromium")
    seen = tmp_path / "seen"
    script = f"until test -e {seen}; do sleep 0.1; done; echo content > {{{{$.outputs.artifacts['data'].path}}}}"
    spec = specs.container(["sh", "-c", script], artifacts={"data": "system.Dataset"})
    with Client(page.grpc) as client:
        run_id = runs.start(client, spec, name="followed <b>run</b>")
    program, picture = str(built / "tests" / "browser.js"), tmp_path / "page.png"
    shown = json.loads(run(TYPESCRIPT, "node", program, page.http + prefix, run_id, str(picture), str(seen)))
    assert shown["problems"] == []
    assert shown["first"] in ("PENDING", "RUNNING")
    assert shown["name"] == "followed <b>run</b>"
    assert "followed <b>run</b>" in shown["runs"]
    assert [row.split() for row in shown["tasks"]] == [["only", "COMPLETE"]]
    assert len(shown["lineage"]) == 1
    assert shown["lineage"][0].split()[:4] == ["only", "wrote", "data", "(system.Dataset)"]
    assert picture.stat().st_size > 10_000
