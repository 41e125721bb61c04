"""How the benchmark of several servers and executors reads what it sees: waits, statements, what binds, rounds."""

from __future__ import annotations

import click
import pytest

from tools.bench.bench_machines import merged, pairs
from tools.bench.database_load import ITS_PROGRAM, ON_A_PROCESSOR, Activity, Observed, Statements, wait_of
from tools.bench.machine_load import AT_WORK, Spent, binding
from tools.bench.result import Row, at_most


def test_pairs() -> None:
    assert pairs("1x1, 2x4") == [(1, 1), (2, 4)]


@pytest.mark.parametrize("text", ["", "2", "2x", "x4", "0x1", "1x0", "1x1,", "axb", "-1x1"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not like 2x4"):
        pairs(text)


@pytest.mark.parametrize(
    ("state", "kind", "event", "wait"),
    [
        ("idle", "Client", "ClientRead", ""),
        (None, "", "", ""),
        ("active", "", "", ON_A_PROCESSOR),
        ("active", "IO", "WALSync", "IO:WALSync"),
        ("idle in transaction", "Client", "ClientRead", ITS_PROGRAM),
        ("idle in transaction (aborted)", "Client", "ClientRead", ITS_PROGRAM),
    ],
)
def test_what_a_connection_waits_for(state: str | None, kind: str, event: str, wait: str) -> None:
    assert wait_of(state, kind, event) == wait


def test_activity_is_that_of_all_looks() -> None:
    activity = Activity()
    activity.add([("idle", "Client", "ClientRead"), ("active", "IO", "WALSync"), ("active", "IO", "WALSync")])
    activity.add([("active", "", "")])
    activity.add([("idle", "Client", "ClientRead")] * 4)
    assert (activity.connections, activity.busy, activity.mean_busy) == (4, 2, 1.0)
    assert activity.shares() == {"IO:WALSync": pytest.approx(200 / 3), ON_A_PROCESSOR: pytest.approx(100 / 3)}


def test_begin_and_commit_are_no_statements() -> None:
    told = Statements()
    told.add("BEGIN ISOLATION LEVEL READ COMMITTED", 3)
    told.add("COMMIT", 2)
    told.add("ROLLBACK", 1)
    told.add("select 1 from runs", 7, 7)
    told.add("UPDATE runs SET lease_expires_at=$1 WHERE runs.run_id IN ($2)", 2, 50)
    told.add("UPDATE runs SET lease_owner=$1, lease_expires_at=$2 WHERE runs.run_id = $3", 1, 1)
    assert (told.others, told.transactions, told.renewed) == (10, 3, 50)


def _spent(**by_program: float) -> Spent:
    named = {"ML Metadata" if name == "lineage" else name: {1: cpu} for name, cpu in by_program.items()}
    return Spent({"servers": {}, "executors": {}, "ML Metadata": {}, **named}, 0.0)


def _seen(*states: tuple[str, str, str]) -> Observed:
    activity = Activity()
    activity.add(states)
    return Observed({"Penstock": activity})


def test_processors_bind_while_none_is_left_over() -> None:
    found = binding(_spent(servers=3.0, executors=1.0), 2.0, 0.01, _seen())
    assert (found.what, found.share) == ("the processors, most of them for servers", 75.0)


def test_a_thread_binds_while_it_has_a_processor_all_the_time() -> None:
    found = binding(_spent(servers=1.0, lineage=1.9), 2.0, 0.3, _seen())
    assert found.what == "a process of ML Metadata, its one thread"
    assert found.share == pytest.approx(95.0)


def test_else_the_wait_of_most_connections_binds() -> None:
    waiting = ("active", "IO", "WALSync")
    seen = _seen(waiting, ("active", "", ""), waiting, ("active", "Lock", "tuple"))
    found = binding(_spent(servers=1.0), 2.0, 0.3, seen)
    assert found.what.endswith("IO:WALSync")
    assert found.share == 50.0


def test_nothing_binds_where_nothing_was_at_work() -> None:
    assert binding(_spent(servers=0.1), 2.0, 0.9, _seen()).share == 0.0


def test_what_was_spent_since_counts_new_processes_from_nothing() -> None:
    before = Spent({"servers": {1: 1.0}}, 0.5)
    spent = Spent({"servers": {1: 3.0, 2: 0.5}}, 0.75).since(before)
    assert (spent.of("servers"), spent.busiest("servers"), spent.total, spent.lineage) == (2.5, 2.0, 2.5, 0.25)


def test_rounds_become_medians_and_targets_have_to_hold_in_all() -> None:
    rounds = [
        [Row("rate", 3.0, "tasks/s"), at_most("lost", 0, "", 0), Row(f"a{AT_WORK}IO:WALSync", 9.0, "%")],
        [Row("rate", 1.0, "tasks/s"), at_most("lost", 2, "", 0)],
        [Row("rate", 2.0, "tasks/s"), at_most("lost", 0, "", 0)],
    ]
    rate, lost, wait = merged(rounds)
    assert (rate.value, wait.value) == (2.0, 0.0)
    assert (lost.value, lost.holds) == (2, False)
