"""Times as Kubernetes writes them.

Invariant: within one second it is the same text, made once.
"""

from __future__ import annotations

import time

_known: tuple[int, str] = (0, "")


def timestamp(later: int = 0) -> str:
    """Now, or `later` seconds, as Kubernetes writes it."""
    global _known
    second = int(time.time())
    if later:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second + later))
    if _known[0] != second:
        _known = (second, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)))
    return _known[1]
