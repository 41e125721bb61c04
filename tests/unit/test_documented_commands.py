"""Commands that the documentation shows exist: programs, subcommands, options, variables, metrics.

Why: a page that names an option which was renamed sends its reader into an error. What can be run is run elsewhere
(`tests/e2e/test_guide.py`, `tests/unit/test_contributing.py` for targets of make); this looks at every line of code,
those that need a cluster included. Invariant: options are looked up in the commands themselves, not in a list.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from penstock.cli.main import main as penstock
from penstock_executor.main import main as penstock_executor
from penstock_server.main import main as penstock_server

from tools import reference_metrics

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "README.md"]
    # Tells of what was, too.
    if path.name != "CHANGELOG.md"
)
PROGRAMS = {"penstock": penstock, "penstock-server": penstock_server, "penstock-executor": penstock_executor}
# Of the agent in a Pod, of stores' keys, of tests, the Makefile and Compose: no option stands behind them.
OTHER_VARIABLES = re.compile(
    r"PENSTOCK_(TASK_\d|STORE_(S3|MINIO|GS|AZ)_\w+|IMAGE|IMAGE_LOAD|BASE|BASE_ARCHIVE|TEST_IMAGE|CLUSTER_UP|FAULT_\w+)$"
)
_BLOCK = re.compile(r"^ *```(.*)\n((?:.*\n)*?) *```$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")
# Where a shell begins a command, or another program runs one: `kubectl exec … --`, `xargs`.
_START = re.compile(
    r"(?:^|[|;&(]|\bdo\b| -- |\bxargs\b[-\w ]*?) *(?:[A-Z_]+=\S+ +)*(?:\.venv/bin/)?"
    r"(penstock(?:-server|-executor)?)(?= |$)"
)
_END = {"|", "||", "&&", "&", ";", ">", "#"}


def code(text: str) -> Iterator[str]:
    """Lines of blocks, those that go on joined, and spans. Graphs are no commands."""
    for language, block in _BLOCK.findall(text):
        if language != "mermaid":
            yield from block.replace("\\\n", " ").splitlines()
    yield from (" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("", text)))


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command of ours in a line of shell."""
    for match in _START.finditer(line):
        try:
            words = shlex.split(line[match.start(1) :].replace(")", " ) "), comments=True)
        except ValueError:
            continue
        found = []
        for word in words:
            if word in (*_END, ")"):
                break
            found.append(word)
        yield found


def variables(command: click.Command) -> Iterator[str]:
    """Of a program's options and of those of all its commands."""
    for option in command.params:
        if isinstance(option.envvar, str):
            yield option.envvar
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from variables(below)


def wrong(words: list[str]) -> str:
    """What a command has that its program does not know; empty when there is nothing."""
    program, *rest = words
    command: click.Command = PROGRAMS[program]
    for word in rest:
        name = word.partition("=")[0]
        if name.startswith("--"):
            known = {opt for option in command.params for opt in (*option.opts, *option.secondary_opts)}
            if name not in known and name not in ("--help", "--version"):
                return f"{command.name} has no {name}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word):
            below = command.get_command(click.Context(command), word)
            if below is not None:
                command = below
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_of_shown_commands_exist(page: Path) -> None:
    shown = [words for line in code(page.read_text("utf-8")) for words in commands(line)]
    assert [f"{' '.join(words)}: {found}" for words in shown if (found := wrong(words))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_exist(page: Path) -> None:
    known = {variable for program in PROGRAMS.values() for variable in variables(program)}
    text = "\n".join(code(page.read_text("utf-8")))
    named = set(re.findall(r"\bPENSTOCK_[A-Z_0-9]*[A-Z0-9]", text))
    assert [one for one in sorted(named - known) if not OTHER_VARIABLES.match(one)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_metrics_exist(page: Path) -> None:
    known = set(re.findall(r"`(penstock_\w+)`", reference_metrics.page()))
    named = set(
        re.findall(r"\bpenstock_(?:runs|rpc|database|schedule|run_events|executor)_\w+", page.read_text("utf-8"))
    )
    packages = {one for one in named if (ROOT / "executor" / one).exists()}
    assert [one for one in sorted(named - packages) if re.sub(r"_(bucket|sum|count)$", "", one) not in known] == []


def test_commands_were_found() -> None:
    found = [words for page in PAGES for line in code(page.read_text("utf-8")) for words in commands(line)]
    assert len(found) > 100


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("penstock runs list --limit 3", ""),
        ("RUN=$(penstock run a.yaml --watch) && penstock up --no-such", "up has no --no-such"),
        ("penstock-server db --data-dir here current", ""),
        ("penstock-server db --artifacts here current", "db has no --artifacts"),
        ("penstock runs logs RUN --follow | grep --count x", ""),
    ],
)
def test_what_is_wrong_with_a_command(line: str, complaint: str) -> None:
    assert [found for words in commands(line) if (found := wrong(words))] == ([complaint] if complaint else [])


def test_the_page_of_metrics_is_what_the_programs_answer() -> None:
    assert reference_metrics.PAGE.read_text("utf-8") == reference_metrics.page(), "run `make reference`"
