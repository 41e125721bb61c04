"""Artifacts in the web UI, on a live server: each kind has its preview, and nothing that a task wrote is run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs

_TYPES = {
    "metrics": "system.Metrics",
    "roc": "system.ClassificationMetrics",
    "page": "system.HTML",
    "notes": "system.Markdown",
    "picture": "system.Artifact",
    "table": "system.Dataset",
    "long": "system.Dataset",
    "model": "system.Model",
}
_CURVE = [
    {"confidenceThreshold": 1, "falsePositiveRate": 0, "recall": 0},
    {"confidenceThreshold": 0.5, "falsePositiveRate": 0.5, "recall": 0.75},
    {"confidenceThreshold": 0, "falsePositiveRate": 1, "recall": 1},
]
_MATRIX = {"annotationSpecs": [{"displayName": "cat"}, {"displayName": "<i>dog</i>"}], "rows": [{"row": [31, 2]}]}
_METADATA: dict[str, Any] = {
    "metrics": {"accuracy": 0.93},
    "roc": {"confidenceMetrics": _CURVE, "confusionMatrix": _MATRIX},
}
_SCRIPT = """
import base64, json, pathlib, sys
paths, uris, metadata, output = (json.loads(text) for text in sys.argv[1:5])
for path in map(pathlib.Path, paths.values()):
    path.parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(paths["page"]).write_text(
    "<h1>Report</h1><script>top.hacked = 1</script><img src=x onerror='top.hacked = 1'>"
    "<meta http-equiv=refresh content='0;url={0}/refresh'><link rel=stylesheet href={0}/style><img src={0}/image>"
    "<iframe src={0}/frame></iframe><object data={0}/object></object>".format(sys.argv[6])
)
pathlib.Path(paths["notes"]).write_text(
    "# Notes\\n<script>window.hacked = 1</script>\\n\\n[bad](javascript:window.hacked=1) [good](https://example.com/x)\\n\\n"
    "| rate | kind |\\n|---|---|\\n| 0.5 | `a` |\\n\\n![shown]({0}/image)".format(sys.argv[6])
)
pathlib.Path(paths["picture"]).write_bytes(base64.b64decode(sys.argv[5]))
pathlib.Path(paths["table"]).write_text('{"rows":[1,2]}')
pathlib.Path(paths["long"]).write_text("".join(f"line {number}\\n" for number in range(20_000)))
pathlib.Path(paths["model"]).write_bytes(bytes(range(256)))
pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(output).write_text(json.dumps({"artifacts": {
    port: {"artifacts": [{"name": port, "uri": uris[port], "metadata": values}]} for port, values in metadata.items()
}}))
"""
_PICTURE = "R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="


@dataclass(frozen=True)
class Served:
    http: str
    run: str
    # Paths that another server was asked for, to which the HTML leads.
    asked: list[str]


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Served]:
    """A server with a run whose only task has given artifacts of all kinds."""
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    paths, uris = (
        {port: f"{{{{$.outputs.artifacts['{port}'].{what}}}}}" for port in _TYPES} for what in ("path", "uri")
    )
    texts = [json.dumps(one) for one in (paths, uris, _METADATA, "{{$.outputs.output_file}}")]
    data = tmp_path_factory.mktemp("data")
    with (
        elsewhere() as (address, asked),
        Embedded(data, environments=environments) as up,
        Client(up.grpc) as client,
    ):
        command = [sys.executable, "-c", _SCRIPT, *texts, _PICTURE, address]
        run = runs.start(client, specs.container(command, artifacts=_TYPES))
        assert runs.finished(client, run).state == run_pb2.SUCCEEDED
        yield Served(up.http, run, asked)


def in_preview(text: str) -> str:
    return f"document.querySelector('[role=dialog]')?.innerText.includes({json.dumps(text)})"


async def test_each_kind_of_artifact_has_its_preview(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/runs/{served.run}?task=only") as page:

        async def look(port: str, shown: str) -> None:
            await page.until(pressed(port, "aside a"))
            await page.until(shown)
            assert "artifact=" in await page.address()
            await page.until(pressed("Close", "[role=dialog] button"))
            await page.until("document.querySelector('[role=dialog]') === null")

        await look("metrics", in_preview("0.93"))
        await look("roc", f"{in_preview('0.625')} && document.querySelector('[role=dialog] canvas')?.width > 0")
        await look("roc", f"{in_preview('<i>dog</i>')} && {in_preview('31')}")
        notes = "document.querySelector('[role=dialog]')"
        heading = f"[...{notes}.querySelectorAll('h4')].some((one) => one.innerText === 'Notes')"
        await look("notes", f"{in_preview('<script>window.hacked')} && {heading}")
        await look("notes", f"{notes}.querySelector('td')?.innerText === '0.5'")
        # A script is no address, and a picture is a link: looking at it loads nothing.
        links = f"[...{notes}.querySelectorAll('p a')].map((link) => new URL(link.href).pathname).join()"
        await look("notes", f"{links} === '/x,/image'")
        assert served.asked == []
        await look("picture", "document.querySelector('[role=dialog] img')?.naturalWidth === 1")
        await look("table", in_preview('"rows": ['))
        await look("model", in_preview("There is no preview of such content"))


async def test_html_is_shown_in_a_frame_that_runs_nothing_and_has_no_origin(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/runs/{served.run}?task=only") as page:
        await page.until(pressed("page", "aside a"))
        frame = "document.querySelector('iframe')"
        address = await page.until(f"{frame}?.src")
        assert await page.evaluate(f"{frame}.getAttribute('sandbox')") == ""
        # Another origin's: not even this page may look into it.
        assert await page.evaluate(f"{frame}.contentDocument") is None
        # Once all is loaded that is loaded.
        await page.evaluate(
            f"new Promise((done) => {{ const frame = {frame};"
            "frame.addEventListener('load', () => done(true)); frame.src += '?again'; })"
        )
        assert served.asked == []
    async with aiohttp.ClientSession() as client, client.get(address) as reply:
        assert "Report" in await reply.text()
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = reply.headers["Content-Security-Policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "style-src 'unsafe-inline'", "frame-ancestors 'self'"} <= {*policy}
    assert not [rule for rule in policy if "script" in rule or "http" in rule]
    # Whoever follows a link to it would take it for one of our pages.
    async with aiohttp.ClientSession(headers={"Sec-Fetch-Dest": "document"}) as client, client.get(address) as reply:
        assert reply.headers["Content-Disposition"] == 'attachment; filename="artifact.html"'


async def test_a_long_text_is_read_page_by_page_and_the_address_says_which(served: Served, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/runs/{served.run}?task=only") as page:
        await page.until(pressed("long", "aside a"))
        await page.until(in_preview("line 100\n"))
        assert not await page.evaluate(in_preview("line 19999"))
        await page.until(pressed("Next page"))
        address = await page.address(lambda url: "from=65536" in url)
        await page.until(f"{in_preview('line 7000')} && !{in_preview('line 100' + chr(10))}")
    # The address alone shows the same.
    async with opened(tmp_path / "other", address) as page:
        await page.until(in_preview("line 7000"))
        assert await page.evaluate(has("Bytes 65,537 to 131,072"))
