"""The simulation notices a broken engine: each mutant must be caught within a few hundred seeds."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.engine import machine
from penstock_executor.engine.state import ContainerNode, Phase

from tests.simulation.runner import check

SEEDS = 300


def any_attempt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end of an earlier attempt is taken for the present one's."""

    def launched(self: Any, path: str, attempt: int) -> ContainerNode | None:
        node = self.state.open_tasks.get(path)
        return node if node is not None and node.phase in (Phase.LAUNCHED, Phase.CANCELING) else None

    monkeypatch.setattr(machine._Turn, "_launched", launched)


def backoff_counts_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer that goes off twice starts two attempts."""

    def elapsed(self: Any, event: Any) -> None:
        node = self.state.open_tasks.get(event.path)
        if node is not None:
            self.decision.accepted = True
            self._launch(node)

    monkeypatch.setattr(machine._Turn, "backoff_elapsed", elapsed)


def termination_forgets_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminated run leaves tasks alone that run."""

    def terminate(self: Any) -> None:
        if self.state.root is not None and not self.state.terminating:
            self.decision.accepted = True
            self.state.terminating = True
            for node in list(self.state.open_tasks.values()):
                self._end(node, machine.TaskState.CANCELED, "")

    monkeypatch.setattr(machine._Turn, "terminate", terminate)


def outstanding_forgets_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new owner does not start what its predecessor had decided."""
    from tests.simulation import world

    monkeypatch.setattr(world, "outstanding", lambda state: [])


def a_loop_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    original = machine._Turn._start_iterations

    def start(self: Any, loop: Any) -> None:
        loop.active = min(loop.active, 0)
        original(self, loop)

    monkeypatch.setattr(machine._Turn, "_start_iterations", start)


MUTANTS = [
    any_attempt_counts,
    backoff_counts_always,
    termination_forgets_what_waits,
    outstanding_forgets_launches,
    a_loop_has_no_limit,
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    for seed in range(SEEDS):
        try:
            check(seed)
        except Exception:  # noqa: BLE001 - any way of failing is being caught
            return
    pytest.fail(f"not caught within {SEEDS} seeds")
