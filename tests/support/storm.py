"""Many short runs, and what must be true of them however much was killed or refused meanwhile.

Invariants: which runs there are follows from the seed; `check` looks at everything that a run leaves (its end, its
tasks, its Pods, its lineage) and says everything that is wrong, not the first thing only.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tests.support import lineage
from tests.support.begun import Begun
from tests.support.pod_watch import Attempt, PodWatch
from tools.testing import kube_specs, runs

_STATES = metadata_store_pb2.Execution.State
_RECORDED = {"SUCCEEDED": _STATES.COMPLETE, "FAILED": _STATES.FAILED, "SKIPPED": _STATES.CANCELED}
# In ten runs: 23 tasks with a container, 4 of them with an agent.
_MIX = ("pair", "pair", "pair", "triple", "triple", "passing", "passing", "loop", "loop", "failing")


@dataclass(slots=True)
class Storm:
    """`ids` are the runs by what kind they are of."""

    client: Client
    grpc: str
    seconds: float
    logs_may_be_lost: bool = False
    begun: Begun | None = None
    """When given, each task's program tells it."""
    ids: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, dict[str, insight_pb2.Task]] = field(default_factory=dict)

    def start(self, count: int, random: Random) -> None:
        kinds = [_MIX[number % len(_MIX)] for number in range(count)]
        random.shuffle(kinds)
        for number, kind in enumerate(kinds):
            run_id = runs.start(self.client, self._spec(kind), name=f"{kind} {number}")
            self.ids[run_id] = kind

    def going_on(self) -> list[str]:
        """Runs that have not ended; a server that is away is waited for."""
        states: dict[str, int] = {}

        def look() -> dict[str, int]:
            states.update({run.run_id: run.state for run in self.client.list_runs()})
            return states

        runs.until(look, lambda found: self.ids.keys() <= found.keys(), 120)
        return [run_id for run_id in self.ids if states[run_id] not in runs.ENDED]

    def wait(self, seconds: float) -> None:
        """Returns when all runs have ended. Raises AssertionError that names those which have not."""
        until = time.monotonic() + seconds
        while left := self.going_on():
            if time.monotonic() > until:
                raise AssertionError(f"{len(left)} of {len(self.ids)} runs have not ended: {self._stuck(left[:5])}")
            time.sleep(0.2)

    def check(self, watch: PodWatch, killed: Collection[Attempt] | None) -> dict[str, int]:
        """The figures. `killed`: the attempts that may have failed through no fault of theirs; None for any."""
        wrong: list[str] = []
        store = lineage.store(self.grpc)
        for run_id, kind in self.ids.items():
            self.tasks[run_id] = runs.tasks(self.client, run_id)
            wrong += [f"{kind} {run_id}: {text}" for text in self._wrong(run_id, kind, store)]
        attempts = {
            Attempt(run_id, path, number)
            for run_id, tasks in self.tasks.items()
            for path, task in tasks.items()
            if task.kind == "container"
            for number in range(1, task.attempts + 1)
        }
        first_ones = {one for one in attempts if one.number == 1}
        begun_again = {one._replace(number=one.number - 1) for one in attempts - first_ones}
        pods = watch.pods()
        if killed is not None:
            words = {pod.attempt: pod.status for pod in pods}
            innocent = begun_again - set(killed)
            wrong += [f"begun again though nobody killed it: {one}: {words.get(one)}" for one in innocent]
        wrong += [f"a Pod of no attempt: {pod}" for pod in pods if pod.attempt not in attempts]
        twice: dict[Any, int] = dict(watch.twice())
        wrong += [f"{number} Pods of {what}" for what, number in twice.items()]
        if self.begun is not None:
            begun, began_twice = self.begun.attempts(), self.begun.twice()
            wrong += [f"a program of no attempt began: {one}" for one in begun - attempts]
            wrong += [f"its program began {number} times: {one}" for one, number in began_twice.items()]
            wrong += [f"it ended well, and its program never began: {one}" for one in self._ended_well() - begun]
            twice |= began_twice
        assert not wrong, "\n".join(wrong)
        return {
            "runs": len(self.ids),
            "tasks": len(first_ones),
            "attempts": len(attempts),
            "pods": len(pods),
            "workers": len(watch.workers()),
            "twice": len(twice),
            "gaps": watch.gaps,
        }

    def _spec(self, kind: str) -> dict[str, Any]:
        if kind == "passing":
            return kube_specs.passing("what was made", seconds=self.seconds, scripts=self._script)
        if kind == "loop":
            return _with_item(kube_specs.loop(3, command=self._work("loop[{{$.inputs.parameters['x']}}]/t")))
        names = ("t0", "t1", "t2")[: 2 if kind == "pair" else 3]
        commands = {name: self._work(name) for name in names}
        if kind == "failing":
            commands["t1"] = self._work("t1", "; echo on purpose; exit 3")
        return kube_specs.chain(commands, name=kind)

    def _work(self, path: str, then: str = "") -> list[str]:
        return ["sh", "-c", self._script(path, f"sleep {self.seconds}{then}")]

    def _script(self, path: str, work: str) -> str:
        return work if self.begun is None else self.begun.script(path, work)

    def _ended_well(self) -> set[Attempt]:
        return {
            Attempt(run_id, path, task.attempts)
            for run_id, tasks in self.tasks.items()
            for path, task in tasks.items()
            if task.kind == "container" and task.state == "SUCCEEDED"
        }

    def _wrong(self, run_id: str, kind: str, store: Any) -> list[str]:
        run, tasks = runs.get(self.client, run_id), self.tasks[run_id]
        states = {path: task.state for path, task in tasks.items() if task.kind == "container"}
        errors = {path: task.error for path, task in tasks.items() if task.error}
        wrong = []
        if run.state != (run_pb2.FAILED if kind == "failing" else run_pb2.SUCCEEDED):
            wrong.append(f"it ended as {run_pb2.RuntimeState.Name(run.state)}: {run.error.message} {errors}")
        elif kind == "failing":
            lines = "" if self.logs_may_be_lost else "on purpose"
            if "exited with code 3" not in tasks["t1"].error or lines not in tasks["t1"].error:
                wrong.append(f"t1 failed with {tasks['t1'].error!r}")
            if (states["t0"], states["t1"]) != ("SUCCEEDED", "FAILED"):
                wrong.append(f"its tasks ended as {states}")
        elif set(states.values()) != {"SUCCEEDED"}:
            wrong.append(f"its tasks ended as {states}")
        elif kind == "passing" and tasks["use"].outputs["text"] != "what was made":
            wrong.append(f"it read {tasks['use'].outputs['text']!r}")
        wrong += lineage_wrong(store, run_id, tasks)
        if kind == "passing" and not wrong:
            wrong += self._passed(store, run_id)
        return wrong

    def _passed(self, store: Any, run_id: str) -> list[str]:
        context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
        recorded = [one.uri for one in store.get_artifacts_by_context(context.id)]
        listed = [one.uri for one in self.client.list_artifacts(run_id=run_id)]
        if recorded != listed or len(recorded) != 1:
            return [f"artifacts in lineage {recorded}, in the run {listed}"]
        names = {one.id: one.name.rpartition("/")[2] for one in store.get_executions_by_context(context.id)}
        (artifact,) = store.get_artifacts_by_context(context.id)
        events = {(names[one.execution_id], one.type) for one in store.get_events_by_artifact_ids([artifact.id])}
        event = metadata_store_pb2.Event
        expected = {("make", event.OUTPUT), ("use", event.INPUT)}
        return [] if events == expected else [f"events {events} instead of {expected}"]

    def _stuck(self, run_ids: list[str]) -> Mapping[str, Any]:
        return {
            f"{self.ids[run_id]} {run_id}": {
                path: (task.state, task.attempts, task.error)
                for path, task in runs.tasks(self.client, run_id).items()
                if task.state in ("PENDING", "RUNNING", "FAILED")
            }
            for run_id in run_ids
        }


def _with_item(spec: dict[str, Any]) -> dict[str, Any]:
    """A loop whose tasks are told their item `x`."""
    components = spec["pipeline_spec"]["components"]
    components["work"]["inputDefinitions"] = components["inner"]["inputDefinitions"]
    components["inner"]["dag"]["tasks"]["t"]["inputs"] = {"parameters": {"x": {"componentInputParameter": "x"}}}
    return spec


def lineage_wrong(store: Any, run_id: str, tasks: Mapping[str, insight_pb2.Task]) -> list[str]:
    """What the store says otherwise than the run: executions that are missing, too many, or in another state."""
    context = store.get_context_by_type_and_name("system.PipelineRun", run_id)
    if context is None:
        return ["it has no lineage"]
    root = f"run/{run_id}"
    found = {
        one.name.removeprefix(root).removeprefix("/"): one.last_known_state
        for one in store.get_executions_by_context(context.id)
    }
    expected = {path: _RECORDED[task.state] for path, task in tasks.items() if task.state in _RECORDED}
    return [] if found == expected else [f"lineage has {found}, the run {expected}"]
