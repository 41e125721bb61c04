"""The end of a log, whatever lies in its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from penstock_executor.agent.tail import TAIL_BYTES, log_tail

CASES = {
    "nothing": (b"", ""),
    "a line": (b"one\n", "one"),
    "no end of a line": (b"one\ntwo", "one\ntwo"),
    "many lines": (b"".join(b"%d\n" % number for number in range(100)), "\n".join(map(str, range(80, 100)))),
    "a long line": (b"x" * 5000 + b"\n", "x" * (TAIL_BYTES - 1)),
    "a character that is cut": ("ä".encode() * 1024 + b"\n", "ä" * 1023),
    "no text": (b"a\xff\0b\n", "a\ufffd\ufffdb"),
}


@pytest.mark.parametrize(("content", "tail"), CASES.values(), ids=CASES)
def test_of_a_file(tmp_path: Path, content: bytes, tail: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert log_tail(log) == tail


def test_of_a_file_without_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(2**40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    assert log_tail(log).split("\n")[-1] == "last"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["none", "fifo", "link", "directory", "device"])
def test_of_what_is_no_file(tmp_path: Path, kind: str) -> None:
    log = tmp_path / "log"
    if kind == "fifo":
        os.mkfifo(log)
    elif kind == "link":
        (tmp_path / "secret").write_text("secret")
        log.symlink_to(tmp_path / "secret")
    elif kind == "directory":
        log.mkdir()
    elif kind == "device":
        log = Path("/dev/zero")
    assert log_tail(log) == ""
