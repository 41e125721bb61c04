"""Texts in a Pod: what Kubernetes and the kernel do to arguments and variables.

Kubernetes expands `$(NAME)` and turns `$$` into `$` in commands, args and values of variables
(https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables). Users know the
first and not the second, so every other `$` is doubled. The kernel takes no argument or variable of 128 KiB or more,
and no NUL.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from penstock_executor.backends.kubernetes.errors import PodSpecError

MAX_TEXT_BYTES = 131_071
"""Of an argument, and of `NAME=value`, without the NUL that ends it."""


def escaped(text: str, variables: Collection[str]) -> str:
    """`text` such that Kubernetes gives it to the program as it is, but for references to `variables`."""
    if "$" not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(variables)) or "(?!)"
    return re.sub(rf"\$(?!\((?:{names})\))", "$$", text)


def checked(texts: Sequence[str], what: str) -> list[str]:
    """The same texts. Raises PodSpecError for one that no program can be given."""
    for index, text in enumerate(texts):
        shown = f"{what} {index} ({text[:40]!r}{'…' if len(text) > 40 else ''})"
        if "\0" in text:
            raise PodSpecError(f"{shown} holds a NUL character, which no program can be given")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise PodSpecError(f"{shown} holds half of a surrogate pair, which is no text") from error
        if size > MAX_TEXT_BYTES:
            raise PodSpecError(
                f"{shown} has {size} bytes, and Linux takes at most {MAX_TEXT_BYTES}: hand the large value over as an "
                "artifact instead of a parameter"
            )
    return list(texts)
