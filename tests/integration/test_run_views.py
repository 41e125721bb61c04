"""How much of a run GetRun and ListRuns tell: everything to who asks plainly, as upstream; less to who wants less."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

Get, List = run_pb2.GetRunRequest, run_pb2.ListRunsRequest


@pytest.fixture(scope="module")
def run_id(client: Client) -> str:
    made = runs.start(client, specs.chain({"first": ["true"], "second": ["true"]}))
    runs.finished(client, made)
    return made


def test_a_plain_ask_is_answered_as_upstream_does(client: Client, run_id: str) -> None:
    plain = client.runs.GetRun(Get(run_id=run_id))
    assert len(plain.run_details.task_details) == 3
    assert plain.HasField("pipeline_spec")
    assert client.runs.GetRun(Get(run_id=run_id, view=Get.DEFAULT)) == plain
    assert client.runs.GetRun(Get(run_id=run_id, view=Get.FULL)) == plain


def test_the_basic_view_is_the_rest(client: Client, up: Embedded, run_id: str) -> None:
    plain, basic = (client.runs.GetRun(Get(run_id=run_id, view=view)) for view in (Get.DEFAULT, Get.BASIC))
    assert basic.state == run_pb2.SUCCEEDED
    plain.ClearField("run_details")
    plain.ClearField("pipeline_spec")
    assert basic == plain
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    whole, some = http.call("GET", url).json, http.call("GET", f"{url}?view=BASIC").json
    del whole["run_details"], whole["pipeline_spec"]
    assert some == whole


def test_lists_have_views_too(client: Client, run_id: str) -> None:
    def listed(view: Any) -> Any:
        (found,) = [one for one in client.runs.ListRuns(List(view=view, page_size=200)).runs if one.run_id == run_id]
        return found

    plain, full, basic = (listed(view) for view in (None, List.FULL, List.BASIC))
    assert plain == full
    assert plain.HasField("pipeline_spec")
    plain.ClearField("pipeline_spec")
    assert basic == plain


def test_a_run_of_a_version_keeps_its_reference(client: Client, up: Embedded) -> None:
    pipeline = http.upload(up.http, str(specs.container(["true"])).replace("'", '"').encode()).json
    new = run_pb2.Run(display_name="of a version")
    new.pipeline_version_reference.pipeline_id = pipeline["pipeline_id"]
    made = client.runs.CreateRun(run_pb2.CreateRunRequest(run=new))
    basic = client.runs.GetRun(Get(run_id=made.run_id, view=Get.BASIC))
    assert basic.pipeline_version_reference.pipeline_id == pipeline["pipeline_id"]


@pytest.mark.parametrize("request_of", [lambda: Get(run_id="any"), lambda: List()])
def test_a_view_that_there_is_not(client: Client, up: Embedded, request_of: Any) -> None:
    request = request_of()
    request.view = 77
    call: Any = client.runs.GetRun if isinstance(request, Get) else client.runs.ListRuns
    with pytest.raises(grpc.RpcError) as raised:
        call(request)
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "view" in error.details()
    assert "BASIC" in error.details()
    path = "/runs/any" if isinstance(request, Get) else "/runs"
    for value in ("77", "SOME"):
        reply = http.call("GET", f"{up.http}/apis/v2beta1{path}?view={value}")
        assert reply.status == 400
        assert "view" in reply.json["message"]


def test_our_client_waits_with_the_least(client: Client, run_id: str) -> None:
    ended = client.wait_for_run(run_id, timeout=30)
    assert ended == client.runs.GetRun(Get(run_id=run_id, view=Get.BASIC))
