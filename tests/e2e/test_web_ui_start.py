"""Pipelines and the start of runs in Chromium, on a live server: upload, versions, inputs and plan, another go."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from penstock import whole_numbers
from penstock.client import Client
from penstock_api.v2beta1 import pipeline_pb2, run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support import http as calls
from tests.support import ui_pages
from tests.support.ui_pages import called_by, has
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import Page

_HOSTILE = "<script>window.hacked = 1</script>\u202eabc" + "x" * 60
_BIG = 9007199254740993
BODY = "document.body.innerText"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(
        tmp_path_factory.mktemp("data"),
        environment={"PIPELINE_URL_VALIDATION_ENABLED": "false"},
        environments=environments,
    ) as up:
        yield up


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """A server with namespaces, behind a proxy that says who calls."""
    directory = tmp_path_factory.mktemp("shared")
    roles = directory / "roles.yaml"
    named = {"editor": "alice", "viewer": "eve"}
    grants = [{"role": role, "namespaces": ["team-a"], "users": [user]} for role, user in named.items()]
    roles.write_text(json.dumps({"roles": grants}))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(roles),
    }
    with Embedded(directory / "data", environment=environment, environments=environments) as up:
        yield up


def opened(profile: Path, url: str, user: str = "") -> AbstractAsyncContextManager[Page]:
    """As that user, where one is named."""
    return ui_pages.opened(profile, url, *([called_by(user)] if user else []))


def pressed(name: str, selector: str = "button, a") -> str:
    """A script that presses what is called so, once it is there and may be pressed."""
    return (
        f"(() => {{ const found = [...document.querySelectorAll({json.dumps(selector)})]"
        f".find((one) => (one.ariaLabel ?? one.innerText).trim() === {json.dumps(name)});"
        "if (found?.disabled) return false; found?.click(); return Boolean(found); })()"
    )


def field(label: str) -> str:
    """A script for the field whose label begins so."""
    return (
        "document.getElementById([...document.querySelectorAll('label')]"
        f".find((one) => one.innerText.startsWith({json.dumps(label)}))?.htmlFor)"
    )


def typed(label: str, text: str) -> str:
    """A script that puts a text into a field, or chooses by the text of an option, as a user does."""
    return (
        f"(() => {{ const at = {field(label)}; if (!at) return false;"
        f"const option = at.options && [...at.options].find((one) => one.text === {json.dumps(text)});"
        "const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(at), 'value').set;"
        f"set.call(at, option ? option.value : {json.dumps(text)});"
        "at.dispatchEvent(new Event(at.options ? 'change' : 'input', { bubbles: true })); return true; })()"
    )


def chosen(name: str, content: str) -> str:
    """A script that chooses a file in the dialog."""
    return (
        "(() => { const at = document.querySelector('[role=dialog] input[type=file]'); if (!at) return false;"
        "const files = new DataTransfer();"
        f"files.items.add(new File([{json.dumps(content)}], {json.dumps(name)})); at.files = files.files;"
        "at.dispatchEvent(new Event('change', { bubbles: true })); return true; })()"
    )


def with_inputs(inputs: dict[str, Any], command: Sequence[str] = ("true",), **options: Any) -> dict[str, Any]:
    spec = specs.container(command, **options)
    spec["root"]["inputDefinitions"] = {"parameters": inputs}
    return spec


def stored(served: Embedded, spec: dict[str, Any], name: str) -> str:
    """The id of a new pipeline."""
    made = calls.upload(served.http, yaml.safe_dump(spec).encode(), name=name)
    assert made.status == 200, made
    return str(made.json["pipeline_id"])


async def test_a_file_becomes_a_pipeline_and_what_is_wrong_with_it_is_told(served: Embedded, tmp_path: Path) -> None:
    name = f"{_HOSTILE} {uuid.uuid4().hex[:8]}"
    broken = specs.container(["true"])
    broken["root"]["dag"]["tasks"]["only"]["componentRef"]["name"] = "comp-that-is-not-there"
    async with opened(tmp_path / "profile", f"{served.http}/pipelines") as page:
        await page.until(pressed("Add a pipeline"))
        await page.until(pressed("Add"))
        await page.until(has("This is required"))
        await page.until(chosen("broken.yaml", yaml.safe_dump(broken)))
        await page.until(typed("Name", name))
        await page.until(pressed("Add"))
        await page.until("document.querySelector('[role=dialog] [role=alert]') !== null")
        assert "comp-that-is-not-there" in await page.evaluate(
            "document.querySelector('[role=dialog] [role=alert]').innerText"
        )
        await page.until(chosen("right.yaml", yaml.safe_dump(specs.chain({"load": ["true"], "train": ["true"]}))))
        await page.until(pressed("Add"))
        await page.address(lambda url: "/pipelines/" in url)
        await page.until("document.querySelectorAll('.react-flow__node').length === 2")
        await page.until("document.querySelectorAll('.react-flow__edge').length === 1")
        assert await page.evaluate("document.querySelector('h2').innerText") == name
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.open(f"{served.http}/pipelines?name={name[-8:]}")
        await page.until(pressed(name, "td a"))
        await page.address(lambda url: "/pipelines/" in url)


async def test_an_address_becomes_a_pipeline(served: Embedded, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "linked.yaml").write_text(yaml.safe_dump(specs.container(["true"])))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "files"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = f"http://127.0.0.1:{server.server_port}"
        async with opened(tmp_path / "profile", f"{served.http}/pipelines") as page:
            await page.until(pressed("Add a pipeline"))
            await page.until("document.querySelector('[role=dialog] input[value=url]')?.click() === undefined")
            await page.until(typed("Address of the file", f"{files}/gone.yaml"))
            await page.until(pressed("Add"))
            await page.until("document.querySelector('[role=dialog] [role=alert]')?.innerText.includes('404')")
            await page.until(typed("Address of the file", f"{files}/linked.yaml"))
            await page.until(typed("Code source", "javascript:window.hacked=1"))
            await page.until(pressed("Add"))
            await page.address(lambda url: "/pipelines/" in url)
            await page.until(has("javascript:window.hacked=1"))
            assert await page.evaluate("document.querySelector('a[href^=javascript]')") is None
        server.shutdown()


async def test_versions_are_added_shown_and_deleted(served: Embedded, tmp_path: Path) -> None:
    name = uuid.uuid4().hex
    pipeline_id = stored(served, specs.container(["true"]), name)
    second = with_inputs({"rate": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5}})
    async with opened(tmp_path / "profile", f"{served.http}/pipelines/{pipeline_id}?view=inputs") as page:
        await page.until(has("The pipeline has no inputs"))
        await page.until(pressed("Add a version"))
        await page.until(chosen("second.yaml", yaml.safe_dump(second)))
        await page.until(pressed("Add"))
        await page.address(lambda url: "version=" in url)
        await page.until(pressed("Inputs", "[role=tab]"))
        await page.until(has("NUMBER_DOUBLE"))
        await page.until(pressed("Document", "[role=tab]"))
        await page.until(has('"parameterType": "NUMBER_DOUBLE"'))
        await page.until(pressed("Delete the version: second.yaml"))
        await page.until(pressed("Delete", "[role=dialog] button"))
        await page.until("document.querySelectorAll('[role=dialog]').length === 0")
        await page.until(f"!{has('second.yaml')}")
        with Client(served.grpc) as client:
            assert [one.name for one in client.list_pipeline_versions(pipeline_id)] == [name]
        await page.until(pressed("Delete the pipeline"))
        await page.until(pressed("Cancel", "[role=dialog] button"))
        await page.until("document.querySelectorAll('[role=dialog]').length === 0")
        await page.until(pressed("Delete the pipeline"))
        await page.until(pressed("Delete", "[role=dialog] button"))
        await page.address(lambda url: url.endswith("/pipelines"))
    with Client(served.grpc) as client, pytest.raises(Exception, match=pipeline_id):
        client.call(client.pipelines.GetPipeline, pipeline_pb2.GetPipelineRequest(pipeline_id=pipeline_id))


async def test_a_run_is_started_with_typed_inputs_and_its_plan_beside_them(served: Embedded, tmp_path: Path) -> None:
    spec = with_inputs(
        {
            "seed": {"parameterType": "NUMBER_INTEGER"},
            "rates": {"parameterType": "LIST", "defaultValue": [0.5]},
            "note": {"parameterType": "STRING", "isOptional": True},
            "mode": {"parameterType": "STRING", "defaultValue": "fast", "literals": ["fast", "slow"]},
            "table": {"parameterType": "STRUCT", "isOptional": True, "defaultValue": {"a": 1}},
        }
    )
    pipeline_id = stored(served, spec, uuid.uuid4().hex)
    async with opened(tmp_path / "profile", f"{served.http}/pipelines/{pipeline_id}") as page:
        await page.until(pressed("Start a run"))
        await page.address(lambda url: "/start?" in url)
        plan = "document.querySelector('section[aria-label=Plan]')"
        await page.until(f"{plan}?.innerText.includes('There is a plan once these inputs are right')")
        await page.until(typed("seed", "many"))
        await page.until(has("No whole number, such as 42"))
        await page.until(pressed("Start", "button"))
        assert "/start?" in await page.address()
        await page.until(typed("seed", str(_BIG)))
        await page.until(f"{plan}.querySelector('[data-decision=RUN]') !== null")
        await page.until(typed("rates", "[1,"))
        await page.until(has("No list in JSON"))
        await page.until(f"{plan}.querySelector('[data-decision]') === null")
        await page.until(typed("rates", f"[1, {-_BIG}]"))
        await page.until(typed("mode", "slow"))
        await page.until("document.querySelector('[aria-label^=\"table: \"]')?.click() === undefined")
        await page.until(typed("Name of the run", _HOSTILE))
        await page.until(typed("Labels", "team=vision\nquery=a=b"))
        await page.until(typed("Deadline in seconds", "600"))
        await page.until(typed("Priority", "high"))
        await page.until(has("No whole number from -1000 to 1000"))
        await page.until(typed("Priority", "-3"))
        await page.until(typed("Caching", "Off"))
        await page.until(f"{plan}.querySelector('[data-decision=RUN]') !== null")
        await page.until(pressed("Start", "button"))
        address = await page.address(lambda url: "/runs/" in url)
    with Client(served.grpc) as client:
        run = runs.finished(client, address.rsplit("/", 1)[1])
    assert run.state == run_pb2.SUCCEEDED
    assert whole_numbers.to_dict(run.runtime_config) == {
        "parameters": {"seed": _BIG, "rates": [1, -_BIG], "mode": "slow", "table": None}
    }
    assert (run.display_name, dict(run.labels)) == (_HOSTILE, {"team": "vision", "query": "a=b"})
    assert (run.options.deadline_seconds, run.options.caching, run.options.HasField("caching")) == (600, False, True)
    assert run.options.priority == -3
    assert run.pipeline_version_reference.pipeline_id == pipeline_id


async def test_a_run_is_started_once_however_often_start_is_pressed(served: Embedded, tmp_path: Path) -> None:
    """As by a double click, and again while the page of the run is under way on a slow line."""
    name = uuid.uuid4().hex
    pipeline_id = stored(served, specs.container(["true"]), name)
    async with opened(tmp_path / "profile", f"{served.http}/start?pipeline={pipeline_id}") as page:
        await page.until("document.querySelector('main form [type=submit]') !== null")
        await page.call("Network.enable")
        slow = {"offline": False, "latency": 200, "downloadThroughput": -1, "uploadThroughput": -1}
        await page.call("Network.emulateNetworkConditions", **slow)
        await page.evaluate(
            "new Promise((done) => { const press = () => {"
            "if (!location.pathname.startsWith('/start')) return done();"
            "const start = document.querySelector('main form [type=submit]');"
            "start?.click(); start?.click(); setTimeout(press); }; press(); })"
        )
        await page.address(lambda url: "/runs/" in url)
    with Client(served.grpc) as client:
        found = client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(page_size=100))
    assert [run.display_name.startswith(name) for run in found.runs].count(True) == 1


async def test_a_run_is_run_again_with_changes(served: Embedded, tmp_path: Path) -> None:
    spec = with_inputs(
        {"seed": {"parameterType": "NUMBER_INTEGER"}, "note": {"parameterType": "STRING", "defaultValue": "n"}},
        ["echo", "again"],
        cached=True,
    )
    with Client(served.grpc) as client:
        run_id = runs.start(client, spec, {"seed": 7, "note": "first\nsecond"}, name="first", fail_fast=True)
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
    async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}") as page:
        await page.until(pressed("Run again with changes"))
        await page.address(lambda url: url.endswith(f"/start?clone={run_id}"))
        await page.until(f"{field('seed')}?.value === '7' && {field('note')}.value === 'first\\nsecond'")
        await page.until("document.querySelector('[data-decision=CACHED]') !== null")
        await page.until(typed("seed", "8"))
        await page.until(pressed("Start", "button"))
        address = await page.address(lambda url: "/runs/" in url and run_id not in url)
    with Client(served.grpc) as client:
        again = runs.finished(client, address.rsplit("/", 1)[1])
    assert whole_numbers.to_dict(again.runtime_config) == {"parameters": {"seed": 8, "note": "first\nsecond"}}
    assert (again.display_name, again.options.fail_fast) == ("first", True)


async def test_a_run_is_run_again_though_its_pipeline_is_deleted(served: Embedded, tmp_path: Path) -> None:
    spec = with_inputs({"seed": {"parameterType": "NUMBER_INTEGER"}})
    pipeline_id = stored(served, spec, uuid.uuid4().hex)
    with Client(served.grpc) as client:
        request = run_pb2.CreateRunRequest()
        request.run.display_name = "of what is gone"
        request.run.pipeline_version_reference.pipeline_id = pipeline_id
        whole_numbers.parse_dict({"parameters": {"seed": _BIG}}, request.run.runtime_config)
        run_id = client.call(client.runs.CreateRun, request).run_id
        delete = pipeline_pb2.DeletePipelineRequest(pipeline_id=pipeline_id, cascade=True)
        client.call(client.pipelines.DeletePipeline, delete)
        async with opened(tmp_path / "profile", f"{served.http}/start?clone={run_id}") as page:
            await page.until(f"{field('seed')}?.value === '{_BIG}'")
            await page.until("document.querySelector('[data-decision]') !== null")
            await page.until(pressed("Start", "button"))
            address = await page.address(lambda url: "/runs/" in url)
        again = runs.finished(client, address.rsplit("/", 1)[1])
    assert again.state == run_pb2.SUCCEEDED
    assert whole_numbers.to_dict(again.runtime_config) == {"parameters": {"seed": _BIG}}


async def test_a_run_leads_to_its_pipeline_and_an_unknown_one_is_told(served: Embedded, tmp_path: Path) -> None:
    name = uuid.uuid4().hex
    pipeline_id = stored(served, specs.container(["true"]), name)
    with Client(served.grpc) as client:
        request = run_pb2.CreateRunRequest()
        request.run.display_name = f"of {name}"
        request.run.pipeline_version_reference.pipeline_id = pipeline_id
        client.call(client.runs.CreateRun, request)
    async with opened(tmp_path / "profile", f"{served.http}/runs?name={name}") as page:
        await page.until(pressed(name, "td a"))
        await page.address(lambda url: f"/pipelines/{pipeline_id}" in url)
        await page.until(pressed(f"of {name}", "td a"))
        await page.address(lambda url: "/runs/" in url)
        for path in ("/pipelines/unknown", "/start?pipeline=unknown", "/start?clone=unknown"):
            await page.open(f"{served.http}{path}")
            await page.until("document.querySelector('[role=alert]')?.innerText.includes('unknown')")
        await page.open(f"{served.http}/start")
        await page.until(has("Choose what to run first"))


async def test_a_namespace_goes_along_and_what_a_viewer_may_not_do_has_no_button(
    shared: Embedded, tmp_path: Path
) -> None:
    made = calls.call(
        "POST",
        f"{shared.http}/apis/v2beta1/experiments",
        {"display_name": "of the team", "namespace": "team-a"},
        headers={"kubeflow-userid": "alice"},
    )
    assert made.status == 200, made
    spec = yaml.safe_dump(specs.container(["true"]))
    async with opened(tmp_path / "alice", f"{shared.http}/pipelines?namespace=team-a", "alice") as page:
        await page.until(pressed("Add a pipeline"))
        await page.until(chosen("team.yaml", spec))
        await page.until(pressed("Add"))
        await page.address(lambda url: "/pipelines/" in url and "namespace=team-a" in url)
        await page.until(pressed("Start a run"))
        await page.until("document.querySelector('[data-decision=RUN]') !== null")
        await page.until(f"{field('Experiment')}?.selectedOptions[0].text === 'of the team'")
        await page.until(pressed("Start", "button"))
        run_id = (await page.address(lambda url: "/runs/" in url)).rsplit("/", 1)[1]
    found = calls.call("GET", f"{shared.http}/apis/v2beta1/runs/{run_id}", headers={"kubeflow-userid": "alice"})
    assert found.json["experiment_id"] == made.json["experiment_id"]
    async with opened(tmp_path / "eve", f"{shared.http}/pipelines?namespace=team-a", "eve") as page:
        await page.until(pressed("team.yaml", "td a"))
        await page.until(has("Latest runs"))
        await page.until(f"!['Start a run', 'Add a version', 'Delete'].some((name) => {BODY}.includes(name))")
        await page.open(f"{shared.http}/pipelines?namespace=team-a")
        await page.until(f"{has('team.yaml')} && !{has('Add a pipeline')}")
        await page.open(f"{shared.http}/start?clone={run_id.partition('?')[0]}&namespace=team-a")
        await page.until(f"{has('Description')} && document.querySelector('[type=submit]') === null")
