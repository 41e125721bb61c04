"""References `$(NAME)` in the texts of a Pod: programs get texts unchanged, variables may refer to earlier ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.backends.kubernetes.environment import literal
from penstock_executor.backends.kubernetes.variable_expansion import escaped

VARIABLES = {"KFP_POD_NAME": "pod-1", "A.B": "dotted"}


def expanded(text: str) -> str:
    """What Kubernetes does, after its documentation: `$$` is `$`, `$(NAME)` the variable's value if there is one."""

    def replace(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return VARIABLES.get(match.group(1), match.group(0))

    return re.sub(r"\$\$|\$\(([^)]*)\)", replace, text)


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
    assert expanded(escaped(text, VARIABLES)) == program_gets


@given(st.text(alphabet="$(){}AB.KFP_ODNME \n\"'\\é"))
def test_without_references_everything_arrives_as_it_is(text: str) -> None:
    assert expanded(escaped(text, ())) == text


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
