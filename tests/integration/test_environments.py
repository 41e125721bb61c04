"""Task environments between executors that die while they make one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from penstock_executor.backends.local.environments import EnvironmentFailedError, TaskEnvironments

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


# A Python as Debian ships it without python3-venv.
WITHOUT_PIP = """#!/bin/sh
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  echo "The virtual environment was not created successfully because ensurepip is not available."
  exit 1
fi
exec {python} "$@"
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


def test_a_python_without_ensurepip_does(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(WITHOUT_PIP.format(python=sys.executable))
    python.chmod(0o755)

    async def make() -> Path:
        return await TaskEnvironments(tmp_path / "environments", str(python), {"PATH": os.defpath}).get(())

    made = asyncio.run(make()) / "bin" / "python"
    assert subprocess.run(
        [made, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True
    ).stdout.strip() == str(made.parents[1])


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho the disk is full\nexit 1\n")
    python.chmod(0o755)
    environments = TaskEnvironments(tmp_path / "environments", str(python), {"PATH": os.defpath})
    with pytest.raises(EnvironmentFailedError, match="the disk is full"):
        asyncio.run(environments.get(()))


def test_settings_for_pip_hold(tmp_path: Path) -> None:
    """Packages come from a directory, and no index is asked."""
    wheels = [tmp_path / "empty", tmp_path / "wheels"]
    for directory in wheels:
        directory.mkdir()
    with zipfile.ZipFile(wheels[1] / "only_here-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("only_here.py", "found = True\n")
        wheel.writestr("only_here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: only-here\nVersion: 1.0\n")
        wheel.writestr(
            "only_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("only_here-1.0.dist-info/RECORD", "")
    base = {"PATH": os.defpath, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": " ".join(map(str, wheels))}
    environments = TaskEnvironments(tmp_path / "environments", sys.executable, base)
    made = asyncio.run(environments.get((("only-here",),)))
    subprocess.run([made / "bin" / "python", "-c", "import only_here"], check=True)
    with pytest.raises(EnvironmentFailedError, match="not-there"):
        asyncio.run(environments.get((("not-there",),)))
