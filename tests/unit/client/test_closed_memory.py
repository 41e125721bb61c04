"""Programs whose memory is closed: another process of the same user cannot read their variables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import penstock.closed_memory
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such switch")

# Root reads everything, so both processes are of another user then.
USER: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
READ = "import sys; sys.stdout.write(open(f'/proc/{sys.argv[1]}/environ').read())"


@pytest.mark.parametrize("closed", [False, True])
def test_variables_are_read_by_nobody(closed: bool) -> None:
    source = Path(penstock.closed_memory.__file__).read_text()
    source += ("close_memory()\n" if closed else "") + "print('ready', flush=True); sys.stdin.read()\n"
    # A Python that any user may start.
    python = "/usr/bin/python3"
    with subprocess.Popen(
        [python, "-c", source],
        env={"PASSWORD": "secret"},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **USER,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        reading = subprocess.run(
            [python, "-c", READ, str(holder.pid)],
            check=False,
            cwd="/",
            capture_output=True,
            text=True,
            **USER,
        )
        holder.kill()
    assert ("PASSWORD=secret" in reading.stdout) != closed
    assert ("PermissionError" in reading.stderr) == closed


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("penstock_server.main", "serve"),
        ("penstock_executor.main", "serve"),
        ("penstock.cli.up", "_locked"),
    ],
)
def test_our_programs_close_theirs_first(module: str, call: str) -> None:
    """Before they begin their work."""
    import ast
    import importlib

    tree = ast.parse(Path(str(importlib.import_module(module).__file__)).read_text())
    name = "up" if call == "_locked" else "main"
    (function,) = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    called = [ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call)]
    lines = {ast.unparse(one.func): one.lineno for one in ast.walk(function) if isinstance(one, ast.Call)}
    assert {"close_memory", call} <= set(called)
    assert lines["close_memory"] < lines[call]
