"""What CONTRIBUTING.md, the pages under docs/ and the workflow of GitHub name is there: targets, files, names in them.

Why: a recipe that leads to a file that was moved costs its reader more than none. Invariant: what is checked is what
stands in code spans and code blocks; prose is prose.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tools.bench.__main__ import MEASURES

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
MEASUREMENTS = ROOT / "docs" / "measurements.md"
WHERE = ROOT / "docs" / "where.md"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
DECISIONS = sorted(path for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "README.md")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HEADINGS = ["Context", "Decision", "Measured", "Not taken", "When to look again"]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
PATH = re.compile(r"(?:\.ci|\.github|api|clients|deploy|docs|executor|server|tests|tools)/[\w./-]*[\w/]")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


def code(text: str) -> list[str]:
    """Spans and blocks of code, each on one line."""
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [" ".join(one.split()) for one in (*blocks, *spans)]


def paths(text: str) -> set[Path]:
    """Files and directories that code names; NAME stands for one that is still to be made."""
    found = {path for one in code(text) for path in PATH.findall(one) if one.startswith(path) or " " in one}
    return {ROOT / path for path in found if "NAME" not in path}


def steps() -> Iterator[tuple[str, str]]:
    """The numbered steps of the recipes and the rows of docs/where.md, with where they are."""
    for row in re.findall(r"^\| (.*) \| .*`.* \|$", WHERE.read_text(), re.MULTILINE):
        yield f"where {row}", next(line for line in WHERE.read_text().splitlines() if line.startswith(f"| {row} |"))
    recipes = CONTRIBUTING.read_text().split("\n## Recipes\n")[1].split("\n## ")[0]
    for recipe in recipes.split("\n### ")[1:]:
        title, _, body = recipe.partition("\n")
        for number, step in re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^\S|\Z)", body, re.MULTILINE | re.DOTALL):
            yield f"{title}, {number}", step


STEPS = dict(steps())


def texts(path: Path) -> Iterator[str]:
    for one in path.rglob("*") if path.is_dir() else [path]:
        if one.is_file() and one.suffix in (".py", ".c", ".md", ".toml", ".yaml", ".proto", ""):
            yield one.read_text(errors="replace")


def commands() -> list[str]:
    """What the workflow runs."""
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_targets_that_pages_name_exist(page: Path) -> None:
    named = {target for one in code(page.read_text()) for target in MAKE.findall(one)}
    assert named <= TARGETS


@pytest.mark.parametrize("page", [CONTRIBUTING, MEASUREMENTS, WHERE, *DECISIONS], ids=lambda page: page.stem)
def test_paths_that_pages_name_exist(page: Path) -> None:
    named = paths(page.read_text())
    assert [path for path in named if not path.exists()] == []
    assert named


def test_the_recipes_were_read() -> None:
    recipes = [place for place in STEPS if not place.startswith("where ")]
    assert len({place.partition(",")[0] for place in recipes}) == 6
    assert len(recipes) > 30
    assert len(STEPS) - len(recipes) > 20


@pytest.mark.parametrize("place", STEPS)
def test_names_in_a_step_are_in_the_files_it_names(place: str) -> None:
    files = paths(STEPS[place])
    content = "\n".join(text for path in files for text in texts(path))
    named = [one for one in code(STEPS[place]) if re.fullmatch(r"[A-Za-z_]{3,}", one) and not (ROOT / one).exists()]
    assert [one for one in named if not re.search(rf"\b{one}\b", content)] == []


def test_the_table_has_every_target_that_tests() -> None:
    table = "\n".join(line for line in CONTRIBUTING.read_text().splitlines() if line.startswith("| `make "))
    wanted = {one for one in TARGETS if one.startswith(("test", "fuzz")) or one.endswith("-check")}
    assert wanted <= set(MAKE.findall(table))


def test_measurements_name_parts_of_the_bench() -> None:
    text = MEASUREMENTS.read_text()
    parts = set(re.findall(r"--only (\w+)", text))
    assert parts == MEASURES.keys()
    for file, name in re.findall(r"pytest -s (\S+) -k (\w+)", text):
        assert re.search(rf"def test_\w*{name}", (ROOT / file).read_text()), name


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_all_that_one_has_to(page: Path) -> None:
    assert re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) == HEADINGS
    title = page.read_text().splitlines()[0].removeprefix("# ")
    assert f"[{title}]({page.name})" in (page.parent / "README.md").read_text()


def test_the_workflow_runs_what_exists() -> None:
    for command in commands():
        subprocess.run(["bash", "-n"], input=command, text=True, check=True)
        assert set(MAKE.findall(command)) <= TARGETS, command
        assert [path for path in PATH.findall(command) if not (ROOT / path).exists()] == [], command
    assert any("make test-unit" in command for command in commands())


def test_the_workflow_says_what_it_leaves_out() -> None:
    """Of the gate's steps, each is run or named in the comment at its top."""
    comment = "\n".join(line for line in WORKFLOW.read_text().splitlines() if line.startswith("#"))
    said = f"{comment}\n{' '.join(commands())}"
    gate = set(MAKE.findall((ROOT / ".ci" / "run").read_text()))
    left_out = {
        "test-wheels": "the wheels",
        "demo": "the demo",
        "conformance": "compiled pipelines",
        "image": "docker build",
    }
    assert [one for one in gate if f"make {one}" not in said and left_out.get(one, one) not in said] == []
