"""The rows of docs/semantics.md, cell by cell: the topic first, what proves it last."""

from __future__ import annotations

from pathlib import Path

ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in (Path(__file__).resolve().parents[2] / "docs" / "semantics.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| topic", "| **"))
]
