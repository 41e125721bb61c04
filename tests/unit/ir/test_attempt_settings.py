"""Annotations of a task about its further attempts: what is refused, and how memory grows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from penstock_ir.attempt_settings import AttemptSettings, MemoryStep, with_more_memory
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline

from tools.testing import specs

PLACE = "platforms.kubernetes.deploymentSpec.executors.exec-only.podMetadata.annotations.penstock.dev"


def compiled(annotations: dict[str, str], memory: str = "512Mi") -> Pipeline:
    spec = specs.container(["true"], cached=True)
    if memory:
        spec["deploymentSpec"]["executors"]["exec-only"]["container"]["resources"] = {"resourceMemoryLimit": memory}
    named = {f"penstock.dev/{key}": value for key, value in annotations.items()}
    kubernetes = {"deploymentSpec": {"executors": {"exec-only": {"podMetadata": {"annotations": named}}}}}
    platform = {"platforms": {"kubernetes": kubernetes}}
    return compile_pipeline(document_from_json({"pipeline_spec": spec, "platform_spec": platform}))


def settings(pipeline: Pipeline) -> AttemptSettings:
    found: AttemptSettings = pipeline.root.implementation.tasks[0].component.attempts  # type: ignore[union-attr]
    return found


def test_what_is_given() -> None:
    given = {"infrastructure-retries": "0", "oom-memory-factor": "1.5", "oom-memory-max": "2Gi"}
    step = MemoryStep(Decimal("1.5"), Decimal(2 * 1024**3))
    assert settings(compiled(given)) == AttemptSettings(0, step)
    assert settings(compiled({})) == AttemptSettings(None, None)


@pytest.mark.parametrize(
    ("annotations", "memory", "key", "words"),
    [
        ({"infrastructure-retries": "101"}, "1Gi", "infrastructure-retries", "'101': expected a whole number from 0"),
        ({"infrastructure-retries": "-1"}, "1Gi", "infrastructure-retries", "from 0 to 100"),
        ({"infrastructure-retries": "٣"}, "1Gi", "infrastructure-retries", "from 0 to 100"),
        ({"infrastructure-retries": "9" * 5000}, "1Gi", "infrastructure-retries", "from 0 to 100"),
        ({"oom-memory-factor": "0.9"}, "1Gi", "oom-memory-factor", "'0.9': expected a number from 1.0 to 10"),
        ({"oom-memory-factor": "11"}, "1Gi", "oom-memory-factor", "from 1.0 to 10"),
        ({"oom-memory-factor": "NaN"}, "1Gi", "oom-memory-factor", "from 1.0 to 10"),
        ({"oom-memory-factor": "2000m"}, "1Gi", "oom-memory-factor", "from 1.0 to 10"),
        ({"oom-memory-factor": "2"}, "", "oom-memory-factor", "sets a memory limit or request"),
        ({"oom-memory-max": "2Gi"}, "1Gi", "oom-memory-max", "penstock.dev/oom-memory-factor beside it"),
        ({"oom-memory-factor": "2", "oom-memory-max": "much"}, "1Gi", "oom-memory-max", "such as 16Gi"),
        ({"oom-memory-factor": "2", "oom-memory-max": "0"}, "1Gi", "oom-memory-max", "such as 16Gi"),
    ],
)
def test_what_is_refused_is_named(annotations: dict[str, str], memory: str, key: str, words: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        compiled(annotations, memory)
    (problem,) = caught.value.problems
    assert problem.place == f"{PLACE}/{key}"
    assert words in problem.message and len(problem.message) < 200


@pytest.mark.parametrize(
    ("text", "factor", "most", "times", "grown"),
    [
        ("512Mi", "2", "16Gi", 1, "1Gi"),
        ("512Mi", "2", "16Gi", 3, "4Gi"),
        ("512Mi", "1.5", "16Gi", 1, "768Mi"),
        ("1G", "1.5", "16Gi", 1, "1431Mi"),
        ("4Gi", "10", "6Gi", 5, "6Gi"),
        ("4Gi", "10", "1Gi", 1, "4Gi"),
        ("100Mi", "1.0", "1Gi", 1000, "100Mi"),
        ("1Gi", "10", "1152921504606846976", 10**9, "1073741824Gi"),
        ("much", "2", "16Gi", 1, "much"),
        ("-1Gi", "2", "16Gi", 1, "-1Gi"),
    ],
)
def test_memory_grows_as_far_as_it_may(text: str, factor: str, most: str, times: int, grown: str) -> None:
    cap = settings(compiled({"oom-memory-factor": factor, "oom-memory-max": most})).memory_step
    resources: dict[str, Any] = {"resourceMemoryLimit": text, "resourceCpuLimit": "1"}
    assert with_more_memory(resources, cap, times) == {"resourceMemoryLimit": grown, "resourceCpuLimit": "1"}


def test_the_deprecated_numbers_grow_likewise() -> None:
    step = MemoryStep(Decimal(2))
    more = with_more_memory({"memoryLimit": 2.0, "memoryRequest": 1.0}, step, 1)
    assert (more["resourceMemoryLimit"], more["resourceMemoryRequest"]) == ("3815Mi", "1908Mi")
    assert with_more_memory({"memoryLimit": 2.0}, step, 0) == {"memoryLimit": 2.0}
    assert with_more_memory({"memoryLimit": 2.0}, None, 3) == {"memoryLimit": 2.0}
