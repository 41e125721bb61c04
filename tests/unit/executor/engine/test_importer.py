"""When two imports are the same artifact."""

from __future__ import annotations

from typing import Any

from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import RunStarted
from penstock_ir.loader import document_from_json

_KIND = {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}


def imported(run_id: str, *uris: str, namespace: str = "", **settings: Any) -> list[str]:
    """The names of the artifacts that importers of these URIs give in one run."""
    names = [f"import-{number}" for number in range(len(uris))]
    spec = {
        "pipelineInfo": {"name": "imports"},
        "schemaVersion": "2.1.0",
        "components": {
            f"comp-{name}": {
                "executorLabel": f"exec-{name}",
                "outputDefinitions": {"artifacts": {"artifact": {"artifactType": _KIND}}},
            }
            for name in names
        },
        "deploymentSpec": {
            "executors": {
                f"exec-{name}": {"importer": {"artifactUri": {"constant": uri}, "typeSchema": _KIND, **settings}}
                for name, uri in zip(names, uris, strict=True)
            }
        },
        "root": {
            "dag": {
                "tasks": {
                    name: {"taskInfo": {"name": name}, "componentRef": {"name": f"comp-{name}"}} for name in names
                }
            }
        },
    }
    context = RunContext(run_id, compile_pipeline(document_from_json(spec)), {}, "file:///root", namespace=namespace)
    state = RunState(context)
    apply(state, RunStarted(1))
    assert state.root is not None
    found = [child.outputs.artifacts["artifact"][0].name for child in state.root.children if child]
    assert len(found) == len(uris)
    return found


def test_equal_imports_of_a_pipeline_are_one_artifact() -> None:
    first, again, other = imported("run-1", "s3://b/x", "s3://b/x", "s3://b/y")
    assert first == again
    assert first != other
    assert imported("run-2", "s3://b/x") == [first]
    assert imported("run-2", "s3://b/x", metadata={"a": "b"}) != [first]


def test_imports_of_two_namespaces_are_two_artifacts() -> None:
    names = [imported("run-1", "s3://b/x", namespace=namespace) for namespace in ("", "team-a", "team-b")]
    assert len({name for (name,) in names}) == 3
    assert imported("run-2", "s3://b/x", namespace="team-a") == names[1]


def test_with_reimport_each_is_its_own() -> None:
    names = [*imported("run-1", "s3://b/x", "s3://b/x", reimport=True), *imported("run-2", "s3://b/x", reimport=True)]
    assert len(set(names)) == 3
