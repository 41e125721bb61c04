"""What is known of attempts that were begun, and the message that a killed agent leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent import begun
from penstock_executor.agent.begun import BegunAttempts, RefusedError, TooManyRunsError, write_message
from penstock_executor.agent.protocol import MESSAGE_BYTES, AttemptResult, ProcessExit
from penstock_executor.engine.names import attempt_id

WELL = AttemptResult(ProcessExit(0), parameters={"out": "x"})


def test_a_lower_fence_is_refused_and_changes_nothing() -> None:
    attempts = BegunAttempts()
    attempts.check_fence("run", 5)
    attempts.check_fence("run", 5)
    with pytest.raises(RefusedError):
        attempts.check_fence("run", 4)
    attempts.check_fence("run", 6)
    with pytest.raises(RefusedError):
        attempts.check_fence("run", 5)
    attempts.check_fence("another", 0)


def test_so_many_runs_are_known_and_no_more() -> None:
    attempts = BegunAttempts(most_fences=2)
    attempts.check_fence("one", 1)
    attempts.check_fence("two", 1)
    with pytest.raises(TooManyRunsError):
        attempts.check_fence("three", 1)
    attempts.check_fence("two", 2)
    with pytest.raises(RefusedError):
        attempts.check_fence("two", 1)


def test_a_forgotten_attempt_stays_known_without_its_result() -> None:
    attempts = BegunAttempts()
    attempts.begin("a", "run", "mark", 0.0)
    assert not attempts.forget("a"), "it runs"
    assert json.loads(attempts.end("a", WELL))["result"]["parameters"] == {"out": "x"}
    assert attempts.kept() == ["a"]
    assert attempts.forget("a") and not attempts.forget("a") and not attempts.forget("b")
    assert attempts.kept() == []
    found = attempts.find("a", "run")
    assert found is not None and found.told(2.5) == {
        "seconds": 2.5,
        "number": 1,
        "running": False,
        "forgotten": True,
        "log_token": "mark",
    }
    result = json.loads(attempts.ended("a"))["result"]
    assert result["parameters"] == {} and "forgotten" in result["failure"][1]
    assert attempts.begin("b", "run", "mark", 0.0).number == 2
    with pytest.raises(RefusedError, match="another run"):
        attempts.find("a", "another")


def test_results_are_kept_up_to_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begun, "MAX_KEPT_BYTES", 1000)
    attempts = BegunAttempts()
    attempts.begin("a", "run", "mark", 0.0)
    attempts.end("a", AttemptResult(None, parameters={"out": "x" * 1000}))
    with pytest.raises(RefusedError, match="bytes"):
        attempts.check_room()
    attempts.forget("a")
    attempts.check_room()


def test_as_many_attempts_as_are_kept_fit_into_a_message(tmp_path: Path) -> None:
    message = tmp_path / "message"
    for identities in (
        [attempt_id("run", "path", number) for number in range(begun.MAX_KEPT)],
        [f"{number:060}" for number in range(begun.MAX_KEPT)],
    ):
        for identity in identities:
            assert begun.identity_in({"id": identity}) == identity
        write_message(message, identities)
        assert len(message.read_bytes()) <= MESSAGE_BYTES
        assert json.loads(message.read_text()) == {"begun": identities}
    with pytest.raises(OSError, match="no room"):
        write_message(message, ["x" * MESSAGE_BYTES])
    assert json.loads(message.read_text()) == {"begun": identities}


def test_a_message_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One write, from the file's start and within a page; what follows changes only blanks."""
    message = tmp_path / "message"
    write_message(message, [])
    writes: list[int] = []
    pwrite, ftruncate = os.pwrite, os.ftruncate

    def write(file: int, data: bytes, offset: int) -> int:
        writes.append(len(data))
        assert offset == 0 and len(data) <= MESSAGE_BYTES
        return pwrite(file, data, offset)

    def truncate(file: int, size: int) -> None:
        # As when it is killed here.
        assert json.loads(message.read_text()) == {"begun": expected}
        ftruncate(file, size)

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "ftruncate", truncate)
    for expected in (["a" * 60] * 20, ["a"], [], ["b", "c"]):
        write_message(message, expected)
        assert message.read_text() == json.dumps({"begun": expected}, separators=(",", ":"))
    assert len(writes) == 4


@pytest.mark.parametrize("identity", [None, 1, "", "a b", 'a"', "ä", "x" * 61, "a\n"])
def test_no_attempt_has_such_an_id(identity: Any) -> None:
    with pytest.raises(ValueError, match="no attempt"):
        begun.identity_in({"id": identity})
