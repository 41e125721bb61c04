"""YAML as JSON values, and limits for hostile documents."""

from __future__ import annotations

import pytest
from penstock_ir.errors import InvalidSpecError
from penstock_ir.json_text import plain_number
from penstock_ir.yaml_text import documents


def test_scalars_are_read_as_json_would() -> None:
    text = "a: yes\nb: 012\nc: 2024-01-01\nd: 1e3\ne: null\nf: true\ng: 9007199254740993\nh: 0x10"
    assert documents(text) == [
        {"a": "yes", "b": "012", "c": "2024-01-01", "d": 1000, "e": None, "f": True, "g": 9007199254740993, "h": "0x10"}
    ]


@pytest.mark.parametrize("number", ["-1", "0", "7", "9007199254740992", "123456789012345678901234567890"])
def test_whole_numbers_keep_every_digit(number: str) -> None:
    assert documents(f"n: {number}") == [{"n": int(number)}]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)),
        "[" * 300 + "]" * 300,
        "a: 1\na: 2",
        "? [1, 2]\n: 3",
        "a: .nan",
        "a: .inf",
        "{",
    ],
)
def test_what_json_cannot_say_is_refused_or_text(text: str) -> None:
    try:
        found = documents(text)
    except InvalidSpecError:
        return
    assert found in ([{"a": ".nan"}], [{"a": ".inf"}]), found


def test_tags_make_no_objects() -> None:
    assert documents("!!python/object/apply:os.system ['true']") == [["true"]]


def test_plain_number_makes_whole_floats_ints() -> None:
    assert (plain_number(3.0), plain_number(2.5)) == (3, 2.5)
    assert isinstance(plain_number(3.0), int)
