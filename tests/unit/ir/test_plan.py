"""Plans of documents that the SDK does not make."""

from __future__ import annotations

from penstock_ir.compile import compile_pipeline
from penstock_ir.loader import document_from_json
from penstock_ir.plan import plan_pipeline
from penstock_ir.planned import CachedOutputs, Decision

from tools.testing import specs


def test_a_loop_over_a_container() -> None:
    spec = specs.chain({"a": ["echo", "{{$.inputs.parameters['x']}}"]})
    definition = {"parameters": {"x": {"parameterType": "NUMBER_INTEGER"}}}
    spec["components"]["comp-a"]["inputDefinitions"] = definition
    spec["root"]["dag"]["tasks"]["a"]["parameterIterator"] = {"itemInput": "x", "items": {"raw": "[7, 8]"}}
    plan = plan_pipeline(compile_pipeline(document_from_json(spec)), {})
    assert not plan.problems
    assert [child.container["command"] for child in plan.tasks[0].children] == [["echo", "7"], ["echo", "8"]]


def test_what_is_cached_makes_what_follows_known() -> None:
    spec = specs.chain({"a": ["true"], "b": ["echo", "{{$.inputs.parameters['x']}}"]}, cached=True)
    text = {"parameters": {"x": {"parameterType": "STRING"}}}
    spec["components"]["comp-a"]["outputDefinitions"] = text
    spec["components"]["comp-b"]["inputDefinitions"] = text
    given = {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "x"}}
    spec["root"]["dag"]["tasks"]["b"]["inputs"] = {"parameters": {"x": given}}
    pipeline = compile_pipeline(document_from_json(spec))
    assert plan_pipeline(pipeline, {}).tasks[1].container["command"] == ["echo", "{{$.inputs.parameters['x']}}"]
    hits = iter([CachedOutputs("earlier", {"x": "known"}, {}), None])
    first, second = plan_pipeline(pipeline, {}, lambda fingerprint: next(hits)).tasks
    assert (first.decision, first.cached_run_id) == (Decision.CACHED, "earlier")
    assert second.container["command"] == ["echo", "known"]
