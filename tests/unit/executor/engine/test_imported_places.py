"""An importer whose URI is the output of a task: a path in a container becomes the stored URI."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.engine.effects import LookUpCache
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, CacheAnswered, Outputs, RunStarted
from penstock_ir.loader import document_from_json

from tools.testing import specs


def pipeline() -> dict[str, Any]:
    """Task `a` gives a URI, task `b` imports what is there."""
    spec = specs.chain({"a": ["true"], "b": ["true"]})
    text = {"parameters": {"uri": {"parameterType": "STRING"}}}
    spec["components"]["comp-a"]["outputDefinitions"] = text
    kind = {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}
    spec["components"]["comp-b"].update(
        inputDefinitions=text, outputDefinitions={"artifacts": {"artifact": {"artifactType": kind}}}
    )
    spec["deploymentSpec"]["executors"]["exec-b"] = {
        "importer": {"artifactUri": {"runtimeParameter": "uri"}, "typeSchema": kind}
    }
    given = {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "uri"}}
    spec["root"]["dag"]["tasks"]["b"]["inputs"] = {"parameters": {"uri": given}}
    return spec


@pytest.mark.parametrize(
    ("said", "imported"),
    [
        ("/minio/_file/data/root/x", "file:///data/root/x"),
        ("minio://_file/data/root/x", "file:///data/root/x"),
        ("minio://bucket/x", "minio://bucket/x"),
        ("/data/x", "/data/x"),
        ("/s3/b/x", "/s3/b/x"),
        ("s3://b/x", "s3://b/x"),
        ("file:///data/x", "file:///data/x"),
    ],
)
def test_a_place_in_a_container_is_where_it_is_kept(said: str, imported: str) -> None:
    state = RunState(RunContext("run", compile_pipeline(document_from_json(pipeline())), {}, "file:///root"))
    effects = apply(state, RunStarted(1)).effects
    for effect in effects:
        if isinstance(effect, LookUpCache):
            apply(state, CacheAnswered(effect.path, effect.fingerprint, at=2))
    apply(state, AttemptEnded("a", 1, 3, outputs=Outputs(parameters={"uri": said})))
    assert state.root is not None
    node = state.root.child("b")
    assert node is not None
    assert [artifact.uri for artifact in node.outputs.artifacts["artifact"]] == [imported]
