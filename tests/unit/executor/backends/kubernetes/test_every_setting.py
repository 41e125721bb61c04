"""Every setting of a pipeline about its Pods and claims has a decision in docs/pods.md, and what says `list` has one.

The settings are those of the protos, so one that a newer kfp-kubernetes brings along has to be decided first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from penstock_executor.backends.kubernetes.allowed import WORDS
from penstock_executor.backends.kubernetes.claims import check_new_claim
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.own_names import OwnNames
from penstock_executor.backends.kubernetes.policy import parse_policy
from penstock_executor.backends.kubernetes.settings import NamespacePolicy
from penstock_ir.descriptors import message_class

from tests.support.kubernetes_settings import Run, pipeline, resolved
from tests.support.pods import launch, pod
from tests.support.tables import rows

CONTAINER = "ml_pipelines.PipelineDeploymentConfig.PipelineContainerSpec"
ROOTS = (CONTAINER, "ml_pipelines.WorkspaceConfig", "ml_pipelines.KubernetesWorkspaceConfig")


def messages() -> dict[str, Any]:
    """The messages with settings, by their full name."""
    config: Any = message_class("kfp_kubernetes.KubernetesExecutorConfig").DESCRIPTOR
    found: dict[str, Any] = {}
    waiting = [
        *config.file.message_types_by_name.values(),
        *(message_class(name).DESCRIPTOR for name in ROOTS),
    ]
    while waiting:
        one = waiting.pop()
        if not one.GetOptions().map_entry:
            found[one.full_name] = one
            waiting += one.nested_types
    return found


def settings() -> Iterator[tuple[str, bool]]:
    """`Message.field`, and whether the field is a message whose own fields are settings."""
    known = messages()
    for message in known.values():
        for field in message.fields:
            inner = field.message_type
            yield f"{message.name}.{field.name}", inner is not None and inner.full_name in known


DECISIONS = {
    name: decision
    for cells in rows("pods.md", "setting", "key", "of", "what", "way", "seen")
    if len(cells) == 3 and re.fullmatch(r"(list `\w+`|bounded|quota|free)", cells[1])
    for name in re.findall(r"`(\w+\.\w+)`", cells[0])
    for decision in (cells[1],)
}


def test_every_setting_has_a_decision() -> None:
    undecided = sorted(name for name, nested in settings() if not nested and name not in DECISIONS)
    assert undecided == [], "decide these in docs/pods.md, `Every setting`"
    assert sorted(set(DECISIONS) - {name for name, _ in settings()}) == [], "there are no such settings"


LISTED = {name: decision.split("`")[1] for name, decision in DECISIONS.items() if decision.startswith("list ")}


def test_the_lists_are_those_that_there_are() -> None:
    assert set(LISTED.values()) <= set(WORDS)


def of_input(name: str) -> dict[str, Any]:
    return {"componentInputParameter": name}


VOLUME = {"volumeName": "v", "mountPath": "/v", "accessModes": ["ReadWriteOnce"], "size": "1Gi"}
CLAIM = {"access_modes": ["ReadWriteOnce"], "size": "1Gi"}
TERM = {"topologyKey": "zone", "matchPodLabels": {"a": "b"}}
KEYS = [{"key": "x", "operator": "Exists"}]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
# By setting: a configuration that uses the name `x` by it, and the run's inputs for it.
CONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "SecretAsVolume.secret_name": ({"secretAsVolume": [{"secretName": "x", "mountPath": "/s"}]}, {}),
    "SecretAsVolume.secret_name_parameter": (
        {"secretAsVolume": [{"secretNameParameter": of_input("n"), "mountPath": "/s"}]}, {"n": "x"},
    ),
    "SecretAsEnv.secret_name": (
        {"secretAsEnv": [{"secretName": "x", "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]}, {},
    ),
    "SecretAsEnv.secret_name_parameter": (
        {"secretAsEnv": [{"secretNameParameter": of_input("n"), "keyToEnv": [{"secretKey": "k", "envVar": "V"}]}]},
        {"n": "x"},
    ),
    "ImagePullSecret.secret_name": ({"imagePullSecret": [{"secretName": "x"}]}, {}),
    "ImagePullSecret.secret_name_parameter": (
        {"imagePullSecret": [{"secretNameParameter": of_input("n")}]}, {"n": "x"},
    ),
    "ConfigMapAsVolume.config_map_name": ({"configMapAsVolume": [{"configMapName": "x", "mountPath": "/s"}]}, {}),
    "ConfigMapAsVolume.config_map_name_parameter": (
        {"configMapAsVolume": [{"configMapNameParameter": of_input("n"), "mountPath": "/s"}]}, {"n": "x"},
    ),
    "ConfigMapAsEnv.config_map_name": (
        {"configMapAsEnv": [{"configMapName": "x", "keyToEnv": [{"configMapKey": "k", "envVar": "V"}]}]}, {},
    ),
    "ConfigMapAsEnv.config_map_name_parameter": (
        {"configMapAsEnv": [
            {"configMapNameParameter": of_input("n"), "keyToEnv": [{"configMapKey": "k", "envVar": "V"}]}
        ]},
        {"n": "x"},
    ),
    "PvcMount.task_output_parameter": (
        {"pvcMount": [
            {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "out"}, "mountPath": "/d"}
        ]},
        {},
    ),
    "PvcMount.constant": ({"pvcMount": [{"constant": "x", "mountPath": "/d"}]}, {}),
    "PvcMount.component_input_parameter": (
        {"pvcMount": [{"componentInputParameter": "n", "mountPath": "/d"}]}, {"n": "x"},
    ),
    "PvcMount.pvc_name_parameter": (
        {"pvcMount": [{"pvcNameParameter": of_input("n"), "mountPath": "/d"}]}, {"n": "x"},
    ),
    "GenericEphemeralVolume.storage_class_name": (
        {"genericEphemeralVolume": [{**VOLUME, "storageClassName": "x"}]}, {},
    ),
    "PodMetadata.labels": ({"podMetadata": {"labels": {"x": "1"}}}, {}),
    "PodMetadata.annotations": ({"podMetadata": {"annotations": {"x": "1"}}}, {}),
    "InitContainer.image": ({"initContainers": [{"name": "i", "image": "x"}]}, {}),
    "Toleration.key": ({"tolerations": [{"key": "x", "operator": "Exists"}]}, {}),
    "Toleration.toleration_json": (
        {"tolerations": [{"tolerationJson": of_input("n")}]}, {"n": {"key": "x", "operator": "Exists"}},
    ),
    "NodeSelector.labels": ({"nodeSelector": {"labels": {"x": "1"}}}, {}),
    "NodeSelector.node_selector_json": ({"nodeSelector": {"nodeSelectorJson": of_input("n")}}, {"n": {"x": "1"}}),
    "NodeAffinityTerm.match_expressions": ({"nodeAffinity": [{"matchExpressions": KEYS}]}, {}),
    "NodeAffinityTerm.match_fields": ({"nodeAffinity": [{"matchFields": KEYS, "weight": 1}]}, {}),
    "NodeAffinityTerm.node_affinity_json": (
        {"nodeAffinity": [{"nodeAffinityJson": of_input("n")}]},
        {"n": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": KEYS}]}}},
    ),
    "PodAffinityTerm.namespaces": ({"podAffinity": [{**TERM, "namespaces": ["x"], "anti": True}]}, {}),
    # A selector has no name that a list could have.
    "PodAffinityTerm.match_namespace_expressions": (
        {"podAffinity": [{**TERM, "matchNamespaceExpressions": KEYS, "weight": 1}]}, {},
    ),
    "PodAffinityTerm.match_namespace_labels": ({"podAffinity": [{**TERM, "matchNamespaceLabels": {"x": "1"}}]}, {}),
}  # fmt: skip
NEW_CLAIMS: dict[str, dict[str, Any]] = {
    "CreatePvc.pvc_name": {"pvc_name": "x"},
    "CreatePvc.volume_name": {"volume_name": "x"},
    "CreatePvc.storage_class_name": {"storage_class_name": "x"},
    "CreatePvc.annotations": {"annotations": {"x": "1"}},
    "CreatePvc.data_source": {"data_source": {"kind": "VolumeSnapshot", "name": "x"}},
    **{
        f"TypedLocalObjectReference.{field}": {"data_source": {"apiGroup": "a.example", "kind": "Any", "name": "x"}}
        for field in ("api_group", "kind", "name")
    },
}
# A claim is deleted by the executor, which looks at whose it is: tests/integration/test_kubernetes_claims.py.
ELSEWHERE = {name for name in LISTED if name.startswith("DeletePvc.")}


def use(setting: str, policy: NamespacePolicy) -> None:
    """Has the name `x` used by the setting, in a namespace with that policy. Raises PodSpecError."""
    if setting in NEW_CLAIMS:
        task = launch(image="argostub/createpvc", inputs={**CLAIM, **NEW_CLAIMS[setting]})
        check_new_claim(task, policy, OwnNames())
    elif setting == "PipelineContainerSpec.image":
        pod(launch("true", image="x"), policy=policy)
    elif setting == "KubernetesWorkspaceConfig.pvc_spec_patch":
        patch = {"kubernetes": {"pvcSpecPatch": {"storageClassName": "x"}}}
        parts: dict[str, Any] = {
            "pipeline_config": {"workspace": {"size": "1Gi", **patch}},
            "b_inputs": {"p": WORKSPACE},
        }
        pod(launch("true", kubernetes=Run(pipeline({}, **parts)).platform()), policy=policy)
    else:
        config, inputs = CONFIGS[setting]
        pod(launch("true", kubernetes=resolved(config, **inputs)), policy=policy)


WORKSPACE = "{{$.workspace_path}}/a"


@pytest.mark.parametrize("setting", sorted(set(LISTED) - ELSEWHERE))
def test_what_is_listed_is_refused_unless_it_is_named(setting: str) -> None:
    key = LISTED[setting]
    for unnamed in ("", "y"):
        # The image of the task is not what this is about.
        with pytest.raises(PodSpecError, match=f"the list {key!r} of its ConfigMap 'penstock' does not name it"):
            use(setting, parse_policy({key: f"{unnamed} python:*"}))
    use(setting, parse_policy({key: "x from-a python:*" if "match_namespace" not in setting else "*"}))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"tolerations": [{"operator": "Exists"}]}, "kubernetes.tolerations, one without a key: the taint ''"),
        (
            {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]},
            "the taint 'node-role.kubernetes.io/control-plane'",
        ),
        ({"genericEphemeralVolume": [{**VOLUME, "storageClassName": ""}]}, "the storage class ''"),
        ({"podAffinity": [{**TERM, "namespaces": ["team-b"], "anti": True}]}, "the namespace 'team-b'"),
        ({"podAffinity": [{**TERM, "matchNamespaceLabels": {"a": "b"}}]}, "chosen by their labels: the namespace ''"),
    ],
)
def test_what_reaches_beyond_the_namespace_takes_a_list(config: dict[str, Any], words: str) -> None:
    task = launch("true", kubernetes=resolved(config))
    with pytest.raises(PodSpecError, match="does not name it") as refused:
        pod(task)
    assert words in str(refused.value)
    every = dict.fromkeys(("tolerations", "storageClasses", "affinityNamespaces"), "*")
    assert pod(task, policy=parse_policy(every))


@pytest.mark.parametrize("inputs", [{"volume_name": "pv"}, {"storage_class_name": ""}])
def test_a_volume_of_the_cluster_takes_a_list(inputs: dict[str, Any]) -> None:
    task = launch(image="argostub/createpvc", inputs={**CLAIM, **inputs})
    with pytest.raises(PodSpecError, match="does not name it"):
        check_new_claim(task, parse_policy({}), OwnNames())
    check_new_claim(task, parse_policy({"volumes": "pv", "storageClasses": "*"}), OwnNames())


def test_what_stays_free_without_lists() -> None:
    config = {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "nodeSelector": {"labels": {"pool": "gpu"}},
        "podAffinity": [TERM],
        "genericEphemeralVolume": [{**VOLUME, "defaultStorageClass": True}],
    }
    assert pod(launch("true", kubernetes=resolved(config)))


@pytest.mark.parametrize("term", [{"matchExpressions": [7]}, {"matchExpressions": "x"}, {"matchFields": [{"key": 7}]}])
def test_terms_that_only_the_cluster_would_check(term: dict[str, Any]) -> None:
    config = {"nodeAffinity": [{"nodeAffinityJson": of_input("n")}]}
    task = launch("true", kubernetes=resolved(config, n={REQUIRED: {"nodeSelectorTerms": [term]}}))
    with pytest.raises(PodSpecError, match="the list 'nodeLabels'"):
        pod(task, policy=parse_policy({"nodeLabels": "pool"}))
    assert pod(task)
