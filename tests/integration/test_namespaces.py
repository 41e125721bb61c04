"""Two namespaces on one server in multi-user mode: no list and no name of one ever shows what is in the other.

Who may ask for which namespace is not what these tests are about: nobody is asked who they are, so every call is
carried out, and what it gives must be of the namespace that it names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from penstock.client import Client, ClientError
from penstock.settings import options, rows
from penstock_api.v1 import insight_pb2, upload_pb2
from penstock_api.v1beta1 import (
    experiment_pb2,
    experiment_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    resource_reference_pb2,
    task_pb2,
    task_pb2_grpc,
)
from penstock_api.v1beta1 import pipeline_pb2 as pipeline_v1_pb2
from penstock_api.v1beta1 import pipeline_pb2_grpc as pipeline_v1_pb2_grpc
from penstock_api.v1beta1 import run_pb2 as run_v1_pb2
from penstock_api.v1beta1 import run_pb2_grpc as run_v1_pb2_grpc
from penstock_api.v2beta1 import experiment_pb2 as experiment_v2_pb2
from penstock_api.v2beta1 import pipeline_pb2, recurring_run_pb2, run_pb2
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import RunStarted, encode
from penstock_ir.loader import document_from_json
from penstock_ir.plan import plan_pipeline
from penstock_ir.run_places import run_place
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.composition import build_services
from penstock_server.domain.dispatch import LogEntry
from penstock_server.domain.task import Artifact, CacheEntry, Task
from penstock_server.rpc.server import Services, build_server
from penstock_server.settings import Settings
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry
from penstock_server.workers.pool import Workers
from penstock_store.config import StoreConfig

from tools.testing import specs

A, B = "team-a", "team-b"
PIPELINE = "only"
INVALID, MISSING, DENIED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
)
SPEC = specs.container(["true"], name=PIPELINE, cached=True)
PACKAGE = json.dumps(SPEC).encode()


@dataclass(frozen=True)
class Tenant:
    """What a namespace has two of, so that lists have pages: the ids."""

    namespace: str
    experiments: tuple[str, ...]
    pipelines: tuple[str, ...]
    versions: tuple[str, ...]
    runs: tuple[str, ...]
    schedules: tuple[str, ...]
    artifacts: tuple[str, ...]
    driver_tasks: tuple[str, ...]


@dataclass(frozen=True)
class World:
    client: Client
    services: Services
    database: Database
    artifacts: Path

    def call(self, stub: type[Any], method: str, request: Any) -> Any:
        return self.client.call(getattr(stub(self.client.channel), method), request)

    def fails(self, method: Callable[..., Any], request: Any) -> grpc.StatusCode:
        with pytest.raises(ClientError) as caught:
            self.client.call(method, request)
        return caught.value.code


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("namespaces")
    command = click.Command("server", params=options(rows(Settings)))
    settings = Settings(**command.make_context("server", ["--multi-user", "--data-dir", str(directory)]).params)
    database = Database(settings.database_url())
    database.migrate()
    telemetry = Telemetry(lambda: (0, 0))
    services, dispatch = build_services(settings, database, StoreConfig(), {}, telemetry, Workers({}))
    running = build_server(services, None, telemetry)
    port = running.server.add_insecure_port("127.0.0.1:0")
    running.server.start()
    with Client(f"127.0.0.1:{port}") as client:
        yield World(client, services, database, directory / "artifacts")
    dispatch.stop()
    running.server.stop(None).wait()
    running.local.close()
    database.dispose()


@pytest.fixture(scope="module")
def shared(world: World) -> pipeline_pb2.Pipeline:
    request = upload_pb2.UploadPipelineRequest(name="shared", content=PACKAGE)
    found: pipeline_pb2.Pipeline = world.client.call(world.client.uploads.UploadPipeline, request)
    return found


@pytest.fixture(scope="module")
def tenants(world: World, shared: pipeline_pb2.Pipeline) -> dict[str, Tenant]:
    """Both have the same names of everything."""
    return {namespace: _filled(world, namespace) for namespace in (A, B)}


def _filled(world: World, namespace: str) -> Tenant:
    client = world.client
    experiments, pipelines, versions, runs, schedules, artifacts, driver_tasks = [], [], [], [], [], [], []
    for number in (1, 2):
        experiment = experiment_v2_pb2.CreateExperimentRequest()
        experiment.experiment.display_name = f"experiment {number}"
        experiment.experiment.namespace = namespace
        experiments.append(client.call(client.experiments.CreateExperiment, experiment).experiment_id)
        upload = upload_pb2.UploadPipelineRequest(name=f"pipeline {number}", namespace=namespace, content=PACKAGE)
        pipelines.append(client.call(client.uploads.UploadPipeline, upload).pipeline_id)
        listed = pipeline_pb2.ListPipelineVersionsRequest(pipeline_id=pipelines[-1])
        versions.append(client.call(client.pipelines.ListPipelineVersions, listed).pipeline_versions[0])
        run = client.call(client.runs.CreateRun, _run(experiments[0], pipelines[0]))
        runs.append(run.run_id)
        schedules.append(client.call(client.recurring_runs.CreateRecurringRun, _schedule(experiments[0], pipelines[0])))
        artifacts.append(f"{namespace}-artifact-{number}")
        place = run_place(world.artifacts.as_uri(), PIPELINE, run.run_id)
        with world.database.writing() as uow:
            uow.queue.append([LogEntry(run.run_id, 0, encode(RunStarted(1, world.artifacts.as_uri())))])
            task = Task(run.run_id, PIPELINE, PIPELINE, TaskKind.CONTAINER, TaskState.SUCCEEDED)
            uow.tasks.upsert_many([task], {task.run_id: 1})
            stored = Artifact(
                artifacts[-1], run.run_id, PIPELINE, "out", "system.Dataset", f"{place}/out", created_at=1
            )
            uow.artifacts.upsert_many([stored])
        written = world.artifacts / PIPELINE / run.run_id / "out"
        written.parent.mkdir(parents=True)
        written.write_text(f"{namespace} {number}")
        task_request = task_pb2.CreateTaskRequest(
            task=task_pb2.Task(
                pipelineName=f"namespace/{namespace}/pipeline/p",
                namespace="somebody-else",
                runId=run.run_id,
                mlmdExecutionID="1",
                fingerprint="same",
            )
        )
        driver_tasks.append(world.call(task_pb2_grpc.TaskServiceStub, "CreateTaskV1", task_request).id)
    return Tenant(
        namespace,
        tuple(experiments),
        tuple(pipelines),
        tuple(version.pipeline_version_id for version in versions),
        tuple(runs),
        tuple(schedule.recurring_run_id for schedule in schedules),
        tuple(artifacts),
        tuple(driver_tasks),
    )


def _run(
    experiment_id: str, pipeline_id: str = "", version_id: str = "", schedule: str = ""
) -> run_pb2.CreateRunRequest:
    run = run_pb2.Run(display_name="a run", experiment_id=experiment_id, recurring_run_id=schedule)
    run.pipeline_version_reference.pipeline_id = pipeline_id
    run.pipeline_version_reference.pipeline_version_id = version_id
    return run_pb2.CreateRunRequest(run=run)


def _schedule(experiment_id: str, pipeline_id: str = "", version_id: str = "") -> Any:
    one = recurring_run_pb2.RecurringRun(display_name="nightly", experiment_id=experiment_id, max_concurrency=1)
    one.trigger.periodic_schedule.interval_second = 3600
    one.pipeline_version_reference.pipeline_id = pipeline_id
    one.pipeline_version_reference.pipeline_version_id = version_id
    return recurring_run_pb2.CreateRecurringRunRequest(recurring_run=one)


@dataclass(frozen=True)
class Lister:
    """A method that lists: its stub, its request for a namespace, its rows' ids, and whose they are."""

    stub: Callable[[World], Callable[..., Any]]
    request: Callable[..., Any]
    ids: Callable[[Any], list[str]]
    expected: Callable[[Tenant], tuple[str, ...]]
    by_reference: bool = False

    def asked(self, namespace: str, **more: Any) -> Any:
        if not namespace:
            return self.request(**more)
        if not self.by_reference:
            return self.request(namespace=namespace, **more)
        key = resource_reference_pb2.ResourceKey(type=resource_reference_pb2.NAMESPACE, id=namespace)
        return self.request(resource_reference_key=key, **more)


