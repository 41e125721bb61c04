"""Prose is read in lines of at most 120 characters; tables, code and links that stand alone go on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 120


def long_lines(path: str, text: str) -> Iterator[str]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if path.endswith(".md"):
            fenced ^= line.strip().startswith("```")
            if fenced or line.startswith("|") or " " not in line.strip():
                continue
        if len(line) > MOST:
            yield f"{path}:{number}: {len(line)} characters"


def test_no_line_of_prose_is_too_long() -> None:
    """What is Python is the linter's."""
    listed = subprocess.run(["git", "ls-files", "*.md", "*.c"], cwd=ROOT, capture_output=True, check=True)
    paths = listed.stdout.decode().split()
    assert len(paths) > 40
    assert [line for path in paths for line in long_lines(path, (ROOT / path).read_text("utf-8"))] == []


def test_what_counts_as_prose() -> None:
    long = "word " * 30
    assert [*long_lines("a.md", f"{long}\n| {long}\n```\n{long}\n```\n{'x' * 130}\n")] == ["a.md:1: 150 characters"]
    assert [*long_lines("a.c", f"// {long}")] == ["a.c:1: 153 characters"]
