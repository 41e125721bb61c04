"""Whoever misses a program is told its name and what installs it; nobody but root on Debian installs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import debian
from tools.programs import GROUPS


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory that is the whole of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian, "_POSTGRESQL", tmp_path / "postgresql")
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


def test_what_is_missing_is_said_with_what_installs_it(nothing_installed: Path) -> None:
    with pytest.raises(RuntimeError, match="mariadbd is not installed; `make test-programs` installs it"):
        debian.require("mariadbd")
    made = program(nothing_installed / "mariadbd")
    assert debian.require("mariadbd") == made


def test_the_newest_postgresql_is_found_off_the_path(nothing_installed: Path) -> None:
    places = [program(nothing_installed / "postgresql" / version / "bin" / "initdb") for version in ("9", "15", "17")]
    assert debian.require("initdb") == places[-1]


def test_who_cannot_install_is_told_what_to_install(nothing_installed: Path) -> None:
    """There is no apt-get on this path, whoever runs the test."""
    with pytest.raises(RuntimeError, match=r"not installed: initdb, mariadbd.*install mariadb-server postgresql"):
        debian.install(["initdb", "mariadbd"])
    program(nothing_installed / "initdb")
    with pytest.raises(RuntimeError, match=r"not installed: mariadbd\. "):
        debian.install(["initdb", "mariadbd"])


def test_nothing_is_done_when_all_is_there(nothing_installed: Path) -> None:
    program(nothing_installed / "mariadbd")
    debian.install(["mariadbd"])
    assert [one.name for one in nothing_installed.iterdir()] == ["mariadbd"]


def test_every_program_that_is_installed_has_a_package() -> None:
    assert {program for group in GROUPS.values() for program in group.debian} == debian.PACKAGES.keys()
