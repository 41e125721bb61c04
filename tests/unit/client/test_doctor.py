"""What `penstock doctor` says of a data directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from penstock.cli.doctor import _directory


@pytest.mark.parametrize(("mode", "warned"), [(0o700, False), (0o755, True), (0o710, True), (0o702, True)])
def test_a_data_directory_that_others_may_enter(tmp_path: Path, mode: int, warned: bool) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(mode)
    found = {finding.check: finding for finding in _directory(directory)}
    assert ("rights of the data directory" in found) == warned
    if warned:
        assert found["rights of the data directory"].level == "warn"
        assert f"chmod 700 {directory}" in found["rights of the data directory"].advice


def test_one_that_is_not_there_yet(tmp_path: Path) -> None:
    assert {finding.check for finding in _directory(tmp_path / "none")} == {"data directory", "free space"}
