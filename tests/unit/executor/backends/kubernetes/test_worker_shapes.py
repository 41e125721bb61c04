"""Pods and shapes that are made once for many tasks: what is found is what would be made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest
from cachetools import LRUCache
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from penstock_executor.attempts import AttemptKey, OutputArtifact, TaskLaunch
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.kubernetes.environment import attempt_variables
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import (
    ArtifactsClaim,
    CertificateBundle,
    NamespacePolicy,
    PodSettings,
)
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.workers import shapes
from penstock_executor.backends.kubernetes.workers.instructions import instructions
from penstock_executor.backends.kubernetes.workers.shapes import Shaped, shaped
from penstock_executor.backends.kubernetes.workers.worker_pod import lightweight_in_worker, shape_of, worker_pod
from penstock_executor.backends.task_paths import TaskPaths
from penstock_ir.artifact import Artifact
from penstock_ir.gangs import GangShare
from penstock_ir.model import ArtifactDefinition, ParameterType
from penstock_store.config import StoreConfig
from penstock_store.providers import parse_file

from tests.support.pods import KEY, ROOT, compiled, launch
from tools.testing.pod_settings import POLICY, SETTINGS


def _artifact(uri: str, *, workspace: bool = False) -> Artifact:
    return Artifact("a", "system.Model", uri, workspace=workspace)


SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}
MOUNTED = {
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}
AT_HOME = {**MOUNTED, "volumeMounts": [{"name": "data", "mountPath": "/.cache/data"}]}
SCRATCH = {"ownVolumes": [{"name": "own", "emptyDir": {}}], "ownVolumeMounts": [{"name": "own", "mountPath": "/own"}]}
WORKSPACE = {"workspace": {"claimName": "space", "spec": {}}}
PLATFORMS: tuple[Mapping[str, Any], ...] = (
    {},
    {"env": [SECRET]},
    {"env": [{**SECRET, "name": "OTHER"}]},
    MOUNTED,
    AT_HOME,
    SCRATCH,
    WORKSPACE,
    {"securityContext": {"runAsUser": 1234}},
    {"securityContext": {"runAsUser": True}},
    {"securityContext": {"runAsUser": 1}},
    {"labels": {"team": "a"}},
    {"annotations": {"team": "a"}},
    {"nodeSelector": {"gpu": "yes"}},
    {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
    {"affinity": {"nodeAffinity": {}}},
    {"imagePullPolicy": "Always"},
    {"imagePullSecrets": ["registry"]},
)
COMPONENTS = [compiled(packages) for packages in ("'six'", "'six' '--no-deps'", "--index-url https://$A 'six'")]
VALUES: Mapping[str, tuple[Any, ...]] = {
    "key": (KEY, replace(KEY, path="other", attempt=3), AttemptKey("4d3a1f0e-0000-4000-8000-000000000002", "train", 1)),
    "task_name": ("train", "other"),
    "pipeline_name": ("pipeline", "other"),
    "image": ("python:3.11", "python:3.12"),
    "command": (("train",), ("other", "$(A)"), *(one.command for one in COMPONENTS), COMPONENTS[0].command[3:]),
    "args": ((), ("x",), COMPONENTS[0].args),
    "env": ((), (("A", "1"),), (("A", "2"), ("PIP_INDEX_URL", "i")), (("PIP_INDEX_URL", "$(A)"), ("KEY", "x"))),
    "task_root": (ROOT, "gs://bucket/root/p/r/t/u", "file:///data/p/r/t/u", "az://bucket/root/p/r/t/u"),
    "inputs": ({}, {"x": 1}),
    "defaults": ({}, {"y": 1}),
    "input_artifacts": (
        {},
        {"a": (_artifact("gs://bucket/a"),)},
        {"a": (_artifact("https://elsewhere/a"),)},
        {"a": (_artifact("oci://registry/model:1"),)},
        {"a": (_artifact("s3://bucket/a", workspace=True),)},
        {"a": (_artifact("s3://other/a"), _artifact("az://bucket/b"))},
        {"a": (_artifact("s3://other/a"), _artifact("file:///data/b"))},
    ),
    "input_artifact_definitions": ({}, {"a": ArtifactDefinition("system.Model")}),
    "output_parameters": ({}, {"score": ParameterType.STRING}),
    "output_artifacts": (
        {},
        {"m": OutputArtifact(_artifact(f"{ROOT}/m"), ArtifactDefinition("system.Model"))},
        {"m": OutputArtifact(_artifact("gs://bucket/m"), ArtifactDefinition("system.Model"))},
    ),
    "resources": ({}, {"resourceMemoryLimit": "1Gi"}, {"resourceMemoryLimit": "2Gi"}),
    "kubernetes": PLATFORMS,
    "namespace": ("team", "", "other"),
    "service_account": ("", "trainer"),
    "deadline_seconds": (0.0, 5.0),
    "ttl_succeeded": (None, 1.0),
    "ttl_failed": (None, 1.0),
    "pipeline_root": ("", "s3://bucket/root", "s3://bucket/root?endpoint=http://other&region=x"),
    "run_display_name": ("My run", "Other"),
    "run_resource_name": ("my-run", "other"),
    "uses_workspace": (False, True),
    "pod_name": ("my-run-train-0123456789abcdef", "other"),
    "seen_running": (False, True),
    "may_exist": (False, True),
    "workers": ("", "run"),
    "gang": (None, GangShare("loop[*]/train", 4)),
    "together": (0, 4),
}
FILES = ArtifactsClaim("artifacts", "/data")
ALL_SETTINGS = (
    SETTINGS,
    replace(SETTINGS, artifacts_claim=FILES),
    replace(SETTINGS, artifacts_claim=FILES, certificates=CertificateBundle("ca"), proxy=(("http_proxy", "p"),)),
    replace(SETTINGS, agent_env_from_secret="more"),
    replace(SETTINGS, architecture="arm64", run_as_user=7, agent_image="other"),
)
POLICIES = (
    POLICY,
    NamespacePolicy(service_account="theirs", image_pull_secrets=("pull",)),
    NamespacePolicy(pod_template={"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "t"}]}]}}),
    NamespacePolicy(allowed={"images": ("python:3.11",), "importUris": ("s3://bucket/*",)}),
)


def _store(scheme: str, secret: str, **more: Any) -> StoreConfig:
    keys = {"secretName": secret, "accessKeyKey": "a", "secretKeyKey": "s"} if scheme == "s3" else {}
    credentials = {"secretRef": keys or {"secretName": secret, "tokenKey": "t"}}
    return parse_file(json.dumps({"providers": {scheme: {"default": {"credentials": credentials, **more}}}}))


ROLE = {"assumeRole": {"roleArn": "arn:aws:iam::123456789012:role/tasks"}}
STORES = (StoreConfig(), _store("s3", "one"), _store("s3", "two"), _store("gs", "one"), _store("s3", "one", **ROLE))


@dataclass(frozen=True)
class Place:
    settings: PodSettings = SETTINGS
    policy: NamespacePolicy = POLICY
    store: StoreConfig = field(default_factory=StoreConfig)
    isolation: str = "namespace"

    def found(self, task: TaskLaunch) -> Shaped:
        store = TaskStore(self.store, task)
        light = lightweight_in_worker(TaskPaths(task).command(), attempt_variables(task, self.settings))
        return shaped(task, light, self.settings, self.policy, store, frozenset(), self.isolation)

    def made(self, task: TaskLaunch) -> Shaped:
        pod = worker_pod(task, self.settings, self.policy, TaskStore(self.store, task), frozenset(), self.isolation)
        return Shaped(pod, shape_of(pod))


PLACES = st.builds(
    Place,
    st.sampled_from(ALL_SETTINGS),
    st.sampled_from(POLICIES),
    st.sampled_from(STORES),
    st.sampled_from(("run", "namespace")),
)
# Few things differ at a time, so that tasks that differ in one alone are often met.
CHANGES = st.lists(st.sampled_from([(name, value) for name, many in VALUES.items() for value in many]), max_size=4)


def test_each_field_of_a_task_has_several_values_here() -> None:
    assert VALUES.keys() == {one.name for one in fields(TaskLaunch)}
    assert all(len(many) > 1 for many in VALUES.values())


@examples(max_examples=1000)
@given(CHANGES, PLACES)
def test_what_is_found_is_what_would_be_made(changes: list[tuple[str, Any]], place: Place) -> None:
    task = replace(launch("train"), **dict(changes))
    assert _or_error(place.found, task) == _or_error(place.made, task)


def _or_error(work: Callable[[TaskLaunch], Shaped], task: TaskLaunch) -> Shaped | str:
    try:
        return work(task)
    except TaskSpecError as error:
        return str(error)


BASES = {"a command": launch("train", kubernetes=WORKSPACE), "a component": COMPONENTS[2]}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("name", VALUES)
def test_one_value_after_the_other(name: str, base: TaskLaunch) -> None:
    settings = replace(SETTINGS, artifacts_claim=FILES)
    place = Place(settings, store=STORES[1], isolation="run")
    for value in (*VALUES[name], *VALUES[name]):
        task = replace(base, **{"kubernetes": WORKSPACE, name: value})
        assert place.found(task) == place.made(task)


def test_the_deployments_own_secret_is_for_agents_that_need_it() -> None:
    """Azure and MinIO have the same places in a Pod; here a role is for one of them."""
    with_role = {"default": {"credentials": {"fromEnv": True}, "endpoint": "http://s3", **ROLE}}
    store = parse_file(json.dumps({"providers": {"s3": with_role, "minio": with_role}}))
    place = Place(replace(SETTINGS, agent_env_from_secret="more"), store=store)
    for uri in ("az://bucket/a", "minio://bucket/a", "az://bucket/a"):
        task = launch("train", reads={"a": [_artifact(uri)]})
        assert place.found(task) == place.made(task)


def test_one_place_after_the_other() -> None:
    settings = replace(SETTINGS, agent_env_from_secret="more")
    inputs = {"a": [_artifact("s3://bucket/a")], "b": [_artifact("gs://bucket/a")]}
    for store in (*STORES, *STORES):
        for isolation in ("run", "namespace"):
            place = Place(settings, store=store, isolation=isolation)
            for task in (
                launch("train"),
                launch("train", pod_name="other"),
                launch("train", reads=inputs),
                launch("train", task_root="s3://elsewhere/p/r/t/u", pipeline_root="s3://elsewhere?region=x"),
            ):
                assert place.found(task) == place.made(task)


@pytest.mark.parametrize("task", [launch("train"), COMPONENTS[0]], ids=["a command", "a component"])
def test_instructions_know_what_the_task_is(task: TaskLaunch) -> None:
    told = instructions(task, SETTINGS, POLICY, TaskStore(StoreConfig(), task))
    assert told.light == lightweight_in_worker(TaskPaths(task).command(), attempt_variables(task, SETTINGS))
    assert (told.light is not None) == (task is COMPONENTS[0])


def test_a_pod_is_made_once_for_many_attempts() -> None:
    place = Place()
    first = place.found(launch("train", "1", env=(("A", "1"),)))
    for attempt in range(2, 5):
        task = launch("train", str(attempt), env=(("A", str(attempt)),), key=replace(KEY, path=f"t{attempt}"))
        assert place.found(task).pod is first.pod


def test_what_a_task_may_have_is_checked_for_each() -> None:
    place = Place(policy=POLICIES[3])
    place.found(launch("train", reads={"a": [_artifact("s3://bucket/a")]}))
    with pytest.raises(PodSpecError, match="importUris"):
        place.found(launch("train", reads={"a": [_artifact("s3://other/a")]}))


def test_no_more_is_kept_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    one = len(json.dumps(Place().made(launch("train")).pod))
    monkeypatch.setattr(shapes, "_known", LRUCache(3 * one, getsizeof=lambda known: known.size))
    for number in range(10):
        task = launch("train", image=f"image:{number}")
        assert Place().found(task) == Place().made(task)
    assert len(shapes._known) <= 3
    large = launch("train", kubernetes={"labels": {"large": "x" * 4 * one}})
    assert Place().found(large) == Place().made(large)
