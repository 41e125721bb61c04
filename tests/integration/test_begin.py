"""A command that begins without a fork of the fork server is what it is when it is forked."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.backends.local.connection import PROGRAM

from tools.testing import runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no such program for other systems")

WORDS_TOO_LONG = "x" * (resource.getpagesize() * 32)
TOLD = 'echo "$0 $1"; pwd; echo "$ONLY"; umask; ls /proc/self/fd | wc -l; cat /proc/self/sessionid'
# Without the two that are the C library's own: nobody else sees or sets them, and who spawns a process ignores them.
SIGNALS = (
    "sed -nE 's/^Sig(Blk|Ign):.*(.{8})$/0x\\2/p' /proc/self/status |"
    " while read mask; do echo $((mask & 0x7fffffff)); done"
)


class ForkServer:
    """One at a socket of its own, and the connection to it."""

    def __init__(self, program: Path, place: Path) -> None:
        self.place = place
        path = place / "socket"
        # As a shell without a terminal starts what is to run in the background.
        ignoring = ["sh", "-c", "trap '' INT QUIT USR1; exec \"$@\"", "sh"]
        self.process = subprocess.Popen([*ignoring, sys.executable, "-I", program, path], stderr=subprocess.PIPE)
        runs.until(path.exists, bool)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")

    def outcome(self, name: str, **task: Any) -> tuple[Any, str, dict[str, Any], list[str]]:
        """Exit, log, what was written down besides, and what else lies in the attempt's directory."""
        directory = self.place / name
        (directory / "cwd").mkdir(parents=True)
        given = {"cwd": str(directory / "cwd"), "env": {"PATH": os.defpath}, "view": None, **task}
        message = {"op": "launch", "id": name, "dir": str(directory), "log": str(directory / "log"), **given}
        self.socket.sendall(json.dumps(message).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        while answer["event"] != "exited":
            answer = json.loads(self.lines.readline())
        pid = json.loads((directory / "pid").read_text())
        assert pid["pid"] > 1
        assert pid["start"] > 0
        said = {
            one.name: json.loads(one.read_text())
            for one in directory.iterdir()
            if one.name in ("spawn-error", "not-begun")
        }
        del answer["exit"]["at"]
        log = directory / "log"
        text = log.read_text().replace(str(directory), "DIRECTORY") if log.exists() else ""
        return answer["exit"], text, said, sorted(one.name for one in directory.iterdir())

    def close(self) -> None:
        self.lines.close()
        self.socket.close()
        self.process.terminate()
        self.process.communicate()


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[ForkServer, ForkServer]]:
    """One that has the program, and one that has to fork."""
    alone = tmp_path / "program" / PROGRAM.name
    alone.parent.mkdir()
    shutil.copy(PROGRAM, alone)
    servers = []
    try:
        for program, name in ((PROGRAM, "begins"), (alone, "forks")):
            (tmp_path / name).mkdir()
            servers.append(ForkServer(program, tmp_path / name))
        yield servers[0], servers[1]
    finally:
        for server in servers:
            server.close()


def commands(place: Path) -> dict[str, dict[str, Any]]:
    """Tasks by name."""
    for name in ("first", "second"):
        (place / name).mkdir()
        (place / name / "tool").write_text(f"#!/bin/sh\necho {name}\n")
    (place / "second" / "tool").chmod(0o755)
    (place / "first" / "plain").write_text("")
    path = {"PATH": f"{place / 'first'}::{place / 'missing'}:{place / 'second'}:{os.defpath}"}
    lower = place / "lower"
    lower.mkdir()
    (lower / "cached").write_text("cached")
    over = {"overlays": [[str(lower), str(lower), None]], "through": []}
    return {
        "told": {"argv": ["sh", "-c", TOLD, "zero", 'one\n"'], "env": {"ONLY": "this", **path}},
        "signals": {"argv": ["sh", "-c", SIGNALS]},
        "fails": {"argv": ["sh", "-c", "echo out; echo err >&2; exit 7"]},
        "killed": {"argv": ["sh", "-c", "kill -9 $$"]},
        "found later": {"argv": ["tool"], "env": path},
        "here": {"argv": ["./nothing"]},
        "missing": {"argv": ['no "such"\n\\ command é']},
        "forbidden": {"argv": ["plain"], "env": path},
        "no program": {"argv": [str(place / "first")]},
        "too long": {"argv": ["true", WORDS_TOO_LONG]},
        "writes": {
            "argv": ["sh", "-c", f"cat {lower}/cached; echo changed > {lower}/cached; cat {lower}/cached"],
            "view": over,
        },
        "no view": {"argv": ["true"], "view": {"overlays": [[str(place / "gone"), str(lower), None]], "through": []}},
    }


def test_both_ways_do_the_same(both: tuple[ForkServer, ForkServer], tmp_path: Path) -> None:
    begins, forks = both
    tasks = commands(tmp_path)
    first = {name: begins.outcome(name, **task) for name, task in tasks.items()}
    second = {name: forks.outcome(name, **task) for name, task in tasks.items()}
    # What is told of it is worded by each.
    for exit_, _, said, _ in (first.pop("no view"), second.pop("no view")):
        assert exit_ == {"code": 1}
        assert list(said) == ["not-begun"]
    assert first == second
    assert first["signals"][1] == "0\n0\n"
    assert first["found later"][:2] == ({"code": 0}, "second\n")
    assert first["forbidden"][2]["spawn-error"]["reason"] == "Permission denied"
    assert first["missing"][2]["spawn-error"]["reason"] == "not found"
    assert first["writes"][1] == "cachedchanged\n"
    assert (tmp_path / "lower" / "cached").read_text() == "cached"


def test_without_a_working_directory_nothing_begins(both: tuple[ForkServer, ForkServer], tmp_path: Path) -> None:
    exit_, _, said, _ = both[0].outcome("nowhere", argv=["true"], cwd=str(tmp_path / "gone"))
    assert exit_ == {"code": 1}
    assert said["not-begun"]["error"] == "its working directory cannot be entered: No such file or directory"


def is_called(pid: int, name: str) -> bool:
    return Path(f"/proc/{pid}/comm").read_text().startswith(name)


def test_nothing_of_a_fork_server_is_copied(both: tuple[ForkServer, ForkServer]) -> None:
    """Otherwise it costs what it did: the program is there, and is what began the command."""
    begins, forks = both
    for server, expected in ((begins, "begin-"), (forks, "python")):
        # The name of the process before it becomes the command, which cannot be started.
        fifo = server.place / "fifo"
        os.mkfifo(fifo)
        (server.place / "held" / "cwd").mkdir(parents=True)
        message = {
            "op": "launch",
            "id": "held",
            "dir": str(server.place / "held"),
            "log": str(fifo),
            "view": None,
            "cwd": "/",
            "env": {"PATH": os.defpath},
            "argv": ["true"],
        }
        server.socket.sendall(json.dumps(message).encode() + b"\n")
        started = json.loads(server.lines.readline())
        # It waits for whoever reads its log. A program has its name a moment after it has begun.
        runs.until(partial(is_called, started["pid"], expected), bool)
        fifo.open("rb").close()
        assert json.loads(server.lines.readline())["event"] == "exited"
