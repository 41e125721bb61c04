"""What was made from what, on every database: what reports say of it, and what is told around an artifact or a task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import pytest
from penstock_ir.event_log import RunStarted, encode
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import RunTransitions
from penstock_server.domain.experiment import Experiment
from penstock_server.domain.lineage import Direction, Lineage, LineageRequest, TaskKey
from penstock_server.domain.pipeline import Spec
from penstock_server.domain.run import reopened
from penstock_server.domain.task import Artifact, Task
from penstock_server.errors import InvalidArgumentError, NotFoundError
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.services.lineage import LineageService
from penstock_server.storage.database import Database

from tests.support import rows
from tests.support.statements import statements

Ports = Mapping[str, Sequence[str]]
BACKWARDS, FORWARDS = Direction.BACKWARDS, Direction.FORWARDS


class World:
    """Runs whose tasks an executor reports. An artifact is named after what made it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._dispatch = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
        self._fences: dict[str, int] = {}
        self._events: dict[str, int] = {}
        self._times = count(1_000)
        with database.writing() as uow:
            uow.experiments.add(Experiment("e1", "name", "", "", 1, 0, "AVAILABLE"))
            uow.specs.put(Spec("hash", "{}", ""))

    def run(self, run_id: str, namespace: str = "") -> None:
        with self.database.writing() as uow:
            uow.runs.add(replace(rows.run(run_id), namespace=namespace, display_name=f"run {run_id}"))
        (claimed,) = self._dispatch.claim("e/1", 1, 0, 60_000).runs
        self._fences[run_id] = claimed.fence
        self.report(run_id, events=[encode(RunStarted(5, "file:///root"))])

    def task(
        self,
        run_id: str,
        path: str,
        inputs: Ports | None = None,
        outputs: Ports | None = None,
        state: TaskState = TaskState.SUCCEEDED,
        kind: TaskKind = TaskKind.CONTAINER,
    ) -> Task:
        """Reports it, and the artifacts that it made."""
        task = Task(
            run_id,
            path,
            path,
            kind,
            state,
            display_name=f"task {path}",
            created_at=next(self._times),
            input_artifacts=json.dumps(inputs or {}),
            output_artifacts=json.dumps(outputs or {}),
        )
        made = [] if state is not TaskState.SUCCEEDED or kind is TaskKind.DAG else (outputs or {}).items()
        artifacts = [
            Artifact(name, run_id, path, port, "system.Dataset", f"file:///{name}", name, created_at=task.created_at)
            for port, names in made
            for name in names
        ]
        self.report(run_id, tasks=[task], artifacts=artifacts)
        return task

    def report(self, run_id: str, **parts: Sequence[object]) -> None:
        first = self._events.get(run_id, 0)
        self._events[run_id] = first + len(parts.get("events", ()))
        self._dispatch.report("e/1", [RunTransitions(run_id, self._fences[run_id], first, **parts)])  # type: ignore[arg-type]

    def training(self, run_id: str, data: str = "", namespace: str = "") -> None:
        """prepare -> train -> evaluate; the first is answered from the cache when its data are there."""
        self.run(run_id, namespace)
        state = TaskState.CACHED if data else TaskState.SUCCEEDED
        data = data or f"data of {run_id}"
        self.task(run_id, "prepare", {}, {"data": [data]}, state)
        self.task(run_id, "train", {"data": [data]}, {"model": [f"model of {run_id}"]})
        self.task(
            run_id, "evaluate", {"model": [f"model of {run_id}"], "data": [data]}, {"report": [f"report of {run_id}"]}
        )

    def lineage(
        self,
        artifact: str = "",
        direction: Direction = Direction.BOTH,
        *,
        readable: Sequence[str] = ("",),
        task: tuple[str, str] = ("", ""),
        depth: int = 0,
        max_nodes: int = 0,
    ) -> Lineage:
        request = LineageRequest(artifact, *task, direction, depth, max_nodes)
        return LineageService(self.database).lineage(request, lambda namespace: namespace in readable)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def shown(lineage: Lineage) -> tuple[set[str], set[str]]:
    """Names of artifacts, and tasks as "run/path"."""
    return {one.artifact.name for one in lineage.artifacts}, {f"{one.run_id}/{one.path}" for one in lineage.tasks}


