"""Answers cut to a field mask: the same by gRPC, gRPC-Web and REST, each field as it is in the whole answer, and
nothing read for what is left out.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import MessageToDict
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_server.access.credentials import NOBODY
from penstock_server.rpc.local import LocalCalls
from penstock_server.storage.database import Database

from tests.support import http
from tests.support.local_calls import local_calls
from tests.support.statements import statements
from tools.embedded import Embedded
from tools.testing import runs, specs

_V2 = "/kubeflow.pipelines.backend.api.v2beta1"
GET_RUN = f"{_V2}.RunService/GetRun"
HEADER = "x-goog-fieldmask"
# Messages whose fields cannot be asked for by themselves.
_WHOLE = ("google.protobuf.", "google.rpc.")


@pytest.fixture(scope="module")
def run_id(client: Client) -> str:
    """Of a run with something in most of its fields."""
    write = (
        "mkdir -p $(dirname '{{$.outputs.artifacts['model'].path}}') && touch '{{$.outputs.artifacts['model'].path}}'"
    )
    spec = specs.container(["sh", "-c", write], artifacts={"model": "system.Model"})
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "masked"
    request.run.description = "a description"
    request.run.labels["team"] = "vision"
    request.run.pipeline_spec.update(spec)
    request.run.runtime_config.pipeline_root = ""
    request.run.plugins_input["mlflow"]["experiment"] = "x"
    made = client.runs.CreateRun(request).run_id
    assert runs.finished(client, made).state == run_pb2.SUCCEEDED
    return str(made)


@pytest.fixture(scope="module")
def version(client: Client, up: Embedded) -> Any:
    pipeline = http.upload(up.http, json.dumps(specs.container(["true"])).encode()).json
    request = pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=pipeline["pipeline_id"])
    return client.pipelines.ListPipelineVersions(request).pipeline_versions[0]


@pytest.fixture(scope="module")
def run_of_version(client: Client, version: Any) -> str:
    request = run_pb2.CreateRunRequest()
    request.run.display_name = "of a version"
    request.run.pipeline_version_reference.pipeline_id = version.pipeline_id
    made = client.runs.CreateRun(request).run_id
    runs.finished(client, made)
    return str(made)


@pytest.fixture(scope="module")
def schedules(client: Client, version: Any) -> list[str]:
    """One of a document, one of a version."""
    made = []
    for number in range(2):
        request = recurring_run_pb2.CreateRecurringRunRequest()
        schedule = request.recurring_run
        schedule.display_name, schedule.max_concurrency = f"schedule {uuid.uuid4()}", 1
        schedule.trigger.cron_schedule.cron = "0 0 1 1 *"
        schedule.runtime_config.pipeline_root = "x"
        schedule.plugins_input["mlflow"]["experiment"] = "x"
        if number:
            schedule.pipeline_version_reference.pipeline_id = version.pipeline_id
        else:
            schedule.pipeline_spec.update(specs.container(["true"]))
        made.append(str(client.recurring_runs.CreateRecurringRun(request).recurring_run_id))
    return made


def restricted(document: Any, path: Sequence[str]) -> Any:
    """Of a message as values, what lies at a path, by other means than the server's."""
    if not path:
        return document
    if isinstance(document, list):
        return [restricted(one, path) for one in document]
    return {path[0]: restricted(document[path[0]], path[1:])} if path[0] in document else {}


def paths(message: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """To every field of a message, at every depth."""
    for field in message.fields:
        yield (*before, field.name)
        below: Descriptor | None = field.message_type
        if below is not None and not below.GetOptions().map_entry and not below.full_name.startswith(_WHOLE):
            yield from paths(below, (*before, field.name))


def as_values(message: Any) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)


def assert_each_field_is_that_of_the_whole(call: Any, request: Any) -> None:
    whole = as_values(call(request))
    found = set()
    for path in paths(type(call(request)).DESCRIPTOR):
        some = as_values(call(request, metadata=((HEADER, ".".join(path)),)))
        assert some == restricted(whole, path), path
        if some:
            found.add(path[0])
    assert found == set(whole)


