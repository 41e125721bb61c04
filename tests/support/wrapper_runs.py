"""Programs under the wrapper `run.c`, as in a container, and what it leaves of them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.agent.results import (
    FramedResult,
    find_frame,
    parse_message,
    parse_result,
)

from tools.testing import wrapper
from tools.testing.wrapper import CONTAINER, start

_RESTRICTED = (*CONTAINER, "setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_AS_USER = (*_RESTRICTED, "--reuid=1000", "--regid=0", "--clear-groups") if os.geteuid() == 0 else _RESTRICTED
PREFIXES = {"plain": (), "first": CONTAINER, "restricted": _AS_USER}


def use_binary(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`committed`, or `sanitized`: built with what notices errors of C."""
    if which == "sanitized":
        monkeypatch.setattr(wrapper, "WRAPPER", wrapper.sanitized())


@contextmanager
def open_place() -> Iterator[Path]:
    """A directory in which any user may write, as an emptyDir; pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def run(
    place: Path, *arguments: str, how: str = "first", before: Sequence[str] = (), **options: Any
) -> tuple[int, bytes, bytes, AttemptResult]:
    """Exit code, stdout, stderr and the result in the termination message; `before` is a command that becomes this."""
    message = place / "message"
    prefix = (*before, *PREFIXES[how])
    process = start("--message", str(message), "--token", "t0", *arguments, prefix=prefix, **options)
    out, err = process.communicate(timeout=120)
    left = parse_message(message.read_text())
    if isinstance(left, FramedResult):
        assert left.token == "t0"
        frame = find_frame(out, "t0")
        assert frame is not None
        assert len(frame) == left.size
        left = parse_result(frame)
    assert isinstance(left, AttemptResult)
    return process.returncode, out, err, left


def ended(share: Path) -> ProcessExit:
    return ProcessExit(**json.loads((share / "exit").read_text()))
