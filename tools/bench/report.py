"""Shows the rows of a benchmark as a table and keeps them as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.bench.result import Row


def show(rows: Sequence[Row], report: Path) -> None:
    """Prints the rows and writes them to `report`, whose directory is made."""
    console = Console()
    table = Table("measurement", "value", "unit", "target", "", box=None)
    for row in rows:
        verdict = "" if row.holds is None else "[green]holds[/green]" if row.holds else "[red]missed[/red]"
        table.add_row(row.name, f"{row.value:,.2f}", row.unit, row.target, verdict)
    console.print(table)
    keep(rows, report)
    console.print(f"report: {report}")


def keep(rows: Sequence[Row], report: Path) -> None:
    """Writes the rows to `report`, whose directory is made."""
    report.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    document = {"at": int(time.time()), **machine, "rows": [asdict(row) for row in rows]}
    report.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
