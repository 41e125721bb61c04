"""Replies that are sent only when they have changed: 304 by entity tag, over REST and by the metadata of a call."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2
from penstock_server.access.credentials import NOBODY

from tests.support.local_calls import local_calls
from tests.support.statements import statements
from tools.embedded import Embedded
from tools.testing import runs, specs

GET_RUN = "/kubeflow.pipelines.backend.api.v2beta1.RunService/GetRun"
CREATE_RUN = "/kubeflow.pipelines.backend.api.v2beta1.RunService/CreateRun"


@dataclass(frozen=True)
class Read:
    status: int
    tag: str
    cached: str
    body: bytes


def read(url: str, *tags: str, verb: str = "GET") -> Read:
    request = urllib.request.Request(url, method=verb, headers={"If-None-Match": ", ".join(tags)} if tags else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return Read(
                reply.status, reply.headers.get("ETag", ""), reply.headers.get("Cache-Control", ""), reply.read()
            )
    except urllib.error.HTTPError as error:
        return Read(error.code, error.headers.get("ETag", ""), error.headers.get("Cache-Control", ""), error.read())


@pytest.fixture(scope="module")
def run_id(client: Client) -> str:
    made = runs.start(client, specs.chain({"first": ["true"], "second": ["true"]}))
    runs.finished(client, made)
    return made


@pytest.mark.parametrize(
    "path",
    [
        "/apis/v2beta1/runs/{run_id}",
        "/apis/v2beta1/runs/{run_id}?options=true",
        "/apis/v2beta1/runs/{run_id}?without_tasks=true",
        "/apis/v1beta1/runs/{run_id}",
        "/pipeline/apis/v2beta1/runs/{run_id}",
        "/apis/v2beta1/runs",
        "/apis/v2beta1/experiments",
        "/apis/penstock/v1/runs/{run_id}/tasks",
    ],
)
def test_who_has_a_reply_gets_it_not_again(up: Embedded, run_id: str, path: str) -> None:
    url = up.http + path.format(run_id=run_id)
    first = read(url)
    assert (first.status, first.cached) == (200, "no-cache, private")
    assert first.body
    again = read(url, '"another"', first.tag)
    assert (again.status, again.tag, again.cached, again.body) == (304, first.tag, "no-cache, private", b"")
    assert read(url, first.tag.removeprefix("W/")).status == 304
    assert read(url, first.tag, verb="HEAD").status == 304
    other = read(url, '"another"', "nonsense")
    assert (other.status, other.tag, other.body) == (200, first.tag, first.body)


def test_more_of_the_same_run_has_another_tag(up: Embedded, run_id: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    urls = [url, f"{url}?without_tasks=true", f"{url}?options=true", url.replace("v2beta1", "v1beta1")]
    tags = {read(one).tag for one in urls}
    assert len(tags) == len(urls)
    for one in urls:
        others = tags - {read(one).tag}
        assert read(one, *others).status == 200


def test_a_change_has_another_tag(up: Embedded, client: Client, run_id: str) -> None:
    url = f"{up.http}/apis/v2beta1/runs/{run_id}"
    listed = f"{up.http}/apis/v2beta1/runs?sort_by=created_at%20desc"
    before, page = read(url), read(listed)
    client.runs.ArchiveRun(run_pb2.ArchiveRunRequest(run_id=run_id))
    after = read(url, before.tag)
    assert (after.status, json.loads(after.body)["storage_state"]) == (200, "ARCHIVED")
    assert read(url, before.tag, after.tag).status == 304
    assert read(listed, page.tag).status == 200
    client.runs.UnarchiveRun(run_pb2.UnarchiveRunRequest(run_id=run_id))
    assert read(url, before.tag, after.tag).status == 200


def test_errors_and_writes_have_no_tags(up: Embedded, client: Client, run_id: str) -> None:
    gone = read(f"{up.http}/apis/v2beta1/runs/nobody", '"x"')
    assert (gone.status, gone.tag) == (404, "")
    kept = read(f"{up.http}/apis/v2beta1/runs/{run_id}")
    written = read(f"{up.http}/apis/v2beta1/runs/{run_id}:archive", kept.tag, verb="POST")
    assert (written.status, written.tag, written.cached) == (200, "", "")


def test_over_grpc_the_tag_is_metadata(client: Client, run_id: str) -> None:
    request = run_pb2.GetRunRequest(run_id=run_id)
    whole, call = client.runs.GetRun.with_call(request)
    tag = dict(call.trailing_metadata())["etag"]
    assert whole.run_id == run_id
    nothing, call = client.runs.GetRun.with_call(request, metadata=(("if-none-match", tag),))
    assert nothing == run_pb2.Run()
    assert dict(call.trailing_metadata())["etag"] == tag
    other, _ = client.runs.GetRun.with_call(request, metadata=(("if-none-match", '"other"'),))
    assert other == whole


def test_an_unchanged_run_costs_one_statement(tmp_path: Path) -> None:
    new = run_pb2.CreateRunRequest()
    new.run.display_name = "run"
    new.run.pipeline_spec.update(specs.container(["true"]))
    with local_calls(tmp_path) as (local, database):
        made = local.unary(CREATE_RUN, new, 60, (), NOBODY)[0].result(60)
        request = run_pb2.GetRunRequest(run_id=made.run_id)
        future, context = local.unary(GET_RUN, request, 60, (), NOBODY)
        assert future.result(60).run_id == made.run_id
        tag = dict(context.trailing_metadata())["etag"]
        with statements(database) as seen:
            future, _ = local.unary(GET_RUN, request, 60, (("if-none-match", str(tag)),), NOBODY)
            assert future.result(60) == run_pb2.Run()
    assert [text for text, _ in seen if "tasks" in text] == []
    assert len(seen) == 1, seen
