"""Secrets in files: what is read, what is refused without telling it, and what changes while a program runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from penstock.secret_file import SecretFile, make_secret

ONE, OTHER = "one-secret-of-executors", "other-secret-of-executors"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(ONE, (ONE,)), (f"\n{ONE}\r\n\n {OTHER} \n", (ONE, OTHER))],
    ids=["without a line's end", "lines with space around"],
)
def test_one_a_line(tmp_path: Path, content: str, wanted: tuple[str, ...]) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    assert SecretFile(tmp_path / "key").secrets() == wanted


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"too short", "fewer than 16"),
        (ONE.encode() + b"\nshort\n", "fewer than 16"),
        (b"\xff" * 20, "ASCII"),
        (b"two words in one line", "spaces"),
        (b"sixteen\x00characters", "control characters"),
    ],
)
def test_what_is_no_secret(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        SecretFile(tmp_path / "key").secrets()
    assert ONE not in str(caught.value)


def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "1").write_text(ONE)
    (tmp_path / "2").write_text(OTHER)
    link = tmp_path / "key"
    link.symlink_to("1")
    file = SecretFile(link)
    assert file.newest() == ONE
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(link)
    assert file.newest() == OTHER
    link.unlink()
    with pytest.raises(FileNotFoundError):
        file.newest()


def test_a_secret_is_made_once_and_for_one_user(tmp_path: Path) -> None:
    make_secret(tmp_path / "key")
    made = (tmp_path / "key").read_text()
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert len(made.strip()) >= 40
    make_secret(tmp_path / "key")
    assert (tmp_path / "key").read_text() == made
    make_secret(tmp_path / "another")
    assert (tmp_path / "another").read_text() != made
