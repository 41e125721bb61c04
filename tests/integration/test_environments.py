"""Task environments between executors that die while they make one."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from penstock_executor.backends.local import environments
from penstock_executor.backends.local.environments import EnvironmentFailedError, TaskEnvironments

from tests.support.wheels import wheel
from tools.testing import runs

MAKE = """
import asyncio, sys
from pathlib import Path
from penstock_executor.backends.local import environments
from penstock_executor.backends.local.environments import TaskEnvironments

asyncio.run(TaskEnvironments(Path(sys.argv[1]), sys.argv[2], {}).get(()))
"""
# Stands for `python -m venv TARGET` of a Python that brings no wheels. Asked for a second time, it does not wait.
INTERPRETER = """#!/bin/sh
[ "$1" = -m ] || exit 1
echo begin >> {place}/said
mkdir {place}/busy || echo "two at a time" >> {place}/said
mkdir -p "$3"
[ -e {place}/second ] || {{ > {place}/second; while [ ! -e {place}/go ]; do echo > "$3/file-$$"; sleep 0.01; done; }}
rmdir {place}/busy
echo end >> {place}/said
"""


# A Python as Debian ships it without python3-venv.
WITHOUT_PIP = """#!/bin/sh
case "$3" in *ensurepip*) exit 1 ;; esac
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  echo "The virtual environment was not created successfully because ensurepip is not available."
  exit 1
