"""Gangs: launched in one decision when everybody of them is settled, never in part; each further attempt alone."""

from __future__ import annotations

from typing import Any

from penstock_executor.engine.effects import Cancel, Effect, FinishRun, Launch, LookUpCache
from penstock_executor.engine.machine import apply, outstanding
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import (
    AttemptEnded,
    AttemptStarted,
    CacheAnswered,
    CachedResult,
    Event,
    FailureKind,
    Outputs,
    RetryRequested,
    RunStarted,
    TerminateRequested,
    decode,
    encode,
)
from penstock_ir.gangs import GANG, GangShare
from penstock_ir.loader import document_from_json
from penstock_ir.task_rows import TaskState

from tools.simulate.invariants import summary, walk
from tools.testing import specs

SHARE = GangShare("loop[*]/train", 3)


def loop(size: int = 3, **of_member: Any) -> dict[str, Any]:
    """A loop in which `train`, which is a gang, comes after `load`; `of_member` is more of the task."""
    spec = specs.loop(size)
    item = {"x": {"componentInputParameter": "x"}}
    given = {"inputDefinitions": {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}}
    spec["deploymentSpec"]["executors"]["exec-train"] = spec["deploymentSpec"]["executors"]["exec"]
    spec["components"]["train"] = {"executorLabel": "exec-train", **given}
    spec["components"]["inner"]["dag"]["tasks"] = {
        "load": {"taskInfo": {"name": "load"}, "componentRef": {"name": "work"}},
        "train": {
            "taskInfo": {"name": "train"},
            "componentRef": {"name": "train"},
            "inputs": {"parameters": item},
            "dependentTasks": ["load"],
            **of_member,
        },
    }
    settings = {"exec-train": {"podMetadata": {"annotations": {GANG: "true"}}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": settings}}}}
    return {"pipeline_spec": spec, "platform_spec": platform}


class Drive:
    """A run whose log is kept, so that a replay can be compared."""

    def __init__(self, spec: dict[str, Any], **options: Any) -> None:
        self.context = RunContext("run", compile_pipeline(document_from_json(spec)), {}, "file:///root", **options)
        self.state = RunState(self.context)
        self.log: list[bytes] = []
        self.at = 1

    def give(self, event: Event) -> list[Effect]:
        decision = apply(self.state, event)
        if decision.accepted:
            self.log.append(encode(event))
        return decision.effects

    def start(self) -> list[Effect]:
        return self.give(RunStarted(1))

    def end(self, path: str, failure: FailureKind | None = None, attempt: int = 1) -> list[Launch]:
        self.at += 1
        return launches(self.give(AttemptEnded(path, attempt, self.at, failure=failure)))

    def loaded(self, *numbers: int) -> list[Launch]:
        """`load` of these iterations has ended; the launches that this brought."""
        return [one for number in numbers for one in self.end(f"loop[{number}]/load")]

    def states(self, task: str = "train") -> list[str]:
        """Of the iterations that are still known."""
        nodes = sorted(walk(self.state), key=lambda node: node.path)
        return [node.state.value for node in nodes if node.path.endswith(f"]/{task}")]

    def error(self, path: str) -> str:
        return next(node.error for node in walk(self.state) if node.path == path)

    def replayed(self) -> RunState:
        state = RunState(self.context)
        for line in self.log:
            apply(state, decode(line))
        return state


def launches(effects: list[Effect]) -> list[Launch]:
    return [effect for effect in effects if isinstance(effect, Launch)]


def together(share: GangShare, *numbers: int, attempt: int = 1) -> list[Launch]:
    return [Launch(f"loop[{number}]/train", attempt, share) for number in numbers]


def test_a_gang_is_launched_when_the_last_member_is_ready() -> None:
    drive = Drive(loop())
    drive.start()
    assert drive.loaded(2, 0) == []
    assert drive.states() == ["PENDING", "PENDING"]
    assert drive.loaded(1) == together(SHARE, 0, 1, 2)
    assert summary(drive.replayed()) == summary(drive.state)


def test_a_cached_member_is_done_and_one_alone_is_no_gang() -> None:
    drive = Drive(loop(2, cachingOptions={"enableCache": True}))
    drive.start()
    asked = [one for number in range(2) for one in drive.give(AttemptEnded(f"loop[{number}]/load", 1, 2))]
    first, second = (one for one in asked if isinstance(one, LookUpCache))
    assert launches(drive.give(CacheAnswered(first.path, first.fingerprint, 3))) == []
    hit = CachedResult(Outputs(), "earlier")
    effects = drive.give(CacheAnswered(second.path, second.fingerprint, 4, hit))
    assert launches(effects) == [Launch(first.path, 1)]


def test_a_member_that_a_condition_left_out_does_not_count() -> None:
    drive = Drive(loop(triggerPolicy={"condition": "inputs.parameter_values['x'] > 0"}))
    drive.start()
    assert drive.loaded(1, 2) == []
    assert drive.loaded(0) == together(GangShare(SHARE.name, 2), 1, 2)


def test_a_gang_that_cannot_be_whole_is_not_launched_and_a_retry_of_the_run_mends_it() -> None:
    drive = Drive(loop())
    drive.start()
    assert drive.loaded(0, 1) == []
    assert drive.end("loop[2]/load", FailureKind.USER) == []
    assert drive.states() == ["FAILED", "FAILED", "OMITTED"]
    assert "its gang cannot be whole, since 'loop[2]/train' did not come so far" in drive.error("loop[0]/train")
    assert drive.state.finished
    again = launches(drive.give(RetryRequested(10)))
    assert [one.path for one in again] == ["loop[2]/load"], "what waits for it is ready, and was not launched"
    share = GangShare(f"{SHARE.name}#1", 3)
    assert drive.end("loop[2]/load", attempt=again[0].attempt) == together(share, 0, 1, 2, attempt=2)
    assert summary(drive.replayed()) == summary(drive.state)


def test_a_member_that_failed_is_launched_again_alone() -> None:
    drive = Drive(loop(retryPolicy={"maxRetryCount": 1, "backoffDuration": "0s"}))
    drive.start()
    drive.loaded(0, 1, 2)
    assert drive.end("loop[1]/train", FailureKind.USER) == [Launch("loop[1]/train", 2)]
    node = drive.state.open_tasks["loop[1]/train"]
    assert node.gang == SHARE, "its Pod replaces one of the group's"


def test_a_retry_of_the_run_makes_a_gang_of_those_that_begin_again() -> None:
    drive = Drive(loop())
    drive.start()
    drive.loaded(0, 1, 2)
    drive.end("loop[0]/train")
    drive.end("loop[1]/train", FailureKind.USER)
    drive.end("loop[2]/train", FailureKind.USER)
    assert drive.state.finished
    again = launches(drive.give(RetryRequested(10)))
    assert again == together(GangShare(f"{SHARE.name}#1", 2), 1, 2, attempt=2)


def test_a_terminated_run_launches_no_gang() -> None:
    drive = Drive(loop())
    drive.start()
    drive.loaded(0, 1)
    effects = drive.give(TerminateRequested(9))
    assert effects == [Cancel("loop[2]/load", 1)]
    assert drive.states() == ["CANCELED", "CANCELED"]
    assert FinishRun() in drive.give(AttemptEnded("loop[2]/load", 1, 10, failure=FailureKind.CANCELED))
    assert set(drive.states()) <= {"CANCELED", "OMITTED"}


def test_whoever_takes_the_run_over_launches_the_members_that_are_left_together() -> None:
    drive = Drive(loop())
    drive.start()
    drive.loaded(0, 1)
    assert launches(outstanding(drive.replayed())) == [Launch("loop[2]/load", 1)]
    drive.loaded(2)
    assert outstanding(drive.replayed()) == together(SHARE, 0, 1, 2)
    drive.end("loop[0]/train")
    assert outstanding(drive.replayed()) == together(GangShare(SHARE.name, 2), 1, 2)


def test_a_log_of_a_release_without_gangs_goes_on_with_what_it_began() -> None:
    drive = Drive(loop())
    drive.start()
    drive.loaded(0)
    drive.give(AttemptStarted("loop[0]/train", 1, 5, pod_name="pod"))
    assert drive.states() == ["RUNNING"]
    drive.loaded(1, 2)
    assert drive.end("loop[0]/train") == []
    assert [one.path for one in launches(outstanding(drive.state))] == ["loop[1]/train", "loop[2]/train"]


def test_a_loop_that_turns_out_to_be_larger_than_its_parallelism_fails_before_it_begins() -> None:
    spec = loop()
    task = spec["pipeline_spec"]["root"]["dag"]["tasks"]["loop"]
    task["iteratorPolicy"] = {"parallelismLimit": 2}
    task["parameterIterator"] = {"itemInput": "x", "items": {"inputParameter": "list"}}
    task["inputs"] = {"parameters": {"list": {"runtimeValue": {"constant": [1, 2, 3]}}}}
    spec["pipeline_spec"]["components"]["inner"]["inputDefinitions"]["parameters"]["list"] = {"parameterType": "LIST"}
    drive = Drive(spec)
    assert drive.start() == [FinishRun()]
    assert "the loop has 3 iterations and a parallelism of 2" in drive.error("loop")
    assert drive.state.root is not None
    assert drive.state.root.state is TaskState.FAILED
