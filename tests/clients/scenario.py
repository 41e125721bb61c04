"""Calls that every client makes against a live server: each RPC of the public API, and what must come back.

Why data: the same steps are carried out by the generated clients in Python, Go and TypeScript, through REST, and over
reflection, so a client that encodes something otherwise is found out. Requests and replies are protojson with proto
names.

A step: `call` (service/method), `request`, `save` (variable: path in the reply), `expect` (a subset of the reply; items
of a list are compared in order), `code` (the status it must fail with), `until` (path: values to wait for, calling
again). `${name}` stands for a variable. The reply of a stream is its first message, with their number as `messages`.
`http` says how REST makes a call that has no annotation: `get` (a path), or `object` (the URI of an artifact), whose
reply is the bytes `data`, or with `as` a document under that name; or `upload` (a path) of `content` under `file_name`,
with `renamed` for fields that have another name in the query.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tools.testing import specs

V1, V1BETA1, V2BETA1 = "penstock.v1", "api", "kubeflow.pipelines.backend.api.v2beta1"
ENDED = ["SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"]


def document() -> dict[str, Any]:
    """A task that says something and writes an artifact."""
    script = "echo said; echo content > {{$.outputs.artifacts['data'].path}}"
    return specs.container(["sh", "-c", script], artifacts={"data": "system.Dataset"})


def steps() -> list[dict[str, Any]]:
    return [
        *_experiments(),
        *_pipelines(),
        *_runs(),
        *_insight(),
        *_recurring_runs(),
        *_access(),
        *_pools(),
        *_v1beta1(),
        *_ends(),
    ]


def _step(service: str, method: str, request: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"call": f"{service}/{method}", "request": request or {}, **more}


def _filter(key: str, value: str, operation: str = "operation") -> str:
    return json.dumps({"predicates": [{operation: "EQUALS", "key": key, "string_value": value}]})


def _experiments() -> list[dict[str, Any]]:
    service, one = f"{V2BETA1}.ExperimentService", {"experiment_id": "${experiment}"}
    name = "${client} experiment ünï"
    return [
        _step(
            service, "CreateExperiment", {"experiment": {"display_name": name, "description": "d"}},
            save={"experiment": "experiment_id"}, expect={"display_name": name, "storage_state": "AVAILABLE"},
        ),
        _step(service, "CreateExperiment", {"experiment": {"display_name": name}}, code="ALREADY_EXISTS"),
        _step(service, "GetExperiment", one, expect={"description": "d"}),
        _step(service, "GetExperiment", {"experiment_id": "nobody"}, code="NOT_FOUND"),
        _step(
            service, "ListExperiments", {"filter": _filter("name", name), "sort_by": "last_run_created_at desc"},
            expect={"experiments": [one], "total_size": 1},
        ),
        _step(service, "ListExperiments", {"page_size": -1}, code="INVALID_ARGUMENT"),
        _step(service, "ArchiveExperiment", one),
        _step(service, "UnarchiveExperiment", one),
        _step(service, "GetExperiment", one, expect={"storage_state": "AVAILABLE"}),
    ]  # fmt: skip


def _pipelines() -> list[dict[str, Any]]:
    service, uploads = f"{V2BETA1}.PipelineService", f"{V1}.PipelineUploadService"
    one = {"pipeline_id": "${pipeline}"}
    version = {**one, "pipeline_version_id": "${version}"}
    content = base64.b64encode(json.dumps(document()).encode()).decode()
    upload = {"content": content, "file_name": "p.json"}
    url = {"package_url": {"pipeline_url": "${package_url}"}}
    return [
        _step(
            uploads, "UploadPipeline", {**upload, "name": "${client}-pipeline", "tags": {"team": "a"}},
            save={"pipeline": "pipeline_id"}, expect={"name": "${client}-pipeline", "tags": {"team": "a"}},
            http={"upload": "/apis/v2beta1/pipelines/upload"},
        ),
        _step(
            uploads, "UploadPipelineVersion", {**upload, **one, "name": "second"},
            save={"version": "pipeline_version_id"}, expect={"name": "second", **one},
            http={"upload": "/apis/v2beta1/pipelines/upload_version", "renamed": {"pipeline_id": "pipelineid"}},
        ),
        _step(service, "CreatePipeline", {"pipeline": {"name": "${client}-empty"}}, save={"empty": "pipeline_id"}),
        _step(
            service, "CreatePipelineAndVersion",
            {"pipeline": {"name": "${client}-by-url"}, "pipeline_version": url}, save={"by_url": "pipeline_id"},
        ),
        _step(
            service, "CreatePipelineVersion",
            {"pipeline_id": "${empty}", "pipeline_version": {"pipeline_id": "${empty}", "name": "v", **url}},
            save={"url_version": "pipeline_version_id"}, expect={"name": "v", **url},
        ),
        _step(service, "GetPipeline", one, expect={"display_name": "${client}-pipeline"}),
        _step(service, "GetPipelineByName", {"name": "${client}-pipeline"}, expect=one),
        _step(service, "ListPipelines", {"filter": _filter("tags.team", "a"), "page_size": 200}),
        _step(
            service, "GetPipelineVersion", version,
            expect={"pipeline_spec": {"pipelineInfo": {"name": "only"}, "schemaVersion": "2.1.0"}},
        ),
        _step(
            service, "ListPipelineVersions", {**one, "sort_by": "created_at desc", "page_size": 1},
            expect={"pipeline_versions": [version], "total_size": 2}, save={"page": "next_page_token"},
        ),
        _step(
            service, "ListPipelineVersions", {**one, "page_token": "${page}"},
            expect={"pipeline_versions": [{"name": "${client}-pipeline"}], "total_size": 2},
        ),
        _step(
            service, "UpdatePipeline", {"pipeline": {**one, "display_name": "renamed", "tags": {"b": "c"}}},
            expect={"display_name": "renamed", "tags": {"b": "c"}},
        ),
        _step(
            service, "UpdatePipelineVersion", {"pipeline_version": {**version, "display_name": "renamed"}},
            expect={"display_name": "renamed"},
        ),
        _step(service, "DeletePipeline", {"pipeline_id": "${empty}"}, code="FAILED_PRECONDITION"),
        _step(
            service, "DeletePipelineVersion", {"pipeline_id": "${empty}", "pipeline_version_id": "${url_version}"},
        ),
        _step(service, "DeletePipeline", {"pipeline_id": "${empty}"}),
        _step(service, "DeletePipeline", {"pipeline_id": "${by_url}", "cascade": True}),
        _step(service, "GetPipeline", {"pipeline_id": "${empty}"}, code="NOT_FOUND"),
    ]  # fmt: skip


def _runs() -> list[dict[str, Any]]:
    service, one = f"{V2BETA1}.RunService", {"run_id": "${run}"}
    reference = {"pipeline_id": "${pipeline}", "pipeline_version_id": "${version}"}
    run = {"display_name": "${client} run", "experiment_id": "${experiment}", "pipeline_version_reference": reference}
    slow = {**run, "display_name": "${client} slow"}
    del slow["pipeline_version_reference"]
    slow["pipeline_spec"] = specs.container(["sleep", "300"])
    asked = slow["options"] = {"workers": "run"}
    return [
        _step(service, "CreateRun", {"run": run}, save={"run": "run_id"}, expect={"state": "PENDING"}),
        _step(service, "CreateRun", {"run": {"display_name": "${client} none"}}, code="INVALID_ARGUMENT"),
        _step(
            service, "GetRun", one, until={"state": ENDED},
            expect={"state": "SUCCEEDED", "pipeline_version_reference": reference},
        ),
        _step(service, "GetRun", {**one, "view": "BASIC"}, expect={"state": "SUCCEEDED"}),
        _step(
            service, "ListRuns", {"experiment_id": "${experiment}", "sort_by": "created_at desc"},
            expect={"runs": [one], "total_size": 1},
        ),
        _step(service, "CreateRun", {"run": slow}, save={"slow": "run_id"}, expect={"options": asked}),
        _step(service, "CreateRun", {"run": {**slow, "options": {"workers": "on"}}}, code="INVALID_ARGUMENT"),
        _step(service, "RetryRun", {"run_id": "${slow}"}, code="ABORTED"),
        _step(service, "TerminateRun", {"run_id": "${slow}"}),
        _step(service, "GetRun", {"run_id": "${slow}"}, until={"state": ENDED}, expect={"state": "FAILED"}),
        _step(service, "RetryRun", {"run_id": "${slow}"}),
        _step(service, "TerminateRun", {"run_id": "${slow}"}),
        _step(service, "GetRun", {"run_id": "${slow}"}, until={"state": ENDED}, expect={"options": asked}),
        _step(service, "ArchiveRun", {"run_id": "${slow}"}),
        _step(service, "UnarchiveRun", {"run_id": "${slow}"}),
        _step(service, "DeleteRun", {"run_id": "${slow}"}),
        _step(service, "GetRun", {"run_id": "${slow}"}, code="NOT_FOUND"),
    ]  # fmt: skip


def _insight() -> list[dict[str, Any]]:
    service, one = f"{V1}.InsightService", {"run_id": "${run}"}
    events = "/apis/penstock/v1/runs/{}/events"
    return [
        _step(
            service, "ListTasks", one, save={"pod": "tasks.1.pod_name"},
            expect={"tasks": [{"kind": "dag"}, {"path": "only", "state": "SUCCEEDED"}]},
        ),
        _step(
            service, "ListArtifacts", one, expect={"artifacts": [{"port": "data", "type": "system.Dataset"}]},
            save={"artifact": "artifacts.0.name", "uri": "artifacts.0.uri", "key": "artifacts.0.uri"},
        ),
        _step(service, "GetArtifact", {"name": "${artifact}"}, expect={"task_path": "only"}),
        _step(
            service, "ListAttempts", {**one, "paths": ["only"]},
            expect={"attempts": [{"path": "only", "number": 1, "state": "SUCCEEDED"}]},
        ),
        _step(service, "ListAttempts", one, code="INVALID_ARGUMENT"),
        _step(
            service, "GetTimeline", one,
            expect={"total_attempts": 1, "critical_path": [{"path": "only", "state": "SUCCEEDED"}]},
        ),
        _step(service, "GetTimeline", {**one, "max_bins": -1}, code="INVALID_ARGUMENT"),
        _step(
            service, "GetLineage", {"artifact": "${artifact}", "direction": "DIRECTION_BACKWARDS", "depth": 1},
            expect={
                "artifacts": [{"artifact": {"name": "${artifact}", "port": "data"}}],
                "tasks": [{"path": "only", "state": "SUCCEEDED", "run_display_name": "${client} run"}],
                "uses": [{"path": "only", "artifact": "${artifact}", "output": True, "port": "data"}],
            },
        ),
        _step(
            service, "GetLineage", {"run_id": "${run}", "path": "only"},
            expect={"artifacts": [{"artifact": {"name": "${artifact}"}}]},
        ),
        _step(service, "GetLineage", {}, code="INVALID_ARGUMENT"),
        _step(service, "GetLineage", {"artifact": "nobody"}, code="NOT_FOUND"),
        _step(service, "CompareRuns", {"run_ids": ["${run}"]}, expect={"runs": [{"run": {"state": "SUCCEEDED"}}]}),
        _step(
            service, "ReadArtifact", {"name": "${artifact}"}, expect={"data": "Y29udGVudAo="},
            http={"get": "/apis/penstock/v1/artifacts/${artifact}:download"},
        ),
        _step(
            service, "ReadArtifact", {"name": "${artifact}"}, expect={"data": "Y29udGVudAo="},
            http={"get": "/apis/penstock/v1/artifacts/${artifact}:html"},
        ),
        _step(
            service, "ReadObject", {"uri": "${uri}"}, expect={"data": "Y29udGVudAo="},
            http={"object": "${uri}"},
        ),
        _step(
            service, "ReadLog", {**one, "node_id": "only"}, expect={"data": "c2FpZAo="},
            http={"get": "/apis/v2beta1/runs/${run}/nodes/only/log"},
        ),
        _step(
            service, "DescribePod", {"pod_name": "${pod}"}, expect={"pod": {"status": {"phase": "Succeeded"}}},
            http={"get": "/k8s/pod?podname=${pod}", "as": "pod"},
        ),
        _step(service, "ExplainTask", {**one, "task": "only"}, expect={"state": "SUCCEEDED"}),
        _step(service, "ExplainCache", {**one, "task": "only"}, expect={"outcome": "OUTCOME_NOT_ASKED"}),
        _step(
            service, "PlanPipeline", {"pipeline_version_id": "${version}"},
            expect={"tasks": [{"path": "only", "decision": "RUN"}]},
        ),
        _step(
            f"{V1}.WatchService", "WatchRun", {**one, "until_finished": True},
            http={"get": "/apis/penstock/v1/runs/${run}:watch?until_finished=true"},
        ),
        _step(
            f"{V1}.WatchService", "WatchRuns", {"experiment_id": "${experiment}", "until_finished": True},
            http={"get": "/apis/penstock/v1/runs:watch?experiment_id=${experiment}&until_finished=true"},
        ),
        _step(
            f"{V1}.WatchService", "WatchRuns", {"sort_by": "colour"}, code="INVALID_ARGUMENT",
            http={"get": "/apis/penstock/v1/runs:watch?sort_by=colour"},
        ),
        _step(service, "ReadEventLog", one, http={"get": events.format("${run}")}),
        _step(
            service, "ReadEventLog", {"run_id": "nobody"}, code="NOT_FOUND", http={"get": events.format("nobody")},
        ),
    ]  # fmt: skip


def _access() -> list[dict[str, Any]]:
    """On a server that asks nobody who they are: there are no tokens, roles and the audit log are everybody's."""
    service, name = f"{V1}.AccessService", "${client} group"
    binding = {"role": "viewer", "namespace": "team-a", "group": name}
    return [
        _step(service, "WhoAmI", {}, expect={"source": "none"}),
        _step(service, "WhoAmI", {"permissions": True}, expect={"permissions": ["experiments archive"]}),
        _step(service, "CreateToken", {"name": "t"}, code="FAILED_PRECONDITION"),
        _step(service, "ListTokens", {}),
        _step(service, "RevokeToken", {"token_id": "nobody"}, code="NOT_FOUND"),
        _step(
            service, "CreateRoleBinding", {"role_binding": binding}, expect=binding,
            save={"binding": "role_binding_id"},
        ),
        _step(service, "CreateRoleBinding", {"role_binding": binding}, code="ALREADY_EXISTS"),
        _step(service, "CreateRoleBinding", {"role_binding": {**binding, "role": "owner"}}, code="INVALID_ARGUMENT"),
        _step(service, "ListRoleBindings", {"namespace": "team-a", "page_size": 1000}),
        _step(
            service, "ListAuditEvents", {"object_id": "${binding}"},
            expect={"audit_events": [{"verb": "create", "resource": "rolebindings", "result": "OK"}]},
        ),
        _step(service, "DeleteRoleBinding", {"role_binding_id": "${binding}"}),
        _step(service, "DeleteRoleBinding", {"role_binding_id": "${binding}"}, code="NOT_FOUND"),
    ]  # fmt: skip


