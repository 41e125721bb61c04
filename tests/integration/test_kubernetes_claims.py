"""Claims on a simulated API server: which a task may delete, and which it may mount under a list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.attempts import TaskOutcome
from penstock_ir.event_log import FailureKind

from tests.support.kube_bench import RUN, Bench, bench

CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
OF_RUN = {"penstock.dev/instance": "here", "pipeline/runid": RUN}


async def claim(b: Bench, name: str, labels: Mapping[str, str] | None = None) -> None:
    await b.client.create(CLAIMS, {"metadata": {"name": name, "labels": dict(labels or {})}, "spec": {}})


async def allow(b: Bench, **lists: str) -> None:
    await b.client.create(
        "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "penstock"}, "data": dict(lists)}
    )


async def claims(b: Bench) -> list[str]:
    return sorted(one["metadata"]["name"] for one in (await b.client.get(CLAIMS))["items"])


async def deleting(b: Bench, name: str) -> TaskOutcome:
    backend = await b.backend()
    task = b.task(image="argostub/deletepvc", command=(), inputs={"pvc_name": name})
    await backend.launch(task)
    try:
        return await b.outcome(task.key)
    finally:
        await backend.close()


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("penstock-data", {}, "the claim 'penstock-data' is the installation's own, which no task may use"),
        ("penstock-artifacts", OF_RUN, "the claim 'penstock-artifacts' is the installation's own"),
        ("theirs", {}, "the claim 'theirs' is not allowed in this namespace: the list 'deletableClaims' of its Config"),
        ("other-runs", {**OF_RUN, "pipeline/runid": "other"}, "the list 'deletableClaims' of its ConfigMap"),
        ("others", {**OF_RUN, "penstock.dev/instance": "there"}, "the list 'deletableClaims' of its ConfigMap"),
    ],
)
async def test_claims_that_a_task_may_not_delete(tmp_path: Path, name: str, labels: dict[str, str], words: str) -> None:
    async with bench(tmp_path) as b:
        await claim(b, name, labels)
        outcome = await deleting(b, name)
        assert outcome.failure is FailureKind.CONFIGURATION and words in outcome.error, outcome.error
        assert outcome.error.startswith("pvc_name of the claim to delete: ")
        assert await claims(b) == [name]


async def test_no_list_gives_our_claims_away(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await allow(b, claims="*", deletableClaims="*")
        await claim(b, "penstock-data")
        assert "is the installation's own" in (await deleting(b, "penstock-data")).error
        assert await claims(b) == ["penstock-data"]


@pytest.mark.parametrize("end", ["?", "?dryRun=All", "#x", "%3F", "/", "/../penstock-data", "//", "\n"])
async def test_nor_does_a_name_that_is_none(tmp_path: Path, end: str) -> None:
    """What is compared with the list is the claim that the API server is asked for."""
    async with bench(tmp_path) as b:
        await allow(b, claims="*", deletableClaims="*")
        await claim(b, "penstock-data")
        outcome = await deleting(b, f"penstock-data{end}")
        assert outcome.failure is FailureKind.CONFIGURATION, outcome
        assert "it holds what no name of an object has" in outcome.error
        assert await claims(b) == ["penstock-data"]


@pytest.mark.parametrize(("labels", "lists"), [(OF_RUN, {}), ({}, {"deletableClaims": "old-*"})])
async def test_claims_that_a_task_may_delete(tmp_path: Path, labels: dict[str, str], lists: dict[str, str]) -> None:
    async with bench(tmp_path) as b:
        if lists:
            await allow(b, **lists)
        await claim(b, "old-data", labels)
        outcome = await deleting(b, "old-data")
        assert outcome.succeeded, outcome.error
        assert await claims(b) == []


@pytest.mark.parametrize(
    ("labels", "refused"), [(OF_RUN, False), ({**OF_RUN, "pipeline/runid": "other"}, True), (None, True)]
)
async def test_under_a_list_a_task_mounts_what_its_own_run_made(
    tmp_path: Path, labels: dict[str, str] | None, refused: bool
) -> None:
    volume: dict[str, Any] = {"name": "v", "persistentVolumeClaim": {"claimName": "made"}}
    async with bench(tmp_path) as b:
        await allow(b, claims="team-*")
        if labels is not None:
            await claim(b, "made", labels)
        backend = await b.backend()
        task = b.task(kubernetes={"volumes": [volume], "volumeMounts": [{"name": "v", "mountPath": "/d"}]})
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.succeeded is not refused, outcome.error
        if refused:
            assert "kubernetes.pvcMount: the claim 'made' is not allowed" in outcome.error
            assert await b.pods() == []
        await backend.close()
