"""The TypeScript client: compiled, calling a live server from Node (gRPC) and from a real browser (gRPC-Web)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client

from tests.clients import scenario
from tests.support import runs, specs
from tools.embedded import Embedded

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "typescript"


def run(*arguments: str, timeout: float = 280) -> str:
    done = subprocess.run(arguments, cwd=CLIENT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled client, in a directory of this test's that finds the installed packages."""
    if not (CLIENT / "node_modules" / ".bin" / "tsc").exists():
        run("npm", "ci", "--no-audit", "--no-fund")
    out = tmp_path_factory.mktemp("typescript")
    (out / "node_modules").symlink_to(CLIENT / "node_modules")
    (out / "package.json").write_text('{"type": "module"}')
    run("npx", "tsc", "--outDir", str(out))
    return out


@pytest.fixture(scope="module")
def finished_run(open_server: Embedded) -> str:
    with Client(open_server.grpc) as client:
        run_id = runs.start(client, scenario.document())
        runs.finished(client, run_id)
    return run_id


def test_every_call(built: Path, open_server: Embedded, package_url: str, steps_file: Path) -> None:
    program = str(built / "tests" / "scenario.js")
    said = run("node", program, f"http://{open_server.grpc}", str(steps_file), package_url)
    assert "methods called" in said


def test_examples(built: Path, open_server: Embedded, tmp_path: Path, finished_run: str) -> None:
    server, examples = f"http://{open_server.grpc}", built / "examples"
    assert finished_run in run("node", str(examples / "list_runs.js"), server)
    package = tmp_path / "pipeline.json"
    package.write_text(json.dumps(scenario.document()))
    assert run("node", str(examples / "run_pipeline.js"), server, str(package)).endswith("SUCCEEDED\n")
    assert "only output data file://" in run("node", str(examples / "lineage.js"), server, finished_run)


@pytest.fixture(scope="module")
def page(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server that serves the example page as its web UI."""
    directory = tmp_path_factory.mktemp("page")
    web = directory / "web"
    run("npm", "run", "--silent", "bundle", "--", f"--outfile={web / 'page.js'}", "--log-level=warning")
    shutil.copy(CLIENT / "examples" / "web" / "index.html", web)
    with Embedded(directory / "data", "--ui", str(web)) as embedded:
        yield embedded


@pytest.mark.parametrize("prefix", ["/", "/pipeline/"])
def test_a_page_in_a_browser(page: Embedded, built: Path, tmp_path: Path, prefix: str) -> None:
    """Lists runs, follows one to its end, and reads its lineage over gRPC-Web."""
    chromium = shutil.which("chromium")
    if chromium is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=True, capture_output=True, timeout=280)
    script = "sleep 2; echo content > {{$.outputs.artifacts['data'].path}}"
    spec = specs.container(["sh", "-c", script], artifacts={"data": "system.Dataset"})
    with Client(page.grpc) as client:
        run_id = runs.start(client, spec, name="followed <b>run</b>")
    program, picture = str(built / "tests" / "browser.js"), tmp_path / "page.png"
    shown = json.loads(run("node", program, page.http + prefix, run_id, str(picture)))
    assert shown["problems"] == []
    assert shown["first"] in ("PENDING", "RUNNING")
    assert shown["name"] == "followed <b>run</b>"
    assert "followed <b>run</b>" in shown["runs"]
    assert [row.split() for row in shown["tasks"]] == [["only", "COMPLETE"]]
    assert len(shown["lineage"]) == 1
    assert shown["lineage"][0].split()[:4] == ["only", "wrote", "data", "(system.Dataset)"]
    assert picture.stat().st_size > 10_000
