"""The scenario from Python, three ways: generated stubs, reflection alone, REST."""

from __future__ import annotations

from tests.clients import scenario


def test_generated_stubs(python_calls: int) -> None:
    assert python_calls >= len(scenario.steps())


def test_reflection(reflection_calls: int) -> None:
    assert reflection_calls >= len(scenario.steps())


def test_rest(rest_calls: int) -> None:
    assert rest_calls >= len(scenario.steps())
