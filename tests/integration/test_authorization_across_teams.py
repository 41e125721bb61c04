"""Requests that name objects of two namespaces, or of none: everything that is named is asked for.

Whoever may do something in team-a gets nothing of team-b through it, and team-b's objects show in no list of team-a.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from google.protobuf.message import Message
from penstock_api.v1 import access_pb2, insight_pb2, upload_pb2
from penstock_api.v1beta1 import auth_pb2, resource_reference_pb2
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1_pb2
from penstock_api.v1beta1 import run_pb2 as run_v1_pb2
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.lineage import uses_of
from penstock_server.domain.task import Task

from tests.support import http
from tests.support.requests_of_all import INSIGHT
from tests.support.two_teams import ACCESS, OK, PACKAGE, UPLOADS, V2, A, B, TwoTeams, new, run_of, schedule_of

RUNS, SCHEDULES = f"{V2}.RunService/CreateRun", f"{V2}.RecurringRunService/CreateRecurringRun"
MADE = {RUNS: run_of, SCHEDULES: schedule_of}
DENIED, MISSING, INVALID = "PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT"


def codes(teams: TwoTeams, path: str, message: Message, *callers: str) -> dict[str, str]:
    return {caller: teams.call(path, message, caller).code for caller in callers}


@pytest.mark.parametrize("path", MADE)
@pytest.mark.parametrize("of_version", [False, True])
def test_what_is_made_from_anothers_pipeline(teams: TwoTeams, path: str, of_version: bool) -> None:
    ours, theirs = teams.places[A], teams.places[B]
    named = {"pipeline_id": "", "pipeline_version_id": theirs.version} if of_version else {
        "pipeline_id": theirs.pipeline, "pipeline_version_id": "",
    }  # fmt: skip
    # An administrator may read it, and nobody can use it there.
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": MISSING}
    assert codes(teams, path, MADE[path](ours, **named), *expected) == expected


@pytest.mark.parametrize("path", MADE)
def test_what_is_made_in_anothers_experiment(teams: TwoTeams, path: str) -> None:
    message = MADE[path](teams.places[A], experiment_id=teams.places[B].experiment)
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": MISSING}
    assert codes(teams, path, message, *expected) == expected


@pytest.mark.parametrize("path", MADE)
def test_what_is_made_from_a_shared_pipeline(teams: TwoTeams, path: str) -> None:
    named = {"pipeline_id": teams.shared.pipeline, "pipeline_version_id": teams.shared.version}
    expected = {"stranger": DENIED, "viewer": DENIED, "editor": OK, "admin": OK, "administrator": OK}
    assert codes(teams, path, MADE[path](teams.places[A], **named), *expected) == expected


def test_a_run_of_anothers_schedule(teams: TwoTeams) -> None:
    message = run_of(teams.places[A], recurring_run_id=teams.places[B].schedule)
    expected = {"viewer": DENIED, "editor": MISSING, "admin": MISSING, "administrator": MISSING}
    assert codes(teams, RUNS, message, *expected) == expected


@pytest.mark.parametrize("path", MADE)
def test_a_service_account_is_an_administrators_to_name(teams: TwoTeams, path: str) -> None:
    message = MADE[path](teams.places[A], service_account="builder")
    expected = {"stranger": DENIED, "viewer": DENIED, "editor": DENIED, "admin": OK, "administrator": OK}
    assert codes(teams, path, message, *expected) == expected


@pytest.mark.parametrize("path", [f"{V2}.RunService/ListRuns", f"{V2}.RecurringRunService/ListRecurringRuns"])
def test_a_list_of_one_namespace_and_anothers_experiment(teams: TwoTeams, path: str) -> None:
    request = run_pb2.ListRunsRequest if "ListRuns" in path else recurring_run_pb2.ListRecurringRunsRequest
    theirs = teams.places[B].experiment
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": MISSING}
    assert codes(teams, path, request(namespace=A, experiment_id=theirs), *expected) == expected
    assert codes(teams, path, request(namespace=B, experiment_id=teams.places[A].experiment), *expected) == expected
    expected["administrator"] = OK
    assert codes(teams, path, request(experiment_id=theirs), *expected) == expected


def test_artifacts_of_one_namespace_and_anothers_run(teams: TwoTeams) -> None:
    message = insight_pb2.ListArtifactsRequest(namespace=A, run_id=teams.places[B].run)
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": MISSING}
    assert codes(teams, f"{INSIGHT}/ListArtifacts", message, *expected) == expected


def test_a_log_of_anothers_pod_in_a_run_of_ones_own(teams: TwoTeams) -> None:
    """The run decides who may, so it decides whose Pod is meant as well."""
    message = insight_pb2.ReadLogRequest(run_id=teams.places[A].run, node_id=teams.places[B].pod)
    for caller in ("viewer", "administrator"):
        answer = teams.call(f"{INSIGHT}/ReadLog", message, caller)
        text = b"".join(chunk.data for chunk in answer.replies)
        assert b"of team-" not in text, answer
    pod = insight_pb2.DescribePodRequest(run_id=teams.places[A].run, pod_name=teams.places[B].pod)
    assert codes(teams, f"{INSIGHT}/DescribePod", pod, "viewer", "administrator") == {
        "viewer": MISSING,
        "administrator": MISSING,
    }


def test_a_plan_of_anothers_version(teams: TwoTeams) -> None:
    message = insight_pb2.PlanPipelineRequest(namespace=A, pipeline_version_id=teams.places[B].version)
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": MISSING}
    assert codes(teams, f"{INSIGHT}/PlanPipeline", message, *expected) == expected


@pytest.mark.parametrize("dots", ["..", "%2e%2e", "."])
def test_a_uri_that_leaves_the_place_of_a_run(teams: TwoTeams, dots: str) -> None:
    """It is refused, or there is nothing: the other team's object is not what is read."""
    ours, theirs = teams.places[A], teams.places[B]
    place = ours.uri.rpartition("/")[0]
    uri = f"{place}/{dots}/{theirs.run}/out"
    for caller in ("viewer", "editor", "admin"):
        answer = teams.call(f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri=uri), caller)
        assert answer.code in (DENIED, MISSING, INVALID), (uri, answer)


