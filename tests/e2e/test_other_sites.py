"""Cross-site requests and DNS rebinding in a real browser: foreign pages can do nothing, the server's own pages
work.
"""

from __future__ import annotations

import http.client
import http.server
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools import debian
from tools.embedded import Embedded
from tools.testing import runs, specs

EXPERIMENTS = "/apis/v2beta1/experiments"

# What every page does: `attempts` are tried one after the other, and what each came to is told to REPORT.
SCRIPT = """
const target = TARGET, told = {};
const named = (name) => JSON.stringify({display_name: name});
const tried = async (name, request) => {
  try {
    const reply = await request();
    told[name] = reply.type === "opaque" ? "opaque" : `${reply.status} ${await reply.text()}`;
  } catch (error) { told[name] = `refused: ${error}`; }
};
const post = (name, body, more) => tried(name, () => fetch(target + "EXPERIMENTS", {method: "POST", body, ...more}));
const submitted = (name, type) => new Promise((done) => {
  const frame = Object.assign(document.createElement("iframe"), {name});
  const form = Object.assign(document.createElement("form"), {
    method: "POST", action: target + "EXPERIMENTS", enctype: type, target: name});
  // As text, `name=value` is a document: the sign of equality is inside a description.
  form.append(Object.assign(document.createElement("input"), {
    name: `{"display_name": "${name}", "description": "`, value: '"}'}));
  document.body.append(frame, form);
  frame.onload = () => done();
  form.submit();
});
const uploaded = (name, more) => {
  const form = new FormData();
  form.append("uploadfile", new Blob([PACKAGE]), "pipeline.json");
  return tried(name, () => fetch(`${target}/apis/v2beta1/pipelines/upload?name=${name}`,
    {method: "POST", body: form, ...more}));
};
const shown = (name, tag, path) => new Promise((done) => {
  const element = document.createElement(tag);
  element.onload = () => { told[name] = "loaded"; done(); };
  element.onerror = () => { told[name] = "refused"; done(); };
  element.src = target + path;
  document.body.append(element);
});
const attempts = async () => {
  const json = {headers: {"Content-Type": "application/json"}};
  const blind = {mode: "no-cors"};
  await post("json", named("json"), json);
  await post("text", named("text"), blind);
  await post("typeless", new Blob([named("typeless")]), blind);
  await post("stated", named("stated"), {...blind, headers: {"Content-Type": "text/plain"}});
  await post("cookies", named("cookies"), {...blind, credentials: "include", referrerPolicy: "no-referrer"});
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    await submitted(`form-${type}`, type);
  await uploaded("upload", CROSS ? blind : {});
  navigator.sendBeacon(target + "EXPERIMENTS", named("beacon"));
  await tried("read", () => fetch(target + "EXPERIMENTS"));
  await tried("terminate", () => fetch(`${target}/apis/v2beta1/runs/${RUN}:terminate`,
    {method: "POST", ...(CROSS ? blind : {})}));
  await tried("delete", () => fetch(`${target}/apis/v2beta1/runs/${RUN}`, {method: "DELETE"}));
  await tried("lineage", () => fetch(target + "/ml_metadata.MetadataStoreService/GetArtifacts", {
    method: "POST", body: new Uint8Array(5), headers: {"Content-Type": "application/grpc-web+proto"}}));
  await shown("script", "script", "/static/code.js");
};
attempts().catch((error) => { told.error = String(error); }).then(
  () => fetch(REPORT, {method: "POST", mode: "no-cors", body: JSON.stringify(told)}));
"""


