"""The life of an attempt on a backend: one state machine for processes, containers and Pods.

Why it exists: an attempt may be cancelled while it is being created, end before its creation is answered, or be heard
to end twice. What then has to happen is the same on every backend, so it is decided here. A backend does the I/O: it
hands in what it observes and carries out the actions that `step` returns, in order.

Invariants: pure. An outcome is delivered once, or the launch is handed back once, and nothing is done after that. While
anything of an attempt is known to exist, its outcome is not delivered before that is over; the one exception is an
attempt that was given up and whose removal is refused, because nobody would ever see its end. The start is reported
once, and again for each later launch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias


class Phase(Enum):
    CREATING = "creating"
    """Nothing of the attempt is known to exist: it is prepared, created or looked for."""
    PENDING = "pending"
    """It exists, and its program has not started."""
    RUNNING = "running"
    """Its program runs."""
    STOPPING = "stopping"
    """It exists and was told to end."""
    CONCLUDING = "concluding"
    """It is over; its outcome is being read."""
    ENDED = "ended"
    """Its outcome is delivered, or its launch was handed back."""


class StopReason(Enum):
    """Why we end an attempt."""

    CANCELED = "canceled"
    """The engine wants it to end, as when its run is terminated."""
    DEADLINE = "deadline"
    """The task's deadline has passed."""
    GIVEN_UP = "given up"
    """It cannot start, or cannot end by itself; the backend keeps the failure."""


class Observation(Enum):
    """What a backend saw or was asked for."""

    CANCEL_ASKED = "cancel asked"
    DEADLINE_PASSED = "deadline passed"
    GIVEN_UP = "given up"
    LAUNCHED_AGAIN = "launched again"
    """The run was lost and claimed again, so its log may not know yet that the attempt has started."""
    CREATED = "created"
    """Something of the attempt exists, and its program has not started."""
    STARTED = "started"
    """Its program runs, or has run."""
    ENDED = "ended"
    """It is over, and its outcome can be read."""
    GONE = "gone"
    """It is over, and nothing is left to read an outcome from."""
    NOT_CREATED = "not created"
    """Nothing was created and nothing will be. The outcome comes with this: of a launch that failed, or of a task
    that is only a volume claim."""
    POSTPONED = "postponed"
    """Nothing was created, and the launch may be asked for again: the lease is not certain, or there is no room."""
    STOP_REFUSED = "stop refused"
    """What exists cannot be told to end, now or later."""
    CONCLUDED = "concluded"
    """Its outcome has been read, and comes with this."""


class Action(Enum):
    """What the backend has to do."""

    REPORT_START = "report start"
    WITHDRAW = "withdraw"
    """Break off the preparation: nothing has to be created any more."""
    STOP = "stop"
    """Tell what exists to end. May be asked for twice."""
    READ_OUTCOME = "read outcome"
    """Read how it ended, then observe CONCLUDED."""
    DELIVER = "deliver"
    """Deliver the outcome that came with the observation."""
    DELIVER_STOPPED = "deliver stopped"
    """Deliver the outcome that the reason for stopping gives."""
    DELIVER_LOST = "deliver lost"
    """Deliver that nobody saw how it ended."""
    HAND_BACK = "hand back"
    """Forget the attempt and tell the caller of `launch` that nothing was created."""


@dataclass(frozen=True, slots=True)
class AttemptState:
    phase: Phase = Phase.CREATING
    stop: StopReason | None = None
    """Why it is to end. It stays as it is once the attempt is over."""
    start_reported: bool = False


Step: TypeAlias = tuple[AttemptState, tuple[Action, ...]]


def step(state: AttemptState, observation: Observation) -> Step:
    """The state after the observation, and what has to be done. What is not in the table changes nothing."""
    rule = _RULES[state.phase].get(observation)
    return rule(state) if rule is not None else (state, ())


def _withdraw(state: AttemptState) -> Step:
    if state.stop is not None:
        return state, ()
    return replace(state, stop=StopReason.CANCELED), (Action.WITHDRAW,)


def _created(state: AttemptState) -> Step:
    if state.stop is not None:
        return replace(state, phase=Phase.STOPPING), (Action.STOP,)
    return replace(state, phase=Phase.PENDING), ()


