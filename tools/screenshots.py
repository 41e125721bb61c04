"""Takes pictures of the web UI's pages: light, dark, in Chinese, as on a phone, empty, and with very much in them.

Starts its own `penstock up` with a data directory of its own, makes runs there, and opens the pages in Chromium. Look
at what it has written into build/screenshots; nothing is compared. Chinese needs a font that has its characters, such
as Debian's package fonts-wqy-microhei.

Example: make screenshots    or, for some of them:    python -m tools.screenshots --only graph --only phone
Those that the documentation shows, into docs/pictures:    python -m tools.screenshots --docs
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from penstock.client import Client

from tools.embedded import Embedded
from tools.testing import shown_runs
from tools.testing.browser import Page, browser

_ROOT = Path(__file__).resolve().parents[1]
_WIDE = (1280, 800)
_PHONE = (390, 844)


@dataclass(frozen=True)
class Shot:
    """`path` is of the server that has runs, or of the empty one; ids of what there is stand in braces."""

    name: str
    path: str
    # True once the page shows what it is about.
    shown: str
    size: tuple[int, int] = _WIDE
    scheme: str = "light"
    language: str = "en"
    empty: bool = False


_ROWS = "document.querySelectorAll('td').length > 3"
_TASKS = "document.querySelectorAll('[role=row]').length > 2"
_NODES = "document.querySelectorAll('.react-flow__edge').length > 2"
_BARS = "document.querySelectorAll('[role=row] [data-bar]').length > 3 && document.querySelector('.u-over') !== null"
_PANEL = "document.querySelector('aside h4') !== null"
# Name, address, and when it is there, of the pages that are pictured in each way.
_PAGES = (
    ("runs", "/runs", _ROWS),
    ("run-table", "/runs/{training}", _TASKS),
    ("run-graph", "/runs/{training}?view=graph", _NODES),
    ("run-timeline", "/runs/{training}?view=timeline", _BARS),
    ("run-task", "/runs/{failing}?view=table&task=train", _PANEL),
    ("experiments", "/experiments", _ROWS),
    ("experiment", "/experiments/{experiment}", "document.querySelector('main h2') !== null"),
    ("pipelines", "/pipelines", "document.querySelectorAll('td').length > 1"),
    ("pipeline", "/pipelines/{pipeline}", _NODES),
    ("start", "/start?pipeline={pipeline}", "document.querySelectorAll('main tbody tr').length > 2"),
    ("artifacts", "/artifacts", _ROWS),
    ("lineage", "/lineage?artifact={model}", _NODES),
    ("recurring-runs", "/recurring-runs", _ROWS),
    ("recurring-run", "/recurring-runs/{recurring}", "document.querySelectorAll('main time').length > 3"),
    ("new-recurring-run", "/recurring-runs/new?pipeline={pipeline}", "document.querySelector('form input') !== null"),
)
_ALONE = (
    Shot("running-graph", "/runs/{running}?view=graph", _NODES),
    Shot("failing-graph", "/runs/{failing}?view=graph&task=train", _PANEL),
    Shot("many-table", "/runs/{many}", "document.querySelectorAll('[role=row]').length > 0"),
    Shot("home", "/", _ROWS),
    Shot("home-phone", "/", _ROWS, size=_PHONE),
    Shot("health", "/health", _ROWS),
    Shot("many-graph", "/runs/{many}?view=graph", "document.querySelector('.react-flow__node') !== null"),
    Shot("many-timeline", "/runs/{many}?view=timeline", "document.querySelector('.u-over') !== null"),
    Shot("nothing", "/runs/nothing", "document.querySelector('[role=alert]') !== null"),
    *(
        Shot(f"empty-{page}", f"/{page}", f"document.querySelector('{shown}') !== null", empty=True)
        for page, shown in {
            "runs": "main code",
            "artifacts": "main code",
            "lineage": "main code",
            "experiments": "td",
            "pipelines": "main h2",
            "recurring-runs": "main h2",
        }.items()
    ),
)
_DOCUMENTED = (
    Shot("runs", "/runs", _ROWS, size=(1100, 560)),
    Shot("graph", "/runs/{running}?view=graph", _NODES, size=(1100, 700)),
    Shot("timeline", "/runs/{training}?view=timeline", _BARS, size=(1100, 560)),
    Shot("lineage", "/lineage?artifact={model}", _NODES, size=(1280, 620)),
)


def shots() -> list[Shot]:
    made = list(_ALONE)
    for name, path, shown in _PAGES:
        made += [
            Shot(f"{name}-light", path, shown),
            Shot(f"{name}-dark", path, shown, scheme="dark"),
            Shot(f"{name}-chinese", path, shown, language="zh-CN"),
            Shot(f"{name}-phone", path, shown, size=_PHONE),
        ]
    return made


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, help="Take those whose name has this in it; may be given several times.")
@click.option("--docs", is_flag=True, help="Take those that the documentation shows.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Directory of the pictures.")
def main(only: tuple[str, ...], docs: bool, to: Path | None) -> None:
    all_of_them = _DOCUMENTED if docs else shots()
    chosen = [shot for shot in all_of_them if not only or any(part in shot.name for part in only)]
    if not chosen:
        raise click.UsageError(f"no picture's name has {' or '.join(only)} in it")
    to = to or _ROOT / ("docs/pictures" if docs else "build/screenshots")
    to.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="penstock-screenshots-"))
    try:
        with Embedded(scratch / "full") as full, Embedded(scratch / "empty") as empty:
            with Client(full.grpc) as client:
                ids = shown_runs.made(client, full.data_dir)
            asyncio.run(_take(chosen, to, scratch / "profile", {False: full.http, True: empty.http}, ids))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _take(
    chosen: Sequence[Shot], to: Path, profile: Path, servers: Mapping[bool, str], ids: Mapping[str, str]
) -> None:
    async with browser(profile) as page:
        for shot in chosen:
            await page.resize(*shot.size)
            address = servers[shot.empty]
            # What a reader has chosen is kept in the browser, for each server.
            await page.open(f"{address}/icon.svg")
            await page.evaluate(
                f"localStorage.setItem('mantine-color-scheme-value', '{shot.scheme}');"
                f"localStorage.setItem('penstock-language', '\"{shot.language}\"')"
            )
            await page.open(address + shot.path.format(**ids))
            await page.until(shot.shown)
            await _still(page)
            file = to / f"{shot.name}.png"
            file.write_bytes(await page.picture())
            click.echo(f"{file}: {file.stat().st_size / 1000:.0f} kB")


async def _still(page: Page) -> None:
    """Waits until nothing moves and nothing is asked for any more."""
    await page.until("document.getAnimations().every((one) => one.playState !== 'running')")
    await page.until("!document.body.innerText.includes('Loading…') && !document.body.innerText.includes('加载中')")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


if __name__ == "__main__":
    main()
