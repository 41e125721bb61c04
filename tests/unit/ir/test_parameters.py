"""Values as text and as their declared kinds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_ir.errors import InvalidParametersError, InvalidSpecError
from penstock_ir.loader import document_from_json
from penstock_ir.model import ParameterType
from penstock_ir.parameters import convert_value, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (7, "7"),
        (2**60 + 1, str(2**60 + 1)),
        (0.5, "0.5"),
        ([1, "a"], '[1,"a"]'),
        ({"a": None}, '{"a":null}'),
    ],
)
def test_text_of_values(value: Any, text: str) -> None:
    assert value_text(value).replace(", ", ",").replace(": ", ":") == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, ParameterType.NUMBER_INTEGER),
        (1.5, ParameterType.NUMBER_INTEGER),
        ("1", ParameterType.NUMBER_INTEGER),
        (float("nan"), ParameterType.NUMBER_DOUBLE),
        (1, ParameterType.BOOLEAN),
        ("[]", ParameterType.LIST),
        ([], ParameterType.STRUCT),
    ],
)
def test_wrong_kinds_name_the_place(value: Any, kind: ParameterType) -> None:
    with pytest.raises(InvalidParametersError, match="the place"):
        convert_value(value, kind, "the place")


@given(st.integers(min_value=-(2**63), max_value=2**63))
def test_integers_survive(value: int) -> None:
    assert convert_value(value, ParameterType.NUMBER_INTEGER, "x") == value
    assert int(value_text(value)) == value


@pytest.mark.parametrize("value", [float("inf"), "text", [1], {"exec": "text"}, {"exec": {"container": {"image": 1}}}])
def test_a_deployment_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InvalidSpecError):
        document_from_json({"schemaVersion": "2.1.0", "deploymentSpec": {"executors": value}})
