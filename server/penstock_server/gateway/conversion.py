"""Runs conversions of large messages beside the event loop, so that one request's size is no other request's delay.

Invariant: conversions have threads of their own. Small ones, which are almost all, are done at once: a thread costs
more than they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 4
_SMALL_BYTES = 32 * 1024
_Result = TypeVar("_Result")
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="conversion")


async def converted(size: int, work: Callable[[], _Result]) -> _Result:
    """What `work` returns or raises; `size` is the number of bytes that it works on."""
    if size <= _SMALL_BYTES:
        return work()
    return await beside(work)


async def beside(work: Callable[[], _Result]) -> _Result:
    """What `work` returns or raises, which is done on a thread whatever its size."""
    return await asyncio.get_running_loop().run_in_executor(_pool, work)
