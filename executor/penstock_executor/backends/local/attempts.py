"""The directory of one attempt: what is on disk is what any executor can find out about it.

Invariants: `claim` says that somebody started it, and which fork server; `pid` that it reached its own code; `exit`
how it ended. They appear in that order and never change. An attempt with a claim is never started again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_executor.backends.base import AttemptKey


@dataclass(frozen=True, slots=True)
class Exit:
    """`code` or `signal` of the process, `error` when it could not be started at all. Time in milliseconds."""

    at: int
    code: int | None = None
    signal: int | None = None
    error: str = ""


class AttemptDirectory:
    def __init__(self, work_dir: Path, key: AttemptKey) -> None:
        slug = hashlib.sha256(key.path.encode()).hexdigest()[:16]
        self.path = work_dir / key.run_id / slug / str(key.attempt)

    @property
    def outputs(self) -> Path:
        return self.path / "outputs"

    @property
    def working(self) -> Path:
        return self.path / "cwd"

    def prepare(self) -> None:
        self.outputs.mkdir(parents=True, exist_ok=True)
        self.working.mkdir(exist_ok=True)

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
        return Exit(document["at"], document.get("code"), document.get("signal"), document.get("error", ""))

    def spawn_error(self) -> tuple[str, str] | None:
        """(command, reason) when there was no such program."""
        document = self._read("spawn-error")
        return (document["command"], document["reason"]) if document else None

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
