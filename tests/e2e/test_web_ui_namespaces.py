"""The web UI on a server with several namespaces, behind a proxy that says who calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_server.gateway.pages import BUNDLE

from tests.support.rest_user import SPEC, V2, User
from tests.support.ui_pages import has
from tools.embedded import Embedded
from tools.testing.browser import Page, browser

_FIELD = "document.querySelector('input[aria-label=Namespace]')"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    directory = tmp_path_factory.mktemp("shared")
    roles = directory / "roles.yaml"
    grants = [{"role": "editor", "namespaces": ["team-a", "team-b"], "users": ["alice"]}]
    roles.write_text(json.dumps({"roles": grants}))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(roles),
    }
    with Embedded(directory / "data", environment=environment, environments=environments) as up:
        yield up


async def typed(page: Page, namespace: str) -> None:
    """Into the field, with Enter."""
    await page.until(f"{_FIELD} !== null && ({_FIELD}.select(), document.activeElement === {_FIELD})")
    await page.call("Input.insertText", text=namespace)
    for kind in ("keyDown", "keyUp"):
        key = {"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await page.call("Input.dispatchKeyEvent", **key)


async def test_a_namespace_is_typed_once_and_gone_to_again(shared: Embedded, tmp_path: Path) -> None:
    alice = User(shared.http, "alice")
    run_id = alice.executed(alice.experiment("team-a"))
    async with browser(tmp_path / "profile") as page:
        await page.send_headers({"kubeflow-userid": "alice"})
        await page.open(f"{shared.http}/")
        await page.until(has("a namespace is required"))
        await page.until(has("alice"))
        await typed(page, "team-b")
        await page.address(lambda url: url.endswith("/?namespace=team-b"))
        await page.until(f"!{has('a namespace is required')}")
        await typed(page, "team-a")
        await page.address(lambda url: url.endswith("/?namespace=team-a"))
        # An address that names none goes to the last that was looked at.
        await page.open(f"{shared.http}/runs")
        await page.address(lambda url: url.endswith("/runs?namespace=team-a"))
        await page.until(f"document.querySelector('a[href^=\"/runs/{run_id}\"]') !== null")
        assert await page.evaluate(f"{_FIELD}.value") == "team-a"
        # What is no name of a namespace is not gone to.
        await typed(page, "Team A")
        await page.until(f"{_FIELD}.getAttribute('aria-invalid') === 'true'")
        assert (await page.address()).endswith("/runs?namespace=team-a")


async def test_the_runs_of_a_schedule_are_those_of_its_namespace(shared: Embedded, tmp_path: Path) -> None:
    alice = User(shared.http, "alice")
    body = {
        "display_name": "50%20 nightly",
        "experiment_id": alice.experiment("team-b"),
        "pipeline_spec": SPEC,
        "mode": "ENABLE",
        "max_concurrency": "1",
        "trigger": {"cron_schedule": {"cron": "0 0 0 1 1 *"}},
    }
    made = alice.call("POST", f"{V2}/recurringruns", body)
    assert made.status == 200, made.body
    async with browser(tmp_path / "profile") as page:
        await page.send_headers({"kubeflow-userid": "alice"})
        # A percent sign in a name is one.
        await page.open(f"{shared.http}/recurring-runs?namespace=team-b&name=50%2520")
        await page.until(has("50%20 nightly"))
        await page.open(f"{shared.http}/recurring-runs/{made.json['recurring_run_id']}?namespace=team-b")
        await page.until("document.querySelectorAll('main time').length > 3")
        await page.until(has("It has made no runs yet"))
        assert await page.evaluate("document.querySelector('main [role=alert]') === null")


async def test_a_server_without_namespaces_has_no_field(tmp_path: Path, environments: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as up:
        async with browser(tmp_path / "profile") as page:
            await page.open(f"{up.http}/")
            await page.until(has("penstock run pipeline.yaml"))
            assert await page.evaluate(f"{_FIELD} === null")
