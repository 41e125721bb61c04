"""The pages of docs/guide and docs/admin, carried out: what a reader types works, and comes to what the page shows.

A page is one session in a directory of its own. A `python` block is a file, named in its first line; a `sh` block is
run by bash, with the variables of the blocks before it; a `text` block behind a `sh` block has lines of what that
printed, in their order. Ids, times and URIs of files are compared by their form, widths of columns not at all. A `py`
block is of another system and has to be Python, a `yaml` or `json` block has to be that; a `console` block starts a
server or needs a cluster, and is not run. The pages name the addresses that `penstock up` has unless told otherwise;
the test's server has others, which take their places, and its data directory is that of commands that name none.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from tools import debian
from tools.embedded import Embedded

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(
    (page for page in (*DOCS.glob("guide/*.md"), *DOCS.glob("admin/*.md")) if "```" in page.read_text("utf-8")),
    key=lambda page: -page.stat().st_size,
)
"""Those that have blocks, the longest first, so that none is waited for at the end."""
TOKEN = {"WAREHOUSE_TOKEN": "a token of the test"}
Session: TypeAlias = "Future[subprocess.CompletedProcess[str]]"
_BLOCK = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
_NAMED = re.compile(r"# ([\w-]+\.py)\n")
_END = "=== the end of a block ==="
_FORMS = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d[:-]\d\d[:-]\d\dZ?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s)\b"), "TOOK"),
    (re.compile(r"file://\S+"), "URI"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Block:
    """`language` is empty where the fence names none."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(page.read_text("utf-8"))]


def file_of(block: Block) -> str:
    named = _NAMED.match(block.text)
    assert named, f"a python block does not name its file:\n{block.text}"
    return named.group(1)


def name_of(page: Path) -> str:
    return f"{page.parent.name}-{page.stem}"


def form(line: str) -> str:
    for pattern, word in _FORMS:
        line = pattern.sub(word, line)
    return line.strip()


def missing(wanted: Sequence[str], printed: Sequence[str]) -> str:
    """The first line that was not printed behind those before it; empty when all were."""
    rest = iter([form(line) for line in printed])
    return next((line for line in wanted if form(line) not in rest), "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """As the guide's first page starts it."""
    debian.require("curl")
    debian.require("jq")
    options = ["--parallelism", "4", "--pass-env", "WAREHOUSE_TOKEN"]
    with Embedded(
        tmp_path_factory.mktemp("guide") / "data", *options, environment=TOKEN, environments=environments
    ) as embedded:
        yield embedded


def carry_out(page: Path, server: Embedded, directory: Path) -> subprocess.CompletedProcess[str]:
    """The session of a page, which ends with the first command that fails."""
    directory.mkdir()
    script = ["set -eu -o pipefail"]
    for block in blocks(page):
        text = block.text.replace("127.0.0.1:8888", server.http.removeprefix("http://"))
        if block.language == "python":
            (directory / file_of(block)).write_text(text)
        elif block.language == "sh":
            script += [text, f"printf '\n%s\n' '{_END}'"]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={
            **os.environ, "PATH": programs, "PENSTOCK_SERVER": server.grpc, "PENSTOCK_DATA_DIR": str(server.data_dir),
            "PYTHONWARNINGS": "ignore",
        }, timeout=200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sessions(server: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Path, Session]]:
    """Of all pages, two at a time."""
    directory = tmp_path_factory.mktemp("pages")
    with ThreadPoolExecutor(2) as pool:
        yield {page: pool.submit(carry_out, page, server, directory / name_of(page)) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_comes_to_what_it_shows(page: Path, sessions: dict[Path, Session]) -> None:
    done = sessions[page].result()
    assert done.returncode == 0, f"{page.name}: a command failed:\n{done.stdout[-3000:]}"
    printed = iter(done.stdout.split(_END)[:-1])
    every = blocks(page)
    for block, after in zip(every, [*every[1:], Block("", "")], strict=True):
        said = next(printed) if block.language == "sh" else ""
        if block.language == "sh" and after.language == "text":
            lost = missing(after.text.splitlines(), said.splitlines())
            assert not lost, f"{page.name}: {block.text}\nshows\n{lost}\nand printed\n{said}"
    assert not [*printed]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    every = blocks(page)
    assert page.read_text("utf-8").count("```") == 2 * len(every)
    assert {block.language for block in every} <= {"python", "sh", "text", "py", "yaml", "json", "console"}
    shell = "".join(block.text for block in every if block.language == "sh")
    python = "".join(block.text for block in every if block.language == "python")
    for before, block in zip([Block("", ""), *every[:-1]], every, strict=True):
        if block.language == "text":
            assert before.language == "sh", f"nothing prints:\n{block.text}"
        elif block.language == "py":
            compile(block.text, page.name, "exec")
        elif block.language in ("yaml", "json"):
            assert [*yaml.safe_load_all(block.text)] != [None]
        elif block.language == "python":
            name = file_of(block)
            assert name in shell or f"from {name.removesuffix('.py')} import" in python, f"nothing runs {name}"


def test_what_is_shown_is_compared() -> None:
    printed = ["run 6f1d4f8e-3b1c-4d0e-9c55-0a7c51e8a001 FAILED", "train  SUCCEEDED  12 ms", "the end"]
    assert missing(["run 00000000-0000-0000-0000-000000000000 FAILED", "the end"], printed) == ""
    assert missing(["train SUCCEEDED 1.5 s"], printed) == ""
    assert missing(["train FAILED 12 ms"], printed) == "train FAILED 12 ms"
    assert missing(["the end", "train SUCCEEDED 12 ms"], printed) == "train SUCCEEDED 12 ms"
    assert missing(["run 1 FAILED"], printed) == "run 1 FAILED"
