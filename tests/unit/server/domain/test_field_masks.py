"""Field masks as they are written: their paths, their bounds, when two of them are the same."""

from __future__ import annotations

import pytest
from penstock_server.domain.field_masks import EVERYTHING, MAX_PATH, MAX_PATHS, mask_of, paths_of, takes_mask
from penstock_server.errors import InvalidArgumentError


def test_paths() -> None:
    assert paths_of("run_id, run_details.task_details.state") == [
        ("run_id",),
        ("run_details", "task_details", "state"),
    ]


@pytest.mark.parametrize("text", [",", "a,,b", "a.", ".a", "a..b", " , ", "."])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"fields: .* is no path"):
        paths_of(text)


def test_bounds() -> None:
    assert len(paths_of(",".join(["a"] * MAX_PATHS))) == MAX_PATHS
    with pytest.raises(InvalidArgumentError, match=f"more than {MAX_PATHS} paths"):
        paths_of("," * MAX_PATHS)
    assert paths_of("a" * MAX_PATH)
    with pytest.raises(InvalidArgumentError, match=f"longer than {MAX_PATH} characters") as raised:
        paths_of("a" * 10_000)
    assert len(raised.value.message) < 300


def test_what_is_wanted() -> None:
    mask = mask_of([("a",), ("b", "c"), ("a", "x")])
    assert mask.wants("a")
    assert mask.under("a").under("anything") == EVERYTHING
    assert mask.wants("x", "b")
    assert mask.under("b").wants("c")
    assert not mask.under("b").wants("d")
    assert not mask.wants("c")
    assert not mask.under("c").wants("c")


def test_equal_masks_have_equal_tags() -> None:
    mask = mask_of([("a",), ("b", "c")])
    for same in ([("b", "c"), ("a",)], [("a", "x"), ("a",), ("b", "c"), ("b", "c")]):
        assert mask_of(same) == mask
        assert mask_of(same).tag == mask.tag
    others = ([("a",)], [("a",), ("b",)], [("a",), ("b", "d")], [("a", "b", "c")])
    assert len({mask.tag, *(mask_of(other).tag for other in others)}) == 1 + len(others)
    assert EVERYTHING.tag == ""


@pytest.mark.parametrize(
    ("method", "taken"),
    [
        ("/kubeflow.pipelines.backend.api.v2beta1.RunService/GetRun", True),
        ("/kubeflow.pipelines.backend.api.v2beta1.PipelineService/ListPipelineVersions", True),
        ("/kubeflow.pipelines.backend.api.v2beta1.PipelineService/GetPipelineByName", True),
        ("/penstock.v1.InsightService/ListTasks", True),
        ("/kubeflow.pipelines.backend.api.v2beta1.RunService/CreateRun", False),
        ("/penstock.v1.InsightService/ExplainTask", False),
        ("/api.RunService/GetRunV1", False),
        ("/ml_metadata.MetadataStoreService/GetArtifacts", False),
        ("/penstock.internal.v1.DispatchService/GetSomething", False),
        ("nonsense", False),
    ],
)
def test_methods(method: str, taken: bool) -> None:
    assert takes_mask(method) is taken
