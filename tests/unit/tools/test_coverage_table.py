"""The table of `make coverage` counts every file of a package once, and knows all files there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.coverage_table import PACKAGES, table

ROOT = Path(__file__).resolve().parents[3]


def report(path: Path, files: dict[str, tuple[int, int]]) -> Path:
    """Statements and how many of them ran, by file."""
    found = {name: {"summary": {"num_statements": count, "covered_lines": ran}} for name, (count, ran) in files.items()}
    path.write_text(json.dumps({"files": found}))
    return path


def test_files_add_up_to_packages(tmp_path: Path) -> None:
    files = {f"{directory}/module.py": (10, 10) for directory in PACKAGES}
    files["server/penstock_server/rpc/server.py"] = (1990, 1490)
    lines = table(report(tmp_path / "report.json", files)).splitlines()
    assert lines[2:4] == ["| `penstock` | 10 | 100.0 % |", "| `penstock_server` | 2,000 | 75.0 % |"]
    assert len(lines) == 2 + len(PACKAGES)


def test_a_file_of_no_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="elsewhere"):
        table(report(tmp_path / "report.json", {"elsewhere/module.py": (1, 1)}))


def test_its_packages_are_there() -> None:
    assert [directory for directory in PACKAGES if not (ROOT / directory / "__init__.py").exists()] == []