def _v1(stub: type[Any], method: str) -> Callable[[World], Callable[..., Any]]:
    return lambda world: getattr(stub(world.client.channel), method)


LISTS = {
    "experiments": Lister(
        lambda world: world.client.experiments.ListExperiments,
        experiment_v2_pb2.ListExperimentsRequest,
        lambda reply: [one.experiment_id for one in reply.experiments],
        lambda tenant: tenant.experiments,
    ),
    "pipelines": Lister(
        lambda world: world.client.pipelines.ListPipelines,
        pipeline_pb2.ListPipelinesRequest,
        lambda reply: [one.pipeline_id for one in reply.pipelines],
        lambda tenant: tenant.pipelines,
    ),
    "runs": Lister(
        lambda world: world.client.runs.ListRuns,
        run_pb2.ListRunsRequest,
        lambda reply: [one.run_id for one in reply.runs],
        lambda tenant: tenant.runs,
    ),
    "recurring runs": Lister(
        lambda world: world.client.recurring_runs.ListRecurringRuns,
        recurring_run_pb2.ListRecurringRunsRequest,
        lambda reply: [one.recurring_run_id for one in reply.recurringRuns],
        lambda tenant: tenant.schedules,
    ),
    "artifacts": Lister(
        lambda world: world.client.insight.ListArtifacts,
        insight_pb2.ListArtifactsRequest,
        lambda reply: [one.name for one in reply.artifacts],
        lambda tenant: tenant.artifacts,
    ),
    "experiments of v1beta1": Lister(
        _v1(experiment_pb2_grpc.ExperimentServiceStub, "ListExperimentsV1"),
        experiment_pb2.ListExperimentsRequest,
        lambda reply: [one.id for one in reply.experiments],
        lambda tenant: tenant.experiments,
        by_reference=True,
    ),
    "pipelines of v1beta1": Lister(
        _v1(pipeline_v1_pb2_grpc.PipelineServiceStub, "ListPipelinesV1"),
        pipeline_v1_pb2.ListPipelinesRequest,
        lambda reply: [one.id for one in reply.pipelines],
        lambda tenant: tenant.pipelines,
        by_reference=True,
    ),
    "runs of v1beta1": Lister(
        _v1(run_v1_pb2_grpc.RunServiceStub, "ListRunsV1"),
        run_v1_pb2.ListRunsRequest,
        lambda reply: [one.id for one in reply.runs],
        lambda tenant: tenant.runs,
        by_reference=True,
    ),
    "jobs of v1beta1": Lister(
        _v1(job_pb2_grpc.JobServiceStub, "ListJobs"),
        job_pb2.ListJobsRequest,
        lambda reply: [one.id for one in reply.jobs],
        lambda tenant: tenant.schedules,
        by_reference=True,
    ),
    "tasks of v1beta1": Lister(
        _v1(task_pb2_grpc.TaskServiceStub, "ListTasksV1"),
        task_pb2.ListTasksRequest,
        lambda reply: [one.id for one in reply.tasks],
        lambda tenant: tenant.driver_tasks,
        by_reference=True,
    ),
}
OF_EXPERIMENTS = ("runs", "recurring runs")


