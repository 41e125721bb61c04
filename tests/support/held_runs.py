"""What tests of backends stand on: the runs that an executor holds."""

from __future__ import annotations

from collections.abc import Collection

from penstock_executor.attempts import AttemptKey


class Runs:
    """The runs that the executor holds; everything is under way unless said otherwise."""

    def __init__(self) -> None:
        self.certain = True
        self.expected: bool | None = True
        self.finished: set[str] = set()
        self.held_as = 1
        self.starts_committed = True

    def may_act(self, run_id: str) -> bool:
        return self.certain

    def fence(self, run_id: str) -> int:
        return self.held_as

    def expects(self, key: AttemptKey) -> bool | None:
        return self.expected

    def start_committed(self, key: AttemptKey) -> bool:
        return self.starts_committed

    async def over(self, run_ids: Collection[str]) -> set[str]:
        return self.finished & set(run_ids)
