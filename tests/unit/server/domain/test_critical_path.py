"""The critical path of runs that a small simulator has executed."""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.attempts import LeafTask
from penstock_server.domain.critical_path import MOST_TASKS, critical_path


def leaf(path: str, created_at: int, finished_at: int, state: TaskState = TaskState.SUCCEEDED) -> LeafTask:
    return LeafTask(path, path, "", TaskKind.CONTAINER, state, "", 1, created_at, created_at, finished_at)


def paths(*tasks: LeafTask) -> list[str]:
    return [task.path for task in critical_path(tasks)]


@dataclass
class Simulator:
    """Runs a DAG as the engine does: a task is made in the moment in which the last that it depends on ends."""

    durations: list[int]
    dependencies: list[list[int]]
    tasks: dict[int, LeafTask] = field(default_factory=dict)

    def run(self) -> list[LeafTask]:
        waiting = [len(set(found)) for found in self.dependencies]
        ends: list[tuple[int, int, int]] = []
        for number, left in enumerate(waiting):
            if not left:
                heapq.heappush(ends, (self.durations[number], number, 0))
        while ends:
            at, number, created_at = heapq.heappop(ends)
            self.tasks[number] = leaf(f"t{number}", created_at, at)
            for dependent, found in enumerate(self.dependencies):
                if number in found:
                    waiting[dependent] -= 1
                    if not waiting[dependent]:
                        heapq.heappush(ends, (at + self.durations[dependent], dependent, at))
        return [self.tasks[number] for number in sorted(self.tasks)]


@st.composite
def dags(draw: st.DrawFn) -> Simulator:
    size = draw(st.integers(1, 12))
    durations = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    dependencies = [draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else [] for number in range(size)]
    return Simulator(durations, dependencies)


@given(dags())
def test_the_tasks_of_the_path_follow_one_another_from_the_beginning_to_the_end(dag: Simulator) -> None:
    tasks = dag.run()
    assert len(tasks) == len(dag.durations)
    path = critical_path(tasks)
    end = max(task.finished_at for task in tasks)
    if end == 0:
        assert path == []
        return
    assert path[0].created_at == 0
    assert path[-1].finished_at == end
    for before, after in itertools.pairwise(path):
        assert before.finished_at == after.created_at
    assert sum(task.finished_at - task.created_at for task in path) == end


def test_of_several_the_one_in_the_same_group() -> None:
    end = leaf("b/inner/end", 5, 9)
    assert paths(leaf("x", 0, 5), leaf("b/y", 0, 5), leaf("b/inner/z", 0, 5), end)[0] == "b/inner/z"
    assert paths(leaf("x", 0, 5), leaf("b/y", 0, 5), end)[0] == "b/y"
    assert paths(leaf("bb/x", 0, 5), leaf("b/y", 0, 5), end)[0] == "b/y"


def test_an_iteration_waits_for_the_one_whose_place_it_took() -> None:
    assert paths(leaf("l[0]/t", 0, 4), leaf("l[1]/t", 0, 3), leaf("l[2]/t", 3, 9)) == ["l[1]/t", "l[2]/t"]


def test_what_was_skipped_or_took_no_time_is_left_out() -> None:
    skipped = leaf("s", 5, 5, TaskState.SKIPPED)
    late = leaf("o", 2, 50, TaskState.OMITTED)
    assert paths(leaf("a", 0, 5), skipped, leaf("import", 5, 5), late, leaf("b", 5, 9)) == ["a", "b"]
    assert paths() == paths(skipped) == []


def test_a_run_that_goes_on_waits_for_what_has_lasted_longest() -> None:
    running = leaf("b", 5, 0, TaskState.RUNNING)
    assert paths(leaf("a", 0, 5), leaf("c", 0, 8), leaf("d", 8, 0, TaskState.PENDING), running) == ["a", "b"]


def test_wrong_times_end_the_search() -> None:
    assert paths(leaf("a", 9, 5), leaf("b", 5, 9)) == ["b"]
    assert paths(leaf("a", 0, 4), leaf("b", 5, 9)) == ["b"]


def test_a_long_chain_gives_its_end_and_costs_little() -> None:
    chain = [leaf(f"t{number}", number, number + 1) for number in range(50_000)]
    crowd = [leaf(f"l[{number}]/t", 0, 50_000) for number in range(50_000)]
    began = time.process_time()
    path = critical_path(chain + crowd)
    assert time.process_time() - began < 5
    assert path == chain[-MOST_TASKS:]
