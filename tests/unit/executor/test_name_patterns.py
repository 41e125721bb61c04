"""Patterns of names in an administrator's lists."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.name_patterns import matches_any, parse_patterns


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("data", ["data"], ["", "data2", "my-data", "Data"]),
        ("team-*", ["team-", "team-a", "team-a/b"], ["team", "my-team-a"]),
        ("*", ["", "a", "a\nb"], []),
        ("s3://b/*/x", ["s3://b/1/x", "s3://b/1/2/x"], ["s3://b/x", "s3://b/1/y"]),
        ("a?[b].c", ["a?[b].c"], ["axb.c", "a?b.c"]),
        ("ab*ba", ["abba", "ab-ba"], ["aba"]),
    ],
)
def test_what_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [name for name in [*matching, *others] if matches_any([pattern], name)] == matching


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_it_is_what_a_regular_expression_says(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches_any([pattern], name) == bool(re.fullmatch(expression, name))


def test_no_name_makes_it_slow() -> None:
    before = time.process_time()
    assert not matches_any(["*a" * 30 + "b"], "a" * 100_000)
    assert time.process_time() - before < 1


def test_lists() -> None:
    assert parse_patterns(" a, b-*\n,c ") == ("a", "b-*", "c")
    assert parse_patterns("") == ()
