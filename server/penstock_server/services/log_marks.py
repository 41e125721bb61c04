"""One attempt's part of the log of a Pod that many attempts write to, one after another (docs/workers.md).

Why: the log of such a Pod is one; whoever may read an attempt's log may not read those of the others.

Invariants: a byte is given only if it lies behind the attempt's own begin mark and before the next mark of any
attempt, so what cannot be told apart is not given. How the log is split into pieces changes nothing; what is held back
is shorter than a mark's line. The newline before a mark is the mark's, unless the attempt's last line has none.
"""

from __future__ import annotations

import re
from enum import Enum

PREFIX = b"::penstock-attempt "
MAX_MARK = 63
_LINE = re.compile(rb"\n" + re.escape(PREFIX) + rb"([a-z0-9]{1,63}) (begin|end)\n")
_LONGEST = len(PREFIX) + MAX_MARK + len(" begin\n")


class Place(Enum):
    BEFORE = "its begin mark has not come"
    WITHIN = "its own lines come"
    ENDED = "its end mark came"
    LOST = "its end mark came, its begin mark did not"
    CUT_SHORT = "the mark of another attempt came before its end mark"


class MarkedPart:
    """`mark`: of the attempt, one to MAX_MARK lower-case letters and digits."""

    def __init__(self, mark: str) -> None:
        token = mark.encode("ascii")
        self.place = Place.BEFORE
        self._begin = b"\n" + PREFIX + token + b" begin\n"
        self._end = b"\n" + PREFIX + token + b" end\n"
        # The beginning of the log is the beginning of a line.
        self._held = b"\n"
        self._at_line_start = True

    @property
    def over(self) -> bool:
        """Nothing that comes is the attempt's."""
        return self.place in (Place.ENDED, Place.LOST, Place.CUT_SHORT)

    def feed(self, piece: bytes) -> bytes:
        """What of the log's next piece, and of what was held back, is the attempt's."""
        if self.place is Place.BEFORE:
            return self._before(self._held + piece)
        if self.place is Place.WITHIN:
            return self._within(piece)
        return b""

    def finish(self) -> bytes:
        """What was held back, at the end of the log."""
        rest = self._held if self.place is Place.WITHIN else b""
        self._held = b""
        return rest

    def _before(self, data: bytes) -> bytes:
        begin, end = data.find(self._begin), data.find(self._end)
        if begin >= 0 and not 0 <= end < begin:
            self.place, self._held, self._at_line_start = Place.WITHIN, b"", True
            return self._within(data[begin + len(self._begin) :])
        if end >= 0:
            self.place, self._held = Place.LOST, b""
        else:
            self._held = data[1 - len(self._begin) :]
        return b""

    def _within(self, piece: bytes) -> bytes:
        """Gives every line at once but an empty one, whose newline may be that of a mark."""
        # The newline that ends the line before was given already.
        given = 1 if self._at_line_start else 0
        data = b"\n" * given + self._held + piece
        found = _LINE.search(data)
        if found is not None:
            self.place = Place.ENDED if found.group() == self._end else Place.CUT_SHORT
            self._held = b""
            text = data[given : found.start()]
            ends_line = text.endswith(b"\n") if text else self._at_line_start
            return text if ends_line else text + b"\n"
        last = data.rfind(b"\n")
        rest = data[last + 1 :]
        if last < 0 or not _may_be_mark(rest):
            self._held, self._at_line_start = b"", False
            return data[given:]
        self._at_line_start = True
        if last and data[last - 1 : last] == b"\n":
            self._held = data[last:]
            return data[given:last]
        self._held = rest
        return data[given : last + 1]


def _may_be_mark(line: bytes) -> bool:
    """Whether a line that has not ended may become a mark."""
    return len(line) < _LONGEST and (PREFIX.startswith(line) or line.startswith(PREFIX))
