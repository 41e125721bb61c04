"""Conditions and selectors: CEL with upstream's meaning, failures never silently false."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_ir.errors import ExpressionError
from penstock_ir.expressions import compile_condition, compile_selector


def holds(text: str, **parameters: Any) -> bool:
    return compile_condition(text).evaluate(parameters, {})


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("inputs.parameter_values['x'] == 'heads'", {"x": "heads"}, True),
        ("inputs.parameter_values['x'] > 5", {"x": 5}, False),
        ("int(inputs.parameter_values['x']) == 7", {"x": 7}, True),
        ("inputs.parameter_values['x'] >= 0.5 && inputs.parameter_values['y'] == true", {"x": 0.5, "y": True}, True),
        ("!(inputs.parameter_values['x'] == 'it\\'s')", {"x": "it's"}, False),
        ("inputs.parameter_values['x'] == 1", {"x": 1.0}, True),
    ],
)
def test_conditions(text: str, parameters: dict[str, Any], expected: bool) -> None:
    assert holds(text, **parameters) is expected


@pytest.mark.parametrize(
    "text",
    [
        "inputs.parameter_values['absent'] == 1",
        "'text'",
        "1 / 0 == 1",
        "[1 / 0] == [1]",
        "{'a': 1 / 0} == {'a': 1}",
        "{'a': 1} != {'a': 1 / 0}",
        "nonsense(1)",
    ],
)
def test_what_cannot_be_decided_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        holds(text, x=1)


@pytest.mark.parametrize(
    "text",
    [
        "[1].map(x, [2].map(y, y)) == [[2]]",
        "[1].all(x, [x].exists(y, y == x))",
        "[1, 2].reduce(r, i, [1], r + r) == []",
        "'%1000000000d' % 1 == ''",
    ],
)
def test_what_could_take_for_ever_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_condition(text).evaluate({}, {})


@pytest.mark.parametrize(
    "text", ["inputs.parameter_values['x'] * 2.0 > 5.5", "inputs.parameter_values['x'] + 1.0 == 4.0", "1.0 / 3.0 < 0.5"]
)
def test_results_of_arithmetic_are_numbers(text: str) -> None:
    assert compile_condition(text).evaluate({"x": 3}, {})


def test_one_macro_and_chains_of_them_are_fine() -> None:
    assert compile_condition("[1, 2].map(x, x + 1).filter(x, x > 2) == [3] && 7 % 4 == 3").evaluate({}, {})


def test_text_that_does_not_parse() -> None:
    with pytest.raises(ExpressionError):
        compile_condition("inputs.parameter_values[")


def test_selectors_take_parts() -> None:
    assert compile_selector('parseJson(string_value)["a"]').select({"a": [1, 2]}) == [1, 2]
    with pytest.raises(ExpressionError):
        compile_selector('parseJson(string_value)["b"]').select({"a": 1})


BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("text", "value", "selected"),
    [
        ('parseJson(string_value)["ts"]', {"ts": BIG}, BIG),
        ("struct_value", {"a": [BIG, 1]}, {"a": [BIG, 1]}),
        ("list_value[1]", [1, -BIG], -BIG),
        ("string(number_value)", BIG, str(BIG)),
        ("int(number_value)", BIG, BIG),
        ("number_value", 1732752 * 10**12, 1732752 * 10**12),
        ("double(1) * 1e18", None, 10**18),
    ],
)
def test_whole_numbers_keep_their_digits(text: str, value: Any, selected: Any) -> None:
    found = compile_selector(text).select(value)
    assert (found, type(found)) == (selected, type(selected))


@pytest.mark.parametrize(
    "text",
    [
        f"int(inputs.parameter_values['x']) == {BIG}",
        f"inputs.parameter_values['x'] == {BIG}",
        f"inputs.parameter_values['x'] != {BIG - 1}",
        f"inputs.parameter_values['x'] > {BIG - 1}",
        "inputs.parameter_values['x'] + 1.0 > 1.0",
    ],
)
def test_large_whole_numbers_compare_by_value(text: str) -> None:
    assert holds(text, x=BIG)


@pytest.mark.parametrize("text", ["parseJson('[NaN]')", 'parseJson(\'{"a": 1, "a": 2}\')', "double('nan')"])
def test_what_json_has_not_is_an_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_selector(text).select(None)
