"""Attempts and timelines as `penstock runs attempts` and `penstock runs timeline` draw them."""

from __future__ import annotations

from google.protobuf import json_format
from penstock import timelines
from penstock_api.v1 import insight_pb2 as pb
from rich.console import Console
from rich.table import Table


def lines(table: Table) -> list[str]:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def moment(seconds: float) -> str:
    return f"1970-01-01T00:00:{10 + seconds:06.3f}Z"


def attempt(path: str, *phases: tuple[str, float, float | None], number: int = 1, state: str = "FAILED") -> pb.Attempt:
    spans = [
        {"phase": f"ATTEMPT_PHASE_{phase}", "start": moment(start), **({"end": moment(end)} if end else {})}
        for phase, start, end in phases
    ]
    document = {"path": path, "number": number, "state": state, "error": "first\nsecond", "phases": spans}
    return json_format.ParseDict(document, pb.Attempt())


def timeline(*attempts: pb.Attempt, end: float = 30) -> pb.Timeline:
    found = pb.Timeline(attempts=attempts, total_attempts=len(attempts))
    json_format.ParseDict({"from": moment(0), "to": moment(end)}, found)
    return found


def test_the_phases_of_attempts_in_seconds() -> None:
    one = attempt("a", ("QUEUED", 0, 1.5), ("RUNNING", 1.5, 4))
    other = attempt("a", ("QUEUED", 9, 9.25), ("STORING", 9.25, None), number=2, state="RUNNING")
    head, *rows = lines(timelines.attempt_table([one, other]))
    assert head.split() == ["task", "attempt", "state", "queued", "running", "storing", "error"]
    assert [row.split() for row in rows] == [
        ["a", "1", "FAILED", "1.500", "2.500", "first"],
        ["a", "2", "RUNNING", "0.250", "goes", "on", "first"],
    ]


def test_what_attempts_run_in_where_it_is_told_of_any() -> None:
    one, other = (attempt("a", ("RUNNING", 0, 1), number=number) for number in (1, 2))
    one.placement = "worker w, \x1b[31mits 2nd task"
    head, *rows = lines(timelines.attempt_table([one, other]))
    assert head.split() == ["task", "attempt", "state", "running", "runs", "in", "error"]
    assert "worker w," in rows[0]
    assert "\x1b" not in rows[0]
    assert rows[1].split() == ["a", "2", "FAILED", "1.000", "first"]


def test_bars_by_phase_on_one_scale() -> None:
    found = timeline(
        attempt("a", ("QUEUED", 0, 10), ("RUNNING", 10, 20)),
        attempt("b", ("PREPARING", 20, 25), ("RUNNING", 25, None), number=2, state="RUNNING"),
        attempt("short", ("RUNNING", 15, 15.001)),
    )
    found.critical_path.add(path="b")
    head, a, b, short = lines(timelines.bars(found))
    assert "0 … 30.0 s" in head
    assert "." * 20 + "#" * 20 in a
    assert "20.0 s" in a
    assert b.startswith("*")
    assert "b (2)" in b
    assert " " * 40 + "p" * 10 + "#" * 10 in b
    assert " " * 30 + "|" in short
    assert not a.startswith("*")


def test_a_timeline_of_no_length() -> None:
    assert "|" in lines(timelines.bars(timeline(attempt("a", ("CONCLUDING", 0, 0.0)), end=0)))[1]


def test_what_a_server_of_another_release_says_does_not_end_the_command() -> None:
    found = timeline(pb.Attempt(path="none"), attempt("a", ("RUNNING", 0, 10)))
    found.attempts[1].phases[0].phase = 99  # type: ignore[assignment]
    assert any("?" in line for line in lines(timelines.bars(found)))
    assert len(lines(timelines.attempt_table(found.attempts))) == 3


def test_bins_as_numbers() -> None:
    found = timeline(end=20)
    found.total_attempts = 1234
    for start in (0, 10):
        one = found.bins.add(attempts={"ATTEMPT_PHASE_RUNNING": 2.25 + start, "ATTEMPT_PHASE_QUEUED": 0.5})
        one.start.FromMilliseconds(int((10 + start) * 1000))
    title, head, first, second = lines(timelines.counts(found))
    assert title == "1234 attempts"
    assert head.split()[:2] == ["after", "queued"]
    assert (first.split(), second.split()) == (["0", "ms", "0.5", "2.2"], ["10.0", "s", "0.5", "12.2"])
