"""docs/security.md: every promise names tests, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.tables import rows

ROOT = Path(__file__).resolve().parents[2]
ACTORS = "actor"
PROMISES = [row for row in rows("security.md", "promise", ACTORS) if "`tests/" in row[-1]]
OTHERS = [row for row in rows("security.md", "promise", ACTORS) if "`tests/" not in row[-1]]


def _section(title: str) -> str:
    return (ROOT / "docs/security.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_table_was_read() -> None:
    assert len(PROMISES) > 30


def test_what_has_no_proof_is_no_promise() -> None:
    """Rows without one are those of the actors."""
    actors = [line for line in _section("Who is meant").splitlines() if line.startswith("| ")]
    assert len(OTHERS) == len(actors) - 1


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: row[0][:60])
def test_every_promise_is_proved_by_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[^`]+)`", row[-1])
    assert named
    for one in named:
        file, _, test = one.partition("::")
        assert (ROOT / file).is_file(), file
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), one


def test_every_promise_is_made_once() -> None:
    promises = [row[0] for row in PROMISES]
    assert sorted(promises) == sorted(set(promises))
