"""Nobody else gets a port that somebody asked for: no process that asks too, and no outgoing connection."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import ports

ROOT = Path(__file__).resolve().parents[3]
OTHER = [sys.executable, "-c", "from tools.ports import free_port; print(free_port(), free_port())"]


def test_no_two_get_the_same() -> None:
    own = [ports.free_port() for _ in range(20)]
    others = subprocess.run(OTHER, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    every = [*own, *map(int, others)]
    assert len(every) == 22
    assert len({*every}) == 22


def test_a_port_where_somebody_listens_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        monkeypatch.setattr(ports, "_PORTS", range(port, port + 1))
        with pytest.raises(OSError, match="no port is free"):
            ports.free_port()


def test_no_outgoing_connection_gets_one() -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 49152
    assert ports.free_port() < first