@pytest.mark.parametrize("fixture", ["run_id", "run_of_version"])
def test_each_field_of_a_run(client: Client, request: pytest.FixtureRequest, fixture: str) -> None:
    get = run_pb2.GetRunRequest(run_id=request.getfixturevalue(fixture))
    assert_each_field_is_that_of_the_whole(client.runs.GetRun, get)


def test_each_field_of_lists_of_runs(client: Client, run_id: str, run_of_version: str) -> None:
    assert_each_field_is_that_of_the_whole(client.runs.ListRuns, run_pb2.ListRunsRequest(page_size=200))


def test_each_field_of_tasks(client: Client, run_id: str) -> None:
    for request in (
        insight_pb2.ListTasksRequest(run_id=run_id),
        insight_pb2.ListTasksRequest(run_id=run_id, page_size=100),
    ):
        assert_each_field_is_that_of_the_whole(client.insight.ListTasks, request)


def test_each_field_of_versions(client: Client, version: Any) -> None:
    get = pipeline_pb2.GetPipelineVersionRequest(pipeline_version_id=version.pipeline_version_id)
    assert_each_field_is_that_of_the_whole(client.pipelines.GetPipelineVersion, get)
    listed = pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=version.pipeline_id)
    assert_each_field_is_that_of_the_whole(client.pipelines.ListPipelineVersions, listed)


def test_each_field_of_schedules(client: Client, schedules: list[str]) -> None:
    for one in schedules:
        get = recurring_run_pb2.GetRecurringRunRequest(recurring_run_id=one)
        assert_each_field_is_that_of_the_whole(client.recurring_runs.GetRecurringRun, get)
    listed = recurring_run_pb2.ListRecurringRunsRequest(page_size=200)
    assert_each_field_is_that_of_the_whole(client.recurring_runs.ListRecurringRuns, listed)


def test_each_field_of_experiments_and_pipelines(client: Client, version: Any) -> None:
    assert_each_field_is_that_of_the_whole(client.experiments.ListExperiments, experiment_pb2.ListExperimentsRequest())
    assert_each_field_is_that_of_the_whole(client.pipelines.ListPipelines, pipeline_pb2.ListPipelinesRequest())


