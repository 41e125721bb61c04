"""The program's end, read from a directory into which the program can write, too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import ProcessExit
from penstock_executor.agent.share import Share

WRITTEN = {
    "code": 3,
    "signal": 0,
    "errno": 0,
    "command": "",
    "started_at": 1,
    "finished_at": 2,
    "reason": "",
    "log_bytes": 5,
}


def test_what_the_wrapper_writes_is_read(tmp_path: Path) -> None:
    assert Share(tmp_path).read_exit() is None
    (tmp_path / "exit").write_text(json.dumps(WRITTEN))
    assert Share(tmp_path).read_exit() == ProcessExit(3, started_at=1, finished_at=2, log_bytes=5)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "0"},
        {"code": 256},
        {"code": None},
        {"signal": 200},
        {"errno": -1},
        {"log_bytes": 2**63},
        {"command": 1},
        {"started_at": "now"},
        {"later": 1},
    ],
)
def test_what_the_wrapper_cannot_have_written_is_none(
    tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "exit").write_text(json.dumps({**WRITTEN, **change}))
    assert Share(tmp_path).read_exit() is None
    assert "was not written by the wrapper" in capsys.readouterr().err


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "deep"])
def test_no_file_of_the_programs_holds_the_reader_up(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "exit"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        (tmp_path / "elsewhere").write_text(json.dumps(WRITTEN))
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "directory":
        place.mkdir()
    else:
        place.write_text("[" * 10_000)
    assert Share(tmp_path).read_exit() is None


@pytest.mark.timeout(10)
def test_a_wrapper_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    """Neither when its mark never came, nor when somebody holds what lies in its place."""
    known, tell = os.pipe()
    share = Share(tmp_path, wrapper_ended=known)
    os.write(tell, b"x")
    assert not share.wait_for_wrapper()
    os.mkfifo(tmp_path / "alive")
    held = os.open(tmp_path / "alive", os.O_RDWR | os.O_NONBLOCK)
    assert share.wait_for_wrapper()
    (tmp_path / "exit").write_text(json.dumps(WRITTEN))
    assert share.wait_for_end() == ProcessExit(3, started_at=1, finished_at=2, log_bytes=5)
    for file in (known, tell, held):
        os.close(file)
