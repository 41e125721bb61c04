"""Whose an object is, by its id and by its URI, on every database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from penstock_ir.event_log import RunStarted, encode
from penstock_ir.loader import document_from_json
from penstock_ir.task_rows import TaskKind, TaskState
from penstock_server.domain.dispatch import LogEntry
from penstock_server.domain.location import Location, ObjectKind
from penstock_server.domain.pipeline import Pipeline, PipelineVersion
from penstock_server.domain.task import Artifact, Task
from penstock_server.services.documents import Documents
from penstock_server.services.object_namespaces import ObjectNamespaces
from penstock_server.storage.database import Database
from penstock_server.storage.objects import canonical_uri

from tests.support.rows import experiment, run, schedule

OURS = "11111111-1111-4111-8111-111111111111"
THEIRS = "22222222-2222-4222-8222-222222222222"
ATTEMPT = "33333333-3333-5333-8333-333333333333"
WAITING = "44444444-4444-4444-8444-444444444444"
SPEC = {
    "pipelineInfo": {"name": "my-pipeline"},
    "root": {"dag": {"tasks": {}}},
    "deploymentSpec": {},
    "schemaVersion": "2.1.0",
}


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def filled(database: Database, documents: Documents) -> Database:
    """Runs of two namespaces: theirs has its root inside of ours; one more has not begun."""
    spec = documents.checked(document_from_json(SPEC))
    inner = f"s3://bucket/root/my-pipeline/{OURS}/inner"
    with database.writing() as uow:
        uow.experiments.add(replace(experiment(1, "one"), namespace="ours"))
        uow.specs.put(spec)
        for run_id, namespace in ((OURS, "ours"), (THEIRS, "theirs"), (WAITING, "ours")):
            stored = replace(run(run_id), namespace=namespace, resource_name=f"my-pipeline-{namespace}")
            uow.runs.add(replace(stored, spec_hash=spec.spec_hash, pipeline_root="s3://bucket/root"))
        for run_id, root in ((OURS, "s3://bucket/root?endpoint=https://x"), (THEIRS, inner)):
            uow.queue.append([LogEntry(run_id, 0, encode(RunStarted(1, root)))])
        uow.tasks.upsert_many(
            [Task(THEIRS, "a", "a", TaskKind.CONTAINER, TaskState.RUNNING, pod_name="a-pod")], {THEIRS: 1}
        )
        uow.artifacts.upsert_many([Artifact("artifact", OURS, "a", "out", "system.Dataset", "s3://other/import")])
        uow.pipelines.add(Pipeline("p1", "private", "private", "", "ours", 1))
        uow.pipelines.add(Pipeline("p2", "shared", "shared", "", "", 1))
        uow.versions.add(PipelineVersion("v1", "p1", "first", "first", "", 1, spec))
        uow.schedules.add(replace(schedule(1), display_name="nightly", namespace="theirs"))
    return database


@pytest.fixture
def namespaces(filled: Database, documents: Documents) -> ObjectNamespaces:
    return ObjectNamespaces(filled, documents, canonical_uri)


@pytest.mark.parametrize(
    ("kind", "identifier", "expected"),
    [
        (ObjectKind.EXPERIMENT, "e1", Location("ours", "one")),
        (ObjectKind.RUN, THEIRS, Location("theirs", "my-pipeline-theirs")),
        (ObjectKind.RECURRING_RUN, "s1", Location("theirs", "nightly")),
        (ObjectKind.PIPELINE, "p1", Location("ours", "private")),
        (ObjectKind.PIPELINE, "p2", Location("", "shared")),
        (ObjectKind.PIPELINE_VERSION, "v1", Location("ours", "first")),
        (ObjectKind.ARTIFACT, "artifact", Location("ours", "my-pipeline-ours")),
        (ObjectKind.POD, "a-pod", Location("theirs", "my-pipeline-theirs")),
        (ObjectKind.POD, "", None),
        (ObjectKind.RUN, "p1", None),
    ],
)
def test_the_location_of_an_object(
    namespaces: ObjectNamespaces, kind: ObjectKind, identifier: str, expected: Location | None
) -> None:
    assert namespaces.of(kind, identifier) == expected
    assert namespaces.of(kind, identifier) == expected


def test_a_task_is_where_its_run_is(namespaces: ObjectNamespaces) -> None:
    assert namespaces.of_task(OURS, "a-pod") == Location("ours", "my-pipeline-ours")
    assert namespaces.of_task("", "a-pod") == Location("theirs", "my-pipeline-theirs")
    assert namespaces.of_task("", "nobody") is None


def test_a_pod_that_tasks_of_several_runs_shared_is_no_runs(filled: Database, namespaces: ObjectNamespaces) -> None:
    """Who may read one of the runs may not read the others, whichever the database finds first."""
    assert namespaces.of_task("", "a-pod") == Location("theirs", "my-pipeline-theirs")
    sharing = [Task(THEIRS, path, path, TaskKind.CONTAINER, TaskState.RUNNING, pod_name="a-pod") for path in "bc"]
    with filled.writing() as uow:
        uow.tasks.upsert_many(sharing, {THEIRS: 2})
    assert namespaces.of_task("", "a-pod") == Location("theirs", "my-pipeline-theirs")
    with filled.reading() as uow:
        assert [one.run_id for one in uow.tasks.of_pod("", "a-pod")] == [THEIRS, THEIRS]
    with filled.writing() as uow:
        uow.tasks.upsert_many(
            [Task(OURS, "a", "a", TaskKind.CONTAINER, TaskState.RUNNING, pod_name="a-pod")], {OURS: 1}
        )
    assert namespaces.of_task("", "a-pod") is None
    with filled.reading() as uow:
        assert uow.tasks.of_pod("", "a-pod") == []
        assert [one.run_id for one in uow.tasks.of_pod(OURS, "a-pod")] == [OURS]
        assert uow.tasks.of_pod(OURS, "") == []


def test_what_is_not_there_is_looked_up_again(filled: Database, namespaces: ObjectNamespaces) -> None:
    assert namespaces.of(ObjectKind.EXPERIMENT, "e2") is None
    with filled.writing() as uow:
        uow.experiments.add(replace(experiment(2, "two"), namespace="theirs"))
    assert namespaces.of(ObjectKind.EXPERIMENT, "e2") == Location("theirs", "two")


@pytest.mark.parametrize(
    ("uri", "namespace"),
    [
        (f"s3://bucket/root/my-pipeline/{OURS}/a/{ATTEMPT}/out", "ours"),
        (f"s3://bucket/root/my-pipeline/{OURS}/a/{ATTEMPT}/", "ours"),
        (f"s3://bucket/root/my-pipeline/{OURS}", "ours"),
        (f"s3://bucket/root/my-pipeline/{OURS}/inner/my-pipeline/{THEIRS}/x", "theirs"),
        (f"s3://bucket/root/my-pipeline/{OURS}/a/{THEIRS}/x", "ours"),
        # Another bucket, store, root, pipeline, or a longer name.
        (f"s3://other/root/my-pipeline/{OURS}/out", None),
        (f"gs://bucket/root/my-pipeline/{OURS}/out", None),
        (f"s3://bucket/my-pipeline/{OURS}/out", None),
        (f"s3://bucket/root/other/{OURS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}0/{OURS}/out", None),
        # A way out of the place, however it is written.
        (f"s3://bucket/root/my-pipeline/{OURS}/../{THEIRS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/%2e%2e/{THEIRS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/%2E./{THEIRS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/a%2f..%2f{THEIRS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}//out", None),
        (f"s3://bucket//root/my-pipeline/{OURS}/out", None),
        (f"s3://bucket/root/./my-pipeline/{OURS}/out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/..\\out", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/a\0b", None),
        # Whoever names a URI does not own it; a run that has not begun has no place; what is no URI.
        ("s3://other/import", None),
        (f"s3://bucket/root/my-pipeline/{WAITING}/out", None),
        (OURS, None),
        ("", None),
        ("s3://bucket", None),
        (f"s3://bucket/root/my-pipeline/{OURS}/" + "/".join(f"{number:08x}{OURS[8:]}" for number in range(20)), None),
        ("s3://bucket/" + "a" * 5000, None),
    ],
)
def test_an_object_belongs_to_the_run_in_whose_place_it_lies(
    namespaces: ObjectNamespaces, uri: str, namespace: str | None
) -> None:
    found = namespaces.of_uri(uri)
    assert (found.namespace if found else None) == namespace


def test_a_file_lies_where_its_links_lead(filled: Database, namespaces: ObjectNamespaces, tmp_path: Path) -> None:
    root = (tmp_path / "artifacts of all").resolve()
    run_ids = {"ours": "55555555-5555-4555-8555-555555555555", "theirs": "66666666-6666-4666-8666-666666666666"}
    with filled.writing() as uow:
        stored = uow.runs.get(OURS)
        assert stored is not None
        for namespace, run_id in run_ids.items():
            uow.runs.add(replace(stored, run_id=run_id, namespace=namespace))
            uow.queue.append([LogEntry(run_id, 0, encode(RunStarted(1, root.as_uri())))])
            (root / "my-pipeline" / run_id).mkdir(parents=True)
    ours, theirs = (root / "my-pipeline" / run_id for run_id in run_ids.values())
    (theirs / "secret").write_text("x")
    (ours / "link").symlink_to(theirs / "secret")

    def namespace_of(uri: str) -> str | None:
        found = namespaces.of_uri(uri)
        return found.namespace if found else None

    assert namespace_of((ours / "out").as_uri()) == "ours"
    assert namespace_of(str(ours / "out")) == "ours"
    assert namespace_of((theirs / "secret").as_uri()) == "theirs"
    assert namespace_of((ours / "link").as_uri()) == "theirs"
    assert namespace_of(f"{ours.as_uri()}/../{theirs.name}/secret") == "theirs"
    assert namespace_of(f"{ours.as_uri()}/%2e%2e/{theirs.name}/secret") == "theirs"
    assert namespace_of(f"file://elsewhere{ours}/out") is None
    assert namespace_of((root / "out").as_uri()) is None


def test_a_version_is_found_only_where_its_pipeline_may_be_used(filled: Database) -> None:
    with filled.writing() as uow:
        first = uow.versions.get("v1")
        assert first is not None
        uow.versions.add(replace(first, pipeline_version_id="v2", pipeline_id="p2"))
    with filled.reading() as uow:
        found = {
            (version, namespaces): uow.versions.get(version, namespaces) is not None
            for version in ("v1", "v2")
            for namespaces in (("", "ours"), ("", "theirs"), None)
        }
    assert [key for key, there in found.items() if not there] == [("v1", ("", "theirs"))]
