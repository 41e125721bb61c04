"""What tasks ask of pools, by annotations; what is wrong is said with the annotation's name."""

from __future__ import annotations

import pytest
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json
from penstock_ir.model import ContainerExecutor, Dag
from penstock_ir.slots import POOL, SLOTS, Demand, demands_of

from tools.testing import specs


@pytest.mark.parametrize(
    ("annotations", "demands"),
    [
        ({}, ()),
        ({"other": "1"}, ()),
        ({POOL: "gpu"}, (Demand("gpu", 1),)),
        ({POOL: "gpu", SLOTS: "2"}, (Demand("gpu", 2),)),
        ({POOL: "licence, gpu=2"}, (Demand("gpu", 2), Demand("licence", 1))),
    ],
)
def test_demands(annotations: dict[str, object], demands: tuple[Demand, ...]) -> None:
    assert demands_of(annotations) == demands


@pytest.mark.parametrize(
    "annotations",
    [
        {SLOTS: "2"},
        {POOL: ""},
        {POOL: "GPU"},
        {POOL: "user/ann"},
        {POOL: "gpu,gpu=2"},
        {POOL: "gpu=0"},
        {POOL: "gpu=-1"},
        {POOL: "gpu", SLOTS: "many"},
        {POOL: "gpu=1000000"},
        {POOL: ",".join(f"p{number}" for number in range(9))},
    ],
)
def test_what_is_wrong_names_the_annotation(annotations: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"penstock\.dev/pool"):
        demands_of(annotations)


def test_a_pipeline_has_them_and_is_refused_with_wrong_ones() -> None:
    compiled = compile_pipeline(document_from_json(specs.pooled("gpu=2")))
    dag = compiled.root.implementation
    assert isinstance(dag, Dag)
    container = dag.tasks[0].component.implementation
    assert isinstance(container, ContainerExecutor)
    assert container.slots == (Demand("gpu", 2),)
    with pytest.raises(InvalidSpecError, match=r"podMetadata\.annotations.*penstock\.dev/pool"):
        compile_pipeline(document_from_json(specs.pooled("GPU")))
