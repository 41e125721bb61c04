"""The directory for temporary files and sockets of this user's tasks, in a place that is shared with other users.

Why not in the data directory: programs make sockets there, whose names have 108 bytes.

Invariants: it is made with a name that nobody could foresee, for this user alone, and is looked at before each use: a
directory, not a link, of our own, which nobody else may enter. One that is anything else is never used again. Executors
of one work directory share it: its name is kept there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

from penstock_executor.artifacts.untrusted_files import read_untrusted

_NAME = ".temporary"
_PATH_BYTES = 4096


def private_temporary(work_dir: Path) -> Path:
    """Raises OSError when none can be made."""
    record = work_dir / _NAME
    known = _known(record)
    if known is not None:
        return known
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="penstock-"))
    part = work_dir / f"{_NAME}-{secrets.token_hex(8)}"
    part.write_text(str(made))
    if os.path.lexists(record):
        # A cleaner of temporary files removed its directory, or that is not safe to use.
        part.replace(record)
        return made
    try:
        os.link(part, record)
    except FileExistsError:
        # Another executor was faster.
        made.rmdir()
    finally:
        part.unlink()
    return _known(record) or made


def temporary_of_run(work_dir: Path, run_id: str) -> Path:
    """Raises OSError."""
    return private_temporary(work_dir) / hashlib.sha256(f"{work_dir}/{run_id}".encode()).hexdigest()[:12]


def _known(record: Path) -> Path | None:
    try:
        directory = Path(read_untrusted(record, _PATH_BYTES).decode())
        status = directory.lstat()
    except (OSError, ValueError):
        return None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    return directory if ours and directory.is_absolute() else None