def _pools() -> list[dict[str, Any]]:
    service, name = f"{V1}.PoolService", "${client}.pool"
    one = {"name": name, "slots": 2, "weight": 1}
    return [
        _step(service, "PutPool", {"pool": {"name": name, "slots": 2}}, expect=one),
        _step(service, "PutPool", {"pool": {"name": "namespace/team-a", "weight": 3}}, expect={"weight": 3}),
        _step(service, "PutPool", {"pool": {"name": name}}, code="INVALID_ARGUMENT"),
        _step(service, "PutPool", {"pool": {"name": "No Name", "slots": 1}}, code="INVALID_ARGUMENT"),
        _step(service, "ListPools", {}),
        _step(service, "GetPool", {"name": name}, expect={"pool": one}),
        _step(service, "GetPool", {"name": "nobody"}, code="NOT_FOUND"),
        _step(service, "DeletePool", {"name": name}),
        _step(service, "DeletePool", {"name": name}, code="NOT_FOUND"),
    ]


def _recurring_runs() -> list[dict[str, Any]]:
    service, one = f"{V2BETA1}.RecurringRunService", {"recurring_run_id": "${recurring}"}
    trigger = {"cron_schedule": {"cron": "0 0 0 1 1 *"}}
    new = {
        "display_name": "${client} recurring", "experiment_id": "${experiment}", "max_concurrency": "2",
        "mode": "DISABLE", "trigger": trigger, "pipeline_version_reference": {"pipeline_id": "${pipeline}"},
    }  # fmt: skip
    return [
        _step(
            service, "CreateRecurringRun", {"recurring_run": new}, save={"recurring": "recurring_run_id"},
            expect={"status": "DISABLED", "trigger": trigger, "max_concurrency": "2"},
        ),
        _step(
            service, "CreateRecurringRun", {"recurring_run": {**new, "max_concurrency": "11"}},
            code="INVALID_ARGUMENT",
        ),
        _step(service, "EnableRecurringRun", one),
        _step(f"{V1}.InsightService", "ListNextFires", one),
        _step(f"{V1}.InsightService", "GetOverview", expect={"executors": [{"backend": "local"}]}),
        _step(
            f"{V1}.InsightService", "PreviewFires",
            {"trigger": {"periodic_schedule": {"interval_second": "60"}}, "count": 1},
        ),
        _step(service, "GetRecurringRun", one, expect={"status": "ENABLED"}),
        _step(service, "DisableRecurringRun", one),
        _step(
            service, "ListRecurringRuns", {"experiment_id": "${experiment}"},
            expect={"recurringRuns": [{**one, "mode": "DISABLE"}], "total_size": 1},
        ),
    ]  # fmt: skip