def uses(lineage: Lineage) -> set[str]:
    """As "artifact > run/path", and "run/path > artifact" for what a task gave."""
    tasks = {one.key: f"{one.run_id}/{one.path}" for one in lineage.tasks}
    return {
        f"{tasks[one.task]} > {one.artifact}" if one.output else f"{one.artifact} > {tasks[one.task]}"
        for one in lineage.uses
    }


def more(lineage: Lineage) -> set[str]:
    return {one.artifact.name for one in lineage.artifacts if one.more} | {
        f"{one.run_id}/{one.path}" for one in lineage.tasks if one.more
    }


def test_from_a_model_back_to_the_data_over_a_cache_hit(world: World) -> None:
    world.training("r1")
    world.training("r2", "data of r1")
    found = world.lineage("model of r2", BACKWARDS)
    assert shown(found) == ({"model of r2", "data of r1"}, {"r2/train", "r1/prepare", "r2/prepare"})
    assert uses(found) == {
        "r2/train > model of r2",
        "data of r1 > r2/train",
        "r1/prepare > data of r1",
        "r2/prepare > data of r1",
    }
    assert {one.path: one.state for one in found.tasks if one.run_id == "r2"}["prepare"] is TaskState.CACHED
    assert found.artifacts[0].artifact.name == "model of r2"
    assert not found.truncated
    # The model was evaluated, the data were used by r1 as well: that is not backwards.
    assert more(found) == {"model of r2", "data of r1"}


def test_from_a_data_set_to_the_models_of_all_runs(world: World) -> None:
    world.training("r1")
    world.training("r2", "data of r1")
    found = world.lineage("data of r1", FORWARDS)
    artifacts, tasks = shown(found)
    assert artifacts == {"data of r1", "model of r1", "model of r2", "report of r1", "report of r2"}
    assert tasks == {"r1/train", "r2/train", "r1/evaluate", "r2/evaluate"}
    # Uses between what is shown are all told: that of the data by the evaluation was not needed to get there.
    assert {"data of r1 > r2/evaluate", "model of r2 > r2/evaluate"} <= uses(found)
    assert not found.truncated
    assert more(found) == {"data of r1"}
    assert [one.run_display_name for one in found.tasks if one.run_id == "r2"] == ["run r2"] * 2


def test_from_a_task_and_from_a_cached_one(world: World) -> None:
    world.training("r1")
    world.training("r2", "data of r1")
    assert shown(world.lineage(task=("r2", "train"), depth=1)) == (
        {"data of r1", "model of r2", "report of r2"},
        {"r2/train", "r1/prepare", "r2/prepare", "r2/evaluate"},
    )
    # It made nothing: what it answered with was made by another run.
    assert shown(world.lineage(task=("r2", "prepare"), direction=BACKWARDS))[1] == {"r2/prepare", "r1/prepare"}
    assert "r2/train" in shown(world.lineage(task=("r2", "prepare"), direction=FORWARDS))[1]


def test_a_depth_counts_tasks(world: World) -> None:
    world.run("r")
    for number in range(1, 7):
        world.task("r", f"t{number}", {"in": [f"a{number - 1}"]} if number > 1 else {}, {"out": [f"a{number}"]})
    for depth in (1, 2, 5):
        found = world.lineage("a6", BACKWARDS, depth=depth)
        assert shown(found)[1] == {f"r/t{6 - number}" for number in range(depth)}
        assert found.truncated
    whole = world.lineage("a6", BACKWARDS, depth=6)
    assert (len(whole.tasks), len(whole.artifacts), whole.truncated, more(whole)) == (6, 6, False, set())
    assert len(world.lineage("a6").tasks) == 3


def test_a_bound_on_nodes_keeps_the_newest(world: World) -> None:
    world.run("r")
    world.task("r", "make", {}, {"out": ["data"]})
    for number in range(12):
        world.task("r", f"use{number:02}", {"in": ["data"]})
    found = world.lineage("data", FORWARDS, max_nodes=5)
    assert (len(found.tasks) + len(found.artifacts), found.truncated) == (5, True)
    assert shown(found)[1] == {"r/use11", "r/use10", "r/use09", "r/use08"}
    assert more(found) == {"data"}
    # Neither direction uses up what both may hold.
    assert "r/make" in shown(world.lineage("data", max_nodes=5))[1]
    assert not world.lineage("data", FORWARDS, max_nodes=13).truncated


