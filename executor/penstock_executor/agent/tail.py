"""The end of an attempt's log, for people who ask why its program failed.

Invariant: the program can write to the log's place, so whatever lies there is read without waiting, at most two
kilobytes of it, and comes out as text that any store takes.
"""

from __future__ import annotations

from pathlib import Path

from penstock_executor.artifacts.untrusted_files import read_untrusted_end

TAIL_BYTES = 2048
TAIL_LINES = 20
_CONTINUATION = bytes(range(0x80, 0xC0))


def log_tail(path: Path) -> str:
    """The last lines; empty when there is no log that can be read."""
    try:
        data = read_untrusted_end(path, TAIL_BYTES)
    except OSError:
        return ""
    if len(data) == TAIL_BYTES:
        # A character that was cut has at most three bytes more.
        data = data[:3].lstrip(_CONTINUATION) + data[3:]
    # No store takes NUL in a text.
    text = data.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return "\n".join(text.rstrip("\r\n").split("\n")[-TAIL_LINES:])
