"""Retries with exponential backoff and jitter, so that many executors do not come back at the same moment.

Invariants: an error says by its attribute `transient` whether the same call may succeed later; only such calls are
retried unless the caller decides otherwise. When the tries are used up, the last error is raised unchanged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.stop import stop_any, stop_base, stop_never

_T = TypeVar("_T")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later although nothing about it changed."""
    return bool(getattr(error, "transient", False))


def delays(first: float = 0.1, longest: float = 5.0) -> Iterator[float]:
    """Endless delays in seconds."""
    ceiling = first
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - a delay
        ceiling = min(ceiling * 2, longest)


async def retried(
    call: Callable[[], Awaitable[_T]],
    *,
    if_: Callable[[BaseException], bool] = is_transient,
    tries: int = 0,
    seconds: float = 0.0,
    pauses: Iterator[float] | None = None,
    failed: Callable[[BaseException], object] = lambda error: None,
) -> _T:
    """The result of `call`, which is retried while it raises an error that `if_` accepts; raises the last error.

    `tries` and `seconds` bound the retries, 0 means no bound. `pauses` are the seconds before each next try, and go on
    for as long as there are tries; `delays()` without. `failed` is called with every error before the next try;
    an exception that it raises ends the tries.
    """
    began = time.monotonic()
    # What goes well, as nearly every call does, pays nothing for what is known about tries.
    try:
        return await call()
    except Exception as error:
        if not if_(error):
            raise
        first = [error]
    stops: list[stop_base] = [stop_never]
    if tries:
        stops.append(stop_after_attempt(tries))
    if seconds:
        stops.append(stop_after_delay(max(0.0, seconds - (time.monotonic() - began))))
    pauses = delays() if pauses is None else pauses

    async def once() -> _T:
        if first:
            raise first.pop()
        return await call()

    def report_failure(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            failed(error)

    retrying = AsyncRetrying(
        wait=lambda state: next(pauses),
        stop=stop_any(*stops),
        retry=retry_if_exception(if_),
        before_sleep=report_failure,
        reraise=True,
    )
    return await retrying(once)
