"""Closes this process's memory and variables to other processes of the same user (Linux).

Why: tasks on this machine run as the user that started us, and our variables hold passwords and tokens. With this they
can neither read `/proc/PID/environ` and `/proc/PID/mem` nor trace us; root still can. Programs that we start are open
again, which matters for their own variables alone.
"""

from __future__ import annotations

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def close_memory() -> None:
    """There are no core dumps afterwards. Does nothing on other systems."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
