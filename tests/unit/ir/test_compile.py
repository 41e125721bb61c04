"""Documents that cannot run are refused with every problem and its place."""

from __future__ import annotations

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json

from tools.testing import specs


@pytest.mark.parametrize("name", ["", "a/b", "a[0]", "]", "a\nb"])
def test_names_that_paths_cannot_be_made_of(name: str) -> None:
    spec = specs.chain({"a": ["true"]})
    spec["root"]["dag"]["tasks"] = {name: spec["root"]["dag"]["tasks"]["a"]}
    with pytest.raises(InvalidSpecError, match="is no name of a task"):
        compile_pipeline(document_from_json(spec))


def test_all_problems_come_at_once() -> None:
    spec = specs.chain({"a": ["true"], "b": ["true"]})
    tasks = spec["root"]["dag"]["tasks"]
    tasks["a"]["dependentTasks"] = ["nobody"]
    tasks["b"]["triggerPolicy"] = {"condition": "1 +"}
    del spec["components"]["comp-b"]
    with pytest.raises(InvalidSpecError) as caught:
        compile_pipeline(document_from_json(spec))
    places = {problem.place for problem in caught.value.problems}
    assert "root.dag.tasks.a.dependentTasks" in places
    assert "root.dag.tasks.b.componentRef" in places


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("parameters", {"taskOutputParameter": {"outputParameterKey": "x"}}),
        ("parameters", {"taskFinalStatus": {}}),
        ("artifacts", {"taskOutputArtifact": {"outputArtifactKey": "x"}}),
    ],
)
def test_an_input_from_nobody(kind: str, source: dict[str, object]) -> None:
    spec = specs.chain({"a": ["true"]})
    spec["root"]["dag"]["tasks"]["a"]["inputs"] = {kind: {"x": source}}
    with pytest.raises(InvalidSpecError, match="task '' is not in this dag"):
        compile_pipeline(document_from_json(spec))
