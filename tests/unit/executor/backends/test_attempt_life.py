"""The life of an attempt: the whole table of phases and observations, and what holds for every sequence of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_executor.backends.attempt_life import Action, AttemptState, Observation, Phase, Step, StopReason, step

CREATING, PENDING, RUNNING, STOPPING, CONCLUDING, ENDED = Phase
CANCELED, DEADLINE, GIVEN_UP = StopReason
O, A = Observation, Action  # noqa: E741 - the table would be twice as wide

State: TypeAlias = tuple[Phase, "StopReason | None", bool]

# Every state that an attempt can be in, with what follows from observations; those that are not named change nothing.
# (phase, stop, start reported) -> {observation: (phase, stop, start reported, actions)}
TABLE: dict[State, dict[Observation, tuple[Phase, StopReason | None, bool, list[Action]]]] = {
    (CREATING, None, False): {
        O.CANCEL_ASKED: (CREATING, CANCELED, False, [A.WITHDRAW]),
        O.CREATED: (PENDING, None, False, []),
        O.STARTED: (RUNNING, None, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, None, False, [A.READ_OUTCOME]),
        O.GONE: (ENDED, None, False, [A.DELIVER_LOST]),
        O.NOT_CREATED: (ENDED, None, False, [A.DELIVER]),
        O.POSTPONED: (ENDED, None, False, [A.HAND_BACK]),
    },
    (CREATING, CANCELED, False): {
        O.CREATED: (STOPPING, CANCELED, False, [A.STOP]),
        O.STARTED: (STOPPING, CANCELED, True, [A.REPORT_START, A.STOP]),
        O.ENDED: (CONCLUDING, CANCELED, False, [A.READ_OUTCOME]),
        O.GONE: (ENDED, CANCELED, False, [A.DELIVER_STOPPED]),
        O.NOT_CREATED: (ENDED, CANCELED, False, [A.DELIVER]),
        O.POSTPONED: (ENDED, CANCELED, False, [A.DELIVER_STOPPED]),
    },
    (PENDING, None, False): {
        O.CANCEL_ASKED: (STOPPING, CANCELED, False, [A.STOP]),
        O.DEADLINE_PASSED: (STOPPING, DEADLINE, False, [A.STOP]),
        O.GIVEN_UP: (STOPPING, GIVEN_UP, False, [A.STOP]),
        O.STARTED: (RUNNING, None, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, None, False, [A.READ_OUTCOME]),
        O.GONE: (ENDED, None, False, [A.DELIVER_LOST]),
    },
    (RUNNING, None, True): {
        O.CANCEL_ASKED: (STOPPING, CANCELED, True, [A.STOP]),
        O.DEADLINE_PASSED: (STOPPING, DEADLINE, True, [A.STOP]),
        O.GIVEN_UP: (STOPPING, GIVEN_UP, True, [A.STOP]),
        O.LAUNCHED_AGAIN: (RUNNING, None, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, None, True, [A.READ_OUTCOME]),
        O.GONE: (ENDED, None, True, [A.DELIVER_LOST]),
    },
    (STOPPING, CANCELED, False): {
        O.STARTED: (STOPPING, CANCELED, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, CANCELED, False, [A.READ_OUTCOME]),
        O.GONE: (ENDED, CANCELED, False, [A.DELIVER_STOPPED]),
    },
    (STOPPING, CANCELED, True): {
        O.LAUNCHED_AGAIN: (STOPPING, CANCELED, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, CANCELED, True, [A.READ_OUTCOME]),
        O.GONE: (ENDED, CANCELED, True, [A.DELIVER_STOPPED]),
    },
    (STOPPING, DEADLINE, False): {
        O.CANCEL_ASKED: (STOPPING, CANCELED, False, [A.STOP]),
        O.STARTED: (STOPPING, DEADLINE, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, DEADLINE, False, [A.READ_OUTCOME]),
        O.GONE: (ENDED, DEADLINE, False, [A.DELIVER_LOST]),
    },
    (STOPPING, DEADLINE, True): {
        O.CANCEL_ASKED: (STOPPING, CANCELED, True, [A.STOP]),
        O.LAUNCHED_AGAIN: (STOPPING, DEADLINE, True, [A.REPORT_START]),
        O.ENDED: (CONCLUDING, DEADLINE, True, [A.READ_OUTCOME]),
        O.GONE: (ENDED, DEADLINE, True, [A.DELIVER_LOST]),
    },
    (STOPPING, GIVEN_UP, False): {
        O.STARTED: (STOPPING, GIVEN_UP, True, [A.REPORT_START]),
        O.STOP_REFUSED: (ENDED, GIVEN_UP, False, [A.DELIVER_STOPPED]),
        O.ENDED: (ENDED, GIVEN_UP, False, [A.DELIVER_STOPPED]),
        O.GONE: (ENDED, GIVEN_UP, False, [A.DELIVER_STOPPED]),
    },
    (STOPPING, GIVEN_UP, True): {
        O.LAUNCHED_AGAIN: (STOPPING, GIVEN_UP, True, [A.REPORT_START]),
        O.STOP_REFUSED: (ENDED, GIVEN_UP, True, [A.DELIVER_STOPPED]),
        O.ENDED: (ENDED, GIVEN_UP, True, [A.DELIVER_STOPPED]),
        O.GONE: (ENDED, GIVEN_UP, True, [A.DELIVER_STOPPED]),
    },
    **{
        (CONCLUDING, stop, False): {O.CONCLUDED: (ENDED, stop, False, [A.DELIVER])}
        for stop in (None, CANCELED, DEADLINE)
    },
    **{
        (CONCLUDING, stop, True): {
            O.LAUNCHED_AGAIN: (CONCLUDING, stop, True, [A.REPORT_START]),
            O.CONCLUDED: (ENDED, stop, True, [A.DELIVER]),
        }
        for stop in (None, CANCELED, DEADLINE)
    },
    **{(ENDED, stop, reported): {} for stop in (None, *StopReason) for reported in (False, True)},
}  # fmt: skip

LAST = {A.DELIVER, A.DELIVER_STOPPED, A.DELIVER_LOST, A.HAND_BACK}


@pytest.mark.parametrize("observation", Observation)
@pytest.mark.parametrize("before", TABLE, ids=lambda one: f"{one[0].value}, {one[1] and one[1].value}, {one[2]}")
def test_what_follows(before: State, observation: Observation) -> None:
    phase, stop, reported, actions = TABLE[before].get(observation, (*before, []))
    assert step(AttemptState(*before), observation) == (AttemptState(phase, stop, reported), tuple(actions))


def test_the_table_has_every_state_that_can_be_reached() -> None:
    reached = {AttemptState()}
    while more := {step(state, one)[0] for state in reached for one in Observation} - reached:
        reached |= more
    assert {(one.phase, one.stop, one.start_reported) for one in reached} == TABLE.keys()


def steps(observations: Iterable[Observation]) -> Iterator[tuple[Observation, Step]]:
    state = AttemptState()
    for observation in observations:
        state, actions = step(state, observation)
        yield observation, (state, actions)


Sequence: TypeAlias = "tuple[Observation, ...]"


def an_outcome_is_delivered_once_and_nothing_follows(observations: Sequence) -> None:
    # Whatever happened before, the end of what runs comes some time, and its outcome is read.
    taken = [*steps((*observations, O.ENDED, O.CONCLUDED))]
    actions = [action for _, (_, some) in taken for action in some]
    assert [action for action in actions if action in LAST] == actions[-1:]
    assert taken[-1][1][0].phase is ENDED
    assert actions.count(A.READ_OUTCOME) <= 1


def nothing_is_delivered_before_it_is_over(observations: Sequence) -> None:
    exists = over = reading = False
    stop: StopReason | None = None
    for observation, (state, actions) in steps(observations):
        exists = exists or observation in (O.CREATED, O.STARTED)
        over = over or observation in (O.ENDED, O.GONE)
        delivered = LAST.intersection(actions)
        if delivered and exists and not over:
            assert (observation, stop) == (O.STOP_REFUSED, GIVEN_UP)
        if delivered and reading:
            assert observation is O.CONCLUDED
        reading = reading or A.READ_OUTCOME in actions
        stop = state.stop
        if state.phase is ENDED:
            break


def a_start_is_reported_once_for_each_launch(observations: Sequence) -> None:
    reports = [one for one, (_, actions) in steps(observations) if A.REPORT_START in actions]
    assert reports.count(O.STARTED) <= 1
    assert set(reports[:1]) <= {O.STARTED}
    assert set(reports[1:]) <= {O.LAUNCHED_AGAIN}


def what_is_to_end_is_told_to_as_soon_as_it_exists(observations: Sequence) -> None:
    exists = over = told = False
    for observation, (state, actions) in steps(observations):
        over = over or state.phase in (CONCLUDING, ENDED)
        exists = exists or observation in (O.CREATED, O.STARTED)
        if A.STOP in actions:
            assert exists
            assert not over
            told = True
        if state.stop is not None and exists and not over:
            assert told


PROPERTIES = (
    an_outcome_is_delivered_once_and_nothing_follows,
    nothing_is_delivered_before_it_is_over,
    a_start_is_reported_once_for_each_launch,
    what_is_to_end_is_told_to_as_soon_as_it_exists,
)


@pytest.mark.parametrize("holds", PROPERTIES)
def test_every_short_sequence(holds: Callable[[Sequence], None]) -> None:
    """Observations come in any order, and again."""
    for length in range(4):
        for observations in itertools.product(Observation, repeat=length):
            holds(observations)


@pytest.mark.parametrize("holds", PROPERTIES)
@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(Observation), min_size=4, max_size=12))
def test_longer_sequences(holds: Callable[[Sequence], None], observations: list[Observation]) -> None:
    holds(tuple(observations))
