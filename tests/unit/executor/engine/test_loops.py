"""Items of a loop stay an input of its iterations, where something inside asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import LoopNode, RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import RunStarted
from penstock_ir.loader import document_from_json, parse_package

from tools.testing import specs
from tools.testing.launches import launches_of

PIPELINES = Path(__file__).resolve().parents[3] / "pipelines"


def test_loops_in_loops_over_one_input() -> None:
    document = parse_package((PIPELINES / "handwritten/same_items_three_deep.yaml").read_bytes())
    said = [str(one.inputs["text"]) for one in launches_of(document, {"letters": ["a", "b", "c"]})]
    assert sorted(said) == sorted(
        ['["a","b","c"]'] * 3 + [f"{one}{two}{three}" for one in "ac" for two in "abc" for three in "abc"]
    )


def over_an_input(inner: dict[str, Any] | None = None, kubernetes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A loop over the pipeline's input `items`; its task `t` takes what `inner` says."""
    spec = specs.loop(1)
    items = {"items": {"parameterType": "LIST"}}
    spec["root"]["inputDefinitions"] = {"parameters": items}
    spec["components"]["inner"]["inputDefinitions"]["parameters"].update(items)
    loop = spec["root"]["dag"]["tasks"]["loop"]
    loop["inputs"] = {"parameters": {"items": {"componentInputParameter": "items"}}}
    loop["parameterIterator"]["items"] = {"inputParameter": "items"}
    spec["components"]["work"]["inputDefinitions"] = {"parameters": {"taken": {"parameterType": "LIST"}}}
    if inner is None:
        spec["components"]["work"]["inputDefinitions"]["parameters"]["taken"]["isOptional"] = True
    else:
        spec["components"]["inner"]["dag"]["tasks"]["t"]["inputs"] = {"parameters": {"taken": inner}}
    if kubernetes is None:
        return spec
    return {
        "pipeline_spec": spec,
        "platform_spec": {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec": kubernetes}}}}},
    }


TOLERATIONS = {"tolerations": [{"tolerationJson": {"componentInputParameter": "items"}}]}


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        (over_an_input(), False),
        (over_an_input({"componentInputParameter": "x", "parameterExpressionSelector": "[number_value]"}), False),
        (over_an_input({"componentInputParameter": "items"}), True),
        (over_an_input(kubernetes=TOLERATIONS), True),
    ],
)
def test_an_iteration_has_the_list_only_for_those_who_ask(spec: dict[str, Any], kept: bool) -> None:
    state = RunState(
        RunContext("run", compile_pipeline(document_from_json(spec)), {"items": [1, 2, 3]}, "file:///root")
    )
    apply(state, RunStarted(1))
    assert state.root is not None
    loop = state.root.child("loop")
    assert isinstance(loop, LoopNode)
    for iteration in loop.iterations:
        assert ("items" in iteration.inputs) is kept  # type: ignore[union-attr]
