"""Whose lines of a Pod's log an attempt's are.

Invariant: values only; two are equal when they are the same lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LogPart:
    """`mark` is empty for an attempt with a Pod of its own, whose is the whole log. Nothing of the attempt was written
    before `since`, in milliseconds since 1970 by clocks that may differ; 0 is not known.
    """

    pod: str = ""
    mark: str = ""
    since: int = field(default=0, compare=False)


NO_PART = LogPart()
