"""Where a password of `penstock up` goes: to the server alone, and to nobody who lists the machine's processes.

Linux: `/proc/PID/cmdline` is for everybody to read, `/proc/PID/environ` for the process's own user.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from tools.embedded import Embedded


def test_a_database_with_a_password_is_on_no_command_line_and_not_with_the_executor(tmp_path: Path) -> None:
    """SQLite takes no password; what is looked for is the URL, wherever it would go."""
    url = f"sqlite:///{tmp_path}/hunter2.db"
    with Embedded(tmp_path / "data", environment={"PENSTOCK_DATABASE": url}) as up:
        assert (tmp_path / "hunter2.db").exists(), "the server uses it"
        assert up.process is not None
        children = psutil.Process(up.process.pid).children(recursive=True)
        lines = {" ".join(child.cmdline()): child.environ() for child in children}
    assert [line for line in lines if "hunter2" in line] == []
    (server,) = [variables for line, variables in lines.items() if "penstock_server.main" in line]
    assert server["PENSTOCK_DATABASE"] == url
    executors = [variables for line, variables in lines.items() if "penstock_executor.main" in line]
    assert executors
    assert [one for one in executors if "hunter2" in " ".join(one.values())] == []
