"""The annotation by which a task asks to share a worker: what is read, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_ir.backend_limits import CONTAINER, KUBERNETES, LOCAL
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json
from penstock_ir.model import Pipeline
from penstock_ir.plan import plan_pipeline
from penstock_ir.worker_sharing import SHARING, stored_sharing

from tools.testing import specs

PLACE = "platforms.kubernetes.deploymentSpec.executors.exec-only.podMetadata.annotations.penstock.dev/workers"


def compiled(asked: str) -> Pipeline:
    document = specs.annotated({"penstock.dev/workers": asked}, specs.container(["true"]))
    return compile_pipeline(document_from_json(document))


def workers(pipeline: Pipeline) -> str:
    root: Any = pipeline.root.implementation
    return str(root.tasks[0].component.implementation.workers)


@pytest.mark.parametrize("asked", SHARING)
def test_what_is_asked(asked: str) -> None:
    assert workers(compiled(asked)) == asked


def test_nothing_is_asked_without_it() -> None:
    document = specs.annotated({"penstock.dev/infrastructure-retries": "1"}, specs.container(["true"]))
    assert workers(compile_pipeline(document_from_json(document))) == ""
    assert workers(compile_pipeline(document_from_json(specs.container(["true"])))) == ""


@pytest.mark.parametrize("asked", ["", "on", "Run", "run ", "true", "node", "x" * 5000])
def test_what_is_refused_is_named(asked: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        compiled(asked)
    (problem,) = caught.value.problems
    assert problem.place == PLACE
    assert problem.message == f"{asked[:40]!r}: expected off, run or namespace"


def test_a_machine_without_workers_ignores_it() -> None:
    for backend in (LOCAL, CONTAINER, KUBERNETES):
        assert not plan_pipeline(compiled("namespace"), {}, backends=[backend]).problems


def test_a_word_of_a_later_release_shares_nothing() -> None:
    assert [stored_sharing(text) for text in ("", *SHARING, "node")] == ["", *SHARING, "off"]
