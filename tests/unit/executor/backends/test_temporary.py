"""The directory for temporary files of tasks, in a place where others may have made something first."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from penstock_executor.backends.local.temporary import private_temporary


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "shared"
    made.mkdir(mode=0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


def test_it_is_ours_alone_and_stays_the_same(tmp_path: Path, shared: Path) -> None:
    made = private_temporary(tmp_path / "work")
    assert made.parent == shared
    assert stat.S_IMODE(made.lstat().st_mode) == 0o700
    assert private_temporary(tmp_path / "work") == made
    assert private_temporary(tmp_path / "other") != made


def _by_link(made: Path, other: Path) -> None:
    made.rmdir()
    made.symlink_to(other)


@pytest.mark.parametrize(
    "change",
    [
        _by_link,
        lambda made, other: made.chmod(0o755),
        lambda made, other: made.chmod(0o770),
        lambda made, other: (made.rmdir(), made.write_text("")),
        lambda made, other: made.rmdir(),
        pytest.param(
            lambda made, other: os.chown(made, 65534, 65534),
            marks=pytest.mark.skipif(os.getuid() != 0, reason="gives a directory to another user"),
        ),
    ],
)
def test_one_that_is_not_safe_is_left(tmp_path: Path, change: Callable[[Path, Path], object]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    made = private_temporary(tmp_path / "work")
    change(made, other)
    later = private_temporary(tmp_path / "work")
    assert later != made
    assert private_temporary(tmp_path / "work") == later
    assert not list(other.iterdir())


def test_nothing_is_used_that_lay_there_before(tmp_path: Path, shared: Path) -> None:
    """As the name that could be foreseen, made by another user."""
    (shared / f"penstock-{os.getuid()}").mkdir(mode=0o777)
    assert private_temporary(tmp_path / "work") != shared / f"penstock-{os.getuid()}"


@pytest.mark.parametrize("record", ["", "relative", "/", "\0", "/nowhere", "x" * 100_000])
def test_a_damaged_record(tmp_path: Path, shared: Path, record: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / ".temporary").write_text(record)
    assert private_temporary(work).parent == shared
