"""Runs and the one function that changes their state.

Invariants: PENDING -> RUNNING -> SUCCEEDED | FAILED | SKIPPED | CANCELED; CANCELING comes before the end of a run
and is left only for a final state; a final state is left only by a retry. The history gains an entry with
every change that an executor reports, none from TerminateRun, as upstream (api.md §2.8). Its times never
decrease, even if the clocks of executors differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from penstock_server.domain.options import DEFAULT_OPTIONS, RunOptions


class RunState(str, Enum):
    """`RuntimeState` of v2beta1, by its names. PAUSED exists upstream only."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    PAUSED = "PAUSED"

    @property
    def final(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.SKIPPED, RunState.FAILED, RunState.CANCELED)


@dataclass(frozen=True, slots=True)
class StateChange:
    """`at`: milliseconds since the epoch."""

    state: RunState
    at: int


@dataclass(frozen=True, slots=True)
class Run:
    """`submitted_spec`: an inline spec as it was sent (JSON text), else empty; `runtime_config`: None if not sent."""

    run_id: str
    experiment_id: str
    display_name: str
    description: str
    namespace: str
    service_account: str
    storage_state: str
    state: RunState
    state_history: tuple[StateChange, ...]
    created_at: int
    scheduled_at: int
    spec_hash: str
    finished_at: int = 0
    error: str = ""
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    submitted_spec: str = ""
    runtime_config: str | None = None
    arguments: str = "{}"
    pipeline_root: str = ""
    recurring_run_id: str = ""
    plugins_input: str = ""
    resource_name: str = ""
    pipeline_context_id: int = 0
    pipeline_run_context_id: int = 0
    terminate_requested: bool = False
    options: RunOptions = DEFAULT_OPTIONS
    labels: Mapping[str, str] = field(default_factory=dict)
    created_by: str = ""
    """The user, empty where nobody is asked and for runs of schedules."""


def with_reported_state(run: Run, state: RunState, at: int, error: str = "") -> Run:
    """The run after an executor reported a state; unchanged if the state is the same or the report comes too late."""
    if run.state.final or run.state is state:
        return run
    if run.state is RunState.CANCELING and not state.final:
        return run
    history = _with_state_change(run, state, at)
    finished_at = history[-1].at if state.final else run.finished_at
    return replace(run, state=state, state_history=history, error=error, finished_at=finished_at)


def reopened(run: Run, at: int) -> Run:
    """The run after a retry was requested."""
    return replace(
        run,
        state=RunState.PENDING,
        state_history=_with_state_change(run, RunState.PENDING, at),
        finished_at=0,
        error="",
        terminate_requested=False,
    )


def was_reopened(run: Run) -> bool:
    """Whether it was retried."""
    return sum(change.state is RunState.PENDING for change in run.state_history) > 1


def _with_state_change(run: Run, state: RunState, at: int) -> tuple[StateChange, ...]:
    latest = run.state_history[-1].at if run.state_history else at
    return (*run.state_history, StateChange(state, max(at, latest)))
