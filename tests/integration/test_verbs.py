"""HEAD and OPTIONS on every route, and replies that hold what upstream's have and nothing else."""

from __future__ import annotations

import http.client
import re
from typing import Any
from urllib.parse import quote

import pytest
from penstock.client import Client

from tests.support import http as plain
from tests.support.routes import routes
from tools.embedded import Embedded
from tools.testing import runs, specs

RUN_FIELDS = {
    "experiment_id", "run_id", "display_name", "storage_state", "description", "pipeline_version_id", "pipeline_spec",
    "pipeline_version_reference", "runtime_config", "service_account", "created_at", "scheduled_at", "finished_at",
    "state", "error", "run_details", "recurring_run_id", "state_history", "plugins_input", "plugins_output",
}  # fmt: skip
# It answers as long as somebody listens.
LIST_WATCH = "/apis/penstock/v1/runs:watch"
# Not for the web UI, so not below its prefix either.
FOR_OPERATORS = ("/livez", "/metrics", "/openapi.json", "/readyz")


def asked() -> list[tuple[str, str]]:
    """Every route, with something in the place of its variables."""
    return [(verb, re.sub(r"\{[^}]+\}", "x", path)) for verb, path in routes()]


def ask(up: Embedded, verb: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(up.http.removeprefix("http://"), timeout=60)
    connection.request(verb, path)
    reply = connection.getresponse()
    found = reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    connection.close()
    return found


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_head_is_get_without_the_body(up: Embedded, prefix: str) -> None:
    paths = [path for verb, path in asked() if verb == "GET" and path not in ("/metrics", "/readyz", LIST_WATCH)]
    assert len(paths) > 40
    for path in [*paths, "/nothing"]:
        status, headers, content = ask(up, "GET", prefix + path)
        bare = ask(up, "HEAD", prefix + path)
        assert (bare[0], bare[1]["content-type"], bare[2]) == (status, headers["content-type"], b""), path
        # Messages hold the request's id or the time at most, never more or fewer characters.
        assert bare[1].get("content-length") == str(len(content)), path


def test_head_of_a_stream_that_goes_on_ends(up: Embedded) -> None:
    status, headers, content = ask(up, "HEAD", LIST_WATCH)
    assert (status, headers["content-type"], content) == (200, "text/event-stream", b"")


def test_head_of_a_log_and_an_artifact(up: Embedded, client: Client) -> None:
    script = "echo said; echo content > {{$.outputs.artifacts['data'].path}}"
    run_id = runs.start(client, specs.container(["sh", "-c", script], artifacts={"data": "system.Dataset"}))
    runs.finished(client, run_id)
    name = next(iter(client.list_artifacts(run_id=run_id))).name
    for path in (f"/apis/v2beta1/runs/{run_id}/nodes/only/log", f"/apis/penstock/v1/artifacts/{name}:download"):
        status, headers, content = ask(up, "GET", path)
        assert (status, bool(content)) == (200, True)
        bare = ask(up, "HEAD", path)
        assert (bare[0], bare[1]["content-type"], bare[2]) == (200, headers["content-type"], b"")


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_options_names_the_verbs_and_lets_nobody_in(up: Embedded, prefix: str) -> None:
    for verb, path in [*asked(), ("POST", "/ml_metadata.MetadataStoreService/GetArtifacts")]:
        status, headers, content = ask(up, "OPTIONS", prefix + path)
        if prefix and path in FOR_OPERATORS:
            assert status == 404, path
            continue
        assert (status, content) == (204, b""), path
        verbs = headers["allow"].split(", ")
        assert {verb, "OPTIONS"} <= set(verbs), path
        assert ("GET" in verbs) == ("HEAD" in verbs)
        assert verbs == sorted(verbs)
        assert not any(name.startswith("access-control") for name in headers)
    allowed = ask(up, "OPTIONS", f"{prefix}/apis/v2beta1/runs/x")[1]["allow"]
    assert allowed == "DELETE, GET, HEAD, OPTIONS"
    assert ask(up, "OPTIONS", f"{prefix}/nothing")[0] == 404


def test_replies_hold_no_field_of_ours(up: Embedded, client: Client) -> None:
    """Unless they are asked for: there are clients that take an unknown name for an error."""
    run = {"display_name": "strict", "pipeline_spec": specs.container(["true"]), "options": {"fail_fast": True},
           "labels": {"team": "vision"}}  # fmt: skip
    created = plain.call("POST", f"{up.http}/apis/v2beta1/runs", run)
    run_id = created.json["run_id"]
    runs.finished(client, run_id)
    where = '{"predicates":[{"operation":"EQUALS","key":"name","string_value":"strict"}]}'
    listed = f"/apis/v2beta1/runs?filter={quote(where)}"

    def shown(query: str) -> list[dict[str, Any]]:
        one = plain.call("GET", f"{up.http}/apis/v2beta1/runs/{run_id}?{query}").json
        many = plain.call("GET", f"{up.http}{listed}&{query}").json["runs"]
        return [one, *many]

    for document in (created.json, *shown(""), *shown("options=false")):
        assert set(document) <= RUN_FIELDS
    for document in shown("options=true"):
        assert set(document) - RUN_FIELDS == {"options", "labels"}
        assert document["options"]["fail_fast"] is True
        assert document["labels"] == {"team": "vision"}
    asked = plain.call("POST", f"{up.http}/apis/v2beta1/runs?options=true", run).json
    assert asked["options"] == {"fail_fast": True, "caching": True, "infrastructure_retries": 3}


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_an_empty_map_of_tags_clears_them(up: Embedded, prefix: str) -> None:
    created = plain.call("POST", f"{up.http}/apis/v2beta1/pipelines", {"name": f"tags{prefix}", "tags": {"a": "b"}})
    path = f"{up.http}{prefix}/apis/v2beta1/pipelines/{created.json['pipeline_id']}"
    assert plain.call("PATCH", path, {"display_name": "kept"}).json["tags"] == {"a": "b"}
    assert "tags" not in plain.call("PATCH", path, {"tags": {}}).json
