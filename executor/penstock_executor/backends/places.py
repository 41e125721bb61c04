"""How many attempts run at the same time on this machine, and who is next.

Why not a semaphore: the attempts of a gang get their places together (docs/queueing.md, "Gangs").

Invariants: what is new waits for its turn, in order; the first in line is not passed by, so a gang that waits gets each
place that comes free until it has all, and no two gangs hold parts of what there is. An attempt that is adopted counts,
too, but does not wait, so there may be more than `count` for a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from penstock_executor.attempts import TaskLaunch

_Turn = asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Together:
    """Those of a gang that are launched now: `unknown` are not asked about yet, `coming` have not said yet whether they
    need a place."""

    unknown: int
    coming: int
    turns: list[_Turn] = field(default_factory=list)


class PlaceRequest:
    """One launch, which waits for a place or turns out to need none; `close` has to be called at its end."""

    def __init__(self, places: Places, together: _Together) -> None:
        self._places = places
        self._together: _Together | None = together

    async def wait(self) -> None:
        """Until it has a place, which `Places.give_back` gives back. May be cancelled."""
        turn: _Turn = asyncio.get_running_loop().create_future()
        assert self._together is not None, "a launch waits for one place"
        self._together.turns.append(turn)
        self._arrived()
        try:
            await turn
        except asyncio.CancelledError:
            self._places.withdraw(turn)
            raise

    def close(self) -> None:
        """It waits no more: the others of its gang need not wait for it to come."""
        if self._together is not None:
            self._arrived()

    def _arrived(self) -> None:
        together, self._together = self._together, None
        assert together is not None
        together.coming -= 1
        if together.coming == 0:
            self._places.line_up(together.turns)


class Places:
    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._line: deque[list[_Turn]] = deque()
        self._gangs: dict[tuple[str, str], _Together] = {}

    def request(self, task: TaskLaunch) -> PlaceRequest:
        """Of a task that is about to be launched; those that are launched together all ask."""
        if task.gang is None or task.together < 2:
            return PlaceRequest(self, _Together(0, 1))
        name = task.key.run_id, task.gang.name
        together = self._gangs.setdefault(name, _Together(task.together, task.together))
        together.unknown -= 1
        if together.unknown == 0:
            del self._gangs[name]
        return PlaceRequest(self, together)

    def take(self) -> None:
        """One more has a place, whether there is one or not."""
        self._free -= 1

    def give_back(self) -> None:
        self._free += 1
        self._go_on()

    def line_up(self, turns: list[_Turn]) -> None:
        """These get their places at the same moment."""
        self._line.append(turns)
        self._go_on()

    def withdraw(self, turn: _Turn) -> None:
        """It was cancelled while it waited, or right after it got its place."""
        if turn.done() and not turn.cancelled():
            self.give_back()
        else:
            turn.cancel()
            self._go_on()

    def _go_on(self) -> None:
        while self._line:
            first = [turn for turn in self._line[0] if not turn.done()]
            if len(first) > self._free:
                return
            self._line.popleft()
            self._free -= len(first)
            for turn in first:
                turn.set_result(None)
