"""docs/semantics.md: every row is proved by something that exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.semantics import ROWS

ROOT = Path(__file__).resolve().parents[2]
NAMES = {one["name"] for one in json.loads((ROOT / "tests/pipelines/index.json").read_text())["pipelines"]}


def test_the_table_was_read() -> None:
    assert len(ROWS) > 40


def test_every_topic_has_one_row() -> None:
    """Two would say two things."""
    topics = [row[0] for row in ROWS]
    assert sorted(topics) == sorted(set(topics))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_is_proved(row: list[str]) -> None:
    """By something that whoever reads the row has: no pipelines of elsewhere."""
    proof = row[-1].rstrip("| ")
    assert "corpus" not in proof
    named = re.findall(r"`([^`]+)`", proof)
    for name in named:
        if name.startswith("tests/"):
            assert (ROOT / name).exists(), name
        else:
            assert name in NAMES, f"no pipeline {name}"
    assert named or "the simulation" in proof, f"nothing proves {row[0]!r}"


def test_every_pipeline_proves_something() -> None:
    text = (ROOT / "docs" / "semantics.md").read_text()
    unused = {name for name in NAMES if f"`{name}`" not in text}
    assert unused <= {"after_only", "nested_pipelines", "ignore_upstream_failure", "wine_quality"}
