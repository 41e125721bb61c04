"""The directory of one attempt: its files as its container sees them, and what says that it was begun.

Invariants: `claim` is made once, right before the container; an attempt that has one is never begun again. Everything
in it may be written by any user, since the program's is not ours.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from penstock_executor.agent.outputs import PodFiles
from penstock_executor.attempts import AttemptKey
from penstock_executor.pod_paths import SHARED, WORKSPACE

WORKSPACE_NAME = "workspace"


class AttemptDirectory:
    def __init__(self, home: Path, key: AttemptKey) -> None:
        self.run = home / key.run_id
        slug = hashlib.sha256(key.path.encode()).hexdigest()[:16]
        self.path = self.run / slug / str(key.attempt)
        self.share = self.path / "share"
        self.log = self.share / "log"
        self.surroundings = PodFiles(self.path / "files", self.share)

    @property
    def workspace(self) -> Path:
        """Of the run; all its attempts have it."""
        return self.run / WORKSPACE_NAME

    def on_host(self, place: str) -> Path:
        """Where a path of the container is here."""
        return Path(self.surroundings.path(place))

    def prepare(self, *, workspace: bool) -> None:
        """Raises OSError."""
        self.share.mkdir(parents=True, exist_ok=True)
        self.share.chmod(0o777)
        if workspace:
            self.workspace.mkdir(exist_ok=True)
            self.workspace.chmod(0o777)
            link = self.on_host(WORKSPACE)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(self.workspace)

    def place(self, path: str) -> Path:
        """The directory that is mounted at `path`, made. Raises OSError."""
        made = self.on_host(path)
        made.mkdir(parents=True, exist_ok=True)
        made.chmod(0o777)
        return made

    def claim(self) -> bool:
        """False when somebody begun the attempt before. Raises OSError."""
        try:
            os.close(os.open(self.path / "claim", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    @property
    def claimed(self) -> bool:
        return (self.path / "claim").exists()


def shared_place(path: str) -> str | None:
    """The one of the places that task and agent share under which `path` lies."""
    return next((place for place in SHARED if path == place or path.startswith(f"{place}/")), None)
