"""`penstock up`: what can be tested without starting processes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from penstock.cli import up


def test_the_data_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with up._locked(tmp_path / "data"):
            assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    finally:
        os.umask(before)
