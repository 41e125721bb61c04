"""What the kernel takes as an argument or a variable of a program: less than 128 KiB, and no NUL."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_executor.backends.errors import TaskSpecError

MAX_ARGUMENT_BYTES = 131_071
"""The limit of one argument, or of one `NAME=value`, without the NUL at its end."""


def checked_arguments(texts: Sequence[str], what: str) -> list[str]:
    """Returns `texts`. Raises TaskSpecError when one cannot be an argument or a variable; `what` names them there."""
    for index, text in enumerate(texts):
        shown = f"{what} {index} ({text[:40]!r}{'…' if len(text) > 40 else ''})"
        if "\0" in text:
            raise TaskSpecError(f"{shown} holds a NUL character, which no program can be given")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise TaskSpecError(f"{shown} holds half of a surrogate pair, which is no text") from error
        if size > MAX_ARGUMENT_BYTES:
            raise TaskSpecError(
                f"{shown} has {size} bytes, and Linux takes at most {MAX_ARGUMENT_BYTES}: hand the large value over as "
                "an artifact instead of a parameter"
            )
    return list(texts)
