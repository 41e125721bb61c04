"""Actions on runs, filters of runs and experiments in the web UI, in Chromium on a live server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.v2beta1 import experiment_pb2, run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support import ui_pages as ui
from tests.support.rest_user import User
from tests.support.ui_pages import has, opened
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import Page, browser

TEAM = "team-a"
_HOSTILE = "<script>window.hacked = 1</script>\u202egnp" + "x" * 400


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


def started(client: Client, name: str, command: Sequence[str] = ("true",), **fields: Any) -> str:
    request = run_pb2.CreateRunRequest(run=run_pb2.Run(display_name=name, **fields))
    json_format.ParseDict(specs.container(command), request.run.pipeline_spec)
    return str(client.call(client.runs.CreateRun, request).run_id)


def made(client: Client, name: str, description: str = "") -> str:
    experiment = experiment_pb2.Experiment(display_name=name, description=description)
    request = experiment_pb2.CreateExperimentRequest(experiment=experiment)
    return str(client.call(client.experiments.CreateExperiment, request).experiment_id)


def experiment(client: Client, experiment_id: str) -> experiment_pb2.Experiment:
    request = experiment_pb2.GetExperimentRequest(experiment_id=experiment_id)
    found: experiment_pb2.Experiment = client.call(client.experiments.GetExperiment, request)
    return found


def running(client: Client, run_id: str) -> None:
    runs.until(lambda: runs.tasks(client, run_id), lambda found: found and found["only"].state == "RUNNING")


def is_gone(look: Callable[[], object]) -> None:
    """Raises AssertionError when what is looked for stays there."""

    def absent() -> bool:
        try:
            look()
        except Exception as error:  # noqa: BLE001 - what it says is looked at
            return "not found" in str(error).lower()
        return False

    runs.until(absent, bool)


def pressed(name: str, selector: str = "button:enabled") -> str:
    """As there, once the button is enabled: while an action is carried out none is."""
    return ui.pressed(name, selector)


def pressed_box(label: str) -> str:
    return (
        f"(() => {{ const box = document.querySelector(`input[type=checkbox][aria-label={json.dumps(label)}]`);"
        "box?.click(); return Boolean(box); })()"
    )


def written(label: str, value: str) -> str:
    """A script that types into a field as React hears it; `label` is the field's accessible name."""
    return (
        "(() => { const field = [...document.querySelectorAll('input, textarea')].find((one) =>"
        f" (one.ariaLabel ?? one.labels?.[0]?.innerText.replace(' *', '')) === {json.dumps(label)});"
        "if (!field) return false;"
        "Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value').set.call(field,"
        f" {json.dumps(value)});"
        "field.dispatchEvent(new Event('input', { bubbles: true })); return true; })()"
    )


async def confirmed(page: Page, action: str, *words: str) -> None:
    """Presses the button of the open dialogue that goes on, once it shows all these words."""
    for word in words:
        await page.until(f"document.querySelector('[role=dialog]')?.innerText.includes({json.dumps(word)})")
    await page.until(pressed(action, "[role=dialog] button:enabled"))


