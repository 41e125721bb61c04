"""How far tasks may share a worker, a Pod that takes attempts one after another (docs/workers.md).

Why in the lowest layer: a pipeline, a run and a namespace say it in the same words.

Invariant: the words are in their order: who may have more may have everything before it.
"""

from __future__ import annotations

from typing import Literal

Sharing = Literal["off", "run", "namespace"]
AskedSharing = Literal["", "off", "run", "namespace"]
"""Empty: nothing is asked."""

SHARING: tuple[Sharing, ...] = ("off", "run", "namespace")
"""off: a Pod for each attempt. run: with tasks of the same run. namespace: with all tasks of the namespace."""
SHARING_WORDS = "off, run or namespace"


def parse_sharing(text: object) -> Sharing | None:
    """None for what is none of the words."""
    return text if text in SHARING else None


def at_most(asked: Sharing, allowed: Sharing) -> Sharing:
    """The lesser of both."""
    return min(asked, allowed, key=SHARING.index)