LISTS: dict[str, tuple[type[Any], str]] = {
    f"{V2}.ExperimentService/ListExperiments": (experiment_pb2.ListExperimentsRequest, "experiment"),
    f"{V2}.PipelineService/ListPipelines": (pipeline_pb2.ListPipelinesRequest, "pipeline"),
    f"{V2}.RunService/ListRuns": (run_pb2.ListRunsRequest, "run"),
    f"{V2}.RecurringRunService/ListRecurringRuns": (recurring_run_pb2.ListRecurringRunsRequest, "schedule"),
    f"{INSIGHT}/ListArtifacts": (insight_pb2.ListArtifactsRequest, "artifact"),
}


@pytest.mark.parametrize("path", LISTS)
def test_a_page_token_of_another_namespace(teams: TwoTeams, path: str) -> None:
    request, kind = LISTS[path]
    for _ in range(2):
        made = {"experiment": teams.experiment, "pipeline": teams.pipeline, "schedule": teams.schedule}
        made.get(kind, teams.run)(B)
    first = teams.done(path, request(namespace=B, page_size=1))
    if kind == "artifact":
        # There is one, so there is no second page; another list's token is no better.
        first = teams.done(f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest(namespace=B, page_size=1))
    assert first.next_page_token
    message = request(namespace=A, page_token=first.next_page_token)
    assert codes(teams, path, message, "stranger", "viewer", "editor") == {
        "stranger": DENIED,
        "viewer": INVALID,
        "editor": INVALID,
    }
    listed = str(teams.call(path, request(namespace=A, page_size=200), "viewer").replies[0])
    assert getattr(teams.places[A], kind) in listed
    assert getattr(teams.places[B], kind) not in listed


