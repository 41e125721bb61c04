"""Watches of runs: all runs that are watched are looked at together, by the number of their changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from penstock_server.domain.changes import Position, RunChange, position_after
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services.ports import Storage
from penstock_server.services.readers import Reader
from penstock_server.services.run_changes import changes_after
from penstock_server.services.watching import LOOK_EVERY_SECONDS, Watch, Watching


class WatchedRun(NamedTuple):
    """What several hear as one: a run, with whole tasks or with summaries."""

    run_id: str
    summary: bool

    def __str__(self) -> str:
        return self.run_id


class RunWatches:
    """The subjects are `WatchedRun`s."""

    def __init__(self, storage: Storage, watching: Watching) -> None:
        self._storage = storage
        self._watching = watching

    def open(
        self,
        run_id: str,
        after: int,
        reader: Reader[RunChange],
        *,
        until_finished: bool = False,
        summary: bool = False,
    ) -> Callable[[], None]:
        """Begins to send, tasks as summaries if asked to; the result ends the watch without a word to its reader.

        Raises NotFoundError, InvalidArgumentError, UnavailableError.
        """
        if after < 0:
            raise InvalidArgumentError("it must not be negative", "after")
        subject = WatchedRun(run_id, summary)
        changes = self.newest([subject])
        if subject not in changes:
            raise NotFoundError("Run", run_id)
        if after > changes[subject]:
            raise InvalidArgumentError(
                f"the run has come to change {changes[subject]} only; begin again, with 0", "after"
            )

        def ends(change: RunChange) -> bool:
            return until_finished and change.run.state.final

        return self._watching.open(Watch(self, subject, reader, position_after(after), ends))

    def rest(self) -> float:
        return LOOK_EVERY_SECONDS

    def newest(self, subjects: Collection[WatchedRun]) -> Mapping[WatchedRun, int]:
        with self._storage.reading() as uow:
            changes = uow.runs.changes(sorted({subject.run_id for subject in subjects}))
        return {subject: changes[subject.run_id] for subject in subjects if subject.run_id in changes}

    def read(self, subject: WatchedRun, position: Position) -> RunChange:
        return changes_after(self._storage, subject.run_id, position, summary=subject.summary)