@pytest.mark.parametrize("parameter", ["fields=", "%24fields=", "$fields=", "view=FULL&fields="])
def test_over_rest(up: Embedded, run_id: str, parameter: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    whole = http.call("GET", url).json
    mask = "runId, state,run_details.taskDetails.display_name"
    reply = http.call("GET", f"{url}?{parameter}{quote(mask)}")
    assert reply.status == 200
    names = [{"display_name": one["display_name"]} for one in whole["run_details"]["task_details"]]
    assert reply.json == {"run_id": run_id, "state": "SUCCEEDED", "run_details": {"task_details": names}}


def test_over_rest_by_header_and_several_times(up: Embedded, run_id: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    assert http.call("GET", url, headers={"X-Goog-FieldMask": "state"}).json == {"state": "SUCCEEDED"}
    both = http.call("GET", f"{url}?fields=run_id&fields=display_name", headers={"X-Goog-FieldMask": "state"}).json
    assert both == {"run_id": run_id, "display_name": "masked", "state": "SUCCEEDED"}


def test_who_asks_plainly_gets_everything(up: Embedded, client: Client, run_id: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    plain = http.call("GET", url).body
    for same in ("?fields=", "?$fields=", "?fields=%20", "?fields=*"):
        assert http.call("GET", url + same).body == plain
    request = run_pb2.GetRunRequest(run_id=run_id)
    whole = client.runs.GetRun(request)
    for text in ("", "*"):
        assert client.runs.GetRun(request, metadata=((HEADER, text),)) == whole
    # Of what is no read, and of an older API, nothing is left out.
    old = f"{up.http}/apis/v1beta1/runs/{run_id}"
    assert http.call("GET", f"{old}?fields=run.id").body == http.call("GET", old).body


def test_over_rest_a_field_of_penstock_is_told_to_who_names_it(up: Embedded, run_id: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    assert http.call("GET", f"{url}?fields=run_id,labels").json == {"run_id": run_id, "labels": {"team": "vision"}}
    listed = f"{up.http}/apis/v2beta1/runs?page_size=200"
    named = http.call("GET", f"{listed}&fields=runs.run_id,runs.labels").json["runs"]
    assert {"run_id": run_id, "labels": {"team": "vision"}} in named
    assert not any("labels" in one for one in http.call("GET", f"{listed}&fields=runs").json["runs"])


def over_grpc_web(up: Embedded, request: run_pb2.GetRunRequest, mask: str) -> bytes:
    content = request.SerializeToString()
    body = struct.pack(">BI", 0, len(content)) + content
    kind = "application/grpc-web+proto"
    return http.call("POST", up.http + GET_RUN, data=body, content_type=kind, headers={HEADER: mask}).body


def test_over_grpc_web(up: Embedded, client: Client, run_id: str) -> None:
    request = run_pb2.GetRunRequest(run_id=run_id)
    body = over_grpc_web(up, request, "run_id,state")
    (length,) = struct.unpack(">I", body[1:5])
    assert run_pb2.Run.FromString(body[5 : 5 + length]) == run_pb2.Run(run_id=run_id, state=run_pb2.SUCCEEDED)
    refused = over_grpc_web(up, request, "nobody")
    assert b"grpc-status:3" in refused


def test_an_unknown_path_is_refused(up: Embedded, client: Client, run_id: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        client.runs.GetRun(run_pb2.GetRunRequest(run_id=run_id), metadata=((HEADER, "run_id,run_detials"),))
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    for text in ("fields: ", "'run_detials'", "run_details"):
        assert text in error.details()
    reply = http.call("GET", f"{up.http}/apis/v2beta1/runs?fields=runs.nobody")
    assert reply.status == 400
    assert "'nobody'" in reply.json["message"]
    assert "run_id" in reply.json["message"]


@pytest.mark.parametrize("mask", ["a," * 5_000, "a" * 9_000, "run_details." * 500, "%00", "é", "run_id\n", "{}"])
def test_what_is_hostile_is_refused(up: Embedded, run_id: str, mask: str) -> None:
    reply = http.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}?fields={quote(mask)}")
    assert reply.status == 400 or (mask == "run_id\n" and reply.status == 200)
    assert len(reply.body) < 4_000


def test_the_tag_depends_on_the_mask(client: Client, run_id: str) -> None:
    request = run_pb2.GetRunRequest(run_id=run_id)

    def asked(*metadata: tuple[str, str]) -> tuple[run_pb2.Run, str]:
        reply, call = client.runs.GetRun.with_call(request, metadata=metadata)
        return reply, str(dict(call.trailing_metadata())["etag"])

    whole, plain = asked()
    some, masked = asked((HEADER, "run_id,state"))
    _, other = asked((HEADER, "run_id"))
    assert len({plain, masked, other}) == 3
    assert asked((HEADER, "state, runId"))[1] == masked
    assert asked((HEADER, "state,run_id"), ("if-none-match", masked)) == (run_pb2.Run(), masked)
    assert asked((HEADER, "state,run_id"), ("if-none-match", plain)) == (some, masked)
    assert asked(("if-none-match", masked)) == (whole, plain)


class Asked:
    """Calls of a server, and what they asked of its database."""

    def __init__(self, local: LocalCalls, database: Database) -> None:
        self._local, self._database = local, database

    def __call__(self, method: str, request: Any, mask: str = "") -> tuple[Any, list[str]]:
        metadata = ((HEADER, mask),) if mask else ()
        with statements(self._database) as seen:
            reply = self._local.unary(method, request, 60, metadata, NOBODY)[0].result(60)
        return reply, [text for text, _ in seen]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A server without an executor, with five runs, one version and one schedule."""
    directory: Path = tmp_path_factory.mktemp("masks")
    with local_calls(directory) as (local, database):
        ask = Asked(local, database)
        for number in range(5):
            new = run_pb2.CreateRunRequest()
            new.run.display_name = f"run {number}"
            new.run.pipeline_spec.update(specs.container(["true"]))
            ask(f"{_V2}.RunService/CreateRun", new)
        new_schedule = recurring_run_pb2.CreateRecurringRunRequest()
        new_schedule.recurring_run.display_name, new_schedule.recurring_run.max_concurrency = "schedule", 1
        new_schedule.recurring_run.pipeline_spec.update(specs.container(["true"]))
        ask(f"{_V2}.RecurringRunService/CreateRecurringRun", new_schedule)
        yield ask


def mentions(*words: str) -> Callable[[list[str]], list[str]]:
    return lambda seen: [text for text in seen if any(word in text for word in words)]


def test_a_run_is_read_for_what_is_wanted_alone(asked: Asked) -> None:
    page, _ = asked(f"{_V2}.RunService/ListRuns", run_pb2.ListRunsRequest())
    request = run_pb2.GetRunRequest(run_id=page.runs[0].run_id)
    tasks, document = mentions("FROM tasks", "FROM artifacts"), mentions("submitted_spec")
    _, plain = asked(GET_RUN, request)
    assert len(tasks(plain)) == 2
    assert document(plain)
    reply, seen = asked(GET_RUN, request, "run_id,state")
    assert reply.run_id == request.run_id
    assert (len(seen), tasks(seen), document(seen)) == (1, [], [])
    _, seen = asked(GET_RUN, request, "run_details.task_details.state")
    assert len(tasks(seen)) == 1
    assert document(seen) == []
    assert mentions("tasks.inputs", "tasks.history", "input_artifacts", "tasks.log_uri")(seen) == []
    _, seen = asked(GET_RUN, request, "run_details.task_details.outputs")
    assert len(tasks(seen)) == 2
    # The view that tells the least reads the least.
    _, seen = asked(GET_RUN, run_pb2.GetRunRequest(run_id=request.run_id, view=run_pb2.GetRunRequest.BASIC))
    assert (tasks(seen), document(seen)) == ([], [])


def test_a_list_is_neither_counted_nor_read_for_what_is_left_out(asked: Asked) -> None:
    method, request = f"{_V2}.RunService/ListRuns", run_pb2.ListRunsRequest(page_size=2)
    counts, documents = mentions("count("), mentions("submitted_spec")
    whole, seen = asked(method, request)
    assert (len(counts(seen)), bool(documents(seen))) == (1, True)
    found, mask = [], "runs.run_id,next_page_token"
    while True:
        page, seen = asked(method, request, mask)
        assert (len(seen), counts(seen), documents(seen)) == (1, [], [])
        assert page.total_size == 0
        found += [one.run_id for one in page.runs]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(set(found)) == whole.total_size == 5
    # A token of a list that was not counted goes on as one that is.
    page, seen = asked(method, request)
    assert page.total_size == 5
    assert len(counts(seen)) == 1
    basic, seen = asked(method, run_pb2.ListRunsRequest(view=run_pb2.ListRunsRequest.BASIC))
    assert (len(basic.runs), documents(seen)) == (5, [])


def test_schedules_are_read_without_their_documents(asked: Asked) -> None:
    documents = mentions("submitted_spec", "runtime_config")
    method, request = f"{_V2}.RecurringRunService/ListRecurringRuns", recurring_run_pb2.ListRecurringRunsRequest()
    whole, seen = asked(method, request)
    assert documents(seen)
    page, seen = asked(method, request, "recurringRuns.display_name")
    assert (page.recurringRuns[0].display_name, documents(seen)) == ("schedule", [])
    get = recurring_run_pb2.GetRecurringRunRequest(recurring_run_id=whole.recurringRuns[0].recurring_run_id)
    one, seen = asked(f"{_V2}.RecurringRunService/GetRecurringRun", get, "display_name,mode")
    assert (one.display_name, documents(seen)) == ("schedule", [])


def test_tasks_are_read_for_what_is_wanted_alone(asked: Asked) -> None:
    page, _ = asked(f"{_V2}.RunService/ListRuns", run_pb2.ListRunsRequest())
    method, request = (
        "/penstock.v1.InsightService/ListTasks",
        insight_pb2.ListTasksRequest(run_id=page.runs[0].run_id, page_size=10),
    )
    _, plain = asked(method, request)
    _, seen = asked(method, request, "tasks.path,tasks.state")
    assert len(plain) - len(seen) >= 2
    assert mentions("tasks.inputs", "tasks.outputs", "count(", "tasks.error")(seen) == []
    # What is known of a run's end is not read to find out whether it exists.
    assert mentions("submitted_spec")(plain) == []