@pytest.mark.parametrize("namespace", [A, B])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_its_namespace_alone(world: World, tenants: dict[str, Tenant], name: str, namespace: str) -> None:
    lister = LISTS[name]
    stub = lister.stub(world)
    whole = world.client.call(stub, lister.asked(namespace))
    assert set(lister.ids(whole)) == set(lister.expected(tenants[namespace]))
    if "total_size" in type(whole).DESCRIPTOR.fields_by_name:
        assert whole.total_size == 2
    first = world.client.call(stub, lister.asked(namespace, page_size=1))
    second = world.client.call(stub, lister.asked(namespace, page_size=1, page_token=first.next_page_token))
    assert set(lister.ids(first)) | set(lister.ids(second)) == set(lister.expected(tenants[namespace]))


@pytest.mark.parametrize("name", LISTS)
def test_a_page_token_is_for_its_namespace_alone(world: World, tenants: dict[str, Tenant], name: str) -> None:
    lister = LISTS[name]
    token = world.client.call(lister.stub(world), lister.asked(A, page_size=1)).next_page_token
    assert token
    assert world.fails(lister.stub(world), lister.asked(B, page_token=token)) == INVALID
    assert world.fails(lister.stub(world), lister.asked("", page_token=token)) == INVALID


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_no_namespace_shows_nobodys(
    world: World, tenants: dict[str, Tenant], shared: pipeline_pb2.Pipeline, name: str
) -> None:
    lister = LISTS[name]
    if name.startswith("pipelines"):
        assert lister.ids(world.client.call(lister.stub(world), lister.asked(""))) == [shared.pipeline_id]
    else:
        assert world.fails(lister.stub(world), lister.asked("")) == INVALID
    for bad in ("Team-A", "team-a ", "*", "team_a", "-", "a" * 64, "a/../kube-system"):
        assert world.fails(lister.stub(world), lister.asked(bad)) == INVALID, bad


