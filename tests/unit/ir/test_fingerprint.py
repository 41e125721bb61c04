"""The cache key of a task."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_ir.fingerprint import task_fingerprint

GIVEN: dict[str, Any] = {
    "component_ref": "comp",
    "cache_key": "",
    "input_artifacts": {},
    "input_parameters": {"x": 1},
    "output_artifacts": {},
    "output_parameters": {},
    "image": "image",
    "cmd_args": ("true",),
}
OTHERS = [
    {"input_parameters": {"x": 2}},
    {"image": "other"},
    {"cmd_args": ("false",)},
    {"input_artifacts": {"a": ["b"]}},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
def test_a_cache_key_and_the_component_alone_count(other: dict[str, Any]) -> None:
    assert task_fingerprint(**GIVEN) != task_fingerprint(**{**GIVEN, **other})
    keyed = {**GIVEN, "cache_key": "key"}
    assert task_fingerprint(**keyed) == task_fingerprint(**{**keyed, **other})


@pytest.mark.parametrize("other", [{"cache_key": "another"}, {"component_ref": "another"}], ids=["key", "component"])
def test_another_key_or_component_is_another_result(other: dict[str, Any]) -> None:
    keyed = {**GIVEN, "cache_key": "key"}
    assert task_fingerprint(**keyed) != task_fingerprint(**{**keyed, **other})
