"""The directory of one attempt, whose files tell any executor how far the attempt is.

Invariants: `claim` says that it was started, and by which fork server; `pid` that its process reached its own code;
`exit` how it ended. They appear in that order, and fork servers never change them. An attempt with a claim is never
started again.

A task is the same user as we are and can write all of these. So they are read as what a stranger sends: bounded, never
blocking, no links followed; what no fork server writes counts as missing, and no time lies outside of the attempt.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from penstock_executor.artifacts.untrusted_files import read_untrusted
from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.local.processes import began_after, leads_session, start_time
from penstock_executor.backends.local.temporary import temporary_of_run
from penstock_executor.backends.trees import remove_tree, remove_trees

_FILE_BYTES = 1024 * 1024
_TEXT = 4096


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
    """Raises OSError when no place for temporary files can be made."""

    def __init__(self, work_dir: Path, key: AttemptKey) -> None:
        self._work_dir = work_dir
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
        """Raises OSError."""
        attempts = self.path.parent
        # Of all attempts of a run but the first, what lies above is there.
        try:
            _make(attempts)
        except FileNotFoundError:
            for directory in (attempts.parent.parent, attempts.parent, attempts):
                _make(directory)
        for directory in (self.path, self.outputs, self.working):
            _make(directory)
        try:
            _make(self.temporary)
        except FileNotFoundError:
            _make(self.temporary.parent, 0o700)
            _make(self.temporary)

    def clear(self) -> None:
        """Removes what only the running task needed."""
        own = (self.environment, self.working, self.scratch, self.inputs)
        remove_trees(self.path, [directory.name for directory in own], below=self._work_dir)
        remove_tree(self.temporary, below=self.temporary.parents[1])

    @property
    def is_claimed(self) -> bool:
        return os.path.lexists(self.path / "claim")

    def claim(self) -> bool:
        """Claims it for nobody, so that no fork server starts it any more. False when it was claimed before.

        Raises OSError.
        """
        try:
            os.close(os.open(self.path / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return False
        return True

    def claimed_by(self) -> Path | None:
        """The socket of the fork server that started it; None when there is none in a place for such sockets."""
        try:
            socket = Path(read_untrusted(self.path / "claim", _FILE_BYTES).decode())
        except (OSError, ValueError):
            return None
        ours = socket.suffix == ".sock" and socket.parent in (self._work_dir, self.temporary.parents[1])
        return socket if ours else None

    def started_at(self) -> int:
        """In milliseconds since the epoch, as the file says; at most now. 0 when nothing says it."""
        try:
            status = (self.path / "claim").lstat()
        except OSError:
            return 0
        # Only the system sets the second.
        return max(0, int(min(status.st_mtime, status.st_ctime, time.time()) * 1000))

    def exit(self) -> Exit | None:
        """None when it has not ended, or nobody wrote down how."""
        return self.exit_of(self._read("exit"))

    def exit_of(self, document: object) -> Exit | None:
        """`document` is what a fork server says; None when it is none of these."""
        if not isinstance(document, dict):
            return None
        code, number, error = document.get("code"), document.get("signal"), document.get("error")
        if not error and code == 1:
            error = (self._read("not-begun") or {}).get("error")
        now = millis()
        at = document.get("at")
        at = at if _is_number(at, now + 1) and at >= self.started_at() else now
        if isinstance(error, str) and error:
            return Exit(at, error=error[:_TEXT])
        if _is_number(code, 256):
            return Exit(at, code=code)
        return Exit(at, signal=number) if _is_number(number, 128) and number else None

    def spawn_error(self) -> SpawnError | None:
        document = self._read("spawn-error")
        if document is None:
            return None
        # A fork server of an earlier release says no number.
        command, reason, number = document.get("command"), document.get("reason"), document.get("errno", 0)
        if not isinstance(command, str) or not isinstance(reason, str) or not _is_number(number, 4096):
            return None
        return SpawnError(command[:_TEXT], reason[:_TEXT], number)

    def live_pid(self) -> int | None:
        """The process of the attempt, if it is that one and still there."""
        document = self._read("pid") or {}
        pid, start = document.get("pid"), document.get("start")
        if not _is_number(pid, 2**31) or not _is_number(start, 2**63) or pid < 2:
            return None
        # Signals go to no other session, and to nothing that was there before the attempt.
        known = start_time(pid) == start and leads_session(pid) and began_after(start, self.started_at() / 1000)
        return pid if known else None

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            document = json.loads(read_untrusted(self.path / name, _FILE_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None


def _make(directory: Path, mode: int = 0o777) -> None:
    """Raises OSError, unless the directory is there."""
    try:
        os.mkdir(directory, mode)  # noqa: PTH102 - a dozen for each task
    except FileExistsError:
        if not directory.is_dir():
            raise


def millis() -> int:
    """Now, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _is_number(value: object, limit: int) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < limit