def _started(state: AttemptState) -> Step:
    if state.stop is not None:
        return replace(state, phase=Phase.STOPPING, start_reported=True), (Action.REPORT_START, Action.STOP)
    return replace(state, phase=Phase.RUNNING, start_reported=True), (Action.REPORT_START,)


def _started_while_stopping(state: AttemptState) -> Step:
    if state.start_reported:
        return state, ()
    return replace(state, start_reported=True), (Action.REPORT_START,)


def _report_again(state: AttemptState) -> Step:
    return state, ((Action.REPORT_START,) if state.start_reported else ())


def _cancel(state: AttemptState) -> Step:
    return replace(state, phase=Phase.STOPPING, stop=StopReason.CANCELED), (Action.STOP,)


def _cancel_while_stopping(state: AttemptState) -> Step:
    # A task that had run for too long counts as canceled when its run is terminated before it has ended. A failure
    # for which an attempt was given up stays.
    return _cancel(state) if state.stop is StopReason.DEADLINE else (state, ())


def _pass_deadline(state: AttemptState) -> Step:
    return replace(state, phase=Phase.STOPPING, stop=StopReason.DEADLINE), (Action.STOP,)


def _give_up(state: AttemptState) -> Step:
    return replace(state, phase=Phase.STOPPING, stop=StopReason.GIVEN_UP), (Action.STOP,)


def _refused(state: AttemptState) -> Step:
    return _end(state, Action.DELIVER_STOPPED) if state.stop is StopReason.GIVEN_UP else (state, ())


def _ended(state: AttemptState) -> Step:
    if state.stop is StopReason.GIVEN_UP:
        # How it ended when it was told to is not why it failed.
        return _end(state, Action.DELIVER_STOPPED)
    return replace(state, phase=Phase.CONCLUDING), (Action.READ_OUTCOME,)


def _gone(state: AttemptState) -> Step:
    known = state.stop in (StopReason.CANCELED, StopReason.GIVEN_UP)
    return _end(state, Action.DELIVER_STOPPED if known else Action.DELIVER_LOST)


def _postponed(state: AttemptState) -> Step:
    return _end(state, Action.DELIVER_STOPPED if state.stop is not None else Action.HAND_BACK)


def _deliver(state: AttemptState) -> Step:
    return _end(state, Action.DELIVER)


def _end(state: AttemptState, action: Action) -> Step:
    return replace(state, phase=Phase.ENDED), (action,)


_RULES: Mapping[Phase, Mapping[Observation, Callable[[AttemptState], Step]]] = {
    Phase.CREATING: {
        Observation.CANCEL_ASKED: _withdraw,
        Observation.CREATED: _created,
        Observation.STARTED: _started,
        Observation.ENDED: _ended,
        Observation.GONE: _gone,
        Observation.NOT_CREATED: _deliver,
        Observation.POSTPONED: _postponed,
    },
    Phase.PENDING: {
        Observation.CANCEL_ASKED: _cancel,
        Observation.DEADLINE_PASSED: _pass_deadline,
        Observation.GIVEN_UP: _give_up,
        Observation.STARTED: _started,
        Observation.ENDED: _ended,
        Observation.GONE: _gone,
    },
    Phase.RUNNING: {
        Observation.CANCEL_ASKED: _cancel,
        Observation.DEADLINE_PASSED: _pass_deadline,
        Observation.GIVEN_UP: _give_up,
        Observation.LAUNCHED_AGAIN: _report_again,
        Observation.ENDED: _ended,
        Observation.GONE: _gone,
    },
    Phase.STOPPING: {
        Observation.CANCEL_ASKED: _cancel_while_stopping,
        Observation.STOP_REFUSED: _refused,
        Observation.LAUNCHED_AGAIN: _report_again,
        Observation.STARTED: _started_while_stopping,
        Observation.ENDED: _ended,
        Observation.GONE: _gone,
    },
    Phase.CONCLUDING: {
        Observation.LAUNCHED_AGAIN: _report_again,
        Observation.CONCLUDED: _deliver,
    },
    Phase.ENDED: {},
}
