"""Properties of any input: it is refused with a message, or it works.

Invariant: a property that holds raises nothing; any exception is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import celpy
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.kubernetes.pod_spec import make_pod
from penstock_ir.compile import compile_pipeline
from penstock_ir.descriptors import message_class
from penstock_ir.errors import ExpressionError, InvalidParametersError, InvalidSpecError
from penstock_ir.expressions import compile_condition, compile_selector
from penstock_ir.loader import document_from_json, parse_package
from penstock_ir.parameters import bind_root_parameters
from penstock_ir.plan import plan_pipeline

from tools.fuzz.messages import messages
from tools.fuzz.strategies import documents, expressions, junk
from tools.fuzz.wrapper_properties import WRAPPER_PROPERTIES
from tools.simulate.world import Plan, World
from tools.testing import specs
from tools.testing.launches import launches_of
from tools.testing.pod_settings import POLICY, SETTINGS, Store


@given(spec=documents(), seed=st.integers(0, 1_000_000))
def any_document_is_refused_or_runs(spec: dict[str, Any], seed: int) -> None:
    try:
        pipeline = compile_pipeline(document_from_json(spec))
    except InvalidSpecError as error:
        assert error.problems, "a refusal without a reason"
        return
    try:
        arguments = bind_root_parameters(pipeline, {})
    except InvalidParametersError as error:
        assert error.problems
        return
    plan = plan_pipeline(pipeline, arguments)
    # A loop may have more items than a test has time for.
    if not plan.truncated:
        World(pipeline, seed, Random(seed), Plan(), arguments).run()


@given(text=st.one_of(documents().map(lambda spec: json.dumps(spec, default=str)), st.text(max_size=200)))
def any_package_is_refused_or_read(text: str) -> None:
    try:
        parse_package(text.encode("utf-8", "surrogatepass"))
    except InvalidSpecError as error:
        assert error.problems


@given(text=expressions, value=junk)
def any_expression_is_refused_or_decided(text: str, value: Any) -> None:
    try:
        assert isinstance(compile_condition(text).evaluate({"x": value}, {"a": [{"uri": "u"}]}), bool)
    except ExpressionError as error:
        assert str(error)
    try:
        selected = compile_selector(text).select(value)
    except ExpressionError as error:
        assert str(error)
    else:
        json.dumps(selected, allow_nan=False)


@given(values=st.dictionaries(st.sampled_from(["value", "a_text", "an_int", "nobody"]), junk))
def any_arguments_are_refused_or_bound(values: Mapping[str, Any]) -> None:
    for pipeline in _pipelines():
        try:
            bound = bind_root_parameters(pipeline, values)
        except InvalidParametersError as error:
            assert error.problems
        else:
            assert bound.keys() == pipeline.root.input_parameters.keys()


@given(config=messages(message_class("kfp_kubernetes.KubernetesExecutorConfig").DESCRIPTOR))  # type: ignore[arg-type]
def any_kubernetes_settings_are_refused_or_a_pod(config: Any) -> None:
    spec = specs.container(["true"], artifacts={"model": "system.Model"}, cached=True)
    try:
        executors = {"exec-only": json_format.MessageToDict(config)}
    except json_format.SerializeToJsonError:
        # Infinity, which no document can hold.
        return
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    document = document_from_json({"pipeline_spec": spec, "platform_spec": platform})
    plan_pipeline(compile_pipeline(document), {})
    for task in launches_of(document, {}, namespace="team"):
        try:
            json.dumps(make_pod(task, SETTINGS, POLICY, Store()), ensure_ascii=False).encode()
        except TaskSpecError as error:
            assert str(error)


def _pipelines() -> list[Any]:
    from tools.fuzz.strategies import _own_documents

    if not _COMPILED:
        _COMPILED.extend(compile_pipeline(document_from_json(spec)) for spec in _own_documents()[:6])
    return _COMPILED


_COMPILED: list[Any] = []
# The first environment raises the recursion limit, which must not happen in the middle of an example.
celpy.Environment()
PROPERTIES = [
    any_document_is_refused_or_runs,
    any_package_is_refused_or_read,
    any_expression_is_refused_or_decided,
    any_arguments_are_refused_or_bound,
    any_kubernetes_settings_are_refused_or_a_pod,
    *WRAPPER_PROPERTIES,
]
