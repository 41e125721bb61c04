"""The annotation that makes a loop's attempts a gang: where it may stand, and which loops it goes with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.gangs import GANG, MAX_MEMBERS, too_large
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline

from tools.testing import specs


def compiled(spec: dict[str, Any], value: str = "true") -> Pipeline:
    return compile_pipeline(document_from_json(specs.annotated({GANG: value}, spec)))


def refused(spec: dict[str, Any], value: str = "true") -> str:
    with pytest.raises(InvalidSpecError) as error:
        compiled(spec, value)
    return str(error.value)


def limited(size: int, parallelism: int) -> dict[str, Any]:
    spec = specs.loop(size)
    spec["root"]["dag"]["tasks"]["loop"]["iteratorPolicy"] = {"parallelismLimit": parallelism}
    return spec


def test_a_loop_knows_its_gangs_and_the_root_has_none() -> None:
    pipeline = compiled(specs.loop(3))
    loop = pipeline.root.implementation.tasks[0]  # type: ignore[union-attr]
    assert loop.component.gangs == ("t",)
    assert pipeline.root.gangs == ()
    assert pipeline.has_gangs
    assert not compiled(specs.loop(3), "false").has_gangs


def test_a_loop_in_a_loop_has_the_gang_and_the_one_around_it_none() -> None:
    spec = specs.loop(3)
    inner: dict[str, Any] = {"taskInfo": {"name": "again"}, "componentRef": {"name": "inner"}}
    inner["parameterIterator"] = {"itemInput": "x", "items": {"raw": json.dumps([1, 2])}}
    item = spec["components"]["inner"]["inputDefinitions"]
    spec["components"]["outer"] = {"inputDefinitions": item, "dag": {"tasks": {"again": inner}}}
    spec["root"]["dag"]["tasks"]["loop"]["componentRef"]["name"] = "outer"
    outer = compiled(spec).root.implementation.tasks[0]  # type: ignore[union-attr]
    assert outer.component.gangs == ()


def test_a_task_in_no_loop_is_refused() -> None:
    text = refused(specs.container(["true"]))
    assert "the task has the annotation penstock.dev/gang and is in no loop" in text


def test_another_value_is_refused() -> None:
    assert "'yes': expected 'true' or 'false'" in refused(specs.loop(3), "yes")


def test_a_parallelism_below_the_size_is_refused_where_both_are_known() -> None:
    text = refused(limited(3, 2))
    assert "root.dag.tasks.loop.iteratorPolicy.parallelismLimit" in text
    assert "the loop has 3 iterations and a parallelism of 2" in text
    assert compiled(limited(3, 3)).has_gangs
    assert not compiled(limited(3, 2), "false").has_gangs


def test_more_members_than_one_transaction_decides_are_refused() -> None:
    assert f"at most {MAX_MEMBERS} attempts start together" in refused(specs.loop(MAX_MEMBERS + 1))
    assert too_large(MAX_MEMBERS, 0) == ""


def test_more_gangs_than_one_loop_may_have_are_refused() -> None:
    spec = specs.loop(1)
    tasks = spec["components"]["inner"]["dag"]["tasks"]
    tasks.update({f"t{number}": {**tasks["t"], "taskInfo": {"name": f"t{number}"}} for number in range(100)})
    assert "101 tasks have the annotation penstock.dev/gang, more than 100" in refused(spec)
