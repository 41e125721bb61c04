"""A task with Kubernetes settings, carried through the engine up to its launch: what its settings became.

Invariant: the settings are resolved by the engine itself, so whoever checks Pods checks what a run would make.
"""

from __future__ import annotations

from typing import Any

from penstock_executor.engine.effects import Effect, Launch
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.state import ContainerNode, RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, Outputs, RunStarted
from penstock_ir.loader import document_from_json

from tools.testing import specs


def pipeline(config: dict[str, Any], inputs: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """Task `a` gives `out`, task `b` has the Kubernetes settings. `inputs` are the root's, all optional."""
    spec = specs.chain({"a": ["true"], "b": ["true"]}, cached=parts.get("cached", False))
    spec["components"]["comp-a"]["outputDefinitions"] = {"parameters": {"out": {"parameterType": "STRING"}}}
    definitions = {name: {"parameterType": kind, "isOptional": True} for name, kind in (inputs or {}).items()}
    spec["root"]["inputDefinitions"] = {"parameters": definitions}
    if "b_inputs" in parts:
        names = {name: {"parameterType": "STRING"} for name in parts["b_inputs"]}
        spec["components"]["comp-b"]["inputDefinitions"] = {"parameters": names}
        constants = {name: {"runtimeValue": {"constant": value}} for name, value in parts["b_inputs"].items()}
        spec["root"]["dag"]["tasks"]["b"]["inputs"] = {"parameters": constants}
    platform: dict[str, Any] = {"deploymentSpec": {"executors": {"exec-b": config}}}
    if "pipeline_config" in parts:
        platform["pipelineConfig"] = parts["pipeline_config"]
    return {"pipeline_spec": spec, "platform_spec": {"platforms": {"kubernetes": platform}}}


class Run:
    """A run in which `a` gave "from-a" and `b` is about to start."""

    def __init__(self, document: dict[str, Any], arguments: dict[str, Any] | None = None) -> None:
        compiled = compile_pipeline(document_from_json(document))
        given: dict[str, Any] = dict.fromkeys(compiled.root.input_parameters)
        self.context = RunContext(
            "run-1", compiled, {**given, **(arguments or {})}, "file:///root", resource_name="my-run", caching=False
        )
        self.state = RunState(self.context)
        apply(self.state, RunStarted(1))
        outputs = Outputs(parameters={"out": "from-a"})
        self.effects: list[Effect] = apply(self.state, AttemptEnded("a", 1, 2, outputs=outputs)).effects

    @property
    def node(self) -> ContainerNode:
        assert self.state.root is not None
        node = self.state.root.child("b")
        assert isinstance(node, ContainerNode)
        return node

    def platform(self) -> dict[str, Any]:
        assert Launch("b", 1) in self.effects, self.node.error
        return dict(task_launch(self.node, self.context).kubernetes)


def resolved(config: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    kinds = {str: "STRING", dict: "STRUCT", list: "LIST", type(None): "STRING", int: "NUMBER_INTEGER"}
    document = pipeline(config, {name: kinds[type(value)] for name, value in inputs.items()})
    return Run(document, inputs).platform()