@pytest.mark.parametrize("name", OF_EXPERIMENTS)
def test_a_list_of_an_experiment(world: World, tenants: dict[str, Tenant], name: str) -> None:
    lister, ours = LISTS[name], tenants[A]
    stub = lister.stub(world)
    full, empty = ours.experiments
    assert set(lister.ids(world.client.call(stub, lister.request(experiment_id=full)))) == set(lister.expected(ours))
    assert lister.ids(world.client.call(stub, lister.request(experiment_id=empty))) == []
    both = lister.request(experiment_id=full, namespace=A)
    assert set(lister.ids(world.client.call(stub, both))) == set(lister.expected(ours))
    assert world.fails(stub, lister.request(experiment_id=full, namespace=B)) == MISSING
    token = world.client.call(stub, lister.request(experiment_id=full, page_size=1)).next_page_token
    # It goes on with the experiment that it came from, and with no other.
    alone = world.client.call(stub, lister.request(namespace=A, page_token=token))
    assert alone.total_size == 2
    assert world.fails(stub, lister.request(experiment_id=empty, page_token=token)) == INVALID
    assert world.fails(stub, lister.request(experiment_id=tenants[B].experiments[0], page_token=token)) == INVALID


def test_artifacts_of_a_run(world: World, tenants: dict[str, Tenant]) -> None:
    ours, method = tenants[A], world.client.insight.ListArtifacts
    reply = world.client.call(method, insight_pb2.ListArtifactsRequest(run_id=ours.runs[0]))
    assert [one.name for one in reply.artifacts] == [ours.artifacts[0]]
    assert world.fails(method, insight_pb2.ListArtifactsRequest(run_id=ours.runs[0], namespace=B)) == MISSING


