"""Which effects of a session happen before its commit, and which wait for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.dispatch import session as session_module
from penstock_executor.dispatch.session import Batch, RunSession, open_session
from penstock_executor.engine.effects import FinishRun, LookUpCache
from penstock_executor.lineage_records import ExecutionState
from penstock_ir.event_log import AttemptEnded, AttemptStarted, CacheAnswered, CachedResult, Outputs

from tools.testing import specs


def opened(asked: list[str], *commands: str) -> RunSession:
    """A run of cached tasks `a`, `b`, ... one after another; `asked` gets the paths whose look-ups went out."""
    document = specs.chain({chr(97 + at): [command] for at, command in enumerate(commands)}, cached=True)
    session = of_run(document, asked)
    session.resume([], 1, terminate=False)
    return session


def of_run(document: dict[str, Any], asked: list[str]) -> RunSession:
    claimed = pb.ClaimedRun(
        run_id="run-1",
        fence=1,
        pipeline_spec_json=json.dumps(document).encode(),
        policy=pb.RunPolicy(caching=True),
    )
    return open_session(
        claimed,
        default_root="file:///root",
        workspace_path="/kfp-workspace",
        look_up=lambda _, effect: asked.append(effect.path),
    )


def run_loop(size: int, *, ended: int) -> tuple[RunSession, list[Batch]]:
    """A session of a loop of which so many iterations have ended, and its reports, each committed at once."""
    session, batches = of_run(specs.loop(size), []), []
    session.resume([], 1, terminate=False)

    def commit() -> None:
        while session.has_pending:
            batches.append(session.take())
            session.committed(batches[-1])

    commit()
    for index in range(ended):
        assert session.deliver(AttemptEnded(f"loop[{index}]/t", 1, 2 + index), 2 + index)
        commit()
    return session, batches


def answered(session: RunSession, path: str, at: int, hit: CachedResult | None = None) -> None:
    node = session.node(path)
    assert node is not None
    assert session.deliver(CacheAnswered(path, node.fingerprint, at, hit), at)


def test_the_cache_is_not_asked_for_a_result_of_this_run_before_it_is_in() -> None:
    """Otherwise two messages race, and whether the second of two equal tasks runs is up to chance."""
    asked: list[str] = []
    session = opened(asked, "same", "same")
    assert asked == ["a"]
    answered(session, "a", 2)
    session.committed(session.take())
    assert session.deliver(AttemptEnded("a", 1, 3), 3)
    assert asked == ["a"]
    batch = session.take()
    assert [entry.task_path for entry in batch.transitions.cache_entries] == ["a"]
    assert [effect.path for effect in batch.effects if isinstance(effect, LookUpCache)] == ["b"]
    session.committed(batch)
    assert asked == ["a", "b"]


def test_a_result_that_is_on_its_way_counts_as_not_in() -> None:
    """`b` comes from the cache while the result of `a` is still on its way; `c` equals `a`."""
    asked: list[str] = []
    session = opened(asked, "same", "other", "same")
    answered(session, "a", 2)
    session.committed(session.take())
    assert session.deliver(AttemptEnded("a", 1, 3), 3)
    first = session.take()
    answered(session, "b", 4, CachedResult(Outputs()))
    assert asked == ["a", "b"]
    session.committed(first)
    session.committed(session.take())
    assert asked == ["a", "b", "c"]


def test_other_look_ups_go_out_at_once() -> None:
    asked: list[str] = []
    session = opened(asked, "one", "two")
    answered(session, "a", 2)
    assert session.deliver(AttemptEnded("a", 1, 3), 3)
    assert asked == ["a", "b"]


def test_a_start_is_known_to_others_when_it_is_committed() -> None:
    session, batches = run_loop(2, ended=0)
    for index in range(2):
        assert session.deliver(AttemptStarted(f"loop[{index}]/t", 1, 2, pod_name="worker"), 2)
        assert not session.start_committed(f"loop[{index}]/t", 1)
    batch = session.take()
    assert not session.start_committed("loop[0]/t", 1)
    assert session.deliver(AttemptEnded("loop[1]/t", 1, 3), 3)
    session.committed(batch)
    assert session.start_committed("loop[0]/t", 1)
    assert not session.start_committed("loop[0]/t", 2)
    assert not session.start_committed("loop[1]/t", 1), "it is not under way any more"

    lines = [line for one in (*batches, batch) for line in one.transitions.events]
    taken_over = of_run(specs.loop(2), [])
    taken_over.resume(lines, 9, terminate=False)
    assert taken_over.start_committed("loop[0]/t", 1)


def test_a_takeover_records_also_what_the_state_has_dropped() -> None:
    """Whoever held the run before may have committed an end and died before its lineage was in."""
    _, batches = run_loop(3, ended=2)
    lines = [line for batch in batches for line in batch.transitions.events]
    records = of_run(specs.loop(3), []).resume(lines, 9, terminate=False)
    states = {record.name: record.state for record in records}
    assert states == {
        "run/run-1": ExecutionState.RUNNING,
        "run/run-1/loop": ExecutionState.RUNNING,
        **{f"run/run-1/loop[{index}]": ExecutionState.COMPLETE for index in (0, 1)},
        **{f"run/run-1/loop[{index}]/t": ExecutionState.COMPLETE for index in (0, 1)},
        "run/run-1/loop[2]": ExecutionState.RUNNING,
        "run/run-1/loop[2]/t": ExecutionState.RUNNING,
    }
    known: set[str] = {""}
    for record in records:
        assert record.parent in known, f"{record.name} comes before its parent"
        known.add(record.name)


def test_a_run_does_not_end_before_its_last_rows_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that one report does not take bring lineage with the next."""
    monkeypatch.setattr(session_module, "_ROWS_PER_REPORT", 2)
    _, batches = run_loop(2, ended=2)
    (ending,) = [at for at, batch in enumerate(batches) if any(isinstance(one, FinishRun) for one in batch.effects)]
    assert any(record.name == "run/run-1" for record in batches[ending].records)
    assert not [record.name for batch in batches[ending + 1 :] for record in batch.records]


def test_a_takeover_writes_rows_that_the_holder_before_may_have_owed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_ROWS_PER_REPORT", 2)
    session, batches = run_loop(2, ended=1)
    assert session.deliver(AttemptEnded("loop[1]/t", 1, 9), 9)
    # The events of the end are committed with the first two rows, then its holder dies.
    last = session.take()
    session.committed(last)
    assert session.has_pending
    lines = [line for batch in (*batches, last) for line in batch.transitions.events]
    taken = of_run(specs.loop(2), [])
    taken.resume(lines, 10, terminate=False)
    rows = {}
    while taken.has_pending:
        batch = taken.take()
        taken.committed(batch)
        rows.update({row.path: row.state for row in batch.transitions.tasks})
    assert rows == dict.fromkeys(("", "loop", "loop[0]", "loop[0]/t", "loop[1]", "loop[1]/t"), "SUCCEEDED")
