"""Parsing of JSON text: refused values with their paths, and numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_ir.json_text import (
    MAX_DEPTH,
    JsonTextError,
    check_depth,
    parse_json,
    path_to_deep_value,
    plain_number,
    within_depth,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_comes_back(value: object) -> None:
    assert parse_json(json.dumps(value), "it") == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("NaN", "it is NaN, which is no number that JSON has"),
        ("[1, -Infinity]", r"it\[1\] is -Infinity"),
        ('{"a": [{"b c": 1e999}]}', r"it\['a'\]\[0\]\['b c'\] is Infinity"),
        ('{"a": {"b": 1, "b": 1}}', r"it\['a'\] has the key 'b' twice"),
        ('{"a": "\\ud800"}', r"it\['a'\] holds half of a surrogate pair"),
        ('{"\\ud800": 1}', "it holds half of a surrogate pair"),
        ("{'a': 1}", "it is no valid JSON"),
        ("1_000", "it is no valid JSON"),
        ("[1] 2", "it is no valid JSON"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_refused_is_named(text: str, error: str) -> None:
    with pytest.raises(JsonTextError, match=error):
        parse_json(text, "it")


def test_keys_keep_their_order() -> None:
    assert json.dumps(parse_json('{"b": {"z": 1, "y": 2}, "a": 3}', "it")) == '{"b": {"z": 1, "y": 2}, "a": 3}'


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1732752000000000000", "1732752000000000000"),
        ("9007199254740993", "9007199254740993"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.732752e+18", "1732752000000000000"),
        ("1e18", "1000000000000000000"),
        ("2.0", "2"),
        ("1e21", "1e+21"),
        ("0.1", "0.1"),
    ],
)
def test_whole_numbers_keep_their_digits(text: str, number: str) -> None:
    assert json.dumps(parse_json(f'{{"a": [{text}]}}', "it")) == f'{{"a": [{number}]}}'


@given(st.integers(min_value=-(10**21) + 1, max_value=10**21 - 1))
def test_a_whole_double_is_the_number_it_holds(value: int) -> None:
    found = plain_number(float(value))
    if abs(float(value)) < 1e21:
        assert isinstance(found, int)
    assert found == float(value)


def nested(levels: int, *, objects: bool = False) -> object:
    value: object = 1
    for _ in range(levels):
        value = {"k": value} if objects else [value]
    return value


@pytest.mark.parametrize("objects", [True, False])
def test_nesting_has_one_limit(objects: bool) -> None:
    check_depth(nested(MAX_DEPTH, objects=objects), "it")
    for levels in (MAX_DEPTH + 1, 5000):
        with pytest.raises(JsonTextError, match=f"it is nested deeper than {MAX_DEPTH} levels"):
            check_depth([nested(levels - 1, objects=objects), 2], "it")


def test_what_is_nested_deeper_is_told_as_text() -> None:
    assert within_depth({"a": [1, [2]], "b": "x"}, 2) == {"a": [1, "[2]"], "b": "x"}
    assert within_depth({"a": {"b": {}}}, 3) == {"a": {"b": {}}}
    assert within_depth("[[[]]]", 0) == "[[[]]]"


def test_the_place_of_what_is_nested_deeper() -> None:
    assert path_to_deep_value({"a": {}, "b": {"c": [[1]]}}, 3) == "b.c"
    assert path_to_deep_value({"a": {}, "b": {"c": [[1]]}}, 4) == ""
