"""Runs a module as a supervised child, which gets SIGTERM when its parent dies, also by SIGKILL.

Why: after `kill -9` of `penstock up` no server may be left that holds the ports. Linux sends the signal at the parent's
death (PR_SET_PDEATHSIG); elsewhere a thread watches the parent's id.

Usage: python -m penstock._child PARENT_PID MODULE [ARGUMENTS…]
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
