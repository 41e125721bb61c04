"""The rows of tables in which pages of docs/ say what holds: cell by cell, what proves a row last."""

from __future__ import annotations

from pathlib import Path

_DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows(page: str, *heads: str) -> list[list[str]]:
    """Of all tables of the page but their heads, which begin with one of `heads`, and lines between in bold."""
    return [
        [cell.strip() for cell in line.strip("|\n").split(" | ")]
        for line in (_DOCS / page).read_text().splitlines()
        if line.startswith("| ") and not line.startswith((*(f"| {head} " for head in heads), "| **"))
    ]
