"""What the server reads in a run's event log, whoever wrote it."""

from __future__ import annotations

from penstock_ir.event_log import AttemptEnded, AttemptStarted, CacheAnswered, Event, FailureKind, RunStarted, encode
from penstock_server.domain.history import Attempt, history_of


def test_attempts_and_the_caches_answer_are_those_of_the_task() -> None:
    answer = CacheAnswered("train", "f00d", 2, reason="too old")
    events: list[Event] = [
        RunStarted(1),
        answer,
        AttemptStarted("train", 1, 3),
        AttemptEnded("train", 1, 5, failure=FailureKind.USER, exit_code=2, error="failed"),
        AttemptStarted("train", 2, 7),
        AttemptStarted("load", 1, 8),
        AttemptEnded("load", 1, 9, pod_name="train"),
    ]
    history = history_of(map(encode, events), "train")
    assert history.cache_answer == answer
    assert history.attempts == {
        1: Attempt(1, 3, 5, FailureKind.USER, 2, "failed"),
        2: Attempt(2, started_at=7),
    }


def test_what_a_newer_executor_wrote_is_passed_over() -> None:
    events = [
        b'{"type":"AttemptPaused","path":"train","attempt":1,"at":2}',
        b'{"type":"AttemptStarted","path":"train","attempt":1,"at":3,"node":"n1"}',
        b'{"type":"AttemptEnded","path":"train","attempt":1,"at":5,"failure":"preempted"}',
    ]
    assert history_of(events, "train").attempts == {1: Attempt(1, started_at=3)}