def test_a_pipeline_by_its_name(world: World, tenants: dict[str, Tenant], shared: pipeline_pb2.Pipeline) -> None:
    method = world.client.pipelines.GetPipelineByName
    old = pipeline_v1_pb2_grpc.PipelineServiceStub(world.client.channel).GetPipelineByNameV1
    for namespace, tenant in tenants.items():
        wanted = tenant.pipelines[0]
        request = pipeline_pb2.GetPipelineByNameRequest(name="pipeline 1", namespace=namespace)
        assert world.client.call(method, request).pipeline_id == wanted
        request_v1 = pipeline_v1_pb2.GetPipelineByNameRequest(name="pipeline 1", namespace=namespace)
        assert world.client.call(old, request_v1).id == wanted
        assert world.fails(method, pipeline_pb2.GetPipelineByNameRequest(name="shared", namespace=namespace)) == MISSING
    assert world.fails(method, pipeline_pb2.GetPipelineByNameRequest(name="pipeline 1")) == MISSING
    assert world.fails(old, pipeline_v1_pb2.GetPipelineByNameRequest(name="pipeline 1")) == MISSING
    found = world.client.call(method, pipeline_pb2.GetPipelineByNameRequest(name="shared"))
    assert found.pipeline_id == shared.pipeline_id
    unnamed = pipeline_v1_pb2.GetPipelineByNameRequest(name="shared", namespace="-")
    assert world.client.call(old, unnamed).id == shared.pipeline_id


@pytest.mark.parametrize("make", [_run, _schedule])
def test_what_runs_are_made_from(
    world: World,
    tenants: dict[str, Tenant],
    shared: pipeline_pb2.Pipeline,
    make: Callable[..., Any],
) -> None:
    client, ours, theirs = world.client, tenants[A], tenants[B]
    method = client.runs.CreateRun if make is _run else client.recurring_runs.CreateRecurringRun
    mine = ours.experiments[1]
    assert world.fails(method, make(mine, theirs.pipelines[0])) == MISSING
    assert world.fails(method, make(mine, "", theirs.versions[0])) == MISSING
    assert world.fails(method, make(mine, ours.pipelines[0], theirs.versions[0])) == MISSING
    assert world.fails(method, make("", shared.pipeline_id)) == INVALID
    for made in (
        client.call(method, make(mine, shared.pipeline_id)),
        client.call(method, make(mine, "", ours.versions[0])),
    ):
        assert made.experiment_id == mine
        assert made.service_account == "default-editor"
        if make is _schedule:
            assert made.namespace == A
            delete = recurring_run_pb2.DeleteRecurringRunRequest(recurring_run_id=made.recurring_run_id)
            client.call(client.recurring_runs.DeleteRecurringRun, delete)
        else:
            with world.database.reading() as uow:
                stored = uow.runs.get(made.run_id)
            assert stored is not None
            assert stored.namespace == A
            client.call(client.runs.DeleteRun, run_pb2.DeleteRunRequest(run_id=made.run_id))


def test_a_run_of_a_schedule_is_in_the_schedules_namespace(world: World, tenants: dict[str, Tenant]) -> None:
    """A caller who names a schedule of another namespace gets none of its runs, and makes none in its name."""
    ours, theirs = tenants[A], tenants[B]
    method = world.client.runs.CreateRun
    mine = world.client.call(method, _run(ours.experiments[1], ours.pipelines[0], schedule=ours.schedules[0]))
    again = _run(theirs.experiments[0], theirs.pipelines[0], schedule=ours.schedules[0])
    assert world.fails(method, again) == MISSING
    assert world.fails(method, _run(ours.experiments[1], ours.pipelines[0], schedule="nobody")) == MISSING
    world.client.call(world.client.runs.DeleteRun, run_pb2.DeleteRunRequest(run_id=mine.run_id))


