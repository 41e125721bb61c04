"""What a session tells of attempts: with which report, merged from what it heard, whatever the clocks of others say."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import NO_TIMES, AttemptTimes
from penstock_executor.dispatch import session as session_module
from penstock_executor.dispatch.attempt_rows import AttemptRows
from penstock_executor.dispatch.session import RunSession, open_session
from penstock_executor.engine.effects import Launch
from penstock_ir.event_log import AttemptEnded, AttemptStarted, BackoffElapsed, FailureKind

from tools.testing import specs

PHASES = ("created", "placed", "scheduled", "prepared", "fetched", "started", "finished", "stored", "ended")
times_of_anybody = st.integers(-(2**70), 2**70) | st.integers(0, 3000)


def opened(log: Sequence[bytes] = (), *, at: int = 1_000, size: int = 1) -> RunSession:
    claimed = pb.ClaimedRun(run_id="run-1", fence=1, pipeline_spec_json=json.dumps(specs.loop(size)).encode())
    session = open_session(
        claimed, default_root="file:///root", workspace_path="/kfp-workspace", look_up=lambda _, effect: None
    )
    session.resume(list(log), at, terminate=False)
    return session


def reported(session: RunSession) -> pb.RunTransitions:
    batch = session.take()
    session.committed(batch)
    return batch.transitions


def times_of(row: pb.AttemptRow) -> dict[str, int]:
    return {phase: at for phase in PHASES if (at := getattr(row, f"{phase}_at_millis"))}


def test_an_attempt_is_told_of_with_the_events_that_change_it() -> None:
    session = opened()
    (row,) = reported(session).attempts
    assert row == pb.AttemptRow(path="loop[0]/t", attempt=1, created_at_millis=1_000)
    times = AttemptTimes(placed=1_100, scheduled=1_200, prepared=1_300, started=1_400, node="n1")
    assert session.deliver(AttemptStarted("loop[0]/t", 1, 1_400, "log", "pod"), 1_500, times)
    (row,) = reported(session).attempts
    assert times_of(row) == {"placed": 1_100, "scheduled": 1_200, "prepared": 1_300, "started": 1_400}
    assert (row.pod_name, row.log_uri, row.node, row.outcome) == ("pod", "log", "n1", "")
    times = AttemptTimes(fetched=1_390, started=1_410, finished=1_600, stored=1_700)
    assert session.deliver(AttemptEnded("loop[0]/t", 1, 1_600, exit_code=0, log_uri="log"), 1_800, times)
    report = reported(session)
    (row,) = report.attempts
    assert len(report.events) == 1
    assert times_of(row) == {"fetched": 1_390, "started": 1_410, "finished": 1_600, "stored": 1_700, "ended": 1_800}
    assert (row.outcome, row.HasField("exit_code"), row.exit_code, row.error) == ("succeeded", True, 0, "")
    assert not session._attempts._created


def test_what_gathers_before_a_report_is_one_row_and_a_duplicate_event_says_nothing() -> None:
    session = opened()
    session.note_times("loop[0]/t", 1, 1_200, AttemptTimes(placed=1_100))
    started = AttemptStarted("loop[0]/t", 1, 1_400, "log", "pod")
    assert session.deliver(started, 1_500, AttemptTimes(started=1_400))
    assert not session.deliver(started, 1_900, AttemptTimes(started=1_890))
    (row,) = reported(session).attempts
    assert times_of(row) == {"created": 1_000, "placed": 1_100, "started": 1_400}
    session.note_times("loop[0]/t", 1, 1_200, NO_TIMES)
    assert not session.has_pending


def test_where_an_attempt_runs_is_told_with_its_start_and_stays() -> None:
    session = opened()
    where = AttemptTimes(node="n", placement="worker w, its 2nd task\x00" + "ü" * 300, log_mark="m1")
    assert session.deliver(AttemptStarted("loop[0]/t", 1, 1_400, "log", "pod"), 1_500, where)
    session.note_times("loop[0]/t", 1, 1_600, AttemptTimes(started=1_400))
    (row,) = reported(session).attempts
    assert (row.placement, row.log_mark) == (("worker w, its 2nd task\ufffd" + "ü" * 300)[:200], "m1")


@pytest.mark.parametrize("mark", ["M1", "m1\n", "m 1", "m" * 64, "ü"])
def test_a_mark_that_no_server_takes_is_not_told(mark: str) -> None:
    session = opened()
    session.note_times("loop[0]/t", 1, 1_200, AttemptTimes(placed=1_100, log_mark=mark))
    (row,) = reported(session).attempts
    assert row.log_mark == ""


def test_how_far_an_attempt_is_hurries_no_report() -> None:
    session = opened()
    reported(session)
    session.note_times("loop[0]/t", 1, 1_200, AttemptTimes(placed=1_100))
    assert session.has_pending
    assert not session.urgent


def test_every_attempt_has_a_row_with_its_own_end() -> None:
    session = opened()
    reported(session)
    failed = AttemptEnded("loop[0]/t", 1, 2_000, failure=FailureKind.INFRASTRUCTURE, error="gone\x00", exit_code=2**40)
    assert session.deliver(failed, 2_100)
    (row,) = reported(session).attempts
    assert (row.attempt, row.outcome, row.error) == (1, "infrastructure", "gone\ufffd")
    assert not row.HasField("exit_code"), "it fits into no row"
    assert times_of(row) == {"ended": 2_100}, "its program never ran"
    assert session.deliver(BackoffElapsed("loop[0]/t", 1, 3_000), 3_000)
    (row,) = reported(session).attempts
    assert (row.attempt, times_of(row)) == (2, {"created": 3_000})


def test_an_end_is_told_with_its_event_however_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_ROWS_PER_REPORT", 3)
    session = opened(size=10)
    ended = [f"loop[{index}]/t" for index in range(5, 10)]
    for path in ended:
        assert session.deliver(AttemptEnded(path, 1, 2_000), 2_000)
    first = reported(session)
    assert {row.path for row in first.attempts if row.outcome} == set(ended)
    assert len(first.attempts) == 5, "no room for those that were only asked for"
    rest: list[pb.AttemptRow] = []
    while session.has_pending:
        report = reported(session)
        assert len(report.attempts) <= 3
        rest.extend(report.attempts)
    assert sorted(row.path for row in rest) == [f"loop[{index}]/t" for index in range(5)]


def test_a_successor_tells_again_when_the_attempts_that_are_open_were_asked_for() -> None:
    """Also of a run whose holder before, of an earlier release, told of no attempt."""
    session = opened(size=3)
    assert session.deliver(AttemptEnded("loop[0]/t", 1, 1_500), 2_000)
    log = list(reported(session).events)
    for at in (8_000, 9_000):
        report = reported(opened(log, at=at, size=3))
        assert [(row.path, times_of(row)) for row in report.attempts] == [
            (f"loop[{index}]/t", {"created": 1_000}) for index in (1, 2)
        ]


@given(st.builds(AttemptTimes, *[times_of_anybody] * 7), st.builds(AttemptTimes, *[times_of_anybody] * 7))
def test_phases_are_in_order_whatever_is_told(first: AttemptTimes, second: AttemptTimes) -> None:
    rows = AttemptRows()
    rows.asked([Launch("t", 1)], 1_000)
    rows.note(AttemptStarted("t", 1, 5), 1_500, first)
    rows.note(AttemptEnded("t", 1, 5), 2_000, second)
    (row,) = rows.take(1)
    known = list(times_of(row).values())
    assert known == sorted(known)
    assert (known[0], known[-1]) == (1_000, 2_000)
    assert not rows


def test_the_program_keeps_its_length_when_clocks_differ() -> None:
    """The API server's is a minute ahead of the node's."""
    rows = AttemptRows()
    rows.asked([Launch("t", 1)], 1_000)
    times = AttemptTimes(placed=61_000, scheduled=62_000, prepared=4_000, started=4_250, finished=9_250)
    rows.note(AttemptEnded("t", 1, 9_250), 10_000, times)
    (row,) = rows.take(1)
    told = times_of(row)
    assert (told["started"], told["finished"]) == (4_250, 9_250)
    assert told["placed"] == told["scheduled"] == told["prepared"] == 4_000