@pytest.mark.parametrize("path", ["/api.RunService/ListRunsV1"])
def test_a_list_of_v1beta1_that_names_anothers_experiment(teams: TwoTeams, path: str) -> None:
    message = run_v1_pb2.ListRunsRequest()
    message.resource_reference_key.type = resource_reference_pb2.EXPERIMENT
    message.resource_reference_key.id = teams.places[B].experiment
    expected = {"viewer": DENIED, "editor": DENIED, "admin": DENIED, "administrator": OK}
    assert codes(teams, path, message, *expected) == expected


def test_who_has_the_tag_of_anothers_run_is_refused_all_the_same(teams: TwoTeams) -> None:
    url = f"{teams.http}/apis/v2beta1/runs/{teams.places[B].run}"
    request = urllib.request.Request(url, headers=teams.credentials["administrator"])
    with urllib.request.urlopen(request, timeout=60) as reply:
        known = {"If-None-Match": reply.headers["ETag"]}
    statuses = {
        caller: http.call("GET", url, headers={**teams.credentials[caller], **known}).status
        for caller in ("administrator", "viewer", "admin")
    }
    assert statuses == {"administrator": 304, "viewer": 403, "admin": 403}


def test_shared_pipelines_are_read_by_all_who_are_known(teams: TwoTeams) -> None:
    shared = teams.shared
    key = resource_reference_pb2.ResourceKey(type=resource_reference_pb2.PIPELINE, id=shared.pipeline)
    service, old = f"{V2}.PipelineService", "/api.PipelineService"
    reads: dict[str, Message] = {
        f"{service}/GetPipeline": pipeline_pb2.GetPipelineRequest(pipeline_id=shared.pipeline),
        f"{service}/GetPipelineByName": pipeline_pb2.GetPipelineByNameRequest(name=shared.pipeline_name),
        f"{service}/ListPipelines": pipeline_pb2.ListPipelinesRequest(),
        f"{service}/ListPipelineVersions": pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=shared.pipeline),
        f"{service}/GetPipelineVersion": pipeline_pb2.GetPipelineVersionRequest(
            pipeline_id=shared.pipeline, pipeline_version_id=shared.version
        ),
        f"{old}/GetPipelineV1": pipeline_v1_pb2.GetPipelineRequest(id=shared.pipeline),
        f"{old}/GetPipelineByNameV1": pipeline_v1_pb2.GetPipelineByNameRequest(
            name=shared.pipeline_name, namespace="-"
        ),
        f"{old}/ListPipelinesV1": pipeline_v1_pb2.ListPipelinesRequest(),
        f"{old}/GetTemplate": pipeline_v1_pb2.GetTemplateRequest(id=shared.pipeline),
        f"{old}/GetPipelineVersionV1": pipeline_v1_pb2.GetPipelineVersionRequest(version_id=shared.version),
        f"{old}/ListPipelineVersionsV1": pipeline_v1_pb2.ListPipelineVersionsRequest(resource_key=key),
        f"{old}/GetPipelineVersionTemplate": pipeline_v1_pb2.GetPipelineVersionTemplateRequest(
            version_id=shared.version
        ),
    }
    expected = {"nobody": "UNAUTHENTICATED", "stranger": OK, "viewer": OK, "editor": OK, "administrator": OK}
    for path, message in reads.items():
        assert codes(teams, path, message, *expected) == expected, path