def test_no_more_uses_of_one_node_are_looked_at_than_there_may_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock_server.services.lineage_graph.MOST_USES", 3)
    world.run("r")
    world.task("r", "make", {}, {"out": [f"a{number}" for number in range(5)]})
    found = world.lineage(task=("r", "make"))
    assert (len(found.artifacts), found.truncated, more(found)) == (3, True, {"r/make"})
    # What leads to a task is told, however many others it has.
    assert uses(world.lineage("a4", depth=1)) >= {"r/make > a4"}


def test_other_namespaces_are_not_followed_and_not_named(world: World) -> None:
    world.run("r1", "team-a")
    world.task("r1", "prepare", {}, {"data": ["data"]})
    world.run("r2", "team-b")
    world.task("r2", "train", {"data": ["data"]}, {"model": ["model"]})
    world.run("r3", "team-a")
    world.task("r3", "train", {"data": ["data"], "of b": ["model"]}, {"model": ["third"]})
    both = world.lineage("data", readable=("team-a", "team-b"))
    assert shown(both) == ({"data", "model", "third"}, {"r1/prepare", "r2/train", "r3/train"})
    assert not both.truncated
    own = world.lineage("data", readable=("team-a",))
    assert shown(own) == ({"data", "third"}, {"r1/prepare", "r3/train"})
    assert own.truncated
    assert more(own) == {"data", "r3/train"}
    assert "r2" not in str(own) and "'model'" not in str(own).replace("port='model'", "")


