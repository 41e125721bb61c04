"""Two teams on one server that asks the cluster: whose a token is (TokenReview), what its account may do
(SubjectAccessReview, with the ClusterRoles of deploy/kustomize/components/multi-user).

The server's own account has the rights of the manifests and no other. Nothing is executed: whoever is refused here gets
no further than the API. What tasks can reach is in test_reach.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
import yaml
from ml_metadata.proto import metadata_store_service_pb2 as metadata_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as metadata_grpc
from penstock_api.internal.v1 import dispatch_pb2, dispatch_pb2_grpc

from tests.support import http
from tests.support.teams_on_cluster import Teams, teams_on_cluster
from tools.cluster import Cluster
from tools.testing import kube_specs, runs

SPEC = kube_specs.shell("true")


@pytest.fixture(scope="module")
def teams(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    with teams_on_cluster(cluster, tmp_path_factory.mktemp("tenants")) as found:
        _fill(found)
        yield found


def _fill(teams: Teams) -> None:
    """What an editor of team a makes, as the honest path."""
    who, apis = "default-editor of a", "/apis/v2beta1"
    teams.may(who, teams.a)

    def made(path: str, document: Any, key: str) -> str:
        reply = teams.rest(who, "POST", apis + path, document)
        assert reply.status == 200, reply.body
        return str(reply.json[key])

    objects = teams.objects
    objects["experiment"] = made("/experiments", {"display_name": "e", "namespace": teams.a}, "experiment_id")
    teams.may("default-editor of b", teams.b)
    reply = teams.rest(
        "default-editor of b", "POST", f"{apis}/experiments", {"display_name": "e", "namespace": teams.b}
    )
    objects["own experiment"] = reply.json["experiment_id"]
    objects["pipeline"] = made("/pipelines", {"name": "p", "namespace": teams.a}, "pipeline_id")
    package = yaml.safe_dump(SPEC).encode()
    query = f"name=v&pipelineid={objects['pipeline']}"
    shown = {"Authorization": f"Bearer {teams.tokens[who]}"}
    sent = http.send_file(f"{teams.http}{apis}/pipelines/upload_version?{query}", package, "p.yaml", shown)
    assert sent.status == 200, sent.body
    objects["version"] = sent.json["pipeline_version_id"]
    run = {"display_name": "r", "experiment_id": objects["experiment"], "pipeline_spec": SPEC}
    objects["run"] = made("/runs", run, "run_id")
    schedule = {
        **run,
        "max_concurrency": 1,
        "mode": "DISABLE",
        "trigger": {"periodic_schedule": {"interval_second": 60}},
    }
    objects["schedule"] = made("/recurringruns", schedule, "recurring_run_id")


V2, OWN, V1 = "/apis/v2beta1", "/apis/penstock/v1", "/apis/v1beta1"
_RUN = {"display_name": "r", "pipeline_spec": SPEC}
_REFERENCE = {"pipeline_version_reference": {"pipeline_id": "{pipeline}"}}
_VERSION = {"pipeline_version_reference": {"pipeline_id": "{pipeline}", "pipeline_version_id": "{version}"}}
_TRIGGER = {"max_concurrency": 1, "mode": "ENABLE", "trigger": {"periodic_schedule": {"interval_second": 60}}}
# What an editor of team b tries on what is team a's: the name of the attempt, verb, path, document.
ATTEMPTS: dict[str, tuple[str, str, Any]] = {
    "list experiments": ("GET", f"{V2}/experiments?namespace={{a}}", None),
    "see an experiment": ("GET", f"{V2}/experiments/{{experiment}}", None),
    "make an experiment": ("POST", f"{V2}/experiments", {"display_name": "x", "namespace": "{a}"}),
    "archive an experiment": ("POST", f"{V2}/experiments/{{experiment}}:archive", None),
    "unarchive an experiment": ("POST", f"{V2}/experiments/{{experiment}}:unarchive", None),
    "delete an experiment": ("DELETE", f"{V2}/experiments/{{experiment}}", None),
    "list pipelines": ("GET", f"{V2}/pipelines?namespace={{a}}", None),
    "see a pipeline": ("GET", f"{V2}/pipelines/{{pipeline}}", None),
    "find a pipeline by its name": ("GET", f"{V2}/pipelines/names/p?namespace={{a}}", None),
    "make a pipeline": ("POST", f"{V2}/pipelines", {"name": "x", "namespace": "{a}"}),
    "rename a pipeline": ("PATCH", f"{V2}/pipelines/{{pipeline}}", {"display_name": "x"}),
    "delete a pipeline": ("DELETE", f"{V2}/pipelines/{{pipeline}}?cascade=true", None),
    "list versions": ("GET", f"{V2}/pipelines/{{pipeline}}/versions", None),
    "see a version": ("GET", f"{V2}/pipelines/{{pipeline}}/versions/{{version}}", None),
    "see a version below a pipeline of nobody": ("GET", f"{V2}/pipelines/x/versions/{{version}}", None),
    "delete a version": ("DELETE", f"{V2}/pipelines/{{pipeline}}/versions/{{version}}", None),
    "make a shared pipeline": ("POST", f"{V2}/pipelines", {"name": "x"}),
    "list runs": ("GET", f"{V2}/runs?namespace={{a}}", None),
    "list runs of an experiment": ("GET", f"{V2}/runs?experiment_id={{experiment}}", None),
    "list runs of an experiment, under one's own namespace": (
        "GET", f"{V2}/runs?namespace={{b}}&experiment_id={{experiment}}", None,
    ),
    "see a run": ("GET", f"{V2}/runs/{{run}}", None),
    "run in an experiment": ("POST", f"{V2}/runs", {**_RUN, "experiment_id": "{experiment}"}),
    "run a pipeline": ("POST", f"{V2}/runs", {"display_name": "r", "experiment_id": "{own experiment}", **_REFERENCE}),
    "run a version": ("POST", f"{V2}/runs", {"display_name": "r", "experiment_id": "{own experiment}", **_VERSION}),
    "run as another account": (
        "POST", f"{V2}/runs", {**_RUN, "experiment_id": "{own experiment}", "service_account": "penstock-executor"},
    ),
    "terminate a run": ("POST", f"{V2}/runs/{{run}}:terminate", None),
    "retry a run": ("POST", f"{V2}/runs/{{run}}:retry", None),
    "archive a run": ("POST", f"{V2}/runs/{{run}}:archive", None),
    "delete a run": ("DELETE", f"{V2}/runs/{{run}}", None),
    "list recurring runs": ("GET", f"{V2}/recurringruns?namespace={{a}}", None),
    "see a recurring run": ("GET", f"{V2}/recurringruns/{{schedule}}", None),
    "enable a recurring run": ("POST", f"{V2}/recurringruns/{{schedule}}:enable", None),
    "disable a recurring run": ("POST", f"{V2}/recurringruns/{{schedule}}:disable", None),
    "delete a recurring run": ("DELETE", f"{V2}/recurringruns/{{schedule}}", None),
    "schedule in an experiment": ("POST", f"{V2}/recurringruns", {**_RUN, **_TRIGGER, "experiment_id": "{experiment}"}),
    "see the tasks of a run": ("GET", f"{OWN}/runs/{{run}}/tasks", None),
    "ask why a run waits": ("GET", f"{OWN}/runs/{{run}}:explain", None),
    "ask about the cache": ("GET", f"{OWN}/runs/{{run}}:explainCache?task=only", None),
    "read the events of a run": ("GET", f"{OWN}/runs/{{run}}/events", None),
    "read a log": ("GET", f"{V2}/runs/{{run}}/nodes/only/log", None),
    "see a Pod": ("GET", "/k8s/pod?podname=x&runid={run}", None),
    "list artifacts of a run": ("GET", f"{OWN}/artifacts?run_id={{run}}", None),
    "list artifacts of a namespace": ("GET", f"{OWN}/artifacts?namespace={{a}}", None),
    "read an object that is no run's": ("GET", "/artifacts/get?source=file&bucket=etc&key=passwd", None),
    "plan with the cache of a namespace": ("POST", f"{OWN}/plan", {"pipeline_spec": SPEC, "namespace": "{a}"}),
    "see a run by v1beta1": ("GET", f"{V1}/runs/{{run}}", None),
    "list runs by v1beta1": (
        "GET", f"{V1}/runs?resource_reference_key.type=NAMESPACE&resource_reference_key.id={{a}}", None,
    ),
    "terminate a run by v1beta1": ("POST", f"{V1}/runs/{{run}}/terminate", None),
    "delete a job by v1beta1": ("DELETE", f"{V1}/jobs/{{schedule}}", None),
    "read a template by v1beta1": ("GET", f"{V1}/pipelines/{{pipeline}}/templates", None),
    "give oneself a role": (
        "POST", f"{OWN}/rolebindings", {"role": "admin", "namespace": "{a}", "user": "somebody"},
    ),
    "list roles": ("GET", f"{OWN}/rolebindings?namespace={{a}}", None),
    "read the audit log of a namespace": ("GET", f"{OWN}/audit?namespace={{a}}", None),
    "read the audit log of all": ("GET", f"{OWN}/audit", None),
}  # fmt: skip


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, words) for key, one in value.items()} if value is not SPEC else value
    return value.format_map(words) if isinstance(value, str) else value


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_editor_of_another_team_is_refused_and_the_audit_log_says_so(teams: Teams, name: str) -> None:
    verb, path, document = ATTEMPTS[name]
    words = {"a": teams.a, "b": teams.b, **teams.objects}
    identifier = uuid.uuid4().hex
    headers = {"X-Request-Id": identifier}
    reply = teams.rest("default-editor of b", verb, path.format_map(words), _filled(document, words), **headers)
    assert reply.status == 403, (reply.status, reply.body)
    assert b"may not" in reply.body
    line = teams.refused(identifier)
    assert line["user"] == f"system:serviceaccount:{teams.b}:default-editor"
    assert line["reason"]


def test_a_viewer_sees_and_changes_nothing(teams: Teams) -> None:
    run = f"{V2}/runs/{teams.objects['run']}"
    assert teams.rest("viewer of a", "GET", run).status == 200
    assert teams.rest("viewer of a", "GET", f"{OWN}/artifacts?namespace={teams.a}").status == 200
    for verb, path in (("POST", f"{run}:terminate"), ("DELETE", run), ("POST", f"{run}:archive")):
        assert teams.rest("viewer of a", verb, path).status == 403, path
    assert teams.rest("default-editor of a", "GET", run).json["state"] == "PENDING"


def test_whether_one_may_is_answered_by_the_cluster(teams: Teams) -> None:
    path = f"{V1}/auth?namespace={teams.a}&resources=VIEWERS&verb=GET"
    found = {
        who: teams.rest(who, "GET", path).status
        for who in ("default-editor of a", "viewer of a", "default-editor of b")
    }
    assert found == {"default-editor of a": 200, "viewer of a": 200, "default-editor of b": 403}


def test_who_cannot_prove_who_they_are(teams: Teams) -> None:
    path = f"{V2}/experiments?namespace={teams.a}"
    assert teams.rest("", "GET", path).status == 401
    teams.tokens["for the API server"] = teams.token(teams.a, "default-editor", "")
    teams.tokens["garbage"] = "garbage"
    for who in ("for the API server", "garbage"):
        assert teams.rest(who, "GET", path).status == 401, who
    forged = {"kubeflow-userid": f"system:serviceaccount:{teams.a}:default-editor"}
    assert teams.rest("default-editor of b", "GET", path, **forged).status == 401
    teams.account(teams.a, "leaver")
    teams.tokens["leaver"] = teams.token(teams.a, "leaver")
    assert teams.rest("leaver", "GET", path).status == 403
    teams.cluster.delete(f"/api/v1/namespaces/{teams.a}/serviceaccounts/leaver")
    # An answer is kept for seconds.
    runs.until(lambda: teams.rest("leaver", "GET", path).status, lambda status: status == 401)


def test_lineage_and_the_port_of_executors(teams: Teams) -> None:
    metadata = (("authorization", f"Bearer {teams.tokens['default-editor of b']}"),)
    with grpc.insecure_channel(teams.grpc) as channel:
        lineage = metadata_grpc.MetadataStoreServiceStub(channel)
        assert not lineage.GetContexts(metadata_pb.GetContextsRequest(), metadata=metadata, timeout=30).contexts
        with pytest.raises(grpc.RpcError) as refused:
            lineage.PutContexts(metadata_pb.PutContextsRequest(), metadata=metadata, timeout=30)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        dispatch = dispatch_pb2_grpc.DispatchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as elsewhere:
            dispatch.ClaimRuns(dispatch_pb2.ClaimRunsRequest(executor_id="x/1"), metadata=metadata, timeout=30)
        assert elsewhere.value.code() is grpc.StatusCode.UNAVAILABLE
