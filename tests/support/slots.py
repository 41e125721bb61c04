"""A server's rows with pools, and runs that one executor holds, whose tasks ask for slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock_ir.event_log import AttemptEnded, Event, RunStarted, encode
from penstock_ir.slots import Demand
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState
from penstock_server.domain.dispatch import RunTransitions, SlotAnswer, SlotAsk, SlotState
from penstock_server.domain.options import RunOptions
from penstock_server.domain.pools import Pool, PoolKey
from penstock_server.domain.task import Task
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database

from tests.support.rows import prepared, run

LEASE = 60_000
UNKNOWN, GRANTED, WAITING, REFUSED, FENCED = SlotState
GPU = (Demand("gpu", 1),)


class Scene:
    """Runs that one executor holds, each with tasks `t0`, `t1`, ... that are launched."""

    def __init__(self, database: Database, *pools: Pool) -> None:
        self.database = database
        self.service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
        self.fences: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        prepared(database)
        with database.writing() as uow:
            for pool in pools:
                uow.pools.put(pool)

    def run(self, run_id: str, tasks: int = 3, *, namespace: str = "", user: str = "", priority: int = 0) -> None:
        options = RunOptions(priority=priority)
        with self.database.writing() as uow:
            uow.runs.add(replace(run(run_id), namespace=namespace, created_by=user, options=options))
        (claimed,) = self.service.claim("e/1", 100, 0, LEASE).runs
        self.fences[run_id] = claimed.fence
        rows = [_launched(run_id, f"t{number}") for number in range(tasks)]
        self.report(run_id, [RunStarted(5, "file:///root")], rows)

    def report(
        self, run_id: str, events: Sequence[Event], tasks: Sequence[Task] = (), *, finished: bool = False
    ) -> None:
        first = self._sequences.get(run_id, 0)
        self._sequences[run_id] = first + len(events)
        state = "FAILED" if finished else ""
        lines = [encode(event) for event in events]
        one = RunTransitions(
            run_id, self.fences[run_id], first, lines, tasks, state=state, at=5, finished=finished
        )  # fmt: skip
        self.service.report("e/1", [one])

    def end(self, run_id: str, path: str, attempt: int = 1, *, row_is_late: bool = False) -> None:
        row = replace(_launched(run_id, path), state=TaskState.SUCCEEDED, phase=TaskPhase.ENDED)
        self.report(run_id, [AttemptEnded(path, attempt, 5, exit_code=0)], [] if row_is_late else [row])

    def asking(self, name: str, demands: tuple[Demand, ...] = GPU, *, adopt: bool = False) -> SlotAsk:
        """What the executor asks at this moment, for a task by `run/path`."""
        run_id, _, path = name.partition("/")
        return SlotAsk(run_id, self.fences[run_id], path, 1, demands, adopt, log_length=self._sequences[run_id])

    def ask(
        self, *names: str, demands: tuple[Demand, ...] = GPU, adopt: bool = False, gang: str = ""
    ) -> list[SlotAnswer]:
        """For tasks by `run/path`; `gang` names the one that all of them begin with."""
        asked = [replace(self.asking(name, demands, adopt=adopt), gang=gang) for name in names]
        return self.service.slots.take("e/1", asked, why=True)

    def states(self, *names: str, demands: tuple[Demand, ...] = GPU, gang: str = "") -> list[SlotState]:
        return [answer.state for answer in self.ask(*names, demands=demands, gang=gang)]

    def take_over(self, run_id: str) -> None:
        """Its lease ends, and it is claimed again."""
        with self.database.writing() as uow:
            uow.queue.renew([run_id], -1_000)
        (claimed,) = self.service.claim("e/1", 1, 0, LEASE).runs
        self.fences[run_id] = claimed.fence

    def granted(self) -> set[str]:
        """Tasks that hold slots, by `run/path`."""
        with self.database.reading() as uow:
            uses = uow.pools.uses(PoolKey("", "gpu"), None, granted=True, limit=1_000)
        return {f"{use.run_id}/{use.path}" for use in uses}

    def taken(self, name: str = "gpu") -> int:
        with self.database.reading() as uow:
            return uow.pools.levels().taken_of(PoolKey("", name))


def _launched(run_id: str, path: str) -> Task:
    return Task(run_id, path, path, TaskKind.CONTAINER, TaskState.RUNNING, attempt=1, phase=TaskPhase.LAUNCHED)


def pool(slots: int | None, name: str = "gpu", namespace: str = "", weight: int = 1) -> Pool:
    return Pool(PoolKey(namespace, name), slots, weight)
