"""A request for every method that callers may use, which succeeds for those who may make it.

Invariant: what a call changes or removes is made for that call alone, in the namespace that is named.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import Message
from penstock_api.v1beta1 import resource_reference_pb2
from penstock_server.domain.run import RunState

from tests.support.metadata_requests import request_of
from tests.support.two_teams import (
    ACCESS,
    METHODS,
    OK,
    PACKAGE,
    PIPELINE,
    POOLS,
    STORE,
    UPLOADS,
    V2,
    Place,
    TwoTeams,
    new,
    run_of,
    schedule_of,
    token_request,
)

INSIGHT = "/penstock.v1.InsightService"
# All of them have ended, so that a watch of them ends.
FAILED_RUNS = '{"predicates":[{"operation":"EQUALS","key":"state","string_value":"FAILED"}]}'
PASSES = {
    # The handlers' own answers: there is no such service, and no namespace is named.
    "/api.VisualizationService/CreateVisualizationV1": "UNIMPLEMENTED",
    "/api.AuthService/AuthorizeV1": "INVALID_ARGUMENT",
    # The ML Metadata library in use has no such method.
    f"{STORE}/GetLineageGraph": "UNIMPLEMENTED",
}
"""What a call that is let through gives, where it is not OK."""


def passes(path: str) -> str:
    return PASSES.get(path, OK)


@dataclass(frozen=True)
class Ask:
    """Who asks for what is in which namespace."""

    teams: TwoTeams
    namespace: str
    caller: str

    @property
    def place(self) -> Place:
        return self.teams.places[self.namespace]


def request(teams: TwoTeams, path: str, namespace: str, caller: str) -> Message:
    """A request that the caller may send if they have the right. Raises KeyError for a method that is not known."""
    if path.startswith(STORE):
        return request_of(path.rpartition("/")[2], teams.places[namespace].lineage)
    message: Any = message_factory.GetMessageClass(METHODS[path].input_type)()
    made = _REQUESTS[path](Ask(teams, namespace, caller), message)
    return made if isinstance(made, Message) else message


def _set(**values: Callable[[Ask], Any]) -> Callable[[Ask, Any], None]:
    """Fields of the request, `a__b` for one of a message in it."""

    def fill(ask: Ask, message: Any) -> None:
        for name, value in values.items():
            *parents, last = name.split("__")
            target = message
            for parent in parents:
                target = getattr(target, parent)
            setattr(target, last, value(ask))

    return fill


def _fresh(_: Ask) -> str:
    return new()


def _namespace(ask: Ask) -> str:
    return ask.namespace


def _of_namespace(ask: Ask, message: Any) -> None:
    message.resource_reference_key.type = resource_reference_pb2.NAMESPACE
    message.resource_reference_key.id = ask.namespace


def _new_experiment(ask: Ask) -> str:
    return ask.teams.experiment(ask.namespace)


def _new_run(ask: Ask) -> str:
    return ask.teams.run(ask.namespace)


def _failed_run(ask: Ask) -> str:
    return ask.teams.run(ask.namespace, RunState.FAILED)


def _new_schedule(ask: Ask) -> str:
    return ask.teams.schedule(ask.namespace)


def _new_pipeline(ask: Ask) -> str:
    return ask.teams.pipeline(ask.namespace)


def _new_version(ask: Ask) -> str:
    return ask.teams.version(ask.place.pipeline)


def _pipeline_version(ask: Ask, message: Any) -> None:
    message.pipeline_id, message.pipeline_version_id = ask.place.pipeline, ask.place.version


def _url(ask: Ask) -> str:
    return ask.teams.package_url


def _create_experiment_v1(ask: Ask, message: Any) -> None:
    message.experiment.name = new()
    reference = message.experiment.resource_references.add(relationship=resource_reference_pb2.OWNER)
    reference.key.type, reference.key.id = resource_reference_pb2.NAMESPACE, ask.namespace


def _list_versions_v1(ask: Ask, message: Any) -> None:
    message.resource_key.type = resource_reference_pb2.PIPELINE
    message.resource_key.id = ask.place.pipeline


def _changed_version(ask: Ask, message: Any) -> None:
    one = message.pipeline_version
    one.pipeline_id, one.pipeline_version_id, one.display_name = ask.place.pipeline, _new_version(ask), new()


_ONE_RUN = _set(run_id=lambda ask: ask.place.run)
_ONE_EXPERIMENT = _set(experiment_id=lambda ask: ask.place.experiment)
_ONE_TASK = _set(run_id=lambda ask: ask.place.run, task=lambda _: PIPELINE)
_ONE_VERSION_V1 = _set(version_id=lambda ask: ask.place.version)
_ONE_PIPELINE_V1 = _set(id=lambda ask: ask.place.pipeline)
_NAMED = _set(namespace=_namespace)


def _new_pool(ask: Ask) -> str:
    return ask.teams.pool(ask.namespace)


def _attempts(ask: Ask, message: Any) -> None:
    message.run_id = ask.place.run
    message.paths.append(PIPELINE)


_REQUESTS: dict[str, Callable[[Ask, Any], Any]] = {
    f"{V2}.ExperimentService/CreateExperiment": _set(experiment__display_name=_fresh, experiment__namespace=_namespace),
    f"{V2}.ExperimentService/GetExperiment": _ONE_EXPERIMENT,
    f"{V2}.ExperimentService/ListExperiments": _NAMED,
    f"{V2}.ExperimentService/ArchiveExperiment": _set(experiment_id=_new_experiment),
    f"{V2}.ExperimentService/UnarchiveExperiment": _set(experiment_id=_new_experiment),
    f"{V2}.ExperimentService/DeleteExperiment": _set(experiment_id=_new_experiment),
    f"{V2}.PipelineService/CreatePipeline": _set(pipeline__name=_fresh, pipeline__namespace=_namespace),
    f"{V2}.PipelineService/GetPipeline": _set(pipeline_id=lambda ask: ask.place.pipeline),
    f"{V2}.PipelineService/GetPipelineByName": _set(name=lambda ask: ask.place.pipeline_name, namespace=_namespace),
    f"{V2}.PipelineService/ListPipelines": _NAMED,
    f"{V2}.PipelineService/DeletePipeline": _set(pipeline_id=_new_pipeline),
    f"{V2}.PipelineService/CreatePipelineAndVersion": _set(
        pipeline__name=_fresh, pipeline__namespace=_namespace, pipeline_version__package_url__pipeline_url=_url
    ),
    f"{V2}.PipelineService/CreatePipelineVersion": _set(
        pipeline_id=lambda ask: ask.place.pipeline,
        pipeline_version__pipeline_id=lambda ask: ask.place.pipeline,
        pipeline_version__name=_fresh,
        pipeline_version__package_url__pipeline_url=_url,
    ),
    f"{V2}.PipelineService/GetPipelineVersion": _pipeline_version,
    f"{V2}.PipelineService/ListPipelineVersions": _set(pipeline_id=lambda ask: ask.place.pipeline),
    f"{V2}.PipelineService/DeletePipelineVersion": _set(
        pipeline_id=lambda ask: ask.place.pipeline, pipeline_version_id=_new_version
    ),
    f"{V2}.PipelineService/UpdatePipeline": _set(pipeline__pipeline_id=_new_pipeline, pipeline__display_name=_fresh),
    f"{V2}.PipelineService/UpdatePipelineVersion": _changed_version,
    f"{V2}.RunService/CreateRun": lambda ask, _: run_of(ask.place),
    f"{V2}.RunService/GetRun": _ONE_RUN,
    f"{V2}.RunService/ListRuns": _NAMED,
    f"{V2}.RunService/ArchiveRun": _set(run_id=_new_run),
    f"{V2}.RunService/UnarchiveRun": _set(run_id=_new_run),
    f"{V2}.RunService/DeleteRun": _set(run_id=_new_run),
    f"{V2}.RunService/TerminateRun": _set(run_id=_new_run),
    f"{V2}.RunService/RetryRun": _set(run_id=_failed_run),
    f"{V2}.RecurringRunService/CreateRecurringRun": lambda ask, _: schedule_of(ask.place),
    f"{V2}.RecurringRunService/GetRecurringRun": _set(recurring_run_id=lambda ask: ask.place.schedule),
    f"{V2}.RecurringRunService/ListRecurringRuns": _NAMED,
    f"{V2}.RecurringRunService/EnableRecurringRun": _set(recurring_run_id=_new_schedule),
    f"{V2}.RecurringRunService/DisableRecurringRun": _set(recurring_run_id=_new_schedule),
    f"{V2}.RecurringRunService/DeleteRecurringRun": _set(recurring_run_id=_new_schedule),
    f"{INSIGHT}/ListTasks": _ONE_RUN,
    f"{INSIGHT}/ListArtifacts": _NAMED,
    f"{INSIGHT}/GetArtifact": _set(name=lambda ask: ask.place.artifact),
    f"{INSIGHT}/ReadArtifact": _set(name=lambda ask: ask.place.artifact),
    f"{INSIGHT}/ReadObject": _set(uri=lambda ask: ask.place.uri),
    f"{INSIGHT}/DescribePod": _set(pod_name=lambda ask: ask.place.pod),
    f"{INSIGHT}/ReadLog": _set(run_id=lambda ask: ask.place.run, node_id=lambda _: PIPELINE),
    f"{INSIGHT}/ExplainTask": _ONE_TASK,
    f"{INSIGHT}/ExplainCache": _ONE_TASK,
    f"{INSIGHT}/PlanPipeline": _set(namespace=_namespace, pipeline_version_id=lambda ask: ask.place.version),
    f"{INSIGHT}/ReadEventLog": _ONE_RUN,
    f"{INSIGHT}/ListNextFires": _set(recurring_run_id=lambda ask: ask.place.schedule),
    f"{INSIGHT}/PreviewFires": _set(),
    f"{INSIGHT}/GetOverview": _NAMED,
    f"{INSIGHT}/GetLineage": _set(artifact=lambda ask: ask.place.artifact),
    f"{INSIGHT}/CompareRuns": lambda ask, message: message.run_ids.append(ask.place.run),
    f"{INSIGHT}/ListAttempts": _attempts,
    f"{INSIGHT}/GetTimeline": _ONE_RUN,
    "/penstock.v1.WatchService/WatchRun": _set(run_id=_failed_run, until_finished=lambda _: True),
    "/penstock.v1.WatchService/WatchRuns": _set(
        namespace=_namespace, filter=lambda _: FAILED_RUNS, until_finished=lambda _: True
    ),
    f"{UPLOADS}/UploadPipeline": _set(name=_fresh, namespace=_namespace, content=lambda _: PACKAGE),
    f"{UPLOADS}/UploadPipelineVersion": _set(
        pipeline_id=lambda ask: ask.place.pipeline, name=_fresh, content=lambda _: PACKAGE
    ),
    f"{ACCESS}/WhoAmI": _set(),
    f"{ACCESS}/CreateToken": lambda _, __: token_request(),
    f"{ACCESS}/ListTokens": _set(),
    f"{ACCESS}/RevokeToken": _set(token_id=lambda ask: ask.teams.token(ask.caller)),
    f"{ACCESS}/CreateRoleBinding": _set(
        role_binding__role=lambda _: "viewer", role_binding__namespace=_namespace, role_binding__user=_fresh
    ),
    f"{ACCESS}/ListRoleBindings": _NAMED,
    f"{ACCESS}/DeleteRoleBinding": _set(role_binding_id=lambda ask: ask.teams.binding(ask.namespace)),
    f"{ACCESS}/ListAuditEvents": _NAMED,
    f"{POOLS}/ListPools": _NAMED,
    f"{POOLS}/GetPool": _set(namespace=_namespace, name=_new_pool),
    f"{POOLS}/PutPool": _set(pool__namespace=_namespace, pool__name=_fresh, pool__slots=lambda _: 1),
    f"{POOLS}/DeletePool": _set(namespace=_namespace, name=_new_pool),
    "/api.ExperimentService/CreateExperimentV1": _create_experiment_v1,
    "/api.ExperimentService/GetExperimentV1": _set(id=lambda ask: ask.place.experiment),
    "/api.ExperimentService/ListExperimentsV1": _of_namespace,
    "/api.ExperimentService/DeleteExperimentV1": _set(id=_new_experiment),
    "/api.ExperimentService/ArchiveExperimentV1": _set(id=_new_experiment),
    "/api.ExperimentService/UnarchiveExperimentV1": _set(id=_new_experiment),
    "/api.PipelineService/GetPipelineV1": _ONE_PIPELINE_V1,
    "/api.PipelineService/GetPipelineByNameV1": _set(name=lambda ask: ask.place.pipeline_name, namespace=_namespace),
    "/api.PipelineService/ListPipelinesV1": _of_namespace,
    "/api.PipelineService/DeletePipelineV1": _set(id=_new_pipeline),
    "/api.PipelineService/GetTemplate": _ONE_PIPELINE_V1,
    "/api.PipelineService/GetPipelineVersionV1": _ONE_VERSION_V1,
    "/api.PipelineService/ListPipelineVersionsV1": _list_versions_v1,
    "/api.PipelineService/DeletePipelineVersionV1": _set(version_id=_new_version),
    "/api.PipelineService/GetPipelineVersionTemplate": _ONE_VERSION_V1,
    "/api.RunService/GetRunV1": _ONE_RUN,
    "/api.RunService/ListRunsV1": _of_namespace,
    "/api.RunService/ArchiveRunV1": _set(id=_new_run),
    "/api.RunService/UnarchiveRunV1": _set(id=_new_run),
    "/api.RunService/DeleteRunV1": _set(id=_new_run),
    "/api.RunService/TerminateRunV1": _set(run_id=_new_run),
    "/api.RunService/RetryRunV1": _set(run_id=_failed_run),
    "/api.JobService/GetJob": _set(id=lambda ask: ask.place.schedule),
    "/api.JobService/ListJobs": _of_namespace,
    "/api.JobService/EnableJob": _set(id=_new_schedule),
    "/api.JobService/DisableJob": _set(id=_new_schedule),
    "/api.JobService/DeleteJob": _set(id=_new_schedule),
    "/api.TaskService/CreateTaskV1": _set(
        task__pipelineName=lambda ask: f"namespace/{ask.namespace}/pipeline/p",
        task__runId=lambda ask: ask.place.run,
        task__mlmdExecutionID=lambda _: "1",
        task__fingerprint=lambda _: uuid.uuid4().hex,
    ),
    "/api.TaskService/ListTasksV1": _of_namespace,
    "/api.AuthService/AuthorizeV1": _set(),
    "/api.VisualizationService/CreateVisualizationV1": _NAMED,
}
