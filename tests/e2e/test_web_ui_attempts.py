"""The page of a run in Chromium: attempts with their phases, what all of them did over time, and the critical path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.internal.v1 import dispatch_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.replicas import Replicas
from tests.support.reported_run import Reported, reported
from tests.support.ui_pages import has, opened, pressed
from tools.testing import runs, specs
from tools.testing.browser import Page

_S = 1_000
_HOSTILE = "<img src=x onerror='window.hacked = 1'> <b>no</b> rows"
# Counts what is asked for of attempts.
_COUNTS = """
window.asked = 0;
const plain = window.fetch;
window.fetch = (address, ...rest) => {
    if (String(address.url ?? address).endsWith("/ListAttempts")) window.asked += 1;
    return plain(address, ...rest);
};
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    directory = tmp_path_factory.mktemp("served")
    with Replicas(directory, f"sqlite:///{directory}/penstock.db", servers=1, executors=0) as up:
        yield up


@pytest.fixture
def run(served: Replicas) -> Iterator[Reported]:
    """A task that is tried three times, one beside it, and one that goes on."""
    root = served.directory / "tasks" / "artifacts"
    with Client(served.addresses[0]) as client:
        run_id = runs.start(client, specs.chain({"load": ["true"], "train": ["true"], "publish": ["true"]}))
    log = root / "chain" / run_id / "train" / "first.log"
    log.parent.mkdir(parents=True)
    log.write_text("said by the <b>first</b>")
    with reported(served.dispatch[0], run_id, root.as_uri()) as one:
        one.report(
            [
                one.task("load", "SUCCEEDED", (1, 40 * _S, 100 * _S)),
                one.task("describe", "SUCCEEDED", (100 * _S, 130 * _S, 140 * _S)),
                one.task("train", "SUCCEEDED", (100 * _S, 310 * _S, 400 * _S), attempt=3),
                one.task("publish", "RUNNING", (400 * _S, 420 * _S)),
            ],
            [
                _succeeded(one, "load", 1, 1, 40 * _S, 100 * _S),
                one.attempt(
                    "train", 1,
                    *(at * _S for at in (100, 110, 115, 140, 150, 150, 180, 185, 190)),
                    outcome="user", exit_code=3, error=_HOSTILE, pod_name="train-pod-1", node="node-a",
                    log_uri=log.as_uri(),
                ),
                one.attempt(
                    "train", 2, 200 * _S, 210 * _S, None, None, None, 250 * _S, 280 * _S, None, 290 * _S,
                    outcome="infrastructure", error="its node was drained", pod_name="train-pod-2", node="node-b",
                ),
                _succeeded(one, "train", 3, 300 * _S, 310 * _S, 400 * _S),
                one.attempt("publish", 1, 400 * _S, 410 * _S, None, None, None, 420 * _S),
            ],
        )  # fmt: skip
        yield one


def _succeeded(
    one: Reported, path: str, number: int, created: int, started: int, ended: int
) -> dispatch_pb2.AttemptRow:
    return one.attempt(
        path, number, created, created + _S, None, None, None, started, ended - _S, None, ended,
        outcome="succeeded", exit_code=0,
    )  # fmt: skip


def timeline(served: Replicas, run: Reported, more: str = "") -> str:
    return f"{served.http[0]}/runs/{run.run_id}?view=timeline{more}"


def in_row(name: str, selector: str, gives: str) -> str:
    """A script: of the elements in the row of a task a list of what `gives` says of each `one`."""
    return (
        "[...[...document.querySelectorAll('[role=row]')].find((row) =>"
        f" row.querySelector('[role=gridcell]').innerText.trim() === {json.dumps(name)})"
        f"?.querySelectorAll({json.dumps(selector)}) ?? []].map((one) => {gives})"
    )


def shown(name: str, attempts: int) -> str:
    return f"{in_row(name, '[data-bar] [role=img]', '1')}.length === {attempts}"


async def key(page: Page, name: str, code: int, text: str = "") -> None:
    """As a keyboard sends it: what the browser itself does with a key happens, too."""
    for kind in ("keyDown", "keyUp"):
        letter = {"text": text} if text and kind == "keyDown" else {}
        await page.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, **letter)


async def mouse(page: Page, kind: str, x: float, y: float, *, pressed: bool = False) -> None:
    button = {"button": "left", "buttons": int(pressed), "clickCount": 1} if kind != "mouseMoved" or pressed else {}
    await page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)


