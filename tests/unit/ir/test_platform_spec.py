"""Settings of the platform document: known at every depth, or refused by their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from penstock_ir.compile import compile_pipeline
from penstock_ir.errors import InvalidSpecError
from penstock_ir.loader import document_from_json, parse_package

from tools.testing import specs

LABEL = "platforms.kubernetes.deploymentSpec.executors.exec-only"


def with_settings(settings: Any) -> dict[str, Any]:
    kubernetes = {"deploymentSpec": {"executors": {"exec-only": settings}}}
    return {"pipeline_spec": specs.container(["true"]), "platform_spec": {"platforms": {"kubernetes": kubernetes}}}


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({"resourceClaims": [{"name": "gpu"}]}, ["resourceClaims"]),
        ({"secretAsEnv": [{}, {"secretName": "s", "key_to_environment": []}]}, ["secretAsEnv[1].key_to_environment"]),
        ({"initContainers": [{"resources": {"claims": []}}]}, ["initContainers[0].resources.claims"]),
        ({"podMetadata": {"finalizers": []}, "priority": 1}, ["podMetadata.finalizers", "priority"]),
        (
            {"pvcMount": [{"pvcNameParameter": {"runtimeValue": {"constants": 1}}}]},
            ["pvcMount[0].pvcNameParameter.runtimeValue.constants"],
        ),
        ({"securityContext": {"runAsUser": 1, "privileged": True}}, ["securityContext.privileged"]),
        ({"nodeAffinity": [{"matchExpressions": [{"op": "In"}]}]}, ["nodeAffinity[0].matchExpressions[0].op"]),
        ({"empty_dir_mounts": [{"volume_name": "v", "read_only": True}]}, ["empty_dir_mounts[0].read_only"]),
    ],
)
def test_unknown_settings_are_named(settings: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(InvalidSpecError, match="does not know this setting") as caught:
        document_from_json(with_settings(settings))
    assert [problem.place for problem in caught.value.problems] == [f"{LABEL}.{place}" for place in places]


@pytest.mark.parametrize(
    ("kubernetes", "place"),
    [
        ({"pipelineConfig": {"semaphoreKey": "s"}}, "pipelineConfig.semaphoreKey"),
        ({"pipelineConfig": {"workspace": {"medium": "x"}}}, "pipelineConfig.workspace.medium"),
        ({"config": {"queue": "q"}}, "config.queue"),
        ({"deploymentSpec": {"images": {}}}, "deploymentSpec.images"),
        ({"deployments": {}}, "deployments"),
    ],
)
def test_so_are_those_around_them(kubernetes: dict[str, Any], place: str) -> None:
    platform = {"platforms": {"kubernetes": kubernetes}}
    with pytest.raises(InvalidSpecError) as caught:
        document_from_json({"pipeline_spec": specs.container(["true"]), "platform_spec": platform})
    assert [problem.place for problem in caught.value.problems] == [f"platforms.kubernetes.{place}"]


@pytest.mark.parametrize("platform", ["Kubernetes", "aws", ""])
def test_settings_of_another_platform_are_refused(platform: str) -> None:
    document = with_settings({})
    settings = document["platform_spec"]["platforms"].pop("kubernetes")
    document["platform_spec"]["platforms"][platform] = settings
    text = yaml.safe_dump_all([document["pipeline_spec"], document["platform_spec"]])
    with pytest.raises(InvalidSpecError, match="is 'kubernetes'") as caught:
        document_from_json(document)
    with pytest.raises(InvalidSpecError) as uploaded:
        parse_package(text.encode())
    for refused in (caught.value, uploaded.value):
        assert [problem.place for problem in refused.problems] == [f"platforms.{platform}"]


def test_settings_of_an_executor_that_is_not_there_are_refused() -> None:
    document = with_settings({})
    executors = document["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors["exec-other"] = {"imagePullPolicy": "Always"}
    with pytest.raises(InvalidSpecError, match="the pipeline has no such executor") as caught:
        document_from_json(document)
    (problem,) = caught.value.problems
    assert problem.place == "platforms.kubernetes.deploymentSpec.executors.exec-other"


def test_an_upload_is_refused_alike() -> None:
    document = with_settings({"resourceClaims": []})
    text = yaml.safe_dump_all([document["pipeline_spec"], document["platform_spec"]])
    with pytest.raises(InvalidSpecError, match=rf"{LABEL}\.resourceClaims: "):
        parse_package(text.encode())


@pytest.mark.parametrize("settings", [{"secretAsEnv": {}}, {"imagePullPolicy": 1}, [], "text", {"tolerations": ["x"]}])
def test_settings_of_the_wrong_kind_are_named(settings: Any) -> None:
    with pytest.raises(InvalidSpecError):
        document_from_json(with_settings(settings))


def test_both_spellings_are_one() -> None:
    snake = {"secret_as_env": [{"secret_name": "s", "key_to_env": [{"secret_key": "k", "env_var": "V"}]}]}
    camel = {"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]}
    toleration = {
        "tolerations": [{"toleration_json": {"runtimeValue": {"constant": {"toleration_seconds": 2**53 + 1}}}}]
    }
    found = document_from_json(with_settings({**snake, **toleration}))
    component = compile_pipeline(found).root.implementation.tasks[0].component  # type: ignore[union-attr]
    assert component.kubernetes["secretAsEnv"] == camel["secretAsEnv"]
    constant = {"runtimeValue": {"constant": {"toleration_seconds": 2**53 + 1}}}
    assert component.kubernetes["tolerations"] == [{"tolerationJson": constant}]
    assert document_from_json(with_settings(camel)).spec_hash() == document_from_json(with_settings(snake)).spec_hash()


WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  generateName: old-
spec:
  entrypoint: old
  templates: []
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (WORKFLOW, r"an Argo Workflow \(argoproj.io/v1alpha1\).*version 1 of the kfp SDK.*from version 2 on"),
        (json.dumps(yaml.safe_load(WORKFLOW)), "an Argo Workflow"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate", "an Argo WorkflowTemplate"),
        ("apiVersion: tekton.dev/v1\nkind: PipelineRun", r"a Kubernetes object \(PipelineRun of tekton.dev/v1\)"),
    ],
)
def test_documents_of_version_1_are_recognised(text: str, error: str) -> None:
    with pytest.raises(InvalidSpecError, match=error):
        parse_package(text.encode())
