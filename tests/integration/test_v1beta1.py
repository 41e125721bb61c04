"""v1beta1 as far as the web UI and old SDKs call it: other words for the same objects (api.md §1.6, §4.3)."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from penstock.client import Client, ClientError
from penstock_api.v1beta1 import experiment_pb2, experiment_pb2_grpc
from penstock_ir.yaml_text import documents

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

V1 = "/apis/v1beta1"


def get(up: Embedded, path: str, status: int = 200) -> Any:
    reply = http.call("GET", up.http + path)
    assert reply.status == status, reply.body
    return reply.json


@pytest.fixture(scope="module")
def pipeline(up: Embedded) -> dict[str, Any]:
    """A pipeline of one version with an input, as v2beta1 shows it, and its version."""
    spec = specs.container(["true"])
    spec["root"]["inputDefinitions"] = {
        "parameters": {
            "rate": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 0.5, "isOptional": True},
            "text": {"parameterType": "STRING", "defaultValue": "1e5", "isOptional": True},
        }
    }
    made = http.upload(up.http, json.dumps(spec).encode(), file_name="p.json").json
    version = get(up, f"/apis/v2beta1/pipelines/{made['pipeline_id']}/versions")["pipeline_versions"][0]
    return {**made, "version": version, "spec": spec}


@pytest.mark.parametrize("prefix", ["", "/pipeline"])
def test_the_template_is_the_document(up: Embedded, pipeline: dict[str, Any], prefix: str) -> None:
    for path in (
        f"{V1}/pipeline_versions/{pipeline['version']['pipeline_version_id']}/templates",
        f"{V1}/pipelines/{pipeline['pipeline_id']}/templates",
    ):
        template = get(up, prefix + path)["template"]
        assert documents(template) == [pipeline["version"]["pipeline_spec"]]
        assert template.lstrip().startswith(("components:", "pipelineInfo:", "deploymentSpec:"))


def test_a_pipeline_shows_its_newest_version(up: Embedded, pipeline: dict[str, Any]) -> None:
    found = get(up, f"{V1}/pipelines/{pipeline['pipeline_id']}")
    assert found["name"] == pipeline["display_name"]
    assert found["default_version"]["id"] == pipeline["version"]["pipeline_version_id"]
    assert found["parameters"] == [{"name": "rate", "value": "0.5"}, {"name": "text", "value": "1e5"}]
    assert get(up, f"{V1}/namespaces/-/pipelines/{quote(pipeline['name'])}")["id"] == pipeline["pipeline_id"]
    key = f"resource_key.type=PIPELINE&resource_key.id={pipeline['pipeline_id']}"
    listed = get(up, f"{V1}/pipeline_versions?{key}")
    assert listed["total_size"] == 1
    assert listed["versions"][0] == get(up, f"{V1}/pipeline_versions/{pipeline['version']['pipeline_version_id']}")
    assert listed["versions"][0]["resource_references"] == [
        {"key": {"type": "PIPELINE", "id": pipeline["pipeline_id"]}, "relationship": "OWNER"}
    ]


def test_versions_need_their_pipeline(up: Embedded) -> None:
    assert "resource_key" in get(up, f"{V1}/pipeline_versions", 400)["message"]
    assert "PIPELINE" in get(up, f"{V1}/pipeline_versions?resource_key.type=JOB&resource_key.id=x", 400)["message"]
    get(up, f"{V1}/pipeline_versions?resource_key.type=PIPELINE&resource_key.id=nobody", 404)
    get(up, f"{V1}/pipeline_versions?resource_key.type=COLOUR", 400)


def test_runs(up: Embedded, client: Client, pipeline: dict[str, Any]) -> None:
    run_id = runs.start(client, pipeline["spec"], {"rate": 2}, name="v1 run")
    runs.finished(client, run_id)
    run = get(up, f"{V1}/runs/{run_id}")["run"]
    assert (run["name"], run["status"]) == ("v1 run", "Succeeded")
    manifest: Any = documents(run["pipeline_spec"]["pipeline_manifest"])[0]
    assert manifest["pipelineInfo"] == {"name": "only"}
    assert run["pipeline_spec"]["runtime_config"] == {"parameters": {"rate": 2}}
    experiment_id = run["resource_references"][0]["key"]["id"]
    filtered = quote(json.dumps({"predicates": [{"op": "EQUALS", "key": "name", "string_value": "v1 run"}]}))
    key = f"resource_reference_key.type=EXPERIMENT&resource_reference_key.id={experiment_id}"
    listed = get(up, f"{V1}/runs?{key}&filter={filtered}&sort_by=created_at desc".replace(" ", "%20"))
    assert run_id in [one["id"] for one in listed["runs"]]
    assert "pipeline_manifest" not in listed["runs"][0]["pipeline_spec"]
    assert get(up, f"{V1}/experiments/{experiment_id}")["name"] == "Default"
    assert http.call("POST", f"{up.http}{V1}/runs/{run_id}:archive").json == {}
    assert get(up, f"{V1}/runs/{run_id}")["run"]["storage_state"] == "STORAGESTATE_ARCHIVED"
    assert http.call("POST", f"{up.http}{V1}/runs/{run_id}:unarchive").json == {}
    assert http.call("POST", f"{up.http}{V1}/runs/{run_id}/terminate").status == 400
    assert http.call("POST", f"{up.http}{V1}/runs/{run_id}/retry").status == 409
    assert http.call("DELETE", f"{up.http}{V1}/runs/{run_id}").json == {}
    get(up, f"{V1}/runs/{run_id}", 404)


def test_jobs(up: Embedded, pipeline: dict[str, Any]) -> None:
    made = http.call(
        "POST",
        f"{up.http}/apis/v2beta1/recurringruns",
        {
            "display_name": "v1 job",
            "max_concurrency": "1",
            "mode": "DISABLE",
            "trigger": {"cron_schedule": {"cron": "0 0 0 1 1 *"}},
            "pipeline_version_reference": {"pipeline_id": pipeline["pipeline_id"]},
        },
    ).json
    job_id = made["recurring_run_id"]
    job = get(up, f"{V1}/jobs/{job_id}")
    assert (job["mode"], job["trigger"]) == ("DISABLED", {"cron_schedule": {"cron": "0 0 0 1 1 *"}})
    assert documents(job["pipeline_spec"]["pipeline_manifest"]) == [pipeline["version"]["pipeline_spec"]]
    assert http.call("POST", f"{up.http}{V1}/jobs/{job_id}/enable").json == {}
    assert get(up, f"{V1}/jobs/{job_id}")["enabled"]
    assert http.call("POST", f"{up.http}{V1}/jobs/{job_id}/disable").json == {}
    assert job_id in [one["id"] for one in get(up, f"{V1}/jobs?page_size=200")["jobs"]]
    assert http.call("DELETE", f"{up.http}{V1}/jobs/{job_id}").json == {}
    get(up, f"{V1}/jobs/{job_id}", 404)


def test_experiments(up: Embedded) -> None:
    name = uuid.uuid4().hex
    made = http.call("POST", f"{up.http}{V1}/experiments", {"name": name, "description": "d"}).json
    assert made["storage_state"] == "STORAGESTATE_AVAILABLE"
    assert http.call("POST", f"{up.http}{V1}/experiments/{made['id']}:archive").json == {}
    assert get(up, f"{V1}/experiments/{made['id']}")["storage_state"] == "STORAGESTATE_ARCHIVED"
    assert http.call("POST", f"{up.http}{V1}/experiments/{made['id']}:unarchive").json == {}
    assert get(up, f"{V1}/experiments?page_size=1")["total_size"] > 1
    assert http.call("DELETE", f"{up.http}{V1}/experiments/{made['id']}").json == {}


def test_uploads_answer_in_v1_words(up: Embedded) -> None:
    content = json.dumps(specs.container(["true"])).encode()
    name = f"p-{uuid.uuid4().hex}"
    made = http.upload(up.http, content, name=name, version="v1beta1").json
    assert (made["name"], made["default_version"]["name"]) == (name, name)
    assert http.call("DELETE", f"{up.http}{V1}/pipelines/{made['id']}").json == {}
    get(up, f"{V1}/pipelines/{made['id']}", 404)


def test_answers_without_a_resource(up: Embedded) -> None:
    assert get(up, f"{V1}/auth?namespace=a&resources=VIEWERS&verb=GET") == {}
    get(up, f"{V1}/auth?verb=JUMP", 400)
    refused = http.call("POST", f"{up.http}{V1}/visualizations/a", {"type": "TABLE", "source": "gs://b/c"})
    assert refused.status == 501
    assert "HTML" in refused.json["message"]


def test_what_drivers_report_is_found_by_fingerprint(up: Embedded) -> None:
    fingerprint = uuid.uuid4().hex
    task = {"pipelineName": "pipeline/p", "runId": "r", "mlmdExecutionID": "7", "fingerprint": fingerprint}
    for number in range(3):
        made = http.call("POST", f"{up.http}/apis/v1alpha1/tasks", {**task, "mlmdExecutionID": str(number)})
        assert made.status == 200, made.body
    predicates = [
        {"op": "EQUALS", "key": "fingerprint", "string_value": fingerprint},
        {"op": "EQUALS", "key": "pipelineName", "string_value": "pipeline/p"},
    ]
    query = f"filter={quote(json.dumps({'predicates': predicates}))}&sort_by=created_at%20desc&page_size=1"
    found = get(up, f"/apis/v1alpha1/tasks?{query}")
    assert (len(found["tasks"]), found["total_size"]) == (1, 3)
    for name in task:
        refused = http.call("POST", f"{up.http}/apis/v1alpha1/tasks", {**task, name: ""})
        assert (refused.status, name in refused.json["message"]) == (400, True)


@pytest.mark.parametrize(("kind", "said"), [(2, "JOB"), (19, "19")])
def test_a_list_that_is_narrowed_by_what_it_cannot_be(client: Client, kind: int, said: str) -> None:
    """Numbers that no name was given are sent as they are."""
    request = experiment_pb2.ListExperimentsRequest()
    request.resource_reference_key.type = kind  # type: ignore[assignment]
    with pytest.raises(ClientError) as refused:
        client.call(experiment_pb2_grpc.ExperimentServiceStub(client.channel).ListExperimentsV1, request)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"not by {said}" in str(refused.value)