def test_what_is_no_node(world: World) -> None:
    world.training("r1")
    for artifact, task, field in (
        ("", ("", ""), "artifact, run_id, path"),
        ("a", ("r1", "train"), "artifact, run_id, path"),
        ("a", ("r1", ""), "artifact, run_id, path"),
        ("", ("r1", ""), "path"),
        ("", ("", "train"), "run_id"),
        ("x" * 129, ("", ""), "artifact"),
        ("a\0", ("", ""), "artifact"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"^{field}: "):
            world.lineage(artifact, task=task)
    for depth, max_nodes, field in ((21, 0, "depth"), (-1, 0, "depth"), (0, 1001, "max_nodes"), (0, -5, "max_nodes")):
        with pytest.raises(InvalidArgumentError, match=f"^{field}: "):
            world.lineage("model of r1", depth=depth, max_nodes=max_nodes)
    with pytest.raises(NotFoundError, match="Artifact 'nothing'"):
        world.lineage("nothing")
    with pytest.raises(NotFoundError, match="Run 'r9'"):
        world.lineage(task=("r9", "train"))
    with pytest.raises(NotFoundError, match="Task 'nothing'"):
        world.lineage(task=("r1", "nothing"))


def test_what_a_report_says_is_written_once(world: World) -> None:
    world.run("r")
    made = world.task("r", "t", {"in": ["a", "a"]}, {"out": ["b"]}, TaskState.RUNNING)
    world.report("r", tasks=[made])
    world.report("r", tasks=[replace(made, state=TaskState.SUCCEEDED, output_artifacts='{"out":["b"],"other":["b"]}')])
    # A group hands on what its tasks made, and what waits has not taken anything yet.
    world.task("r", "group", {"in": ["a"]}, {"out": ["b"]}, kind=TaskKind.DAG)
    world.task("r", "waits", {"in": ["a"]}, state=TaskState.PENDING)
    world.task("r", "import", {}, {"artifact": ["c"]}, kind=TaskKind.IMPORTER)
    with world.database.reading() as uow:
        found = uow.lineage.of_artifacts(["a", "b"], output=False, limit=10)
        assert [(one.artifact, one.port, one.task.task_id) for one in found] == [("a", "in", made.task_id)]
        found = uow.lineage.of_artifacts(["a", "b", "c"], output=True, limit=10)
        assert sorted((one.artifact, one.port) for one in found) == [("b", "other"), ("b", "out"), ("c", "artifact")]


@pytest.mark.parametrize(
    "document",
    [
        '{"in":"a"}',
        '{"in":[1]}',
        '{"in":[""]}',
        '{"in":["a\\u0000"]}',
        '{"i\\u0000":["a"]}',
        '{"in":["' + "x" * 129 + '"]}',
    ],
)
def test_what_an_executor_that_works_does_not_report(world: World, document: str) -> None:
    world.run("r")
    task = Task("r", "t", "t", TaskKind.CONTAINER, TaskState.RUNNING)
    with pytest.raises(InvalidArgumentError, match=r"^tasks\.input_artifacts: "):
        world.report("r", tasks=[replace(task, input_artifacts=document)])
    with pytest.raises(InvalidArgumentError, match=r"^tasks\.output_artifacts: "):
        world.report("r", tasks=[replace(task, output_artifacts=document)])
    with world.database.reading() as uow:
        assert uow.tasks.list_for_run("r") == []


def test_a_retry_forgets_what_a_task_took_before(world: World) -> None:
    world.run("r")
    task = world.task("r", "t", {"in": ["old"]}, state=TaskState.FAILED)
    with world.database.writing() as uow:
        run = uow.runs.get("r")
        assert run is not None
        uow.runs.set_states([reopened(run, 10)])
    world.report("r", tasks=[replace(task, state=TaskState.RUNNING, input_artifacts='{"in":["new"]}')])
    with world.database.reading() as uow:
        assert [one.artifact for one in uow.lineage.of_tasks([TaskKey(task.run_id, task.task_id)], 10)] == ["new"]


def test_the_run_that_made_it_is_deleted(world: World) -> None:
    world.training("r1")
    world.training("r2", "data of r1")
    with world.database.writing() as uow:
        uow.runs.delete("r1")
    found = world.lineage("model of r2", BACKWARDS)
    assert shown(found) == ({"model of r2", "data of r1"}, {"r2/train", "r2/prepare"})
    assert [one.artifact.uri for one in found.artifacts] == ["file:///model of r2", ""]
    with pytest.raises(NotFoundError):
        world.lineage("data of r1")
    with world.database.reading() as uow:
        assert {one.task.run_id for one in uow.lineage.of_artifacts(["data of r1"], output=False, limit=10)} == {"r2"}


def test_an_artifact_that_several_runs_imported(world: World) -> None:
    for run_id in ("r1", "r2"):
        world.run(run_id)
        world.task(run_id, "import", {}, {"artifact": ["imported"]}, kind=TaskKind.IMPORTER)
        world.task(run_id, "use", {"in": ["imported"]}, {"out": [f"made by {run_id}"]})
    found = world.lineage("made by r1", BACKWARDS)
    assert shown(found)[1] >= {"r1/use", "r1/import"}
    assert shown(world.lineage("imported", FORWARDS))[1] == {"r1/use", "r2/use"}


def test_who_made_it_is_known_without_uses(world: World) -> None:
    """A server of the release before took its report."""
    world.training("r1")
    with world.database.engine.execution_options(penstock_writing=True).begin() as connection:
        connection.exec_driver_sql("DELETE FROM artifact_uses")
    found = world.lineage("model of r1")
    assert uses(found) == {"r1/train > model of r1"}


def test_statements_follow_from_the_depth_not_from_how_much_there_is(world: World) -> None:
    counts = []
    for width in (1, 40):
        run_id = f"r{width}"
        world.run(run_id)
        before = [f"{run_id} start"]
        world.task(run_id, "start", {}, {"out": before})
        for level in range(3):
            made = []
            for number in range(width):
                made.append(f"{run_id} {level} {number}")
                world.task(run_id, f"t{level}-{number}", {"in": before[:1]}, {"out": made[-1:]})
            before = made
        with statements(world.database) as seen:
            found = world.lineage(f"{run_id} start", FORWARDS, depth=3, max_nodes=1000)
        assert len(found.tasks) >= 2 * width
        counts.append(len(seen))
    assert counts[1] <= counts[0] + 8 <= 24, seen