class Site(http.server.ThreadingHTTPServer):
    """Serves pages and hears what they tell; what it does not know it passes to `behind`, as the network does when the
    name of a site is made to point to another machine.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = ""
        self.behind = ""
        self.told: queue.Queue[dict[str, str]] = queue.Queue()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path == "/page":
            self._answer(200, self.server.page.encode(), "text/html")
        elif self.server.behind:
            self._relay()
        else:
            self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        if self.path == "/told":
            self.server.told.put(json.loads(self._body()))
            self._answer(200, b"", "text/plain")
        elif self.server.behind:
            self._relay()
        else:
            self._answer(404, b"", "text/plain")

    do_DELETE = do_POST

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _relay(self) -> None:
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)
        connection.request(self.command, self.path, self._body(), dict(self.headers))
        reply = connection.getresponse()
        self._answer(reply.status, reply.read(), reply.headers.get("Content-Type", ""))
        connection.close()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def served(tmp_path: Path, environments: Path) -> Iterator[Embedded]:
    web = tmp_path / "web"
    (web / "static").mkdir(parents=True)
    (web / "static" / "code.js").write_text("window.ran = true;")
    with Embedded(tmp_path / "data", "--ui", str(web), environments=environments) as embedded:
        yield embedded


@contextmanager
def browser(profile: Path, url: str) -> Iterator[None]:
    """Chromium with a page; every name under `.example` is this machine."""
    debian.require("chromium")
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.example 127.0.0.1",
        f"--user-data-dir={profile}", url,
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as one:
        drain = threading.Thread(target=one.communicate)
        drain.start()
        try:
            yield
        finally:
            one.kill()
            drain.join()


def page(site: Site, target: str, run_id: str, *, cross: bool) -> str:
    values = {
        "TARGET": json.dumps(target),
        "REPORT": json.dumps(f"http://127.0.0.1:{site.server_port}/told"),
        "RUN": json.dumps(run_id),
        "CROSS": json.dumps(cross),
        "PACKAGE": json.dumps(json.dumps(specs.container(["true"]))),
        "EXPERIMENTS": EXPERIMENTS,
    }
    script = SCRIPT
    for name, value in values.items():
        script = script.replace(name, value)
    return f"<!doctype html><meta charset=utf-8><title>page</title><body><script>{script}</script></body>"


def state(served: Embedded) -> tuple[Any, ...]:
    """What a page could have changed."""
    with Client(served.grpc) as client:
        experiments = [one.display_name for one in client.list_experiments()]
        pipelines = [one.name for one in client.list_pipelines()]
        return experiments, pipelines, [(one.run_id, one.state) for one in client.list_runs()]


@pytest.mark.parametrize("where", ["http://evil.example", "http://127.0.0.1", "http://localhost", "rebound"])
def test_a_page_of_another_site_changes_and_reads_nothing(
    served: Embedded, site: Site, tmp_path: Path, where: str
) -> None:
    """Another name, another port of the same name (the same site to a browser), and a name that was made to point here
    after the page had come, so that the page is of the server's origin.
    """
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(["sleep", "600"]))
        runs.until(lambda: runs.get(client, run_id).state, lambda found: found == run_pb2.RUNNING)
    before = state(served)
    rebound = where == "rebound"
    if rebound:
        where = "http://rebound.example"
        site.behind = served.http.removeprefix("http://")
    site.page = page(site, "" if rebound else served.http, run_id, cross=not rebound)
    with browser(tmp_path / "profile", f"{where}:{site.server_port}/page"):
        told = site.told.get(timeout=120)
    assert "error" not in told
    assert state(served) == before
    assert told["script"] == "refused"
    assert not any("Default" in said or "display_name" in said for said in told.values())
    if rebound:
        named = {"json", "text", "typeless", "stated", "upload", "read", "terminate", "delete", "lineage"}
        assert {name for name in told if told[name].startswith("403 ")} >= named
        assert "--allowed-host rebound.example" in told["read"]
    else:
        assert all(told[name] == "opaque" for name in ("text", "typeless", "stated", "upload", "terminate"))
        assert all(told[name].startswith("refused") for name in ("json", "read", "delete", "lineage"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_our_own_works(served: Embedded, site: Site, tmp_path: Path, host: str) -> None:
    """The web UI's kinds of calls, under both names of this machine."""
    with Client(served.grpc) as client:
        run_id = runs.start(client, specs.container(["true"]))
        runs.finished(client, run_id)
    (tmp_path / "web" / "index.html").write_text(page(site, "", run_id, cross=False))
    with browser(tmp_path / "profile", served.http.replace("127.0.0.1", host) + "/"):
        told = site.told.get(timeout=120)
    assert "error" not in told
    assert [told[name][:3] for name in ("json", "upload", "read", "delete", "lineage")] == ["200"] * 5, told
    assert told["script"] == "loaded"
    assert all(told[name].startswith("415 ") for name in ("text", "typeless", "stated")), told
    with Client(served.grpc) as client:
        assert "json" in {one.display_name for one in client.list_experiments()}
        assert "upload" in {one.name for one in client.list_pipelines()}
        assert run_id not in {one.run_id for one in client.list_runs()}
