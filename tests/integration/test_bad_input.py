"""Invalid requests: each gets one clear error that names the field, and the server goes on."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import quote

import grpc
import pytest
import yaml
from google.protobuf import json_format
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_ir.json_text import MAX_DEPTH

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs


def broken(change: Any) -> bytes:
    spec = specs.chain({"first": ["true"], "second": ["true"]})
    change(spec)
    return yaml.safe_dump(spec).encode()


def tasks_of(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["root"]["dag"]["tasks"]
    return found


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12)
)

BROKEN_FILES = {
    "not YAML": (b"\x00\x01 {{{", "unknown template format"),
    "no spec": (b"just: text", "unknown template format"),
    "YAML bomb": (BOMB, "alias"),
    "deep nesting": (b"[" * 5000 + b"]" * 5000, "nest"),
    "unknown field": (broken(lambda s: s.update(surprise=1)), "surprise"),
    "wrong schema version": (broken(lambda s: s.update(schemaVersion="2.0.0")), "has version 2.0.0"),
    "missing component": (broken(lambda s: s["components"].pop("comp-second")), "comp-second"),
    "cycle": (broken(lambda s: tasks_of(s)["first"].update(dependentTasks=["second"])), "cycle"),
    "absent producer": (broken(lambda s: tasks_of(s)["second"].update(dependentTasks=["nobody"])), "nobody"),
    "missing executor": (broken(lambda s: s["deploymentSpec"]["executors"].pop("exec-first")), "exec-first"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_broken_uploads_are_refused_with_the_reason(up: Embedded, name: str) -> None:
    content, wanted = BROKEN_FILES[name]
    reply = http.upload(up.http, content)
    assert reply.status == 400, reply
    assert wanted in reply.json["error_message"], reply.json


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_json_has_not_are_refused_wherever_they_are(client: Client, number: float) -> None:
    def refused(method: Any, request: Any, field: str) -> None:
        with pytest.raises(ClientError, match="no number") as caught:
            client.call(method, request)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(caught.value)

    def put(message: Any) -> None:
        message.fields["deep"].list_value.values.add().struct_value.fields["here"].number_value = number

    for make, inner in (
        (lambda: run_pb2.CreateRunRequest(), "run"),
        (lambda: recurring_run_pb2.CreateRecurringRunRequest(), "recurring_run"),
    ):
        method = client.runs.CreateRun if inner == "run" else client.recurring_runs.CreateRecurringRun
        request = make()
        put(getattr(request, inner).pipeline_spec)
        refused(method, request, "pipeline_spec")
        request = make()
        put(getattr(request, inner).runtime_config.parameters["x"].struct_value)
        refused(method, request, "runtime_config.parameters")
    request = run_pb2.CreateRunRequest()
    json_format.ParseDict(specs.container(["true"]), request.run.pipeline_spec)
    put(request.run.plugins_input["a"])
    refused(client.runs.CreateRun, request, "plugins_input")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def with_default(levels: int) -> dict[str, Any]:
    spec = specs.container(["true"])
    definition = {"parameterType": "LIST", "isOptional": True, "defaultValue": nested(levels)}
    spec["root"]["inputDefinitions"] = {"parameters": {"l": definition}}
    return spec


SPEC_WITH_LIST = with_default(1)
# How deep `defaultValue` of a parameter of the root stands in a document.
DEFAULT = 5
DEEP: dict[str, tuple[Any, str]] = {
    "argument": (
        lambda levels: {"pipeline_spec": SPEC_WITH_LIST, "runtime_config": {"parameters": {"l": nested(levels)}}},
        "runtime_config.parameters.l",
    ),
    "default": (
        lambda levels: {"pipeline_spec": with_default(levels - DEFAULT)},
        "root.inputDefinitions.parameters.l.defaultValue",
    ),
    "plugins": (
        lambda levels: {"pipeline_spec": SPEC_WITH_LIST, "plugins_input": {"a": {"b": nested(levels - 1)}}},
        "plugins_input.a",
    ),
}
RECURRING = {"max_concurrency": "1", "trigger": {"periodic_schedule": {"interval_second": "3600"}}}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("kind", ["runs", "recurringruns"])
def test_what_is_nested_too_deep_is_refused_and_lists_go_on(up: Embedded, client: Client, kind: str, name: str) -> None:
    make, field = DEEP[name]
    url = f"{up.http}/apis/v2beta1/{kind}"
    more = RECURRING if kind == "recurringruns" else {}
    for levels in (MAX_DEPTH + 1, 40, 49, 120, 400):
        reply = http.call("POST", url, {"display_name": "deep", **more, **make(levels)})
        assert reply.status == 400, (levels, reply)
        assert field in str(reply.json), (levels, reply.json)
        if levels > 40:
            continue
        request: Any = run_pb2.CreateRunRequest()
        method: Any = client.runs.CreateRun
        inner = request.run
        if kind == "recurringruns":
            request = recurring_run_pb2.CreateRecurringRunRequest()
            method, inner = client.recurring_runs.CreateRecurringRun, request.recurring_run
        json_format.ParseDict({"display_name": "deep", **more, **make(levels)}, inner)
        with pytest.raises(ClientError, match="nested deeper") as caught:
            client.call(method, request)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert field in str(caught.value)
    reply = http.call("POST", url, {"display_name": "deep", **more, **make(MAX_DEPTH)})
    assert reply.status == 200, reply
    for path in ("v2beta1/runs", "v2beta1/recurringruns", "v1beta1/runs", "v1beta1/jobs"):
        assert http.call("GET", f"{up.http}/apis/{path}?page_size=200").status == 200
    listed = client.call(client.runs.ListRuns, run_pb2.ListRunsRequest(page_size=200))
    assert listed.runs


SCHEDULES = [
    ({"cron_schedule": {"cron": "* * * * * *", "start_time": "9999-12-31T23:59:59Z"}}, "cron_schedule.start_time"),
    (
        {"cron_schedule": {"cron": "TZ=Pacific/Kiritimati 0 0 0 * * *", "start_time": "9999-12-31T23:59:59Z"}},
        "start_time",
    ),
    ({"cron_schedule": {"cron": "@every 99999999999999h"}}, "cron_schedule.cron"),
    ({"cron_schedule": {"cron": f"@every {'9' * 400}h"}}, "cron_schedule.cron"),
    ({"cron_schedule": {"cron": "R R R * * *"}}, "cron_schedule.cron"),
]


@pytest.mark.parametrize(("trigger", "field"), SCHEDULES)
def test_schedules_at_the_edge_are_refused_by_name(up: Embedded, trigger: Any, field: str) -> None:
    new = {"display_name": "edge", "pipeline_spec": SPEC_WITH_LIST, "max_concurrency": "1", "trigger": trigger}
    reply = http.call("POST", f"{up.http}/apis/v2beta1/recurringruns", new)
    assert reply.status == 400, reply
    assert field in str(reply.json)


@pytest.mark.parametrize("seconds", [253_402_300_800, -62_135_596_801, 2**62])
def test_times_that_are_none_are_refused_by_name(client: Client, up: Embedded, seconds: int) -> None:
    run = run_pb2.CreateRunRequest()
    json_format.ParseDict({"display_name": "when", "pipeline_spec": SPEC_WITH_LIST}, run.run)
    run.run.scheduled_at.seconds = seconds
    recurring = recurring_run_pb2.CreateRecurringRunRequest()
    new = {"display_name": "when", "pipeline_spec": SPEC_WITH_LIST, **RECURRING}
    json_format.ParseDict(new, recurring.recurring_run)
    recurring.recurring_run.trigger.periodic_schedule.end_time.seconds = seconds
    for method, request, field in (
        (client.runs.CreateRun, run, "run.scheduled_at"),
        (client.recurring_runs.CreateRecurringRun, recurring, "periodic_schedule.end_time"),
    ):
        with pytest.raises(ClientError, match=field) as caught:
            client.call(method, request)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert http.call("GET", f"{up.http}/apis/v2beta1/runs?page_size=200").status == 200


def test_a_pipeline_that_is_nested_too_deep_is_refused(up: Embedded) -> None:
    reply = http.upload(up.http, yaml.safe_dump(with_default(MAX_DEPTH - DEFAULT + 1)).encode())
    assert reply.status == 400, reply
    assert "root.inputDefinitions.parameters.l.defaultValue" in reply.json["error_message"]
    assert http.upload(up.http, yaml.safe_dump(with_default(MAX_DEPTH - DEFAULT)).encode()).status == 200


def test_broken_specs_are_refused_when_a_run_is_made(client: Client) -> None:
    spec = specs.chain({"first": ["true"]})
    tasks_of(spec)["first"]["dependentTasks"] = ["nobody"]
    with pytest.raises(ClientError, match="nobody") as caught:
        runs.start(client, spec)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_an_upload_of_50_mb_is_refused_and_the_server_goes_on(up: Embedded) -> None:
    reply = http.upload(up.http, b"# " + b"x" * (50 * 1024 * 1024))
    assert reply.status in (400, 413), reply
    assert "size" in reply.json["error_message"] or "large" in reply.json["error_message"], reply.json
    assert http.call("GET", f"{up.http}/apis/v2beta1/healthz").status == 200


def test_an_upload_without_a_file_says_so(up: Embedded) -> None:
    reply = http.call("POST", f"{up.http}/apis/v2beta1/pipelines/upload", {"not": "multipart"})
    assert reply.status == 415
    assert "uploadfile" in reply.json["error_message"]


PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({}, "uri"),
    "extra": ({"uri": "x", "surprise": 1}, "surprise"),
    "of the wrong type": ({"uri": [1]}, "uri"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_wrong_parameters_are_named(client: Client, name: str) -> None:
    given, wanted = PARAMETERS[name]
    spec = yaml.safe_load((specs.COMPILED / "importing.yaml").read_text())
    with pytest.raises(ClientError, match=wanted) as caught:
        runs.start(client, spec, given)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["", "   ", "x" * 200, "a\0b"])
def test_invalid_names_of_experiments(client: Client, name: str) -> None:
    request = experiment_pb2.CreateExperimentRequest()
    request.experiment.display_name = name
    with pytest.raises(ClientError) as caught:
        client.call(client.experiments.CreateExperiment, request)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "name" in str(caught.value)


def test_a_name_that_is_taken(client: Client) -> None:
    request = experiment_pb2.CreateExperimentRequest()
    request.experiment.display_name = f"twice {uuid.uuid4()}"
    client.call(client.experiments.CreateExperiment, request)
    with pytest.raises(ClientError) as caught:
        client.call(client.experiments.CreateExperiment, request)
    assert caught.value.code is grpc.StatusCode.ALREADY_EXISTS


UNKNOWN = {
    "run": ("runs", "GetRun", run_pb2.GetRunRequest(run_id="nobody")),
    "terminate": ("runs", "TerminateRun", run_pb2.TerminateRunRequest(run_id="nobody")),
    "retry": ("runs", "RetryRun", run_pb2.RetryRunRequest(run_id="nobody")),
    "experiment": ("experiments", "GetExperiment", experiment_pb2.GetExperimentRequest(experiment_id="nobody")),
    "pipeline": ("pipelines", "GetPipeline", pipeline_pb2.GetPipelineRequest(pipeline_id="nobody")),
    "delete": ("pipelines", "DeletePipeline", pipeline_pb2.DeletePipelineRequest(pipeline_id="nobody")),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_ids(client: Client, name: str) -> None:
    service, method, request = UNKNOWN[name]
    with pytest.raises(ClientError, match="nobody") as caught:
        client.call(getattr(getattr(client, service), method), request)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


def filter_of(key: str, value: str = "x") -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


FILTERS = {
    "no JSON": ("{", "filter"),
    "unknown key": (filter_of("pipeline_root"), "pipeline_root"),
    "SQL as a key": (filter_of("name' OR 1=1 --"), "cannot filter"),
    "no value": ('{"predicates":[{"operation":"EQUALS","key":"name"}]}', "exactly one value"),
    "unknown operation": ('{"predicates":[{"operation":"LIKE","key":"name","string_value":"a"}]}', "operation"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_bad_filters(up: Embedded, name: str) -> None:
    text, wanted = FILTERS[name]
    reply = http.call("GET", f"{up.http}/apis/v2beta1/runs?filter={quote(text)}")
    assert reply.status == 400
    assert wanted in reply.json["message"]


def test_sql_in_a_filter_value_is_a_value(up: Embedded) -> None:
    text = filter_of("name", "'; DROP TABLE runs; --")
    reply = http.call("GET", f"{up.http}/apis/v2beta1/runs?filter={quote(text)}")
    assert reply.status == 200
    assert reply.json.get("runs", []) == []


def test_a_page_token_of_another_listing(client: Client, up: Embedded) -> None:
    for _ in range(2):
        request = experiment_pb2.CreateExperimentRequest()
        request.experiment.display_name = f"page {uuid.uuid4()}"
        client.call(client.experiments.CreateExperiment, request)
    reply = http.call("GET", f"{up.http}/apis/v2beta1/experiments?page_size=1")
    token = reply.json["next_page_token"]
    reply = http.call("GET", f"{up.http}/apis/v2beta1/runs?page_token={quote(token)}")
    assert reply.status == 400
    assert "another listing" in reply.json["message"]
    forged = base64.b64encode(b'{"listing": "runs"}').decode()
    assert http.call("GET", f"{up.http}/apis/v2beta1/runs?page_token={quote(forged)}").status == 400


@pytest.mark.parametrize(
    ("verb", "path", "document", "status"),
    [
        ("GET", "/apis/v2beta1/nothing", None, 404),
        ("DELETE", "/apis/v2beta1/runs", None, 501),
        ("POST", "/apis/v2beta1/runs", {"surprise": 1}, 400),
        ("GET", "/apis/v2beta1/runs?page_size=-1", None, 400),
        ("GET", "/apis/v2beta1/runs?page_size=many", None, 400),
        ("GET", "/apis/v2beta1/runs?sort_by=color", None, 400),
    ],
)
def test_rest_statuses(up: Embedded, verb: str, path: str, document: Any, status: int) -> None:
    reply = http.call(verb, up.http + path, document)
    assert reply.status == status, reply
    assert reply.json["message"]


def test_artifact_paths_cannot_climb_out(up: Embedded) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"):
        reply = http.call("GET", f"{up.http}/apis/penstock/v1/artifacts/{name}:download")
        assert reply.status == 404


@pytest.mark.parametrize("header", [b'name="\x06\x7f"', b'name="a\x00b"', b"name=\xff", b'name="uploadfile', b": x"])
def test_hostile_headers_of_a_part_are_refused_in_words(up: Embedded, header: bytes) -> None:
    body = b"--b\r\nContent-Disposition: form-data; " + header + b"\r\n\r\nx\r\n--b--\r\n"
    reply = http.call(
        "POST", f"{up.http}/apis/v2beta1/pipelines/upload", data=body, content_type="multipart/form-data; boundary=b"
    )
    assert reply.status == 400
    assert "Failed to upload pipeline" in reply.json["error_message"]
