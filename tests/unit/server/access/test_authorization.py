"""What the rules come to: who may do what, in single-user and in multi-user mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from penstock_api.v1 import access_pb2, insight_pb2, upload_pb2
from penstock_api.v1beta1 import experiment_pb2 as experiment_v1
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1
from penstock_api.v1beta1 import resource_reference_pb2 as references
from penstock_api.v1beta1 import run_pb2 as run_v1
from penstock_api.v2beta1 import experiment_pb2, pipeline_pb2, run_pb2
from penstock_server.access.authorization import Authorization
from penstock_server.access.authorizers import RoleAuthorizer
from penstock_server.access.roles import Binding
from penstock_server.access.rules import CHANGES, PIPELINES_GROUP
from penstock_server.domain.caller import Caller, Role, TokenScope
from penstock_server.domain.location import Location, ObjectKind
from penstock_server.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from penstock_server.services.tenancy import Tenancy

V2 = "/kubeflow.pipelines.backend.api.v2beta1"
ANN, BOB, EVE, ROOT = (Caller(name) for name in ("ann", "bob", "eve", "root"))
GROUPED = Caller("gil", groups=("ml",))
BINDINGS = (
    Binding(Role.EDITOR, "team-a", user="ann"),
    Binding(Role.VIEWER, "team-a", user="bob"),
    Binding(Role.EDITOR, "team-b", user="eve"),
    Binding(Role.EDITOR, "team-a", group="ml"),
    Binding(Role.ADMIN, "*", user="root"),
)
NAMESPACE = references.ResourceKey(type=references.NAMESPACE, id="team-a")


PLACES = {
    (ObjectKind.EXPERIMENT, "experiment-a"): Location("team-a", "training"),
    (ObjectKind.EXPERIMENT, "experiment-old"): Location("", ""),
    (ObjectKind.RUN, "run-a"): Location("team-a", ""),
    (ObjectKind.PIPELINE, "pipeline-a"): Location("team-a", ""),
    (ObjectKind.PIPELINE, "pipeline-b"): Location("team-b", ""),
    (ObjectKind.PIPELINE, "pipeline-shared"): Location("", ""),
    (ObjectKind.ARTIFACT, "artifact-a"): Location("team-a", ""),
}


class Objects:
    """The objects of two teams, a shared pipeline, and an experiment from before there were namespaces."""

    def of(self, kind: ObjectKind, identifier: str) -> Location | None:
        return PLACES.get((kind, identifier))

    def of_uri(self, uri: str) -> Location | None:
        return Location("team-a", "") if uri.startswith("s3://store/run-a/") else None

    def of_task(self, run_id: str, node_id: str) -> Location | None:
        return Location("team-a", "") if node_id == "pod-a" else None


def authorization(*, multi_user: bool = True) -> Authorization:
    return Authorization(RoleAuthorizer(lambda: BINDINGS), Objects(), Tenancy(multi_user), "kubeflow")


def create_run(experiment: str, pipeline: str = "", service_account: str = "") -> run_pb2.CreateRunRequest:
    request = run_pb2.CreateRunRequest()
    request.run.experiment_id = experiment
    request.run.service_account = service_account
    if pipeline:
        request.run.pipeline_version_reference.pipeline_id = pipeline
    return request


def create_experiment(namespace: str) -> experiment_pb2.CreateExperimentRequest:
    return experiment_pb2.CreateExperimentRequest(experiment=experiment_pb2.Experiment(namespace=namespace))


def create_pipeline(namespace: str) -> pipeline_pb2.CreatePipelineRequest:
    return pipeline_pb2.CreatePipelineRequest(pipeline=pipeline_pb2.Pipeline(namespace=namespace))


INSIGHT = "/penstock.v1.InsightService"
ALLOWED: list[tuple[Caller, str, Any]] = [
    (ANN, f"{V2}.RunService/CreateRun", create_run("experiment-a")),
    (GROUPED, f"{V2}.RunService/CreateRun", create_run("experiment-a")),
    (ANN, f"{V2}.RunService/CreateRun", create_run("experiment-a", "pipeline-a")),
    (ANN, f"{V2}.RunService/CreateRun", create_run("experiment-a", "pipeline-shared")),
    (ROOT, f"{V2}.RunService/CreateRun", create_run("experiment-a", service_account="cluster-admin")),
    (BOB, f"{V2}.RunService/GetRun", run_pb2.GetRunRequest(run_id="run-a")),
    (BOB, f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest(namespace="team-a", experiment_id="experiment-a")),
    (BOB, f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest(experiment_id="experiment-a")),
    (EVE, f"{V2}.PipelineService/GetPipeline", pipeline_pb2.GetPipelineRequest(pipeline_id="pipeline-shared")),
    (EVE, f"{V2}.PipelineService/ListPipelines", pipeline_pb2.ListPipelinesRequest()),
    (ROOT, f"{V2}.PipelineService/CreatePipeline", create_pipeline("")),
    (ANN, f"{V2}.PipelineService/CreatePipeline", create_pipeline("team-a")),
    (BOB, f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri="s3://store/run-a/model")),
    (ROOT, f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri="s3://store/other")),
    (BOB, f"{INSIGHT}/ReadLog", insight_pb2.ReadLogRequest(run_id="run-a", node_id="train")),
    (BOB, f"{INSIGHT}/ReadLog", insight_pb2.ReadLogRequest(node_id="pod-a")),
    (BOB, "/api.RunService/ListRunsV1", run_v1.ListRunsRequest(resource_reference_key=NAMESPACE)),
    (EVE, "/penstock.v1.AccessService/WhoAmI", access_pb2.WhoAmIRequest()),
    (EVE, "/api.PipelineService/GetPipelineByNameV1", pipeline_v1.GetPipelineByNameRequest(namespace="-", name="p")),
    (ROOT, "/ml_metadata.MetadataStoreService/PutArtifacts", b""),
    # What it returns is filtered.
    (EVE, "/ml_metadata.MetadataStoreService/GetArtifacts", b""),
    (ROOT, "/penstock.v1.AccessService/ListAuditEvents", access_pb2.ListAuditEventsRequest()),
]
DENIED: list[tuple[Caller, str, Any]] = [
    (BOB, f"{V2}.RunService/CreateRun", create_run("experiment-a")),
    (EVE, f"{V2}.RunService/CreateRun", create_run("experiment-a")),
    # The pipeline of another team in an experiment of one's own, and a service account that is not the default one.
    (ANN, f"{V2}.RunService/CreateRun", create_run("experiment-a", "pipeline-b")),
    (ANN, f"{V2}.RunService/CreateRun", create_run("experiment-a", service_account="cluster-admin")),
    (EVE, f"{V2}.RunService/GetRun", run_pb2.GetRunRequest(run_id="run-a")),
    # One's own namespace does not open another team's experiment.
    (EVE, f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest(namespace="team-b", experiment_id="experiment-a")),
    (EVE, f"{V2}.ExperimentService/CreateExperiment", create_experiment("team-a")),
    (ANN, f"{V2}.PipelineService/CreatePipeline", create_pipeline("")),
    # Nobody's experiment is not everybody's.
    (ANN, f"{V2}.ExperimentService/GetExperiment", experiment_pb2.GetExperimentRequest(experiment_id="experiment-old")),
    (EVE, f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri="s3://store/run-a/model")),
    (ANN, f"{INSIGHT}/ReadObject", insight_pb2.ReadObjectRequest(uri="s3://store/other")),
    (EVE, f"{INSIGHT}/GetArtifact", insight_pb2.GetArtifactRequest(name="artifact-a")),
    (EVE, "/api.RunService/ListRunsV1", run_v1.ListRunsRequest(resource_reference_key=NAMESPACE)),
    (
        EVE,
        "/api.ExperimentService/CreateExperimentV1",
        experiment_v1.CreateExperimentRequest(
            experiment=experiment_v1.Experiment(resource_references=[references.ResourceReference(key=NAMESPACE)])
        ),
    ),
    (ANN, "/ml_metadata.MetadataStoreService/PutArtifacts", b""),
    (ANN, "/penstock.v1.AccessService/ListAuditEvents", access_pb2.ListAuditEventsRequest()),
    (ANN, "/penstock.v1.AccessService/ListAuditEvents", access_pb2.ListAuditEventsRequest(namespace="team-a")),
    (ROOT, "/penstock.internal.v1.DispatchService/ClaimRuns", b""),
]
INVALID: list[tuple[str, Any]] = [
    (f"{V2}.RunService/CreateRun", create_run("")),
    (f"{V2}.RunService/ListRuns", run_pb2.ListRunsRequest()),
    (f"{V2}.ExperimentService/ListExperiments", experiment_pb2.ListExperimentsRequest()),
    (f"{V2}.ExperimentService/CreateExperiment", create_experiment("")),
    ("/api.RunService/ListRunsV1", run_v1.ListRunsRequest()),
]


@pytest.mark.parametrize(("caller", "method", "request_message"), ALLOWED)
def test_allowed(caller: Caller, method: str, request_message: Any) -> None:
    authorization().require(caller, method, request_message)


@pytest.mark.parametrize(("caller", "method", "request_message"), DENIED)
def test_denied(caller: Caller, method: str, request_message: Any) -> None:
    with pytest.raises(PermissionDeniedError):
        authorization().require(caller, method, request_message)


@pytest.mark.parametrize(("method", "request_message"), INVALID)
def test_a_namespace_is_needed(method: str, request_message: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        authorization().require(ROOT, method, request_message)


def test_what_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        authorization().require(EVE, f"{V2}.RunService/GetRun", run_pb2.GetRunRequest(run_id="none"))


def test_refusal_says_what_is_missing_where() -> None:
    with pytest.raises(
        PermissionDeniedError, match=r"'bob' may not create runs 'training' in namespace 'team-a'.*editor"
    ):
        authorization().require(BOB, f"{V2}.RunService/CreateRun", create_run("experiment-a"))


def test_single_user_mode_has_the_servers_own_namespace() -> None:
    single = authorization(multi_user=False)
    request = run_pb2.GetRunRequest(run_id="never looked up")
    single.require(ROOT, f"{V2}.RunService/GetRun", request)
    with pytest.raises(PermissionDeniedError, match="'kubeflow'"):
        single.require(ANN, f"{V2}.RunService/GetRun", request)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (TokenScope("t", Role.ADMIN), True),
        (TokenScope("t", Role.EDITOR, ("team-a",)), True),
        (TokenScope("t", Role.VIEWER, ("team-a",)), False),
        (TokenScope("t", Role.EDITOR, ("team-b",)), False),
    ],
)
def test_a_token_is_bounded_by_its_scope(scope: TokenScope, allowed: bool) -> None:
    caller = replace(ANN, scope=scope)
    if allowed:
        authorization().require(caller, f"{V2}.RunService/CreateRun", create_run("experiment-a"))
    else:
        with pytest.raises(PermissionDeniedError, match="token"):
            authorization().require(caller, f"{V2}.RunService/CreateRun", create_run("experiment-a"))


def test_a_token_of_all_roles_gives_no_more_than_its_user_has() -> None:
    caller = replace(BOB, scope=TokenScope("t", Role.ADMIN))
    with pytest.raises(PermissionDeniedError):
        authorization().require(caller, f"{V2}.RunService/CreateRun", create_run("experiment-a"))


def test_upload_of_a_shared_pipeline_needs_the_servers_namespace() -> None:
    with pytest.raises(PermissionDeniedError, match="'kubeflow'"):
        authorization().require(
            ANN, "/penstock.v1.PipelineUploadService/UploadPipeline", upload_pb2.UploadPipelineRequest()
        )


def test_what_a_caller_may_change_is_told_as_calls_would_be_decided() -> None:
    checks = authorization()
    assert set(checks.granted(ANN, "team-a")) == set(CHANGES)
    assert checks.granted(BOB, "team-a") == []
    assert checks.granted(ANN, "team-b") == []
    viewer = replace(ANN, scope=TokenScope("t", Role.VIEWER, ()))
    assert checks.granted(viewer, "team-a") == []
    with pytest.raises(InvalidArgumentError) as refused:
        checks.granted(ANN, "")
    assert refused.value.field == "namespace"
    assert authorization(multi_user=False).granted(ROOT, "") == list(CHANGES)
    for resource, verb in CHANGES:
        checks.demand_in(ANN, "team-a", resource, verb, PIPELINES_GROUP)