def test_shared_pipelines_are_changed_by_administrators(teams: TwoTeams) -> None:
    pipeline = teams.pipeline("")
    version, other = teams.version(pipeline), teams.version(pipeline)
    service, old = f"{V2}.PipelineService", "/api.PipelineService"
    changed = pipeline_pb2.Pipeline(pipeline_id=pipeline, display_name=new())
    changed_version = pipeline_pb2.PipelineVersion(
        pipeline_id=pipeline, pipeline_version_id=version, display_name=new()
    )
    linked = pipeline_pb2.PipelineVersion(pipeline_id=pipeline, name=new())
    linked.package_url.pipeline_url = teams.package_url
    both = pipeline_pb2.CreatePipelineAndVersionRequest(pipeline=pipeline_pb2.Pipeline(name=new()))
    both.pipeline_version.package_url.pipeline_url = teams.package_url
    writes: list[tuple[str, Message]] = [
        (f"{service}/CreatePipeline", pipeline_pb2.CreatePipelineRequest(pipeline=pipeline_pb2.Pipeline(name=new()))),
        (f"{service}/CreatePipelineAndVersion", both),
        (f"{UPLOADS}/UploadPipeline", upload_pb2.UploadPipelineRequest(name=new(), content=PACKAGE)),
        (
            f"{UPLOADS}/UploadPipelineVersion",
            upload_pb2.UploadPipelineVersionRequest(pipeline_id=pipeline, name=new(), content=PACKAGE),
        ),
        (
            f"{service}/CreatePipelineVersion",
            pipeline_pb2.CreatePipelineVersionRequest(pipeline_id=pipeline, pipeline_version=linked),
        ),
        (f"{service}/UpdatePipeline", pipeline_pb2.UpdatePipelineRequest(pipeline=changed)),
        (
            f"{service}/UpdatePipelineVersion",
            pipeline_pb2.UpdatePipelineVersionRequest(pipeline_version=changed_version),
        ),
        (
            f"{service}/DeletePipelineVersion",
            pipeline_pb2.DeletePipelineVersionRequest(pipeline_id=pipeline, pipeline_version_id=version),
        ),
        (f"{old}/DeletePipelineVersionV1", pipeline_v1_pb2.DeletePipelineVersionRequest(version_id=other)),
        (f"{service}/DeletePipeline", pipeline_pb2.DeletePipelineRequest(pipeline_id=pipeline, cascade=True)),
        (f"{old}/DeletePipelineV1", pipeline_v1_pb2.DeletePipelineRequest(id=teams.pipeline(""))),
    ]
    expected = {
        "nobody": "UNAUTHENTICATED",
        **dict.fromkeys(("stranger", "viewer", "editor", "admin"), DENIED),
        "administrator": OK,
    }
    for path, message in writes:
        assert codes(teams, path, message, *expected) == expected, path


def test_tokens_are_their_users_own(teams: TwoTeams) -> None:
    message = access_pb2.RevokeTokenRequest(token_id=teams.token("viewer"))
    expected = {"stranger": MISSING, "editor": MISSING, "admin": MISSING, "administrator": OK}
    assert codes(teams, f"{ACCESS}/RevokeToken", message, *expected) == expected
    listed = access_pb2.ListTokensRequest(all_users=True)
    expected = {"stranger": DENIED, "viewer": DENIED, "admin": DENIED, "administrator": OK}
    assert codes(teams, f"{ACCESS}/ListTokens", listed, *expected) == expected


@pytest.mark.parametrize("namespace", ["", "*", B])
@pytest.mark.parametrize("name", ["ListRoleBindings", "ListAuditEvents"])
def test_what_is_of_all_namespaces_is_an_administrators(teams: TwoTeams, name: str, namespace: str) -> None:
    """An admin of team-a reads nothing of what is done, or who has which role, elsewhere."""
    request = access_pb2.ListRoleBindingsRequest if name == "ListRoleBindings" else access_pb2.ListAuditEventsRequest
    expected = {"editor": DENIED, "admin": DENIED, "administrator": OK}
    assert codes(teams, f"{ACCESS}/{name}", request(namespace=namespace), *expected) == expected


@pytest.mark.parametrize("namespace", ["*", B])
def test_an_admin_of_a_namespace_gives_no_roles_elsewhere(teams: TwoTeams, namespace: str) -> None:
    binding = access_pb2.RoleBinding(role="viewer", namespace=namespace, user=new())
    expected = {"editor": DENIED, "admin": DENIED, "administrator": OK}
    message = access_pb2.CreateRoleBindingRequest(role_binding=binding)
    assert codes(teams, f"{ACCESS}/CreateRoleBinding", message, *expected) == expected


