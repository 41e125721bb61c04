"""How long a warm worker's agent waits, by what there is to wait for."""

from __future__ import annotations

from itertools import product

import pytest
from penstock_executor.agent.patience import Patience, Situation

PATIENCE = Patience(unattended=60, kept=3600, linger=10)
CASES = [
    # over, leaving, attended, kept
    ((False, False, True, False), None),
    ((False, False, True, True), None),
    ((False, False, False, False), 60),
    ((False, False, False, True), 3600),
    ((True, False, True, False), 0),
    ((True, False, False, True), 3600),
    ((True, False, True, True), 3600),
    ((True, True, True, True), 10),
    ((True, True, False, True), 10),
    ((True, True, True, False), 0),
]


@pytest.mark.parametrize(("situation", "seconds"), CASES)
def test_waits(situation: tuple[bool, bool, bool, bool], seconds: float | None) -> None:
    assert PATIENCE.seconds(Situation(False, *situation)) == seconds


def test_nothing_that_runs_is_ended() -> None:
    for situation in product((False, True), repeat=4):
        assert PATIENCE.seconds(Situation(True, *situation)) is None
