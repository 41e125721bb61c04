"""Temporary credentials of attempts, on the simulated API server: made, adopted, renewed, refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.attempts import OutputArtifact, TaskLaunch
from penstock_executor.backends.base import LeaseUncertainError
from penstock_executor.backends.kubernetes import sessions
from penstock_executor.backends.kubernetes.backend import KubernetesBackend
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import FailureKind
from penstock_ir.model import ArtifactDefinition
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file
from penstock_store.session_keys import SessionKeys

from tests.support.kube_bench import RUN, Bench, bench, well
from tests.support.role_store import ROLE, RoleStore, role_store
from tools import object_stores
from tools.sim_kube.faults import Fault
from tools.sim_kube.outcome import Outcome

_FOREVER = Outcome("runs-forever")
_FILE = "PENSTOCK_STORE_S3"


@pytest.fixture(scope="module")
def s3() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["bucket"]) as store:
        yield store


@pytest.fixture
def roles(s3: object_stores.ObjectStore) -> Iterator[RoleStore]:
    with role_store(s3) as made:
        yield made


def config(roles: RoleStore, **role: Any) -> StoreConfig:
    default = {"endpoint": roles.endpoint, "region": "us-east-1", "credentials": {"fromEnv": True}}
    default["assumeRole"] = {"roleArn": ROLE, **role}
    return parse_file(
        json.dumps({"defaultPipelineRoot": "s3://bucket/root", "providers": {"s3": {"default": default}}})
    )


async def backend(b: Bench, roles: RoleStore, **settings: Any) -> KubernetesBackend:
    keys = {"AWS_ACCESS_KEY_ID": roles.store.access_key, "AWS_SECRET_ACCESS_KEY": roles.store.secret_key}
    return await b.backend(config(roles), keys, **settings)


def task(b: Bench, name: str = "t", **fields: Any) -> TaskLaunch:
    """One with an output, so that it has an agent."""
    root = f"s3://bucket/root/p/{RUN}/{name}/uuid"
    output = OutputArtifact(Artifact("model", "system.Model", f"{root}/model"), ArtifactDefinition("system.Model"))
    given = {"task_root": root, "pipeline_root": "s3://bucket/root", "output_artifacts": {"model": output}}
    return b.task(name, **{**given, **fields})


async def secrets(b: Bench) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await b.client.get("/api/v1/namespaces/default/secrets"))["items"]
    return items


def keys_in(secret: dict[str, Any]) -> SessionKeys:
    return SessionKeys.from_json(base64.b64decode(secret["data"][_FILE]).decode())


async def made(b: Bench, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await secrets(b)
        return len(found) == count

    await b.until(there)
    return found


async def test_a_secret_of_its_own_that_goes_with_its_pod(tmp_path: Path, roles: RoleStore) -> None:
    async with bench(tmp_path, _FOREVER) as b:
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        (secret,) = await made(b)
        (pod,) = await b.pods()
        name = f"penstock-session-{attempt.pod_name}"
        assert secret["metadata"]["name"] == name
        owner = {"apiVersion": "v1", "kind": "Pod", "name": attempt.pod_name, "uid": pod["metadata"]["uid"]}
        assert secret["metadata"]["ownerReferences"] == [owner]
        assert keys_in(secret).access_key in roles.sessions
        spec = pod["spec"]
        assert {"name": "penstock-sessions", "secret": {"secretName": name, "defaultMode": 0o444}} in spec["volumes"]
        mounting = [
            one["name"]
            for one in spec["containers"]
            if any(mount["name"] == "penstock-sessions" for mount in one["volumeMounts"])
        ]
        assert mounting == ["agent"]
        text = json.dumps(pod)
        assert roles.store.secret_key not in text
        assert keys_in(secret).secret_key not in text
        await running.close()


async def test_one_more_object_only_where_a_role_is_named(tmp_path: Path, roles: RoleStore) -> None:
    async with bench(tmp_path) as b:
        running = await b.backend()
        plain = b.task()
        await running.launch(plain)
        assert (await b.outcome(plain.key)).succeeded
        await running.close()
        running = await backend(b, roles)
        alone = task(b, "alone", output_artifacts={})
        await running.launch(alone)
        assert (await b.outcome(alone.key)).succeeded
        assert await secrets(b) == []
        assert roles.sessions == {}
        assert not any("secrets" in request for request in b.kube.stats()["requests"] if "GET" not in request)
        await running.close()


async def test_whoever_adopts_gives_new_keys(tmp_path: Path, roles: RoleStore) -> None:
    async with bench(tmp_path, _FOREVER) as b:
        first, attempt = await backend(b, roles), task(b)
        await first.launch(attempt)
        (before,) = await made(b)
        await first.close()
        second = await backend(b, roles)
        await second.launch(attempt)

        async def renewed() -> bool:
            return keys_in((await secrets(b))[0]) != keys_in(before)

        await b.until(renewed)
        assert len(await b.pods()) == 1
        assert [one["metadata"]["name"] for one in await secrets(b)] == [before["metadata"]["name"]]
        await second.close()


async def test_an_executor_that_died_between_pod_and_secret(tmp_path: Path, roles: RoleStore) -> None:
    async with bench(tmp_path, _FOREVER) as b:
        b.kube.faults.add(Fault(action="hang", method="POST", path="/secrets$", times=1))
        first, attempt = await backend(b, roles), task(b)
        await first.launch(attempt)
        assert len(await b.pods()) == 1
        await first.close()
        assert await secrets(b) == []
        second = await backend(b, roles)
        await second.launch(attempt)
        await made(b)
        assert b.kube.stats()["pods_created"] == 1
        await second.close()


@pytest.mark.parametrize("action", ["drop-after", "status"])
async def test_an_answer_that_is_lost(tmp_path: Path, roles: RoleStore, action: str) -> None:
    async with bench(tmp_path, _FOREVER) as b:
        b.kube.faults.add(Fault(action=action, status=500, method="POST", path="/secrets$", times=1))
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        await made(b)
        await running.close()


async def test_renewed_when_half_of_the_time_is_over_until_the_end(tmp_path: Path, roles: RoleStore) -> None:
    roles.seconds = 2
    async with bench(tmp_path, _FOREVER) as b:
        running, attempt = await backend(b, roles, cancel_grace_seconds=0), task(b)
        await running.launch(attempt)
        (first,) = await made(b)

        async def twice() -> bool:
            return len(roles.sessions) >= 3

        await b.until(twice)
        (later,) = await secrets(b)
        assert keys_in(later).expires_at > keys_in(first).expires_at
        policies = {session.asked["Policy"] for session in roles.sessions.values()}
        assert len(policies) == 1, "renewal changes no right"
        await running.cancel(attempt.key)
        await b.outcome(attempt.key)
        assert running._attempts[attempt.key].keeping is not None
        await b.until(lambda: _done(running, attempt))
        await running.close()


async def _done(running: KubernetesBackend, attempt: TaskLaunch) -> bool:
    keeping = running._attempts[attempt.key].keeping
    return keeping is not None and keeping.done()


async def test_a_service_that_fails_for_now_is_asked_again(tmp_path: Path, roles: RoleStore) -> None:
    roles.refusals = [(500, "InternalFailure"), (503, "ServiceUnavailable"), (400, "Throttling")]
    async with bench(tmp_path, _FOREVER) as b:
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        await made(b)
        assert roles.refusals == []
        await running.close()


async def test_one_that_goes_on_failing_is_a_fault_of_the_infrastructure(
    tmp_path: Path, roles: RoleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_ISSUE_SECONDS", 0.5)
    roles.refusals = [(500, "InternalFailure")] * 100
    async with bench(tmp_path) as b:
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        outcome = await b.outcome(attempt.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert outcome.error.startswith("providers.s3.default.assumeRole: ")
        assert await b.pods() == []
        await running.close()


async def test_one_that_refuses_is_told_with_the_setting_and_leaves_no_pod(tmp_path: Path, roles: RoleStore) -> None:
    roles.refusals = [(403, "AccessDenied")]
    async with bench(tmp_path) as b:
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        outcome = await b.outcome(attempt.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert outcome.error.startswith("providers.s3.default.assumeRole: ")
        assert "AccessDenied" in outcome.error
        assert await b.pods() == []
        await running.close()


async def test_a_lease_that_ran_out_while_the_service_failed(tmp_path: Path, roles: RoleStore) -> None:
    roles.refusals = [(500, "InternalFailure")]
    async with bench(tmp_path) as b:
        running, attempt = await backend(b, roles), task(b)
        answers = iter([False])
        b.runs.may_act = lambda run_id: next(answers, False)  # type: ignore[method-assign]
        with pytest.raises(LeaseUncertainError):
            await running.launch(attempt)
        assert await b.pods() == []
        await running.close()


async def test_a_secret_that_is_refused_ends_the_attempt_before_it_begins(tmp_path: Path, roles: RoleStore) -> None:
    async with bench(tmp_path, _FOREVER) as b:
        refused = Fault(status=403, method="POST", path="/secrets$", reason="Forbidden", message="no secrets here")
        b.kube.faults.add(refused)
        running, attempt = await backend(b, roles, cancel_grace_seconds=0), task(b)
        await running.launch(attempt)
        outcome = await b.outcome(attempt.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert "credentials cannot be stored for its agent" in outcome.error
        assert "no secrets here" in outcome.error
        assert await b.pods() == []
        await running.close()


async def test_a_result_of_the_agent_counts_as_ever(tmp_path: Path, roles: RoleStore) -> None:
    ended = Outcome(messages={"agent": well()})
    async with bench(tmp_path, ended) as b:
        running, attempt = await backend(b, roles), task(b)
        await running.launch(attempt)
        outcome = await b.outcome(attempt.key)
        assert outcome.succeeded, outcome.error
        await running.close()


async def test_in_another_namespace_the_deployments_role_is_not_taken(tmp_path: Path, roles: RoleStore) -> None:
    """Its pipelines name what they read; its own credentials decide whether they may."""
    async with bench(tmp_path, _FOREVER) as b:
        await b.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        running, attempt = await backend(b, roles), task(b, namespace="team")
        await running.launch(attempt)
        (pod,) = (await b.client.get("/api/v1/namespaces/team/pods"))["items"]
        assert "penstock-session" not in json.dumps(pod)
        assert roles.sessions == {}
        await running.close()


async def test_a_namespace_has_its_own_role_and_its_own_secret(tmp_path: Path, roles: RoleStore) -> None:
    keys = {"id": roles.store.access_key, "secret": roles.store.secret_key}
    reference = {"secretRef": {"secretName": "store", "accessKeyKey": "id", "secretKeyKey": "secret"}}
    default = {"endpoint": roles.endpoint, "credentials": reference, "assumeRole": {"roleArn": ROLE}}
    async with bench(tmp_path, _FOREVER) as b:
        team = "/api/v1/namespaces/team"
        await b.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        data = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
        await b.client.create(f"{team}/secrets", {"metadata": {"name": "store"}, "data": data})
        launcher = {"providers": json.dumps({"s3": {"default": default}})}
        await b.client.create(f"{team}/configmaps", {"metadata": {"name": "kfp-launcher"}, "data": launcher})
        running = await b.backend(config(roles), {"AWS_ACCESS_KEY_ID": "no", "AWS_SECRET_ACCESS_KEY": "no"})
        attempt = task(b, namespace="team")
        await running.launch(attempt)

        async def there() -> bool:
            names = {one["metadata"]["name"] for one in (await b.client.get(f"{team}/secrets"))["items"]}
            return f"penstock-session-{attempt.pod_name}" in names

        await b.until(there)
        assert len(roles.sessions) == 1
        (pod,) = (await b.client.get(f"{team}/pods"))["items"]
        assert '"store"' not in json.dumps(pod["spec"]), "its Secret is in no Pod"
        await running.close()
