"""What a pipeline's author reaches through a task's Pod: never the installation's own, else what a list says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.allowed import WORDS
from penstock_executor.backends.kubernetes.claims import check_new_claim
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.policy import parse_policy
from penstock_executor.backends.kubernetes.settings import ArtifactsClaim, NamespacePolicy, PodSettings
from penstock_ir.artifact import Artifact

from tests.support.kubernetes_settings import resolved
from tests.support.pods import agent_of, launch, pod
from tools.testing.pod_settings import POLICY, SETTINGS

EVERYTHING = dict.fromkeys(WORDS, "*")


def refused(task: TaskLaunch, policy: NamespacePolicy = POLICY, settings: PodSettings = SETTINGS) -> str:
    with pytest.raises(PodSpecError) as error:
        pod(task, settings, policy)
    return str(error.value)


def of(config: dict[str, Any]) -> TaskLaunch:
    """A task whose pipeline has these settings of kfp-kubernetes."""
    return launch("true", kubernetes=resolved(config))


def secret_env(name: str) -> dict[str, Any]:
    return {"secretAsEnv": [{"secretName": name, "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]}


def ephemeral(**metadata: Any) -> dict[str, Any]:
    volume: dict[str, Any] = {"volumeName": "v", "mountPath": "/v", "accessModes": ["ReadWriteOnce"], "size": "1Gi"}
    volume["defaultStorageClass"] = True
    return {"genericEphemeralVolume": [{**volume, "metadata": metadata}]}


OURS = [
    ({"pvcMount": [{"constant": "penstock-data", "mountPath": "/d"}]}, "pvcMount: the claim 'penstock-data'"),
    ({"pvcMount": [{"constant": "penstock-artifacts", "mountPath": "/d"}]}, "the claim 'penstock-artifacts'"),
    (secret_env("penstock-store"), "secretAsEnv: the Secret 'penstock-store'"),
    (secret_env("penstock-database"), "the Secret 'penstock-database'"),
    ({"secretAsVolume": [{"secretName": "penstock-store", "mountPath": "/s"}]}, "secretAsVolume: the Secret"),
    ({"imagePullSecret": [{"secretName": "penstock-store"}]}, "imagePullSecret: the Secret 'penstock-store'"),
    (
        {"configMapAsEnv": [{"configMapName": "penstock", "keyToEnv": [{"configMapKey": "security", "envVar": "V"}]}]},
        "configMapAsEnv: the ConfigMap 'penstock'",
    ),
    (
        {"configMapAsVolume": [{"configMapName": "penstock-store-5h2k", "mountPath": "/c"}]},
        "configMapAsVolume: the ConfigMap 'penstock-store-5h2k'",
    ),
    ({"podMetadata": {"labels": {"app.kubernetes.io/part-of": "penstock"}}}, "podMetadata.labels: the label"),
    ({"podMetadata": {"labels": {"pipelines.kubeflow.org/x": "1"}}}, "the label 'pipelines.kubeflow.org/x'"),
    ({"podMetadata": {"labels": {"penstock.dev/instance": "x"}}}, "the label 'penstock.dev/instance'"),
    ({"podMetadata": {"annotations": {"penstock.dev/log": "s3://x"}}}, "the annotation 'penstock.dev/log'"),
    (ephemeral(labels={"penstock.dev/workspace": "true"}), "genericEphemeralVolume.metadata.labels: the label"),
]


@pytest.mark.parametrize(("config", "words"), OURS)
def test_what_is_the_installations_no_list_gives_away(config: dict[str, Any], words: str) -> None:
    task = of(config)
    for policy in (POLICY, parse_policy(EVERYTHING)):
        text = refused(task, policy)
        assert words in text and "is the installation's own, which no task may use" in text


@pytest.mark.parametrize("account", ["penstock-executor", "penstock-server"])
def test_nothing_runs_as_the_installation(account: str) -> None:
    text = refused(launch("true", service_account=account), parse_policy(EVERYTHING))
    assert text.startswith(f"service_account of the run: the ServiceAccount {account!r} is the installation's own")
    assert "serviceAccount of the ConfigMap 'penstock'" in refused(
        launch("true"), parse_policy({"serviceAccount": account})
    )


def test_the_names_of_an_installation_are_its_settings() -> None:
    settings = replace(
        SETTINGS,
        own=OwnNames(secrets=("prod-keys",)),
        agent_env_from_secret="agents",
        artifacts_claim=ArtifactsClaim("files", "/artifacts"),
    )
    for name in ("prod-keys", "agents"):
        assert f"the Secret {name!r}" in refused(of(secret_env(name)), settings=settings)
    assert "the claim 'files'" in refused(
        of({"pvcMount": [{"constant": "files", "mountPath": "/d"}]}), settings=settings
    )
    assert pod(of(secret_env("penstock-store")), settings)


TOKEN = {"podMetadata": {"annotations": {"penstock.dev/service-account-token": "true"}}}
LISTED: list[tuple[dict[str, Any], str, str, str]] = [
    (secret_env("team-a"), "secrets", "team-*", "secretAsEnv: the Secret 'team-a'"),
    ({"secretAsVolume": [{"secretName": "team-a", "mountPath": "/s"}]}, "secrets", "team-a", "secretAsVolume"),
    ({"imagePullSecret": [{"secretName": "pull"}]}, "secrets", "pull", "imagePullSecret: the Secret 'pull'"),
    ({"configMapAsVolume": [{"configMapName": "c", "mountPath": "/c"}]}, "configMaps", "c", "the ConfigMap 'c'"),
    ({"pvcMount": [{"constant": "d", "mountPath": "/d"}]}, "claims", "x, d", "pvcMount: the claim 'd'"),
    ({"podMetadata": {"labels": {"cost/team": "a"}}}, "labels", "cost/*", "the label 'cost/team'"),
    ({"podMetadata": {"annotations": {"iam/role": "r"}}}, "annotations", "iam/role", "the annotation 'iam/role'"),
    (TOKEN, "annotations", "penstock.dev/service-account-token", "service-account-token'"),
    (ephemeral(annotations={"a": "b"}), "annotations", "a", "genericEphemeralVolume.metadata.annotations"),
    (
        {"initContainers": [{"name": "i", "image": "evil:1"}]},
        "images",
        "python:* evil:1",
        "kubernetes.initContainers[i]: the image 'evil:1'",
    ),
]


@pytest.mark.parametrize(("config", "key", "patterns", "words"), LISTED)
def test_a_list_says_what_its_tasks_may_use(config: dict[str, Any], key: str, patterns: str, words: str) -> None:
    task = of(config)
    assert pod(task) == pod(task, policy=parse_policy({key: patterns}))
    text = refused(task, parse_policy({key: "python:3.11, other"}))
    assert words in text and f"the list {key!r} of its ConfigMap 'penstock' does not name it" in text
    assert f"the list {key!r}" in refused(task, parse_policy({key: ""})), "a list without a name allows none"


def test_service_accounts_and_images_of_the_run() -> None:
    task = launch("true", service_account="team", image="registry/team/train:1")
    assert pod(task, policy=parse_policy({"serviceAccounts": "team", "images": "registry/team/*"}))
    assert "service_account of the run: the ServiceAccount 'team'" in refused(
        task, parse_policy({"serviceAccounts": "x"})
    )
    assert "image: the image 'registry/team/train:1'" in refused(task, parse_policy({"images": "registry/other/*"}))
    assert pod(launch("true"), policy=parse_policy({"serviceAccounts": ""})), "a run need not name one"


MODEL = {"model": [Artifact("m", "system.Model", "oci://registry/model:1")]}


def test_models_in_images_are_images() -> None:
    task = launch("true", reads=MODEL)
    assert pod(task, policy=parse_policy({"images": "python:* registry/*"}))
    assert "input 'model': the image 'registry/model:1'" in refused(task, parse_policy({"images": "python:*"}))


@pytest.mark.parametrize(
    ("root", "patterns", "allowed"),
    [
        ("s3://bucket/team/a", "s3://bucket/team/*", True),
        ("s3://bucket/other", "s3://bucket/team/*", False),
        ("s3://bucket/team/../other", "s3://bucket/team/*", False),
        # The settings of a root lead to any endpoint, with the credentials of the environment.
        ("s3://bucket/team/a?endpoint=http://evil", "s3://bucket/team/*", False),
        ("s3://bucket/team/a?region=eu", "s3://bucket/team/*?region=*", True),
        ("s3://bucket/team/a?endpoint=x", "s3://bucket/team/*?region=*", False),
        ("s3://bucket/default/", "", True),
    ],
)
def test_pipeline_roots(root: str, patterns: str, allowed: bool) -> None:
    policy = parse_policy({"pipelineRoots": patterns}, "s3://bucket/default")
    task = launch("true", pipeline_root=root)
    if allowed:
        assert pod(task, policy=policy) == pod(task)
    else:
        assert f"pipeline_root of the run: the pipeline root {root!r}" in refused(task, policy)


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("s3://lake/open/x", True),
        ("s3://lake/closed/x", False),
        ("s3://lake/open/../closed/x", False),
        ("s3://bucket/own/pipeline/run/x", True),
        ("s3://bucket/own/../x", False),
        ("s3://bucket/owner/x", False),
        ("s3://bucket/default/pipeline/run/x", True),
        ("s3://listed/x", True),
    ],
)
def test_places_of_artifacts(uri: str, allowed: bool) -> None:
    policy = parse_policy({"importUris": "s3://lake/open/*", "pipelineRoots": "s3://bucket/own s3://listed/*"})
    policy = replace(policy, default_root="s3://bucket/default")
    task = launch("true", pipeline_root="s3://bucket/own", reads={"data": [Artifact("d", "system.Dataset", uri)]})
    if allowed:
        assert pod(task, policy=policy)
    else:
        assert f"input 'data': the URI {uri!r} is not allowed" in refused(task, policy)


@pytest.mark.parametrize(
    ("data", "places"), [({}, None), ({"pipelineRoots": "s3://a/* s3://b"}, ["s3://a/*", "s3://b"])]
)
def test_the_agent_is_told_where_a_task_may_store(data: dict[str, str], places: list[str] | None) -> None:
    found = agent_of(pod(launch("true", artifacts={"m": "system.Model"}), policy=parse_policy(data)))
    assert json.loads(found["env"][0]["value"])["places"] == places


def test_a_root_is_no_pattern() -> None:
    policy = parse_policy({"importUris": ""})
    task = launch("true", pipeline_root="s3://*", reads={"data": [Artifact("d", "system.Dataset", "s3://b/x")]})
    assert "the URI 's3://b/x'" in refused(task, policy)


PLAIN = {"access_modes": ["ReadWriteOnce"], "size": "1Gi"}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"pvc_name": "penstock-data"}, "pvc_name of the claim: the claim 'penstock-data' is the installation's own"),
        (
            {"data_source": {"kind": "PersistentVolumeClaim", "name": "penstock-data"}},
            "data_source of the claim: the claim 'penstock-data' is the installation's own",
        ),
        ({"annotations": {"penstock.dev/path": "x"}}, "annotations of the claim: the annotation 'penstock.dev/path'"),
    ],
)
def test_a_new_claim_shows_nothing_of_ours(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(PodSpecError) as error:
        check_new_claim(launch(image="argostub/createpvc", inputs={**PLAIN, **inputs}), POLICY, OwnNames())
    assert words in str(error.value)


def test_a_new_claim_has_a_listed_name_or_one_of_its_run() -> None:
    policy = parse_policy({"claims": "team-*"})

    def check(**inputs: Any) -> None:
        check_new_claim(launch(image="argostub/createpvc", inputs={**PLAIN, **inputs}), policy, OwnNames())

    check(pvc_name="team-data", data_source={"kind": "VolumeSnapshot", "name": "team-old"})
    check(pvc_name_suffix="cache")
    for inputs in ({"pvc_name": "data"}, {"data_source": {"kind": "VolumeSnapshot", "name": "old"}}):
        with pytest.raises(PodSpecError, match="the list 'claims' of its ConfigMap"):
            check(**inputs)
