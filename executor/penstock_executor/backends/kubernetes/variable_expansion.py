"""References `$(NAME)` to variables, as Kubernetes has them in commands, args and values of variables
(https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables).

Kubernetes replaces `$(NAME)` and turns `$$` into `$`. Users rely on the first and do not expect the second, so every
`$` that does not begin a reference to a known variable is doubled for it (`escaped`). Where no Kubernetes is between a
text and the program, `expanded` does what it would do to the escaped text.

Invariants: pure. What a reference brings is not looked at again; no text becomes longer than its caller allows, and the
time that it takes grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

_SYNTAX = re.compile(r"\$\$|\$\(([^)]*)\)")


class TooLongError(ValueError):
    """What the references bring makes the text longer than it may be."""


def escaped(text: str, variables: Collection[str]) -> str:
    """`text` such that Kubernetes gives it to the program as it is, but for references to `variables`."""
    if "$" not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(variables)) or "(?!)"
    return re.sub(rf"\$(?!\((?:{names})\))", "$$", text)


def refers_to(text: str, variables: Iterable[str]) -> str:
    """The first of `variables` to which `escaped` leaves a reference in `text`, empty for none."""
    if "$(" not in text:
        return ""
    return next((name for name in variables if f"$({name})" in text), "")


def expanded(text: str, values: Mapping[str, str], most: int) -> str:
    """What Kubernetes makes of `text`, in which `$$` is a `$` and a reference to what has no value stays.

    Raises TooLongError beyond `most` characters.
    """
    # Behind the last bracket there is no reference, and looking for its end from every beginning would take for ever.
    closed = text.rfind(")") + 1
    parts: list[str] = []
    position = size = 0
    for match in _SYNTAX.finditer(text, 0, closed):
        value = "$" if match[1] is None else values.get(match[1], match[0])
        parts += (text[position : match.start()], value)
        position = match.end()
        size += len(parts[-2]) + len(value)
        if size > most:
            break
    parts.append(text[position:].replace("$$", "$"))
    if size + len(parts[-1]) > most:
        raise TooLongError
    return "".join(parts)
