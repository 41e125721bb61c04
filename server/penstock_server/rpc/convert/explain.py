"""Explanations and plans of penstock.v1."""

from __future__ import annotations

import json

from penstock_api.v1 import insight_pb2 as pb
from penstock_ir.planned import Plan, PlannedTask, Unknown

from penstock_server.domain.cache_explanation import CacheExplanation, CacheOutcome
from penstock_server.domain.explanation import Explanation
from penstock_server.rpc.convert.common import plain_values, struct_of_text
from penstock_server.rpc.convert.inline import inline_document
from penstock_server.services.explain import PlanRequest

_OUTCOMES = {
    CacheOutcome.HIT: pb.ExplainCacheResponse.OUTCOME_HIT,
    CacheOutcome.MISS: pb.ExplainCacheResponse.OUTCOME_MISS,
    CacheOutcome.NOT_ASKED: pb.ExplainCacheResponse.OUTCOME_NOT_ASKED,
}


def explanation_to_proto(explanation: Explanation) -> pb.ExplainTaskResponse:
    message = pb.ExplainTaskResponse(task=explanation.task, state=explanation.state, summary=explanation.summary)
    for reason in explanation.reasons:
        added = message.reasons.add(text=reason.text, task=reason.task)
        if reason.at:
            added.at.FromMilliseconds(reason.at)
    return message


def cache_to_proto(explanation: CacheExplanation) -> pb.ExplainCacheResponse:
    message = pb.ExplainCacheResponse(
        outcome=_OUTCOMES[explanation.outcome],
        summary=explanation.summary,
        other_run_id=explanation.other_run_id,
        other_task=explanation.other_task,
    )
    for difference in explanation.differences:
        message.differences.add(field=difference.field, this_value=difference.this, other_value=difference.other)
    return message


def plan_request(message: pb.PlanPipelineRequest) -> PlanRequest:
    return PlanRequest(
        pipeline_spec=inline_document(message.pipeline_spec, "pipeline_spec")
        if message.HasField("pipeline_spec")
        else None,
        pipeline_version_id=message.pipeline_version_id,
        parameters=plain_values(message.parameters, "parameters"),
        namespace=message.namespace,
    )


def plan_to_proto(plan: Plan) -> pb.PlanPipelineResponse:
    message = pb.PlanPipelineResponse(truncated=plan.truncated)
    for problem in plan.problems:
        message.problems.add(place=problem.place, message=problem.message)
    for task in plan.tasks:
        _fill(message.tasks.add(), task, 0)
    return message


def _fill(message: pb.PlannedTask, task: PlannedTask, groups: int) -> None:
    """`groups`: the number of groups around the task, each of which adds a message around it."""
    message.path = task.path
    message.kind = task.kind.value
    message.display_name = task.display_name
    message.decision = task.decision.value
    message.note = task.note
    message.depends_on.extend(task.depends_on)
    message.condition = task.condition
    known_inputs = {name: value for name, value in task.inputs.items() if not isinstance(value, Unknown)}
    message.inputs.CopyFrom(struct_of_text(json.dumps(known_inputs), groups))
    for name, value in task.inputs.items():
        if isinstance(value, Unknown):
            message.unknown_inputs[name] = value.source
    message.caching = task.caching
    message.cached_run_id = task.cached_run_id
    message.max_retries = task.max_retries
    if task.iterations is not None:
        message.iterations = task.iterations
    message.parallelism_limit = task.parallelism_limit
    message.container.CopyFrom(struct_of_text(json.dumps(task.container), groups))
    for child in task.children:
        _fill(message.children.add(), child, groups + 1)
