"""Watches of runs: all runs that are watched are looked at together, by the number of their changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from penstock_server.domain.changes import Position, RunChange, position_after
from penstock_server.domain.task import Task, task_id_of, with_waits
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.services import runs
from penstock_server.services.ports import Storage
from penstock_server.services.readers import Reader
from penstock_server.services.watching import LOOK_EVERY_SECONDS, Watch, Watching

TASKS_OF_A_MESSAGE = 500
# A message has one task at least. Clients of gRPC take 4 MiB, if nothing else is set.
CHARACTERS_OF_A_MESSAGE = 1024 * 1024


class RunWatches:
    """The subjects are ids of runs."""

    def __init__(self, storage: Storage, watching: Watching) -> None:
        self._storage = storage
        self._watching = watching

    def open(
        self, run_id: str, after: int, reader: Reader[RunChange], *, until_finished: bool = False
    ) -> Callable[[], None]:
        """Begins to send; the result ends the watch without a word to its reader.

        Raises NotFoundError, InvalidArgumentError, UnavailableError.
        """
        if after < 0:
            raise InvalidArgumentError("it must not be negative", "after")
        changes = self.newest([run_id])
        if run_id not in changes:
            raise NotFoundError("Run", run_id)
        if after > changes[run_id]:
            raise InvalidArgumentError(
                f"the run has come to change {changes[run_id]} only; begin again, with 0", "after"
            )

        def ends(change: RunChange) -> bool:
            return until_finished and change.run.state.final

        return self._watching.open(Watch(self, run_id, reader, position_after(after), ends))

    def rest(self) -> float:
        return LOOK_EVERY_SECONDS

    def newest(self, subjects: Collection[str]) -> Mapping[str, int]:
        with self._storage.reading() as uow:
            return uow.runs.changes(sorted(subjects))

    def read(self, subject: str, position: Position) -> RunChange:
        with self._storage.reading() as uow:
            # Before what it counts: what is committed meanwhile is told once more, not left out.
            newest = uow.runs.changes([subject]).get(subject, 0)
            run = runs.find(uow, subject)
            found = uow.tasks.changed_after(subject, position, TASKS_OF_A_MESSAGE)
            root = uow.tasks.get(subject, task_id_of(subject, ""))
        rows = found[: _fitting(found)]
        tasks = [task for _, task in rows]
        shown = with_waits([root, *tasks])[1:] if root is not None else tasks
        if len(rows) < len(found) or len(rows) == TASKS_OF_A_MESSAGE:
            return RunChange(run, shown, Position(rows[-1][0], tasks[-1].task_id), more=True)
        return RunChange(run, shown, Position(max(newest, position.change)), more=False)


def _fitting(rows: Sequence[tuple[int, Task]]) -> int:
    """How many of the rows make one message."""
    characters = 0
    for number, (_, task) in enumerate(rows):
        characters += sum(
            map(len, (task.inputs, task.outputs, task.input_artifacts, task.output_artifacts, task.error))
        )
        if characters > CHARACTERS_OF_A_MESSAGE and number:
            return number
    return len(rows)
