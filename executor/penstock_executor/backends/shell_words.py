"""Splits a simple shell command into words, with its variables expanded (POSIX shell, 2.2, 2.6.2 and 2.6.5).

Why not `shlex`: it forgets which part of a word was quoted, and only that says what is expanded. Invariant: what means
more than words, quotes and plain variables to a shell is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"""(?P<space>\s+)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\`]|\\["\\$`])*)"|\\(?P<escaped>[^\n])"""
    r"""|\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})|(?P<plain>[\w@%+=:,./^\]-]+)""",
    re.ASCII,
)
_IN_QUOTES = re.compile(r"\\(?P<escaped>.)|\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)\})", re.ASCII)


class NotPlainError(ValueError):
    """The command is more than words, quotes and variables."""


def shell_words(command: str, variables: Mapping[str, str]) -> list[str]:
    """The words a shell would give the program. Raises NotPlainError."""
    words: list[str] = []
    # None between words: `''` is a word, a variable without a value is none.
    word: str | None = None
    position = 0
    while position < len(command):
        token = _TOKEN.match(command, position)
        if token is None:
            raise NotPlainError(command[position:])
        position = token.end()
        kind = token.lastgroup
        if kind == "space":
            if word is not None:
                words.append(word)
            word = None
        elif kind in ("name", "braced"):
            fields = re.split(r"[ \t\n]+", variables.get(token[kind], ""))
            for index, field in enumerate(fields):
                if index and word is not None:
                    words.append(word)
                    word = None
                if field:
                    word = (word or "") + field
        else:
            word = (word or "") + (_quoted(token[kind], variables) if kind == "double" else token[kind or 0])
    return [*words, word] if word is not None else words


def _quoted(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escaped"] is not None:
            return match["escaped"]
        return variables.get(match["name"] or match["braced"], "")

    if "$" in _IN_QUOTES.sub("", text):
        raise NotPlainError(text)
    return _IN_QUOTES.sub(value, text)