def test_names_are_taken_in_one_namespace_only(world: World, tenants: dict[str, Tenant]) -> None:
    method = world.client.experiments.CreateExperiment
    request = experiment_v2_pb2.CreateExperimentRequest()
    request.experiment.display_name = "experiment 1"
    assert world.fails(method, request) == INVALID
    request.experiment.namespace = A
    assert world.fails(method, request) == grpc.StatusCode.ALREADY_EXISTS
    found = world.client.call(
        world.client.experiments.GetExperiment,
        experiment_v2_pb2.GetExperimentRequest(experiment_id=tenants[A].experiments[0]),
    )
    assert found.namespace == A
    old = experiment_pb2_grpc.ExperimentServiceStub(world.client.channel)
    shown = world.client.call(old.GetExperimentV1, experiment_pb2.GetExperimentRequest(id=found.experiment_id))
    assert [(one.key.type, one.key.id) for one in shown.resource_references] == [(resource_reference_pb2.NAMESPACE, A)]
    two = experiment_pb2.CreateExperimentRequest()
    two.experiment.name = "of two"
    for namespace in (A, B):
        two.experiment.resource_references.add().key.MergeFrom(
            resource_reference_pb2.ResourceKey(type=resource_reference_pb2.NAMESPACE, id=namespace)
        )
    assert world.fails(old.CreateExperimentV1, two) == INVALID


def test_there_is_no_default_experiment(world: World) -> None:
    with world.database.reading() as uow:
        assert uow.experiments.by_name("Default", "") is None


def test_an_artifact_is_read_where_runs_of_its_namespace_keep_theirs(
    world: World, tenants: dict[str, Tenant], tmp_path: Path
) -> None:
    """A program may give its artifact any URI, and the server may read more than the program may."""
    ours, theirs = tenants[A], tenants[B]

    def read(name: str) -> bytes:
        request = insight_pb2.ReadArtifactRequest(name=name)
        return b"".join(chunk.data for chunk in world.client.stream(world.client.insight.ReadArtifact, request))

    assert read(ours.artifacts[0]) == b"team-a 1"
    place = run_place(world.artifacts.as_uri(), PIPELINE, theirs.runs[0])
    left = world.artifacts / "left-over"
    left.write_text("of a run that was deleted")
    link = world.artifacts / PIPELINE / ours.runs[0] / "link"
    link.symlink_to(world.artifacts / PIPELINE / theirs.runs[0] / "out")
    for number, uri in enumerate((f"{place}/out", left.as_uri(), link.as_uri())):
        named = Artifact(f"named-{number}", ours.runs[0], PIPELINE, "out", "system.Dataset", uri)
        with world.database.writing() as uow:
            uow.artifacts.upsert_many([named])
        with pytest.raises(ClientError) as caught:
            read(named.name)
        assert caught.value.code == DENIED, uri
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM artifacts WHERE name LIKE 'named-%'")


def test_a_plan_asks_the_cache_of_its_namespace(world: World, tenants: dict[str, Tenant]) -> None:
    """The fingerprint and the pipeline are the same; the result was made in one of the namespaces."""
    method = world.client.insight.PlanPipeline

    def decision(namespace: str) -> str:
        request = insight_pb2.PlanPipelineRequest(namespace=namespace)
        request.pipeline_spec.update(SPEC)
        (root,) = world.client.call(method, request).tasks
        return str((root.children[0] if root.children else root).decision)

    assert decision(A) == "RUN"
    assert world.fails(method, insight_pb2.PlanPipelineRequest(pipeline_version_id=tenants[A].versions[0])) == INVALID
    theirs = insight_pb2.PlanPipelineRequest(pipeline_version_id=tenants[B].versions[0], namespace=A)
    assert world.fails(method, theirs) == MISSING
    mine = insight_pb2.PlanPipelineRequest(pipeline_version_id=tenants[A].versions[0], namespace=A)
    assert not world.client.call(method, mine).problems
    fingerprints: list[str] = []
    plan_pipeline(compile_pipeline(document_from_json(SPEC)), {}, fingerprints.append, ["local"])
    with world.database.writing() as uow:
        entry = CacheEntry(fingerprints[0], A, PIPELINE, tenants[A].runs[0], PIPELINE, "{}", 1)
        uow.cache.add_many([entry])
    assert (decision(A), decision(B)) == ("CACHED", "RUN")