fi
exec {python} "$@"
"""


def said_by(python: Path, program: str) -> str:
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def entries(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]


def has_open(process: subprocess.Popen[str], file: Path) -> bool:
    """Whether the process got as far as opening the file."""
    return any(Path(one.path) == file for one in psutil.Process(process.pid).open_files())


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
            runs.until(lambda: second.poll() is not None or has_open(second, lock), bool)
            (tmp_path / "go").touch()
            _, errors = second.communicate(timeout=60)
        finally:
            (tmp_path / "go").touch()
    assert said.read_text().split("\n") == ["begin", "end", "begin", "end", ""]
    assert second.returncode == 0, errors


async def test_the_lock_is_free_when_the_environment_is_there(tmp_path: Path) -> None:
    await TaskEnvironments(tmp_path, sys.executable, {"PATH": os.defpath}).get(())
    (lock,) = tmp_path.glob("*.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_a_python_without_ensurepip_does(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(WITHOUT_PIP.format(python=sys.executable))
    python.chmod(0o755)
    environment = await TaskEnvironments(tmp_path / "environments", str(python), {"PATH": os.defpath}).get(())
    made = environment / "bin" / "python"
    assert said_by(made, "import sys; print(sys.prefix)") == str(made.parents[1])


async def test_pip_is_there_at_once_and_compiled_when_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()
    pause = asyncio.sleep

    async def until_asked(seconds: float) -> None:
        await (go.wait() if seconds == environments._COMPILE_AFTER_SECONDS else pause(seconds))

    monkeypatch.setattr(asyncio, "sleep", until_asked)
    made = TaskEnvironments(tmp_path, sys._base_executable, {"PATH": os.defpath})  # type: ignore[attr-defined]
    plain = await made.get(())
    assert not list(plain.glob("lib/*/site-packages/pip/**/*.pyc"))
    program = "import pip, sys; print(pip.__file__.startswith(sys.prefix))"
    assert said_by(plain / "bin" / "python", f"import sys; sys.dont_write_bytecode = True; {program}") == "True"
    go.set()
    while (whole := await made.get(())) == plain:
        await pause(0.01)
    modules = [path for path in entries(whole / "lib") if path.suffix == ".py"]
    assert modules
    assert [path for path in modules if not Path(importlib.util.cache_from_source(str(path))).exists()] == []
    assert said_by(whole / "bin" / "python", program) == "True"
    # Whoever comes later takes the whole one.
    assert await TaskEnvironments(tmp_path, sys._base_executable, {"PATH": os.defpath}).get(()) == whole  # type: ignore[attr-defined]


async def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho the disk is full\nexit 1\n")
    python.chmod(0o755)
    environments = TaskEnvironments(tmp_path / "environments", str(python), {"PATH": os.defpath})
    with pytest.raises(EnvironmentFailedError, match="the disk is full"):
        await environments.get(())


class Interpreter:
    """Stands for a Python that makes environments; each waits until it may end, and `fails` or not."""

    def __init__(self, place: Path, *, fails: bool = False) -> None:
        self.said, self.go = place / "said", place / "go"
        self.path = place / "python"
        self.said.touch()
        end = "echo no such thing; exit 1" if fails else "exit 0"
        self.path.write_text(
            '#!/bin/sh\n[ "$1" = -m ] || exit 1\n'
            f'echo $$ >> {self.said}\nmkdir -p "$3"\nwhile [ ! -e {self.go} ]; do sleep 0.01; done\n{end}\n'
        )
        self.path.chmod(0o755)

    def begun(self) -> list[int]:
        return [int(pid) for pid in self.said.read_text().split()]

    async def has_begun(self, count: int) -> None:
        while len(self.begun()) < count:
            await asyncio.sleep(0.01)


async def test_what_cannot_be_made_is_tried_once_for_all(tmp_path: Path) -> None:
    python = Interpreter(tmp_path, fails=True)
    environments = TaskEnvironments(tmp_path / "environments", str(python.path), {"PATH": os.defpath})

    waiting = asyncio.gather(*(environments.get(()) for _ in range(12)), return_exceptions=True)
    await python.has_begun(1)
    python.go.touch()
    answers = await waiting
    with pytest.raises(EnvironmentFailedError, match="no such thing"):
        await environments.get(())
    assert all(isinstance(one, EnvironmentFailedError) for one in answers)
    assert len(python.begun()) == 1


async def test_what_nobody_waits_for_is_not_made(tmp_path: Path) -> None:
    python = Interpreter(tmp_path)
    environments = TaskEnvironments(tmp_path / "environments", str(python.path), {"PATH": os.defpath})

    waiting = [asyncio.create_task(environments.get(())) for _ in range(2)]
    await python.has_begun(1)
    (pid,) = python.begun()
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    assert psutil.pid_exists(pid)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    # Whoever comes now begins anew, and is not taken along by the end of the first.
    again = asyncio.create_task(environments.get(()))
    await python.has_begun(2)
    assert not psutil.pid_exists(pid)
    python.go.touch()
    assert (await again / "complete").exists()


async def test_a_bounded_number_is_made_at_a_time(tmp_path: Path) -> None:
    python = Interpreter(tmp_path)
    environments = TaskEnvironments(tmp_path / "environments", str(python.path), {"PATH": os.defpath}, builds=2)

    wanted = [{"PIP_INDEX_URL": f"https://index.example/{number}"} for number in range(5)]
    waiting = asyncio.gather(*(environments.get((), one) for one in wanted))
    await python.has_begun(2)
    for _ in range(20):
        await asyncio.sleep(0.01)
    begun = len(python.begun())
    python.go.touch()
    await waiting
    assert begun == 2
    assert len(python.begun()) == 5


async def test_settings_for_pip_hold(tmp_path: Path) -> None:
    """Packages come from a directory, and no index is asked."""
    wheels = [tmp_path / "empty", tmp_path / "wheels"]
    wheels[0].mkdir()
    wheel(wheels[1], "only_here", "1.0")
    base = {"PATH": os.defpath, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": " ".join(map(str, wheels))}
    # What is not there is not asked for again.
    base["UV_HTTP_RETRIES"] = "0"
    environments = TaskEnvironments(tmp_path / "environments", sys.executable, base)
    made = await environments.get((("only-here",),))
    assert said_by(made / "bin" / "python", "import only_here; print(only_here.__name__)") == "only_here"
    with pytest.raises(EnvironmentFailedError, match="not-there") as failed:
        await environments.get((("--find-links", "https://somebody:secret@127.0.0.1:9/", "not-there"),))
    assert "secret" not in str(failed.value)


async def test_nothing_is_shared_with_the_installers_cache(tmp_path: Path) -> None:
    """What is written into a file of one must not be there for others that install the same."""
    wheel(tmp_path / "wheels", "only_here", "1.0")
    base = {"PATH": os.defpath, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    base["UV_CACHE_DIR"] = str(tmp_path / "cache")
    made = await TaskEnvironments(tmp_path / "environments", sys.executable, base).get((("only-here",),))
    assert any(path.name == "only_here.py" for path in entries(made))
    assert {path.stat().st_nlink for path in entries(made)} == {1}


async def test_all_of_one_is_compiled(tmp_path: Path) -> None:
    """Otherwise each task would compile what it imports, for itself."""
    wheel(tmp_path / "wheels", "only_here", "1.0")
    base = {"PATH": os.defpath, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    made = await TaskEnvironments(tmp_path / "environments", sys.executable, base).get((("only-here",),))
    modules = [path for path in entries(made / "lib") if path.suffix == ".py"]
    assert modules
    assert [path for path in modules if not Path(importlib.util.cache_from_source(str(path))).exists()] == []


async def test_its_files_are_read_only_where_tasks_see_them_themselves(tmp_path: Path) -> None:
    environments = TaskEnvironments(tmp_path / "environments", sys.executable, {"PATH": os.defpath})
    writable = await environments.get(())
    environments.make_read_only()
    made = await environments.get(())
    assert made != writable
    assert any(path.stat().st_mode & 0o200 for path in entries(writable))
    assert [path for path in entries(made / "lib") if path.stat().st_mode & 0o222] == []


async def test_the_configuration_of_pip_holds(tmp_path: Path) -> None:
    """As it does for what a task installs by itself; what the command names outweighs it."""
    wheel(tmp_path / "wheels", "only_here", "1.0")
    (file := tmp_path / "pip.conf").write_text(
        f"[global]\nfind-links =\n    {tmp_path / 'wheels'}\nindex-url = http://127.0.0.1:9/configured/simple\n"
    )
    base = {"PATH": os.defpath, "PIP_CONFIG_FILE": str(file), "UV_HTTP_RETRIES": "0"}
    environments = TaskEnvironments(tmp_path / "environments", sys.executable, base)
    made = await environments.get((("only-here", "--no-index"),))
    assert said_by(made / "bin" / "python", "import only_here; print(only_here.version)") == "1.0"
    with pytest.raises(EnvironmentFailedError, match=r"127\.0\.0\.1:9/configured/simple"):
        await environments.get((("not-there",),))
    with pytest.raises(EnvironmentFailedError, match=r"127\.0\.0\.1:9/named/simple"):
        await environments.get((("--index-url", "http://127.0.0.1:9/named/simple", "not-there"),))
