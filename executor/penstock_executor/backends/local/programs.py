"""Runs a program of this machine to its end.

Invariant: a program that takes too long, or whose caller is cancelled, is killed with all that it started.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Mapping


async def output_of(
    *command: str, timeout: float, variables: Mapping[str, str] | None = None, keeps: Collection[int] = ()
) -> tuple[int, str]:
    """Its exit code, and what it said on either output. `timeout` in seconds; `variables` are ours unless given;
    `keeps` are descriptors that it, and what it starts, hold open.

    Raises OSError, asyncio.TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=None if variables is None else dict(variables),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=tuple(keeps),
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, output.decode("utf-8", "replace").strip()
