"""The directory of one attempt, whose files tell any executor how far the attempt is.

Invariants: `claim` says that it was started, and by which fork server; `pid` that its process reached its own code;
`exit` how it ended. They appear in that order and never change. An attempt with a claim is never started again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_executor.attempts import AttemptKey


@dataclass(frozen=True, slots=True)
class Exit:
    """`code` or `signal` of the process, `error` when it could not be started at all. Time in milliseconds."""

    at: int
    code: int | None = None
    signal: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class SpawnError:
    """Why the command of a task could not be started: `number` is the kernel's."""

    command: str
    reason: str
    number: int = 0


class AttemptDirectory:
    """Raises OSError when the place for temporary files is somebody else's."""

    def __init__(self, work_dir: Path, key: AttemptKey) -> None:
        slug = hashlib.sha256(key.path.encode()).hexdigest()[:16]
        self.path = work_dir / key.run_id / slug / str(key.attempt)
        self.temporary = temporary_of_run(work_dir, key.run_id) / f"{slug[:8]}-{key.attempt}"
        """For temporary files, under a short name: programs make sockets there, whose names have 108 bytes."""

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def working(self) -> Path:
        """The task's working directory, and its HOME."""
        return self.path / "cwd"

    @property
    def environment(self) -> Path:
        """Its Python environment."""
        return self.path / "env"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def scratch(self) -> Path:
        """What the task wrote into its inputs."""
        return self.path / "scratch"

    @property
    def workspace(self) -> Path:
        """The run's."""
        return self.path.parents[1] / "workspace"

    def prepare(self) -> None:
        self.outputs.mkdir(parents=True, exist_ok=True)
        self.temporary.parent.mkdir(exist_ok=True)
        for directory in (self.working, self.temporary):
            directory.mkdir(exist_ok=True)

    def clear(self) -> None:
        """Removes what only the running task needed."""
        for directory in (self.environment, self.working, self.temporary, self.scratch, self.inputs):
            remove_tree(directory)

    def claimed_by(self) -> str | None:
        """The fork server's socket path, None when nobody started the attempt."""
        try:
            return (self.path / "claim").read_text()
        except FileNotFoundError:
            return None

    def started_at(self) -> int:
        try:
            return int((self.path / "claim").stat().st_mtime * 1000)
        except OSError:
            return 0

    def exit(self) -> Exit | None:
        document = self._read("exit")
        if document is None:
            return None
        error = document.get("error") or (self._read("not-begun") or {}).get("error", "")
        return Exit(document["at"], document.get("code"), document.get("signal"), error)

    def spawn_error(self) -> SpawnError | None:
        document = self._read("spawn-error")
        if document is None:
            return None
        # A fork server of an earlier release says no number.
        return SpawnError(document["command"], document["reason"], document.get("errno", 0))

    def live_pid(self) -> int | None:
        """The process of the attempt, if it is that one and still there."""
        document = self._read("pid")
        if document is None:
            return None
        pid = int(document["pid"])
        return pid if _start_time(pid) == document["start"] and _exists(pid) else None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            document = json.loads((self.path / name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None


def private_temporary() -> Path:
    """A directory for temporary files that only this user can enter. Raises OSError when it is somebody else's."""
    directory = Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise OSError(errno.EACCES, "it belongs to somebody else; remove it or set TMPDIR", str(directory))
    return directory


def temporary_of_run(work_dir: Path, run_id: str) -> Path:
    """Raises OSError."""
    return private_temporary() / hashlib.sha256(f"{work_dir}/{run_id}".encode()).hexdigest()[:12]


def remove_tree(path: Path) -> None:
    """Removes a directory and all that a task left in it, also what nobody may enter. What cannot go stays."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for directory, names, _ in os.walk(path):
            for inner in (Path(directory) / name for name in names):
                if not inner.is_symlink():
                    with contextlib.suppress(OSError):
                        inner.chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)


def _start_time(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
