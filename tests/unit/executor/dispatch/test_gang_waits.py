"""A member that waits for its gang says so, in words that the release before reads as a task without an attempt."""

from __future__ import annotations

import json
from dataclasses import replace

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.dispatch.session import WAITS_FOR_GANG, RunSession, open_session
from penstock_ir.event_log import CacheAnswered
from penstock_ir.task_rows import TaskKind, TaskPhase, TaskState
from penstock_server.domain.task import Task, with_waits

from tools.testing import specs


def opened() -> tuple[RunSession, list[tuple[str, str]]]:
    """A loop of two whose members are asked for in the cache: by path, and fingerprint."""
    spec = specs.loop(2)
    spec["components"]["inner"]["dag"]["tasks"]["t"]["cachingOptions"] = {"enableCache": True}
    document = specs.annotated({"penstock.dev/gang": "true"}, spec)
    asked: list[tuple[str, str]] = []
    session = open_session(
        pb.ClaimedRun(
            run_id="run",
            fence=1,
            pipeline_spec_json=json.dumps(document["pipeline_spec"]).encode(),
            platform_spec_json=json.dumps(document["platform_spec"]).encode(),
            policy=pb.RunPolicy(caching=True),
        ),
        default_root="file:///root",
        workspace_path="/workspace",
        look_up=lambda session, effect: asked.append((effect.path, effect.fingerprint)),
    )
    session.resume([], 1, terminate=False)
    session.take()
    return session, asked


def test_a_member_that_waits_says_so_until_it_is_launched() -> None:
    session, asked = opened()
    first, second = asked
    session.deliver(CacheAnswered(*first, at=2), 2)
    transitions = session.take().transitions
    assert [(wait.path, wait.text) for wait in transitions.waits] == [(first[0], WAITS_FOR_GANG)]
    assert [(row.path, row.phase, row.attempt) for row in transitions.tasks] == [(first[0], "cache lookup", 0)]
    session.deliver(CacheAnswered(*second, at=3), 3)
    transitions = session.take().transitions
    assert {(row.path, row.phase, row.attempt) for row in transitions.tasks} == {
        (path, "launched", 1) for path, _ in asked
    }
    assert not transitions.waits


def test_one_that_is_launched_before_it_could_be_told_says_nothing() -> None:
    session, asked = opened()
    for number, one in enumerate(asked):
        session.deliver(CacheAnswered(*one, at=2 + number), 2 + number)
    assert not session.take().transitions.waits


def test_what_it_says_is_shown() -> None:
    row = Task("run", "loop[0]/t", "t", TaskKind.CONTAINER, TaskState.PENDING, phase=TaskPhase.CACHE_LOOKUP)
    general = Task("run", "", "", TaskKind.DAG, TaskState.RUNNING, waiting="no place is free")
    assert with_waits([general, replace(row, waiting=WAITS_FOR_GANG)])[1].waiting == WAITS_FOR_GANG
    assert with_waits([general, row])[1].waiting == "", "what the run's launches wait for is not what it waits for"