def _v1beta1() -> list[dict[str, Any]]:
    experiments, pipelines = f"{V1BETA1}.ExperimentService", f"{V1BETA1}.PipelineService"
    runs, jobs, tasks = f"{V1BETA1}.RunService", f"{V1BETA1}.JobService", f"{V1BETA1}.TaskService"
    key = {"type": "EXPERIMENT", "id": "${experiment}"}
    versions = {"resource_key": {"type": "PIPELINE", "id": "${pipeline}"}}
    task = {"pipelineName": "pipeline/p", "runId": "${run}", "mlmdExecutionID": "1", "fingerprint": "${client}"}
    return [
        _step(f"{V1BETA1}.AuthService", "AuthorizeV1", {"resources": "VIEWERS", "verb": "GET"}),
        _step(
            f"{V1BETA1}.VisualizationService", "CreateVisualizationV1",
            {"namespace": "a", "visualization": {"type": "TABLE"}}, code="UNIMPLEMENTED",
        ),
        _step(
            experiments, "CreateExperimentV1", {"experiment": {"name": "${client} v1"}}, save={"experiment_v1": "id"},
        ),
        _step(experiments, "GetExperimentV1", {"id": "${experiment_v1}"}, expect={"name": "${client} v1"}),
        _step(
            experiments, "ListExperimentsV1", {"filter": _filter("name", "${client} v1", "op")},
            expect={"total_size": 1},
        ),
        _step(experiments, "ArchiveExperimentV1", {"id": "${experiment_v1}"}),
        _step(experiments, "UnarchiveExperimentV1", {"id": "${experiment_v1}"}),
        _step(experiments, "DeleteExperimentV1", {"id": "${experiment_v1}"}),
        _step(pipelines, "GetPipelineV1", {"id": "${pipeline}"}, expect={"default_version": {"id": "${version}"}}),
        _step(
            pipelines, "GetPipelineByNameV1", {"namespace": "-", "name": "${client}-pipeline"},
            expect={"id": "${pipeline}"},
        ),
        _step(pipelines, "ListPipelinesV1", {"sort_by": "created_at desc"}),
        _step(pipelines, "GetTemplate", {"id": "${pipeline}"}),
        _step(pipelines, "GetPipelineVersionV1", {"version_id": "${version}"}, expect={"name": "renamed"}),
        _step(pipelines, "ListPipelineVersionsV1", versions, expect={"total_size": 2}),
        _step(pipelines, "GetPipelineVersionTemplate", {"version_id": "${version}"}),
        _step(runs, "GetRunV1", {"run_id": "${run}"}, expect={"run": {"status": "Succeeded"}}),
        _step(runs, "ListRunsV1", {"resource_reference_key": key}, expect={"total_size": 1}),
        _step(runs, "ArchiveRunV1", {"id": "${run}"}),
        _step(runs, "UnarchiveRunV1", {"id": "${run}"}),
        _step(runs, "TerminateRunV1", {"run_id": "${run}"}, code="FAILED_PRECONDITION"),
        _step(runs, "RetryRunV1", {"run_id": "${run}"}, code="ABORTED"),
        _step(jobs, "GetJob", {"id": "${recurring}"}, expect={"mode": "DISABLED"}),
        _step(jobs, "ListJobs", {"resource_reference_key": key}, expect={"total_size": 1}),
        _step(jobs, "EnableJob", {"id": "${recurring}"}),
        _step(jobs, "DisableJob", {"id": "${recurring}"}),
        _step(tasks, "CreateTaskV1", {"task": task}, expect=task),
        _step(tasks, "ListTasksV1", {"filter": _filter("fingerprint", "${client}", "op")}, expect={"total_size": 1}),
    ]  # fmt: skip


def _ends() -> list[dict[str, Any]]:
    """What deletes the objects that the others used."""
    return [
        _step(f"{V1BETA1}.JobService", "DeleteJob", {"id": "${recurring}"}),
        _step(
            f"{V2BETA1}.RecurringRunService", "DeleteRecurringRun", {"recurring_run_id": "${recurring}"},
            code="NOT_FOUND",
        ),
        _step(f"{V1BETA1}.RunService", "DeleteRunV1", {"id": "${run}"}),
        _step(f"{V1BETA1}.PipelineService", "DeletePipelineVersionV1", {"version_id": "${version}"}),
        _step(f"{V1BETA1}.PipelineService", "DeletePipelineV1", {"id": "${pipeline}"}),
        _step(f"{V2BETA1}.ExperimentService", "DeleteExperiment", {"experiment_id": "${experiment}"}),
    ]  # fmt: skip
