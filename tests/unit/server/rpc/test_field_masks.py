"""Field masks against messages: which paths there are, and what is left of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from penstock_api.v2beta1 import recurring_run_pb2, run_pb2
from penstock_server.access.authentication import Authentication
from penstock_server.access.credentials import Credentials
from penstock_server.domain.caller import Caller
from penstock_server.domain.field_masks import EVERYTHING
from penstock_server.errors import InvalidArgumentError, PermissionDeniedError
from penstock_server.rpc.access_control import AccessControl
from penstock_server.rpc.field_masks import current_mask, cut, mask_for
from penstock_server.rpc.interceptor import CallInterceptor
from penstock_server.rpc.local import LocalCallError, LocalContext
from penstock_server.telemetry import Telemetry

RUN: Any = run_pb2.Run.DESCRIPTOR
RUNS: Any = run_pb2.ListRunsResponse.DESCRIPTOR


def run() -> run_pb2.Run:
    made = run_pb2.Run(run_id="r", display_name="d", labels={"a": "b"})
    made.pipeline_spec["root"] = "x"
    for number in range(2):
        detail = made.run_details.task_details.add(task_id=str(number), state=run_pb2.RUNNING)
        detail.inputs["port"].artifact_ids.append(number)
        detail.state_history.add(state=run_pb2.PENDING).error.message = "waits"
    return made


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("runId", "run_id"),
        ("runDetails.taskDetails.stateHistory.updateTime", "run_details.task_details.state_history.update_time"),
        ("labels", "labels"),
        ("error.message", "error.message"),
    ],
)
def test_names(text: str, same: str) -> None:
    assert mask_for(RUN, text).tag == mask_for(RUN, same).tag


def test_the_one_name_in_camel_case() -> None:
    kind: Any = recurring_run_pb2.ListRecurringRunsResponse.DESCRIPTOR
    assert mask_for(kind, "recurring_runs.display_name") == mask_for(kind, "recurringRuns.displayName")


def test_a_star_is_everything() -> None:
    assert mask_for(RUN, "*") is EVERYTHING
    assert mask_for(RUN, "run_id,*") is EVERYTHING
    with pytest.raises(InvalidArgumentError, match="nobody"):
        mask_for(RUN, "*,nobody")


@pytest.mark.parametrize(
    ("text", "named", "near"),
    [
        ("nobody", "Run has no field 'nobody'", "run_details, run_id"),
        ("run_details.task_detials", "RunDetails has no field 'task_detials'", "task_details"),
        ("runs.run_id", "Run has no field 'runs'", "run_id"),
        ("run_id.x", "'run_id.x': nothing below run_id", ""),
        ("labels.team", "nothing below labels", ""),
        ("pipeline_spec.root", "nothing below pipeline_spec", ""),
        ("created_at.seconds", "nothing below created_at", ""),
        ("run_details.*", "RunDetails has no field '*'", "task_details"),
        ("runs(run_id)", "no field 'runs(run_id)'", ""),
    ],
)
def test_what_there_is_not(text: str, named: str, near: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        mask_for(RUN, text)
    assert raised.value.message.startswith("fields: ")
    assert named in raised.value.message
    assert near in raised.value.message
    assert raised.value.field == "fields"


def test_each_element_of_a_list_is_cut() -> None:
    page = run_pb2.ListRunsResponse(runs=[run(), run()], total_size=2, next_page_token="t")
    cut(page, mask_for(RUNS, "runs.run_details.task_details.state,next_page_token"))
    wanted = run_pb2.ListRunsResponse(next_page_token="t")
    for _ in range(2):
        details = wanted.runs.add().run_details
        for _ in range(2):
            details.task_details.add(state=run_pb2.RUNNING)
    assert page == wanted


def test_maps_and_documents_are_whole() -> None:
    kept = run()
    cut(kept, mask_for(RUN, "labels,pipeline_spec,run_details.task_details.inputs"))
    wanted = run()
    for name in ("run_id", "display_name"):
        wanted.ClearField(name)
    for detail in wanted.run_details.task_details:
        for name in ("task_id", "state", "state_history"):
            detail.ClearField(name)
    assert kept == wanted


def test_everything_is_left_as_it_is() -> None:
    kept = run()
    cut(kept, EVERYTHING)
    assert kept == run()


@dataclass(frozen=True)
class Details:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class Ann:
    def authenticate(self, credentials: Credentials) -> Caller | None:
        return Caller("ann")


class Nothing:
    """What Ann may do."""

    def require(self, *_: Any) -> None:
        raise PermissionDeniedError("ann may not", resource="runs", verb="get")


def called(mask: str, authorization: Any = None) -> run_pb2.Run:
    """What comes back of a call through the interceptor, whose handler tells everything whatever the mask."""

    def tells_everything(*_: Any) -> run_pb2.Run:
        assert current_mask().wants("run_id")
        return run()

    access = AccessControl(Authentication([Ann()]), authorization)
    details: Any = Details("/kubeflow.pipelines.backend.api.v2beta1.RunService/GetRun")
    handler: Any = CallInterceptor(Telemetry(lambda: (0, 0)), access).intercept_service(
        lambda _: grpc.unary_unary_rpc_method_handler(tells_everything), details
    )
    context = LocalContext((("x-goog-fieldmask", mask),) if mask else (), 10)
    with context.status_scope():
        reply: run_pb2.Run = handler.unary_unary(run_pb2.GetRunRequest(run_id="r"), context)
    assert current_mask() is EVERYTHING
    return reply


def test_a_handler_cannot_tell_more_than_the_mask_has() -> None:
    assert called("run_id") == run_pb2.Run(run_id="r")
    assert called("") == run()


def test_a_mask_is_looked_at_after_the_caller_was_admitted() -> None:
    for mask, authorization, code in (
        ("nobody", None, grpc.StatusCode.INVALID_ARGUMENT),
        ("nobody", Nothing(), grpc.StatusCode.PERMISSION_DENIED),
    ):
        with pytest.raises(LocalCallError) as raised:
            called(mask, authorization)
        assert raised.value.code() is code
