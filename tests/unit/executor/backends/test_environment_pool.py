"""An environment is reused only if it was not changed, and only an attempt's own files are removed."""

from __future__ import annotations

import os
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from penstock_executor.backends.local.attempt_environment import is_untouched, make
from penstock_executor.backends.local.environment_pool import EnvironmentPool
from penstock_executor.backends.trees import remove_tree


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("seed")
    venv.create(directory, symlinks=True)
    return directory


def packages(path: Path) -> Path:
    return next(path.glob("lib/python*/site-packages"))


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    elsewhere = path.with_name(f"{path.name}-elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def lead_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/bin/true")


CHANGES: list[Callable[[Path], object]] = [
    lambda path: (packages(path) / "planted.py").write_text(""),
    lambda path: (path / "bin" / "planted").symlink_to("python"),
    lambda path: (path / "lib" / "planted").mkdir(),
    lambda path: (path / "pyvenv.cfg").write_text("include-system-site-packages = true\n"),
    lambda path: replace_by_pipe(path / "pyvenv.cfg"),
    lambda path: replace_by_link(path / "pyvenv.cfg"),
    lambda path: (path.parent / "other").hardlink_to(path / "pyvenv.cfg"),
    lambda path: packages(path).chmod(0o500),
    lambda path: (path / "bin" / "pip").chmod(0o644),
    lambda path: (path / "bin" / "pip").unlink(),
    lambda path: lead_elsewhere(path / "bin" / "python"),
    remove_tree,
]


@pytest.mark.parametrize("change", CHANGES)
def test_one_that_was_changed_is_not_used_again(seed: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    pool = EnvironmentPool(tmp_path / "pool", 4)
    pool.open()
    first, second = tmp_path / "first", tmp_path / "second"
    pool.take(first, seed, seed)
    assert is_untouched(first, seed, seed)
    change(first)
    assert not is_untouched(first, seed, seed)
    pool.give_back(first, seed, seed)
    assert list((tmp_path / "pool").iterdir()) == []
    pool.take(second, seed, seed)
    assert is_untouched(second, seed, seed)


def test_one_that_was_left_alone_is_used_again_unless_it_changes_there(seed: Path, tmp_path: Path) -> None:
    pool = EnvironmentPool(tmp_path / "pool", 4)
    pool.open()
    pool.take(tmp_path / "first", seed, seed)
    inode = (tmp_path / "first").stat().st_ino
    pool.give_back(tmp_path / "first", seed, seed)
    pool.take(tmp_path / "second", seed, seed)
    assert (tmp_path / "second").stat().st_ino == inode
    pool.give_back(tmp_path / "second", seed, seed)
    (waiting,) = (tmp_path / "pool").iterdir()
    (packages(waiting) / "late.py").write_text("")
    pool.take(tmp_path / "third", seed, seed)
    assert is_untouched(tmp_path / "third", seed, seed)


def test_a_bounded_number_waits(seed: Path, tmp_path: Path) -> None:
    pool = EnvironmentPool(tmp_path / "pool", 2)
    pool.open()
    for number in range(4):
        make(tmp_path / str(number), seed, seed)
        pool.give_back(tmp_path / str(number), seed, seed)
    assert len(list((tmp_path / "pool").iterdir())) == 2


def test_those_of_a_kind_that_nobody_wants_any_more_make_room(seed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make(other, seed, seed)
    pool = EnvironmentPool(tmp_path / "pool", 2)
    pool.open()
    for name in ("first", "second"):
        make(tmp_path / name, seed, seed)
        pool.give_back(tmp_path / name, seed, seed)
    for name in ("third", "fourth", "fifth"):
        make(tmp_path / name, other, seed)
        pool.give_back(tmp_path / name, other, seed)
    assert len(list((tmp_path / "pool").iterdir())) == 2
    made = tmp_path / "sixth"
    inodes = {path.stat().st_ino for path in (tmp_path / "pool").iterdir()}
    pool.take(made, other, seed)
    assert made.stat().st_ino in inodes


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "inner").mkdir(parents=True)
    (shared / "inner").chmod(0o755)
    (tmp_path / "link").symlink_to(shared)
    remove_tree(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert (shared / "inner").stat().st_mode & 0o777 == 0o755
