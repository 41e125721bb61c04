"""Escapes `$`, so that Kubernetes hands texts to a program unchanged.

Kubernetes expands `$(NAME)` and turns `$$` into `$` in commands, args and values of variables
(https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables). Users rely on
the first and do not expect the second, so every `$` that does not begin a reference to a known variable is doubled.
"""

from __future__ import annotations

import re
from collections.abc import Collection


def escaped(text: str, variables: Collection[str]) -> str:
    """`text` such that Kubernetes gives it to the program as it is, but for references to `variables`."""
    if "$" not in text:
        return text
    names = "|".join(re.escape(name) for name in sorted(variables)) or "(?!)"
    return re.sub(rf"\$(?!\((?:{names})\))", "$$", text)
