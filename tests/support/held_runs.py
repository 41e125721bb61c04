"""What tests of backends stand on: runs that are held, and a test that is a coroutine."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from penstock_executor.attempts import AttemptKey


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Runs:
    """The runs that the executor holds; everything is under way unless said otherwise."""

    def __init__(self) -> None:
        self.certain = True
        self.expected: bool | None = True
        self.finished: set[str] = set()

    def may_act(self, run_id: str) -> bool:
        return self.certain

    def expects(self, key: AttemptKey) -> bool | None:
        return self.expected

    async def over(self, run_ids: Collection[str]) -> set[str]:
        return self.finished & set(run_ids)
