"""The table of `make coverage`: for each package, the number of statements and the share that tests ran.

It reads the JSON report of coverage.py. A statement counts as run if any process ran it: pytest, or a program that a
test started and that exited by itself. A process that was killed reports nothing.

Example: python -m tools.coverage_table build/coverage/report.json
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

PACKAGES = {
    "clients/python/penstock": "penstock",
    "server/penstock_server": "penstock_server",
    "executor/penstock_executor": "penstock_executor",
    "executor/penstock_ir": "penstock_ir",
    "executor/penstock_store": "penstock_store",
    "executor/penstock_kube": "penstock_kube",
    "tools": "tools",
}


def table(report: Path) -> str:
    """In Markdown. Raises KeyError for a file of no package."""
    statements: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for file, found in json.loads(report.read_text())["files"].items():
        directory = next((one for one in PACKAGES if Path(file).is_relative_to(one)), file)
        statements[PACKAGES[directory]] += found["summary"]["num_statements"]
        ran[PACKAGES[directory]] += found["summary"]["covered_lines"]
    lines = ["| package | statements | run by tests |", "|---|---|---|"]
    for package in PACKAGES.values():
        share = 100 * ran[package] / statements[package]
        lines.append(f"| `{package}` | {statements[package]:,} | {share:.1f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
