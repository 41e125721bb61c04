"""References `$(NAME)` in the texts of a Pod: programs get texts unchanged, variables may refer to earlier ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.backends.kubernetes.environment import literal
from penstock_executor.backends.kubernetes.variable_expansion import TooLongError, escaped, expanded, refers_to

from tools.sim_kube.expansion import expand

VALUES = {"A": "a", "B": "$(A)", "EMPTY": "", "LINE\nBREAK": "broken"}
VARIABLES = {"KFP_POD_NAME": "pod-1", "A.B": "dotted"}


@pytest.mark.parametrize(
    ("text", "program_gets"),
    [
        ("plain", "plain"),
        ("$HOME ${HOME} $1", "$HOME ${HOME} $1"),
        ("$$ is a shell's pid", "$$ is a shell's pid"),
        ("$(date) and $(UNKNOWN)", "$(date) and $(UNKNOWN)"),
        ("in $(KFP_POD_NAME)", "in pod-1"),
        ("$(A.B) $(AxB)", "dotted $(AxB)"),
        ("$$(KFP_POD_NAME)", "$pod-1"),
        ("$(KFP_POD_NAME", "$(KFP_POD_NAME"),
        ("$", "$"),
    ],
)
def test_dollars(text: str, program_gets: str) -> None:
    assert expanded(escaped(text, VARIABLES), VARIABLES, 1000) == program_gets
    assert bool(refers_to(text, VARIABLES)) == (text != program_gets)


@given(st.text(alphabet="$(){}AB.KFP_ODNME \n\"'\\é"))
def test_without_references_everything_arrives_as_it_is(text: str) -> None:
    assert expanded(escaped(text, ()), {}, len(text)) == text


@pytest.mark.parametrize(
    ("text", "comes_to"),
    [
        ("$(A)", "a"),
        ("$(A)$(A)-$(B)", "aa-$(A)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$a"),
        ("$$$$(A)", "$$(A)"),
        ("$(EMPTY)", ""),
        ("$()", "$()"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$((A))", "$((A))"),
        ("$(X$(A))", "$(X$(A))"),
        ("$(X$$)$$", "$(X$$)$"),
        ("$(A", "$(A"),
        ("$(A$$", "$(A$"),
        ("A)$", "A)$"),
        ("$A $(A)$", "$A a$"),
        ("$(LINE\nBREAK)", "broken"),
        ("é$(A)é", "éaé"),
        ("", ""),
    ],
)
def test_the_syntax(text: str, comes_to: str) -> None:
    assert expanded(text, VALUES, 1000) == comes_to == expand(text, VALUES)


@given(st.lists(st.sampled_from(["$", "$$", "(", ")", "$(", "$(A)", "$(B)", "A", "é"])).map("".join))
def test_it_is_what_a_kubelet_does(text: str) -> None:
    assert expanded(text, VALUES, 1000) == expand(text, VALUES)


def test_no_text_becomes_longer_than_it_may_be() -> None:
    assert expanded("$(A)$$x", VALUES, 3) == "a$x"
    for text in ("$(A)$$x", "abc", "$(A)" * 1_000_000):
        with pytest.raises(TooLongError):
            expanded(text, VALUES, 2)


def test_the_time_grows_with_the_length_alone() -> None:
    # To look for the end of each would take an hour.
    text = "$(" * 1_000_000
    assert expanded(text, VALUES, len(text)) == text


def test_variables_refer_to_earlier_ones_only() -> None:
    entries: list[dict[str, Any]] = [
        {"name": "A", "value": "$(B) $5"},
        {"name": "B", "value": "$(A)"},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "value": "$(S)"},
    ]
    assert [one.get("value") for one in literal(entries)] == ["$$(B) $$5", "$(A)", None, "$(S)"]


def test_the_last_of_a_name_wins_and_keeps_its_place() -> None:
    entries = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}, {"name": "A", "value": "2"}]
    assert literal(entries) == [{"name": "B", "value": "$$(A)"}, {"name": "A", "value": "2"}]