async def test_attempts_of_a_task_stand_side_by_side_with_their_phases(
    served: Replicas, run: Reported, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile", timeline(served, run), _COUNTS) as page:
        await page.until(shown("train", 3))
        assert await page.evaluate(in_row("train", "[role=img]", "one.ariaLabel")) == [
            "Attempt 1, Failed: Queued 10s, Scheduling 5s, Preparing 25s, Fetching inputs 10s, Running 30s,"
            " Storing outputs 5s, Concluding 5s",
            "Attempt 2, Failed: Queued 10s, Preparing 40s, Running 30s, Concluding 10s",
            "Attempt 3, Succeeded: Queued 1s, Preparing 9s, Running 1m 29s, Concluding 1s",
        ]
        places = await page.evaluate(in_row("train", "[data-bar]", "one.getBoundingClientRect().toJSON()"))
        assert [places[at]["right"] < places[at + 1]["left"] for at in (0, 1)] == [True, True]
        drawn = await page.evaluate(in_row("train", "[data-phase]", "[one.dataset.phase, one.offsetWidth > 0]"))
        assert [phase for phase, wide in drawn if wide][:5] == [
            "queued", "scheduling", "preparing", "fetching", "running",
        ]  # fmt: skip
        # Of a task of which no attempt was told, what its own times say.
        assert await page.evaluate(in_row("describe", "[role=img]", "one.ariaLabel")) == [
            "Attempt 1, Succeeded: Queued 30s, Running 10s"
        ]
        # All rows with one call, whatever was asked again for the one that goes on.
        assert await page.evaluate("window.asked") < 4
        await page.until("document.querySelectorAll('[data-sum]').length === 7")
        assert "Storing outputs 5s" in await page.evaluate(
            "[...document.querySelectorAll('[data-sum]')].map((one) => one.innerText.replace(/\\s+/g, ' '))"
        )


async def test_the_pointer_shows_when_each_phase_began(served: Replicas, run: Reported, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", timeline(served, run)) as page:
        await page.resize(1280, 800)
        await page.until(shown("train", 3))
        place = (await page.evaluate(in_row("train", "[data-bar]", "one.getBoundingClientRect().toJSON()")))[1]
        await mouse(page, "mouseMoved", place["x"] + place["width"] / 2, place["y"] + 4)
        await page.until("document.querySelector('[data-card]') !== null")
        times = await page.evaluate("[...document.querySelectorAll('[data-card] time')].map((one) => one.title)")
        assert len(times) == 4
        assert all(time.endswith("Z") for time in times)
        # The card stays while the pointer goes to it, and goes with the pointer.
        card = await page.evaluate("document.querySelector('[data-card]').getBoundingClientRect().toJSON()")
        await mouse(page, "mouseMoved", card["x"] + 20, card["y"] + 20)
        assert await page.evaluate("document.querySelector('[data-card]') !== null")
        await mouse(page, "mouseMoved", 5, 5)
        await page.until("document.querySelector('[data-card]') === null")


async def test_an_attempt_that_goes_on_grows_until_it_has_ended(
    served: Replicas, run: Reported, tmp_path: Path
) -> None:
    said = in_row("publish", "[role=img]", "one.ariaLabel") + "[0]"
    async with opened(tmp_path / "profile", timeline(served, run)) as page:
        await page.until(f"{said}?.startsWith('Attempt 1, Running: Queued 10s, Preparing 10s, Running ')")
        before = await page.evaluate(said)
        await page.until(f"{said} !== {json.dumps(before)}")
        # Nothing of its task changes: its attempt is asked for because it is open.
        run.report([], [run.attempt("publish", 1, None, None, 412 * _S, 418 * _S)])
        told = "Queued 10s, Scheduling 2s, Preparing 6s, Fetching inputs 2s, Running"
        await page.until(f"{said}.startsWith('Attempt 1, Running: {told} ')")
        run.report(
            [run.task("publish", "SUCCEEDED", (400 * _S, 420 * _S, 500 * _S))],
            [_succeeded(run, "publish", 1, 400 * _S, 420 * _S, 500 * _S)],
            state="SUCCEEDED",
        )
        await page.until(f"{said}.startsWith('Attempt 1, Succeeded: ')")
        assert (await page.evaluate(said)).endswith("Fetching inputs 2s, Running 1m 19s, Concluding 1s")


async def test_the_panel_has_each_attempt_and_the_log_of_an_earlier_one(
    served: Replicas, run: Reported, tmp_path: Path
) -> None:
    async with opened(tmp_path / "profile", timeline(served, run)) as page:
        await page.until(shown("train", 3))
        for name in ("j", "j", "j"):
            await key(page, name, ord("J"), name)
        await key(page, "Enter", 13)
        await page.until("document.querySelectorAll('aside [data-attempt]').length === 3")
        texts = await page.evaluate(
            "[...document.querySelectorAll('aside [data-attempt]')].map((one) => one.innerText)"
        )
        last, second, first = texts
        assert "Attempt 3" in last
        assert "Exit code\n0" in last
        assert all(
            word in second for word in ("What it ran on failed", "its node was drained", "train-pod-2", "node-b")
        )
        assert all(word in first for word in ("Its program failed", _HOSTILE, "Exit code\n3", "train-pod-1", "node-a"))
        await page.until(pressed("Log of this attempt (1)"))
        await page.until(has("said by the <b>first</b>"))


async def test_the_critical_path_is_marked_in_every_view_and_leads_to_its_tasks(
    served: Replicas, run: Reported, tmp_path: Path
) -> None:
    marked = "[...document.querySelectorAll('[role=row][data-critical]')].map((one) => one.innerText.split('\\n')[0])"
    async with opened(tmp_path / "profile", timeline(served, run)) as page:
        await page.until(shown("train", 3))
        assert await page.evaluate(marked) == []
        await page.evaluate("document.querySelector('[role=switch]').focus()")
        await key(page, " ", 32, " ")
        await page.until(f'JSON.stringify({marked}) === \'["load","train","publish"]\'')
        await page.address(lambda url: "critical=true" in url)
        steps = await page.evaluate("[...document.querySelectorAll('main ol li')].map((one) => one.innerText)")
        assert [step.split()[0] for step in steps] == ["load", "train", "publish"]
        assert "5m" in steps[1]
        assert steps[1].endswith("%")
        await page.until(pressed("Graph", "[role=tab]"))
        await page.until("document.querySelectorAll('.react-flow__node [data-critical]').length === 3")
        await page.until(pressed("Table", "[role=tab]"))
        await page.until(f"{marked}.length === 3")
        await page.until(pressed("train", "main ol a"))
        await page.address(lambda url: "task=train" in url and "critical=true" in url)
        await page.until("document.querySelectorAll('aside [data-attempt]').length === 3")
        await page.evaluate("document.querySelector('[role=switch]').click()")
        await page.until(f"{marked}.length === 0")


async def test_dragging_over_the_overview_chooses_what_the_timeline_shows(
    served: Replicas, run: Reported, tmp_path: Path
) -> None:
    run.report(
        [run.task("publish", "SUCCEEDED", (400 * _S, 420 * _S, 500 * _S))],
        [_succeeded(run, "publish", 1, 400 * _S, 420 * _S, 500 * _S)],
        state="SUCCEEDED",
    )
    async with opened(tmp_path / "profile", timeline(served, run)) as page:
        await page.resize(1280, 800)
        await page.until(shown("train", 3))
        await page.until("document.querySelector('.u-over') !== null")
        place = await page.evaluate("document.querySelector('.u-over').getBoundingClientRect().toJSON()")
        left, y = place["left"], place["top"] + 20
        # From a fifth of the run to four fifths of it.
        await mouse(page, "mouseMoved", left + place["width"] * 0.2, y)
        await mouse(page, "mousePressed", left + place["width"] * 0.2, y, pressed=True)
        for part in (0.5, 0.8):
            await mouse(page, "mouseMoved", left + place["width"] * part, y, pressed=True)
        await mouse(page, "mouseReleased", left + place["width"] * 0.8, y)
        url = await page.address(lambda url: "since=" in url)
        found = {name: int(value) for name, _, value in (part.partition("=") for part in url.split("?")[1].split("&"))
                 if name in ("since", "until")}  # fmt: skip
        assert abs(found["since"] - run.began - 100 * _S) < 2 * _S
        assert abs(found["until"] - run.began - 400 * _S) < 2 * _S
        await page.until(f"{in_row('load', '[data-bar]', '1')}.length === 0")
        assert await page.evaluate("document.querySelector('.u-select').offsetWidth > 100")
        await page.until(pressed("Whole time"))
        await page.until(shown("load", 1))
        await page.address(lambda url: "since=" not in url)
