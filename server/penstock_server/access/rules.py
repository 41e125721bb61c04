"""What a call needs: for every RPC the resource, the verb, and where the namespace comes from.

Why one table: it is what the server enforces, what docs/authorization.md shows, and what the test of the whole matrix
expects. Resources and verbs are those of Kubeflow Pipelines (api.md §6.1), so that its ClusterRoles hold here as well.

Invariants: a method that is not in the table is refused; tests/unit/server/access/test_rules.py fails when a registered
method has no rule, and when a path names no field. Everything that a request names is checked: a run that is made from
a pipeline needs the right to read the pipeline too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from penstock_server.domain.location import ObjectKind


class Unnamed(str, Enum):
    """What it means in multi-user mode that a request names no namespace."""

    INVALID = "an error"
    SHARED = "what belongs to all namespaces: reading is free, writing needs the right in the server's own namespace"
    EVERYWHERE = "all namespaces"


@dataclass(frozen=True, slots=True)
class InField:
    """The namespace is in the request."""

    path: str
    unnamed: Unnamed = Unnamed.INVALID


@dataclass(frozen=True, slots=True)
class OfObject:
    """The namespace is that of an object that the request names by its id, or of each of several in a list. With
    `optional` nothing is checked when the field is empty, since then nothing is named."""

    kind: ObjectKind
    path: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class OfListing:
    """The namespace of a list: that of the object that it is narrowed to, and the one that is named."""

    narrowed: OfObject | None = None
    namespace: str = ""
    unnamed: Unnamed = Unnamed.INVALID


@dataclass(frozen=True, slots=True)
class OfReference:
    """v1beta1: the namespace, or an experiment, is in a ResourceKey, or in a list of references."""

    path: str
    unnamed: Unnamed = Unnamed.INVALID


@dataclass(frozen=True, slots=True)
class OfUri:
    """The namespace of the run or the artifact that the URI belongs to."""

    path: str


@dataclass(frozen=True, slots=True)
class OfTask:
    """The namespace of the run, or, when no run is named, of the task whose Pod is named."""

    run: str
    node: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """The reply holds only what the caller may see (`rpc/metadata_visibility.py`)."""


@dataclass(frozen=True, slots=True)
class Everywhere:
    """The right is needed in all namespaces: an administrator of the installation has it."""


Place = InField | OfObject | OfListing | OfReference | OfUri | OfTask | Filtered | Everywhere
PIPELINES_GROUP = "pipelines.kubeflow.org"
VIEWERS_GROUP = "kubeflow.org"


@dataclass(frozen=True, slots=True)
class Check:
    """A right that a call needs. `only_if` is a field without which nothing is checked."""

    resource: str
    verb: str
    place: Place
    group: str = PIPELINES_GROUP
    name: str = ""
    """Field with the name of the object, where there is no object yet."""
    only_if: str = ""


class Openness(str, Enum):
    """What needs no right in a namespace."""

    PUBLIC = "anybody"
    """Nobody is asked who they are."""
    IDENTIFIED = "any identified caller"
    """The use case itself knows what the caller may: their own tokens, say."""


Rule = Openness | tuple[Check, ...]

_V2 = "/kubeflow.pipelines.backend.api.v2beta1"
_INSIGHT = "/penstock.v1.InsightService"
_ACCESS = "/penstock.v1.AccessService"
_POOLS = "/penstock.v1.PoolService"
_METADATA = "/ml_metadata.MetadataStoreService/"


def _of_run(path: str = "run_id") -> OfObject:
    return OfObject(ObjectKind.RUN, path)


def _on(resource: str, kind: ObjectKind, field: str, verbs: Mapping[str, str]) -> dict[str, Rule]:
    """Rules of methods that act on one object which the request names by `field`."""
    return {method: (Check(resource, verb, OfObject(kind, field)),) for method, verb in verbs.items()}


def _run_source(prefix: str) -> tuple[Check, ...]:
    """The rights to what a run, or a schedule, is made from, and to the service account that it is to have."""
    reference = f"{prefix}.pipeline_version_reference"
    experiment = OfObject(ObjectKind.EXPERIMENT, f"{prefix}.experiment_id")
    return (
        Check("pipelines", "get", OfObject(ObjectKind.PIPELINE, f"{reference}.pipeline_id", optional=True)),
        Check(
            "pipelines", "get", OfObject(ObjectKind.PIPELINE_VERSION, f"{reference}.pipeline_version_id", optional=True)
        ),
        Check(
            "serviceaccounts",
            "use",
            experiment,
            name=f"{prefix}.service_account",
            only_if=f"{prefix}.service_account",
        ),
    )


RULES: Mapping[str, Rule] = {
    # Experiments.
    f"{_V2}.ExperimentService/CreateExperiment": (
        Check("experiments", "create", InField("experiment.namespace"), name="experiment.display_name"),
    ),
    **_on(
        "experiments",
        ObjectKind.EXPERIMENT,
        "experiment_id",
        {
            f"{_V2}.ExperimentService/GetExperiment": "get",
            f"{_V2}.ExperimentService/ArchiveExperiment": "archive",
            f"{_V2}.ExperimentService/UnarchiveExperiment": "unarchive",
            f"{_V2}.ExperimentService/DeleteExperiment": "delete",
        },
    ),
    f"{_V2}.ExperimentService/ListExperiments": (Check("experiments", "list", OfListing(namespace="namespace")),),
    # Pipelines and their versions.
    f"{_V2}.PipelineService/CreatePipeline": (
        Check("pipelines", "create", InField("pipeline.namespace", Unnamed.SHARED), name="pipeline.name"),
    ),
    f"{_V2}.PipelineService/CreatePipelineAndVersion": (
        Check("pipelines", "create", InField("pipeline.namespace", Unnamed.SHARED), name="pipeline.name"),
    ),
    f"{_V2}.PipelineService/GetPipelineByName": (
        Check("pipelines", "get", InField("namespace", Unnamed.SHARED), name="name"),
    ),
    f"{_V2}.PipelineService/ListPipelines": (
        Check("pipelines", "list", OfListing(namespace="namespace", unnamed=Unnamed.SHARED)),
    ),
    **_on(
        "pipelines",
        ObjectKind.PIPELINE,
        "pipeline_id",
        {
            f"{_V2}.PipelineService/GetPipeline": "get",
            f"{_V2}.PipelineService/DeletePipeline": "delete",
            f"{_V2}.PipelineService/ListPipelineVersions": "list",
        },
    ),
    f"{_V2}.PipelineService/CreatePipelineVersion": (
        Check("pipelines", "create", OfObject(ObjectKind.PIPELINE, "pipeline_id", optional=True)),
        Check("pipelines", "create", OfObject(ObjectKind.PIPELINE, "pipeline_version.pipeline_id")),
    ),
    f"{_V2}.PipelineService/UpdatePipeline": (
        Check("pipelines", "update", OfObject(ObjectKind.PIPELINE, "pipeline.pipeline_id")),
    ),
    f"{_V2}.PipelineService/UpdatePipelineVersion": (
        Check("pipelines", "update", OfObject(ObjectKind.PIPELINE_VERSION, "pipeline_version.pipeline_version_id")),
    ),
    **_on(
        "pipelines",
        ObjectKind.PIPELINE_VERSION,
        "pipeline_version_id",
        {
            f"{_V2}.PipelineService/GetPipelineVersion": "get",
            f"{_V2}.PipelineService/DeletePipelineVersion": "delete",
        },
    ),
    "/penstock.v1.PipelineUploadService/UploadPipeline": (
        Check("pipelines", "create", InField("namespace", Unnamed.SHARED), name="name"),
    ),
    "/penstock.v1.PipelineUploadService/UploadPipelineVersion": (
        Check("pipelines", "create", OfObject(ObjectKind.PIPELINE, "pipeline_id")),
    ),
    # Runs.
    f"{_V2}.RunService/CreateRun": (
        Check("runs", "create", OfObject(ObjectKind.EXPERIMENT, "run.experiment_id"), name="run.display_name"),
        *_run_source("run"),
    ),
    f"{_V2}.RunService/ListRuns": (
        Check("runs", "list", OfListing(OfObject(ObjectKind.EXPERIMENT, "experiment_id"), "namespace")),
    ),
    **_on(
        "runs",
        ObjectKind.RUN,
        "run_id",
        {
            f"{_V2}.RunService/GetRun": "get",
            f"{_V2}.RunService/ArchiveRun": "archive",
            f"{_V2}.RunService/UnarchiveRun": "unarchive",
            f"{_V2}.RunService/DeleteRun": "delete",
            f"{_V2}.RunService/TerminateRun": "terminate",
            f"{_V2}.RunService/RetryRun": "retry",
        },
    ),
    # Recurring runs, which upstream's roles call jobs.
    f"{_V2}.RecurringRunService/CreateRecurringRun": (
        Check(
            "jobs",
            "create",
            OfObject(ObjectKind.EXPERIMENT, "recurring_run.experiment_id"),
            name="recurring_run.display_name",
        ),
        *_run_source("recurring_run"),
    ),
    f"{_V2}.RecurringRunService/ListRecurringRuns": (
        Check("jobs", "list", OfListing(OfObject(ObjectKind.EXPERIMENT, "experiment_id"), "namespace")),
    ),
    **_on(
        "jobs",
        ObjectKind.RECURRING_RUN,
        "recurring_run_id",
        {
            f"{_V2}.RecurringRunService/GetRecurringRun": "get",
            f"{_V2}.RecurringRunService/EnableRecurringRun": "enable",
            f"{_V2}.RecurringRunService/DisableRecurringRun": "disable",
            f"{_V2}.RecurringRunService/DeleteRecurringRun": "delete",
        },
    ),
    # What runs did.
    f"{_INSIGHT}/ListTasks": (Check("runs", "get", _of_run()),),
    f"{_INSIGHT}/ExplainTask": (Check("runs", "get", _of_run()),),
    f"{_INSIGHT}/ExplainCache": (Check("runs", "get", _of_run()),),
    f"{_INSIGHT}/ReadEventLog": (Check("runs", "get", _of_run()),),
    **_on("jobs", ObjectKind.RECURRING_RUN, "recurring_run_id", {f"{_INSIGHT}/ListNextFires": "get"}),
    f"{_INSIGHT}/PreviewFires": Openness.IDENTIFIED,
    f"{_INSIGHT}/CompareRuns": (Check("runs", "get", _of_run("run_ids")),),
    f"{_INSIGHT}/ListAttempts": (Check("runs", "get", _of_run()),),
    f"{_INSIGHT}/GetTimeline": (Check("runs", "get", _of_run()),),
    f"{_INSIGHT}/GetLineage": (
        *(
            Check(resource, "get", place)
            for resource in ("runs", "artifacts")
            for place in (
                OfObject(ObjectKind.ARTIFACT, "artifact", optional=True),
                OfObject(ObjectKind.RUN, "run_id", optional=True),
                Filtered(),
            )
        ),
    ),
    f"{_INSIGHT}/GetOverview": (Check("runs", "list", OfListing(namespace="namespace")),),
    "/penstock.v1.WatchService/WatchRun": (Check("runs", "get", _of_run()),),
    "/penstock.v1.WatchService/WatchRuns": (
        Check("runs", "list", OfListing(OfObject(ObjectKind.EXPERIMENT, "experiment_id"), "namespace")),
    ),
    f"{_INSIGHT}/ReadLog": (Check("runs", "readArtifact", OfTask("run_id", "node_id")),),
    f"{_INSIGHT}/DescribePod": (Check("runs", "get", OfTask("run_id", "pod_name")),),
    f"{_INSIGHT}/ListArtifacts": (Check("artifacts", "list", OfListing(_of_run(), "namespace")),),
    f"{_INSIGHT}/GetArtifact": (Check("artifacts", "get", OfObject(ObjectKind.ARTIFACT, "name")),),
    f"{_INSIGHT}/ReadArtifact": (Check("runs", "readArtifact", OfObject(ObjectKind.ARTIFACT, "name")),),
    f"{_INSIGHT}/ReadObject": (Check("runs", "readArtifact", OfUri("uri")),),
    f"{_INSIGHT}/PlanPipeline": (
        Check("runs", "list", OfListing(namespace="namespace")),
        Check("pipelines", "get", OfObject(ObjectKind.PIPELINE_VERSION, "pipeline_version_id", optional=True)),
    ),
    # Identities, tokens, roles, audit.
    f"{_ACCESS}/WhoAmI": Openness.IDENTIFIED,
    f"{_ACCESS}/CreateToken": Openness.IDENTIFIED,
    f"{_ACCESS}/ListTokens": Openness.IDENTIFIED,
    f"{_ACCESS}/RevokeToken": Openness.IDENTIFIED,
    f"{_ACCESS}/CreateRoleBinding": (Check("rolebindings", "create", InField("role_binding.namespace")),),
    f"{_ACCESS}/ListRoleBindings": (Check("rolebindings", "list", InField("namespace", Unnamed.EVERYWHERE)),),
    f"{_ACCESS}/DeleteRoleBinding": (
        Check("rolebindings", "delete", OfObject(ObjectKind.ROLE_BINDING, "role_binding_id")),
    ),
    f"{_ACCESS}/ListAuditEvents": (Check("auditevents", "list", InField("namespace", Unnamed.EVERYWHERE)),),
    # Pools, limits and shares. Those of everybody are the installation's.
    f"{_POOLS}/ListPools": (Check("pools", "list", InField("namespace", Unnamed.EVERYWHERE)),),
    f"{_POOLS}/GetPool": (Check("pools", "get", InField("namespace", Unnamed.EVERYWHERE), name="name"),),
    f"{_POOLS}/PutPool": (Check("pools", "update", InField("pool.namespace", Unnamed.EVERYWHERE), name="pool.name"),),
    f"{_POOLS}/DeletePool": (Check("pools", "delete", InField("namespace", Unnamed.EVERYWHERE), name="name"),),
    # v1beta1.
    "/api.ExperimentService/CreateExperimentV1": (
        Check("experiments", "create", OfReference("experiment.resource_references"), name="experiment.name"),
    ),
    "/api.ExperimentService/ListExperimentsV1": (Check("experiments", "list", OfReference("resource_reference_key")),),
    **_on(
        "experiments",
        ObjectKind.EXPERIMENT,
        "id",
        {
            "/api.ExperimentService/GetExperimentV1": "get",
            "/api.ExperimentService/ArchiveExperimentV1": "archive",
            "/api.ExperimentService/UnarchiveExperimentV1": "unarchive",
            "/api.ExperimentService/DeleteExperimentV1": "delete",
        },
    ),
    "/api.RunService/GetRunV1": (Check("runs", "get", _of_run()),),
    "/api.RunService/ListRunsV1": (Check("runs", "list", OfReference("resource_reference_key")),),
    "/api.RunService/TerminateRunV1": (Check("runs", "terminate", _of_run()),),
    "/api.RunService/RetryRunV1": (Check("runs", "retry", _of_run()),),
    **_on(
        "runs",
        ObjectKind.RUN,
        "id",
        {
            "/api.RunService/ArchiveRunV1": "archive",
            "/api.RunService/UnarchiveRunV1": "unarchive",
            "/api.RunService/DeleteRunV1": "delete",
        },
    ),
    "/api.JobService/ListJobs": (Check("jobs", "list", OfReference("resource_reference_key")),),
    **_on(
        "jobs",
        ObjectKind.RECURRING_RUN,
        "id",
        {
            "/api.JobService/GetJob": "get",
            "/api.JobService/EnableJob": "enable",
            "/api.JobService/DisableJob": "disable",
            "/api.JobService/DeleteJob": "delete",
        },
    ),
    "/api.PipelineService/GetPipelineByNameV1": (
        Check("pipelines", "get", InField("namespace", Unnamed.SHARED), name="name"),
    ),
    "/api.PipelineService/ListPipelinesV1": (
        Check("pipelines", "list", OfReference("resource_reference_key", Unnamed.SHARED)),
    ),
    "/api.PipelineService/ListPipelineVersionsV1": (
        Check("pipelines", "list", OfObject(ObjectKind.PIPELINE, "resource_key.id")),
    ),
    **_on(
        "pipelines",
        ObjectKind.PIPELINE,
        "id",
        {
            "/api.PipelineService/GetPipelineV1": "get",
            "/api.PipelineService/GetTemplate": "get",
            "/api.PipelineService/DeletePipelineV1": "delete",
        },
    ),
    **_on(
        "pipelines",
        ObjectKind.PIPELINE_VERSION,
        "version_id",
        {
            "/api.PipelineService/GetPipelineVersionV1": "get",
            "/api.PipelineService/GetPipelineVersionTemplate": "get",
            "/api.PipelineService/DeletePipelineVersionV1": "delete",
        },
    ),
    # Upstream's drivers use these; Penstock's own executor has a port of its own.
    "/api.TaskService/CreateTaskV1": (Check("runs", "update", OfObject(ObjectKind.RUN, "task.runId")),),
    "/api.TaskService/ListTasksV1": (Check("runs", "list", OfReference("resource_reference_key")),),
    "/api.AuthService/AuthorizeV1": Openness.IDENTIFIED,
    "/api.VisualizationService/CreateVisualizationV1": (Check("visualizations", "create", InField("namespace")),),
    # Infrastructure.
    "/grpc.health.v1.Health/Check": Openness.PUBLIC,
    "/grpc.health.v1.Health/Watch": Openness.PUBLIC,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Openness.IDENTIFIED,
}

_CHANGED = ("experiments", "jobs", "pipelines", "runs")
_READING = ("get", "list", "readArtifact")
CHANGES = tuple(
    sorted(
        {
            (check.resource, check.verb)
            for rule in RULES.values()
            if not isinstance(rule, Openness)
            for check in rule
            if check.resource in _CHANGED and check.verb not in _READING
        }
    )
)
"""Resources and verbs of what users change: what a page has buttons for."""


def rule_of(method: str) -> Rule | None:
    """The rule of an RPC by its full path, None when there is none.

    ML Metadata's store has no namespaces: what it returns is filtered, and writing needs the right everywhere, since
    executors write on a port of their own.
    """
    if method.startswith(_METADATA):
        reads = method[len(_METADATA) :].startswith("Get")
        return (Check("metadata", "get", Filtered()) if reads else Check("metadata", "update", Everywhere()),)
    return RULES.get(method)
