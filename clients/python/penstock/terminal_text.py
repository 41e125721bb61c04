"""Text of users, tasks and servers, made safe to be shown on a terminal or written as one line of a log.

Why: a name, an error or a log line may hold what a terminal takes for commands (move the cursor, set the title, answer
as if typed), and marks that show text in another order than it has. Invariants: what is escaped can be told from what
was there before only by its backslash; text without such characters stays as it is.
"""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections.abc import Iterable

# Controls of ASCII and of ISO 6429's second half, separators of lines, and what changes the direction of text.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey; new lines and tabs stay."""
    return _UNSAFE.sub(_escaped_but_layout, text)


def one_line(text: str) -> str:
    """As `printable`, with new lines escaped too: no text can pass for another line of a log."""
    return _UNSAFE.sub(lambda match: "\t" if match.group() == "\t" else _escape(match.group()), text)


def printable_json(document: str) -> str:
    """JSON that means the same: its own escapes for what JSON lets through."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", document)


def printable_chunks(chunks: Iterable[bytes]) -> Iterable[str]:
    """A stream of bytes as text for a terminal; what overwrites its own line (progress bars) gets lines."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    for chunk in chunks:
        yield printable(decoder.decode(chunk))
    yield printable(decoder.decode(b"", final=True))


class LineFormatter(logging.Formatter):
    """Of logs for people. A message is one line, whatever is in it; lines of a traceback are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record, without its traceback."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: object) -> str:
        """The lines of a traceback."""
        return _indented(super().formatException(ei))  # type: ignore[arg-type]

    def formatStack(self, stack_info: str) -> str:
        """The lines of a stack."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    return "\n".join(f"  {one_line(line)}" for line in text.split("\n"))


def _escaped_but_layout(match: re.Match[str]) -> str:
    return match.group() if match.group() in "\n\t" else _escape(match.group())


def _escape(character: str) -> str:
    number = ord(character)
    known = {"\n": "\\n", "\r": "\\r"}
    return known.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