@pytest.mark.parametrize("namespace", [A, B])
def test_the_web_ui_asks_what_its_user_may(teams: TwoTeams, namespace: str) -> None:
    message = auth_pb2.AuthorizeRequest(
        namespace=namespace, resources=auth_pb2.AuthorizeRequest.VIEWERS, verb=auth_pb2.AuthorizeRequest.GET
    )
    team = OK if namespace == A else DENIED
    expected = {"nobody": "UNAUTHENTICATED", "stranger": DENIED, "viewer": team, "editor": team, "administrator": OK}
    assert codes(teams, "/api.AuthService/AuthorizeV1", message, *expected) == expected


def test_what_is_not_there_is_told_to_all_who_are_known(teams: TwoTeams) -> None:
    message = run_pb2.GetRunRequest(run_id=new())
    expected = {"nobody": "UNAUTHENTICATED", "stranger": MISSING, "viewer": MISSING, "administrator": MISSING}
    assert codes(teams, f"{V2}.RunService/GetRun", message, *expected) == expected


def test_runs_of_others_are_not_compared_with_ones_own(teams: TwoTeams) -> None:
    ours, theirs = teams.places[A].run, teams.places[B].run
    path = f"{INSIGHT}/CompareRuns"
    both = insight_pb2.CompareRunsRequest(run_ids=[ours, theirs])
    assert codes(teams, path, both, "viewer", "editor", "administrator") == {
        "viewer": DENIED,
        "editor": DENIED,
        "administrator": OK,
    }
    unknown = insight_pb2.CompareRunsRequest(run_ids=[ours, "unknown"])
    assert teams.call(path, unknown, "viewer").code == MISSING
    assert teams.call(path, insight_pb2.CompareRunsRequest(), "viewer").code == INVALID
    many = insight_pb2.CompareRunsRequest(run_ids=[f"{number}" for number in range(21)])
    assert teams.call(path, many, "viewer").code == INVALID


def test_lineage_tells_nothing_of_other_teams(teams: TwoTeams) -> None:
    """A task of ours took an artifact of theirs, and one of theirs one of ours."""
    ours, theirs = teams.places[A], teams.places[B]
    with teams.database.writing() as uow:
        for one, other in ((ours, theirs), (theirs, ours)):
            taking = Task(
                one.run,
                "taking",
                "taking",
                TaskKind.CONTAINER,
                TaskState.SUCCEEDED,
                input_artifacts=json.dumps({"in": [one.artifact, other.artifact]}),
            )
            uow.tasks.upsert_many([taking], {one.run: 1})
            uow.lineage.add(uses_of(taking))
    path = f"{INSIGHT}/GetLineage"
    for request in (
        insight_pb2.GetLineageRequest(artifact=ours.artifact),
        insight_pb2.GetLineageRequest(run_id=ours.run, path="taking"),
    ):
        expected = {"nobody": "UNAUTHENTICATED", "stranger": DENIED, "viewer": OK, "administrator": OK}
        assert codes(teams, path, request, *expected) == expected
        answer = teams.call(path, request, "viewer")
        assert {one.artifact.name for one in answer.replies[0].artifacts} == {ours.artifact}
        assert {one.run_id for one in answer.replies[0].tasks} == {ours.run}
        assert answer.replies[0].truncated
        assert theirs.artifact not in str(answer.replies[0])
        assert theirs.run not in str(answer.replies[0])
        whole = teams.call(path, request, "administrator").replies[0]
        assert {one.run_id for one in whole.tasks} == {ours.run, theirs.run}
    for request in (
        insight_pb2.GetLineageRequest(artifact=theirs.artifact),
        insight_pb2.GetLineageRequest(run_id=theirs.run, path="taking"),
        # What is wrong is not said of what one may not see.
        insight_pb2.GetLineageRequest(artifact=ours.artifact, run_id=theirs.run, path="taking"),
    ):
        assert teams.call(path, request, "viewer").code == DENIED
    assert teams.call(path, insight_pb2.GetLineageRequest(), "viewer").code == INVALID
    assert teams.call(path, insight_pb2.GetLineageRequest(artifact="unknown"), "viewer").code == MISSING
