"""Task environments between executors that die while they make one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from penstock_executor.backends.local.environments import TaskEnvironments

from tests.support import runs

MAKE = """
import asyncio, sys
from pathlib import Path
from penstock_executor.backends.local.environments import TaskEnvironments

asyncio.run(TaskEnvironments(Path(sys.argv[1]), sys.argv[2], {}).get(()))
"""
# Stands for `python -m venv TARGET`. Asked for a second time, it does not wait.
INTERPRETER = """#!/bin/sh
echo begin >> {place}/said
mkdir {place}/busy || echo "two at a time" >> {place}/said
mkdir -p "$3"
[ -e {place}/second ] || {{ > {place}/second; while [ ! -e {place}/go ]; do echo > "$3/file-$$"; sleep 0.01; done; }}
rmdir {place}/busy
echo end >> {place}/said
"""


def blocked_on(lock: Path) -> bool:
    """Whether somebody waits for the file's lock (proc_locks(5))."""
    inode = lock.stat().st_ino
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and line.split()[6].endswith(f":{inode}") for line in lines)


def test_what_a_dead_executor_left_running_is_waited_for(tmp_path: Path) -> None:
    python, environments, said = tmp_path / "python", tmp_path / "environments", tmp_path / "said"
    python.write_text(INTERPRETER.format(place=tmp_path))
    python.chmod(0o755)
    command = [sys.executable, "-c", MAKE, str(environments), str(python)]
    first = subprocess.Popen(command)
    runs.until(lambda: (tmp_path / "second").exists(), bool)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
        try:
            (lock,) = environments.glob("*.lock")
            runs.until(
                lambda: blocked_on(lock) or second.poll() is not None or said.read_text().count("begin") > 1, bool
            )
            (tmp_path / "go").touch()
            _, errors = second.communicate(timeout=60)
        finally:
            (tmp_path / "go").touch()
    assert said.read_text().split("\n") == ["begin", "end", "begin", "end", ""]
    assert second.returncode == 0, errors


def test_the_lock_is_free_when_the_environment_is_there(tmp_path: Path) -> None:
    async def make() -> Path:
        return await TaskEnvironments(tmp_path, sys.executable, {"PATH": os.defpath}).get(())

    asyncio.run(make())
    (lock,) = tmp_path.glob("*.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
