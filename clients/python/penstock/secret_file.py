"""Secrets in files, which are replaced while programs run: what executors prove themselves with.

Why a file: an option or a variable is seen by whoever lists processes, and cannot be changed without a restart.

Invariants: a file that was replaced is read anew with the next use, and when it cannot be used the secrets before count
no more: they may have been taken out because somebody else knows them. A secret is never part of an error.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from penstock.watched_files import Watched

MIN_LENGTH = 16


class SecretFile:
    """The secrets of a file, one a line, the first one being the newest. Thread-safe.

    Raises OSError, ValueError that says what is wrong with the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watched = Watched("secrets", [path], self._read, keep=False, interval=0, retry=0)

    def secrets(self) -> tuple[str, ...]:
        """At least one. Raises OSError, ValueError that says what is wrong with the file."""
        return self._watched.current()

    def newest(self) -> str:
        """Raises OSError, ValueError."""
        return self.secrets()[0]

    def _read(self) -> tuple[str, ...]:
        try:
            text = self._path.read_bytes().decode("ascii")
        except UnicodeDecodeError:
            raise ValueError(f"{self._path} holds something else than ASCII text") from None
        found = tuple(line for line in map(str.strip, text.splitlines()) if line)
        if not found:
            raise ValueError(f"{self._path} is empty")
        if any(len(one) < MIN_LENGTH for one in found):
            raise ValueError(f"{self._path} has a line of fewer than {MIN_LENGTH} characters")
        if not all(one.isprintable() and " " not in one for one in found):
            raise ValueError(f"{self._path} has a line with spaces or control characters")
        return found


def make_secret(path: Path) -> None:
    """Writes a new secret that only this user can read, unless the file is there already. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
