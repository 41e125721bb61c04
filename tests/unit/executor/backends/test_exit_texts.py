"""Messages about how a program ended."""

from __future__ import annotations

import errno

import pytest
from penstock_executor.agent.protocol import ProcessExit
from penstock_executor.backends.exit_texts import describe_failed_start


@pytest.mark.parametrize(
    ("code", "number", "said"),
    [
        (127, errno.ENOENT, "the command 'tool' does not exist in the image 'image'"),
        (126, errno.EACCES, "the command 'tool' cannot be executed in the image 'image'"),
        (
            126,
            errno.E2BIG,
            "the command 'tool' cannot be started: its arguments and environment variables are too long, together or "
            "one of them alone (128 KiB on Linux): hand large values over as artifacts",
        ),
    ],
)
def test_programs_that_could_not_be_started(code: int, number: int, said: str) -> None:
    assert describe_failed_start(ProcessExit(code, errno=number, command="tool"), "image") == said