async def test_a_run_is_terminated_retried_and_deleted_from_its_page(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        run_id = started(client, "one alone", specs.LONG)
        running(client, run_id)
        async with opened(tmp_path / "profile", f"{served.http}/runs/{run_id}") as page:
            await page.until(pressed("Terminate"))
            assert runs.finished(client, run_id).state == run_pb2.FAILED
            await page.until(pressed("Retry"))
            running(client, run_id)
            await page.until(pressed("Archive"))
            await page.until(pressed("Unarchive"))
            await page.until(pressed("Delete"))
            await confirmed(page, "Delete", "Runs to delete: 1", "one alone", "Have not ended yet: 1")
            await page.address(lambda url: url.endswith("/runs"))
            is_gone(lambda: runs.get(client, run_id))


async def test_selected_runs_are_acted_on_and_those_that_failed_say_why(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        closed = made(client, "closed")
        kept = started(client, "several kept", experiment_id=closed)
        good, bad = started(client, "several good"), started(client, "several bad", ("false",))
        for run_id in (kept, good, bad):
            runs.finished(client, run_id)
            client.call(client.runs.ArchiveRun, run_pb2.ArchiveRunRequest(run_id=run_id))
        # The runs of an archived experiment cannot be unarchived.
        client.call(client.experiments.ArchiveExperiment, experiment_pb2.ArchiveExperimentRequest(experiment_id=closed))
        async with opened(tmp_path / "profile", f"{served.http}/runs?name=several&storage=archived") as page:
            await page.until("document.querySelectorAll('tbody tr').length === 3")
            assert not await page.evaluate(pressed("Unarchive (3)"))
            await page.until(pressed_box("Select all on this page"))
            assert await page.evaluate(has("Retry (1)"))
            assert await page.evaluate(
                "[...document.querySelectorAll('button')].find((one) => one.innerText === 'Terminate').disabled"
            )
            await page.until(pressed("Unarchive (3)"))
            await page.until(has("Unarchive – failed for: 1"))
            alert = await page.evaluate("document.querySelector('[role=alert]').innerText")
            assert "several kept" in alert and "unarchive the experiment first" in alert
            await page.until("document.querySelectorAll('tbody tr').length === 1")
            assert await page.evaluate(has("Selected: 1"))
            assert runs.get(client, good).storage_state == run_pb2.Run.AVAILABLE
            # What failed stays selected, so that something else can be done.
            await page.until(pressed("Delete (1)"))
            await confirmed(page, "Delete", "Runs to delete: 1", "several kept")
            await page.until(has("No runs match"))
            is_gone(lambda: runs.get(client, kept))
            assert runs.get(client, bad).state == run_pb2.FAILED


async def test_a_row_keeps_the_focus_while_the_list_changes(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        started(client, "focus old")
        async with opened(tmp_path / "profile", f"{served.http}/runs?name=focus") as page:
            await page.until(pressed_box("Select focus old"))
            await page.evaluate("document.querySelector('tbody input').focus()")
            started(client, "focus new")
            await page.until(has("focus new"))
            assert await page.evaluate("document.activeElement.ariaLabel") == "Select focus old"
            assert await page.evaluate(has("Selected: 1"))


async def test_runs_are_found_by_label_and_experiment(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        lab = made(client, "lab of 50%")
        started(client, "labelled a", labels={"team": "vision=2", "kind": _HOSTILE[:100]}, experiment_id=lab)
        started(client, "labelled b", labels={"team": "speech"}, experiment_id=lab)
        started(client, "labelled c", labels={"team": "vision=2"})
    async with opened(tmp_path / "profile", f"{served.http}/runs?name=labelled") as page:
        await page.until("document.querySelectorAll('tbody tr').length === 3")
        await page.until(pressed("team=vision=2", "a"))
        await page.until(has("labelled c") + " && " + f"!{has('labelled b')}")
        assert await page.evaluate("new URL(location).searchParams.get('label')") == '["team=vision=2"]'
        await page.evaluate("document.querySelector('input[aria-label=Experiment]').click()")
        await page.until(written("Experiment", "50%"))
        await page.until(pressed("lab of 50%", "[role=option]"))
        await page.until(f"{has('labelled a')} && !{has('labelled c')}")
        link = await page.address(lambda url: lab in url)
    async with opened(tmp_path / "other", link) as page:
        await page.until(f"{has('labelled a')} && !{has('labelled b')} && !{has('labelled c')}")


async def test_an_experiment_is_made_filled_archived_and_deleted(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        async with opened(tmp_path / "profile", f"{served.http}/") as page:
            await page.until(pressed("Experiments", "a"))
            await page.until(pressed("New experiment"))
            await page.until(pressed("Create"))
            await page.until(has("A name is needed"))
            await page.until(written("Name", "nightly"))
            await page.until(written("Description", _HOSTILE))
            await page.until(pressed("Create"))
            url = await page.address(lambda url: "/experiments/" in url)
            identifier = url.rpartition("/")[2]
            assert experiment(client, identifier).description == _HOSTILE
            runs.finished(client, started(client, "of the night", experiment_id=identifier))
            await page.until(has("of the night"))
            # Everything else belongs to other experiments.
            assert await page.evaluate("document.querySelectorAll('tbody tr').length") == 1
            await page.until(pressed("Archive"))
            await confirmed(page, "Archive", "nightly", "recurring runs disabled")
            # Its runs are archived with it, and are still shown on its page.
            await page.until("document.querySelector('h2 + *').innerText === 'ARCHIVED'")
            await page.until(has("of the night"))
            await page.until(pressed("Unarchive"))
            await page.until("document.querySelector('h2 + *').innerText !== 'ARCHIVED'")
            await page.open(f"{served.http}/experiments?name=nightly&storage=all")
            await page.until("document.querySelector('tbody a [data-state=SUCCEEDED]') !== null")
            await page.until(pressed("Delete"))
            await confirmed(page, "Delete", "nightly", "runs and recurring runs stay")
            await page.until(has("No experiments match"))
            is_gone(lambda: experiment(client, identifier))


def give(roles: Path, **roles_of_users: str) -> None:
    """Puts a role file in the place of another."""
    document = {
        "roles": [{"role": role, "namespaces": [TEAM], "users": [user]} for user, role in roles_of_users.items()]
    }
    made = roles.with_suffix(".new")
    made.write_text(json.dumps(document))
    made.rename(roles)


async def test_who_may_only_see_has_no_buttons_and_is_told_so_in_the_servers_words(
    tmp_path: Path, environments: Path
) -> None:
    give(tmp_path / "roles.yaml", alice="editor", vera="editor")
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(tmp_path / "roles.yaml"),
    }
    with Embedded(tmp_path / "data", environment=environment, environments=environments) as up:
        alice = User(up.http, "alice")
        experiment_id = alice.experiment(TEAM)
        body = {"display_name": "of alice", "experiment_id": experiment_id, "pipeline_spec": specs.container(["true"])}
        run_id = alice.call("POST", "/apis/v2beta1/runs", body).json["run_id"]
        async with browser(tmp_path / "profile") as page:
            await page.send_headers({"kubeflow-userid": "vera"})
            await page.open(f"{up.http}/runs?namespace={TEAM}")
            await page.until(pressed_box("Select of alice"))
            await page.until(has("Archive (1)"))
            # From here on the page offers what is not hers any more.
            give(tmp_path / "roles.yaml", alice="editor", vera="viewer")
            vera = User(up.http, "vera")
            runs.until(lambda: vera.call("POST", f"/apis/v2beta1/runs/{run_id}:unarchive").status, lambda it: it == 403)
            await page.until(pressed("Archive (1)"))
            await page.until(has("Archive – failed for: 1"))
            assert "vera" in await page.evaluate("document.querySelector('[role=alert]').innerText")
            assert await page.evaluate(has("Selected: 1"))
            # Every link carries the namespace on, without which a list is refused here.
            await page.until(pressed("of alice", "a"))
            await page.until(pressed("same name", "a"))
            await page.until("document.querySelector('h2')?.innerText === 'same name'")
            await page.until(pressed("Experiments", "a"))
            await page.until(has("New experiment"))
            await page.until(pressed("Delete"))
            await confirmed(page, "Delete", "same name")
            await page.until(has("Delete – failed for: 1"))
            assert f"namespace={TEAM}" in await page.address()
            # A page that is opened now has no buttons for it.
            await page.open(f"{up.http}/experiments?namespace={TEAM}")
            buttons = "[...document.querySelectorAll('main button')].map((one) => one.innerText).join()"
            await page.until(f"{has('same name')} && !/New experiment|Archive|Delete/.test({buttons})")
            await page.open(f"{up.http}/runs/{run_id}?namespace={TEAM}")
            await page.until(f"{has('of alice')} && !/Archive|Delete|Run again/.test(document.body.innerText)")
        assert alice.get(f"/apis/v2beta1/runs/{run_id}")["storage_state"] == "AVAILABLE"


async def test_the_way_back_brings_back_what_was_typed(served: Embedded, tmp_path: Path) -> None:
    field = "document.querySelector('input[type=search]')"
    async with opened(tmp_path / "profile", f"{served.http}/runs") as page:
        await page.until(written("Filter by name", "typed"))
        await page.address(lambda url: url.endswith("?name=typed"))
        await page.evaluate("history.back()")
        await page.until(f"{field}.value === ''")
        await page.evaluate("history.forward()")
        await page.until(f"{field}.value === 'typed'")


async def test_what_the_server_refuses_is_said(served: Embedded, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/experiments?name=Default") as page:
        await page.until(pressed("Delete"))
        await confirmed(page, "Delete", "Default")
        await page.until(has("the experiment 'Default' cannot be deleted"))
        await page.until(pressed("New experiment"))
        await page.until(written("Name", "Default"))
        await page.until(pressed("Create"))
        await page.until(has("exists already"))
