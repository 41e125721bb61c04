"""Kubernetes settings of a task (executor.md §4): where their values come from, and what they become."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.engine.effects import Launch, LookUpCache
from penstock_executor.engine.launch import task_launch
from penstock_executor.engine.machine import apply
from penstock_executor.engine.names import workspace_claim
from penstock_executor.engine.state import RunContext, RunState
from penstock_ir.compile import compile_pipeline
from penstock_ir.event_log import AttemptEnded, CacheAnswered, Outputs, RunStarted
from penstock_ir.loader import document_from_json
from penstock_ir.plan import plan_pipeline
from penstock_ir.planned import CachedOutputs

from tests.support.kubernetes_settings import Run, pipeline, resolved

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def error_of(config: dict[str, Any], **inputs: Any) -> str:
    kinds = {str: "STRING", dict: "STRUCT", list: "LIST", type(None): "STRING", int: "NUMBER_INTEGER"}
    run = Run(pipeline(config, {name: kinds[type(value)] for name, value in inputs.items()}), inputs)
    assert run.node.state.value == "FAILED"
    return run.node.error


def given(name: str) -> dict[str, Any]:
    return {"componentInputParameter": name}


FROM_A = {"taskOutputParameter": {"producerTask": "a", "outputParameterKey": "out"}}


def constant(value: Any) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (constant("plain"), "plain"),
        (constant("{{$.pipeline_task_name}}-secret"), "b-secret"),
        (given("x"), "from-input"),
        (FROM_A, "from-a"),
    ],
)
def test_where_a_name_comes_from(source: dict[str, Any], name: str) -> None:
    found = resolved({"imagePullSecret": [{"secretNameParameter": source}]}, x="from-input")
    assert found == {"imagePullSecrets": [name]}


def test_nothing_is_nothing() -> None:
    assert resolved({}) == {}


def test_secrets_and_config_maps_in_the_environment() -> None:
    found = resolved(
        {
            "secretAsEnv": [
                {
                    "secretNameParameter": constant("s"),
                    "keyToEnv": [{"secretKey": "k", "envVar": "A"}, {"secretKey": "l", "envVar": "B"}],
                    "optional": False,
                },
                {"secretNameParameter": given("none"), "keyToEnv": [{"secretKey": "k", "envVar": "N"}]},
            ],
            "configMapAsEnv": [
                {"configMapName": "old", "keyToEnv": [{"configMapKey": "k", "envVar": "C"}], "optional": True}
            ],
            "fieldPathAsEnv": [{"name": "NODE", "fieldPath": "spec.nodeName"}],
        },
        none=None,
    )
    assert found == {
        "env": [
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "l", "optional": False}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "old", "key": "k", "optional": True}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ]
    }


def test_one_volume_for_a_secret_that_is_mounted_twice() -> None:
    found = resolved(
        {
            "secretAsVolume": [
                {"secretNameParameter": constant("s"), "mountPath": "/one", "optional": True},
                {"secretNameParameter": constant("s"), "mountPath": "/two"},
                {"secretNameParameter": given("none"), "mountPath": "/three"},
            ]
        },
        none=None,
    )
    assert found == {
        "volumes": [{"name": "s", "secret": {"secretName": "s", "optional": False}}],
        "volumeMounts": [{"name": "s", "mountPath": "/one"}, {"name": "s", "mountPath": "/two"}],
    }


def test_names_that_no_volume_can_have() -> None:
    found = resolved(
        {
            "secretAsVolume": [{"secretName": "registry.example.com", "mountPath": "/a"}],
            "configMapAsVolume": [{"configMapName": "same", "mountPath": "/b"}],
            "pvcMount": [
                {"constant": "same", "mountPath": "/c"},
                {"constant": "penstock", "mountPath": "/d"},
                {"constant": "x" * 64, "mountPath": "/e"},
            ],
        }
    )
    names = [volume["name"] for volume in found["volumes"]]
    assert names == [mount["name"] for mount in found["volumeMounts"]]
    assert names[0].startswith("registry-example-com-")
    assert names[1] == "same" and names[2].startswith("same-")
    assert names[3].startswith("volume-penstock-")
    assert len(set(names)) == 5 and max(map(len, names)) <= 63


@pytest.mark.parametrize(
    "mount",
    [
        {"constant": "data"},
        {"pvcNameParameter": constant("data")},
        {"componentInputParameter": "claim"},
        {"pvcNameParameter": given("claim"), "componentInputParameter": "claim"},
    ],
)
def test_claims_of_every_spelling(mount: dict[str, Any]) -> None:
    found = resolved({"pvcMount": [{**mount, "mountPath": "data", "subPath": "x/y"}]}, claim="data")
    assert found == {
        "volumes": [CLAIM],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "x/y"}],
    }


def test_a_claim_that_another_task_made() -> None:
    old = {"taskOutputParameter": FROM_A["taskOutputParameter"], "mountPath": "/data"}
    assert resolved({"pvcMount": [old]})["volumes"][0]["persistentVolumeClaim"] == {"claimName": "from-a"}


def test_volumes_of_the_pod_alone() -> None:
    found = resolved(
        {
            "emptyDirMounts": [
                {"volumeName": "scratch", "mountPath": "/scratch"},
                {"volumeName": "fast", "mountPath": "/fast", "medium": "Memory", "sizeLimit": "1Gi"},
            ],
            "enabledSharedMemory": {"volumeName": "shm", "size": "64Mi"},
            "genericEphemeralVolume": [
                {
                    "volumeName": "cache",
                    "mountPath": "/cache",
                    "accessModes": ["ReadWriteOnce"],
                    "size": "5Gi",
                    "defaultStorageClass": True,
                    "metadata": {"annotations": {"a": "b"}},
                },
                {"volumeName": "static", "mountPath": "/static", "accessModes": ["ReadOnlyMany"], "size": "1Gi"},
            ],
        }
    )
    assert found == {
        "ownVolumes": [
            {
                "name": "cache",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "metadata": {"annotations": {"a": "b"}},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
                    }
                },
            },
            {
                "name": "static",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadOnlyMany"],
                            "resources": {"requests": {"storage": "1Gi"}},
                            "storageClassName": "",
                        }
                    }
                },
            },
            {"name": "scratch", "emptyDir": {}},
            {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        ],
        "ownVolumeMounts": [
            {"name": "cache", "mountPath": "/cache"},
            {"name": "static", "mountPath": "/static"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "fast", "mountPath": "/fast"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
    }


def test_node_selectors() -> None:
    labels = {"nodeSelector": {"labels": {"disk": "ssd"}}}
    assert resolved(labels) == {"nodeSelector": {"disk": "ssd"}}
    by_json = {"nodeSelector": {"labels": {"disk": "ssd"}, "nodeSelectorJson": given("x")}}
    assert resolved(by_json, x={"gpu": True, "size": 3}) == {"nodeSelector": {"gpu": "true", "size": "3"}}
    assert resolved(by_json, x=None) == {"nodeSelector": {"disk": "ssd"}}


def test_tolerations() -> None:
    one = {"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}
    two = {"key": "l", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
    found = resolved(
        {
            "tolerations": [
                {**two, "tolerationSeconds": "30"},
                {"tolerationJson": given("single")},
                {"tolerationJson": given("many")},
                {"tolerationJson": given("none")},
                {"tolerationJson": given("empty")},
            ]
        },
        single=one,
        many=[one, two],
        none=None,
        empty={},
    )
    assert found == {"tolerations": [two, one, one, two]}


def test_affinity_accumulates() -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    found = resolved(
        {
            "nodeAffinity": [
                term,
                {**field, "weight": 5},
                {},
                {"nodeAffinityJson": given("json")},
                {"nodeAffinityJson": given("none")},
            ],
            "podAffinity": [
                {"matchPodLabels": {"app": "x"}, "topologyKey": "zone", "namespaces": ["n"]},
                {
                    "matchPodExpressions": [{"key": "app", "operator": "Exists"}],
                    "matchNamespaceLabels": {"team": "t"},
                    "topologyKey": "host",
                    "weight": 7,
                    "anti": True,
                },
            ],
        },
        json={
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [field]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}],
        },
        none=None,
    )
    assert found == {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term, field]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 5, "preference": field},
                    {"weight": 1, "preference": term},
                ],
            },
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}, "namespaces": ["n"]}
                ]
            },
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 7,
                        "podAffinityTerm": {
                            "topologyKey": "host",
                            "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
                            "namespaceSelector": {"matchLabels": {"team": "t"}},
                        },
                    }
                ]
            },
        }
    }


def test_settings_of_the_pod() -> None:
    found = resolved(
        {
            "podMetadata": {
                "labels": {"a": "b"},
                "annotations": {
                    "c": "d",
                    "penstock.dev/pool": "gpu",
                    "penstock.dev/pool-slots": "2",
                    "penstock.dev/workers": "run",
                },
            },
            "imagePullPolicy": "Always",
            "activeDeadlineSeconds": "20",
            "securityContext": {"runAsUser": "65534", "runAsGroup": "0", "runAsNonRoot": True},
        }
    )
    assert found == {
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "imagePullPolicy": "Always",
        "activeDeadlineSeconds": 20,
        "securityContext": {"runAsUser": 65534, "runAsGroup": 0, "runAsNonRoot": True},
    }


def test_init_containers_mount_what_the_task_has() -> None:
    found = resolved(
        {
            "emptyDirMounts": [{"volumeName": "penstock", "mountPath": "/data"}],
            "initContainers": [
                {
                    "name": "prepare",
                    "image": "busybox",
                    "command": ["sh"],
                    "args": ["-c", "true"],
                    "env": [{"name": "A", "value": "1"}, {"name": "EMPTY"}],
                    "resources": {"limits": {"cpu": "1"}},
                    "volumeMounts": [{"volumeName": "penstock", "mountPath": "/there"}],
                    "restartPolicy": "Always",
                }
            ],
        }
    )
    (volume,) = found["ownVolumes"]
    assert volume["name"] != "penstock"
    assert found["initContainers"] == [
        {
            "name": "prepare",
            "image": "busybox",
            "restartPolicy": "Always",
            "command": ["sh"],
            "args": ["-c", "true"],
            "env": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
            "resources": {"limits": {"cpu": "1"}},
            "volumeMounts": [{"name": volume["name"], "mountPath": "/there"}],
        }
    ]


@pytest.mark.parametrize(
    ("config", "inputs", "words"),
    [
        ({"pvcMount": [{"pvcNameParameter": given("x"), "mountPath": "/d"}]}, {"x": None}, "pvcMount[0]: the name"),
        ({"pvcMount": [{"pvcNameParameter": constant("c")}]}, {}, "pvcMount[0].mountPath"),
        ({"imagePullSecret": [{"secretNameParameter": given("x")}]}, {"x": ""}, "expected a name, got text ()"),
        ({"imagePullSecret": [{"secretNameParameter": given("x")}]}, {"x": 7}, "expected a name, got a number (7)"),
        ({"imagePullSecret": [{"secretNameParameter": given("y")}]}, {}, "has no input 'y'"),
        (
            {
                "imagePullSecret": [
                    {
                        "secretNameParameter": {
                            "taskOutputParameter": {"producerTask": "a", "outputParameterKey": "nothing"}
                        }
                    }
                ]
            },
            {},
            "task 'a' (succeeded) has no output 'nothing'",
        ),
        ({"imagePullPolicy": "Sometimes"}, {}, "'Sometimes' is none of Always, Never, IfNotPresent"),
        ({"nodeSelector": {"nodeSelectorJson": given("x")}}, {"x": "a=b"}, "nodeSelectorJson: expected an object"),
        ({"tolerations": [{"tolerationJson": given("x")}]}, {"x": "a"}, "expected a toleration or a list of them"),
        ({"tolerations": [{"tolerationJson": given("x")}]}, {"x": {"kee": 1}}, "has no field 'kee'"),
        ({"nodeAffinity": [{"nodeAffinityJson": given("x")}]}, {"x": {"wrong": 1}}, "has no field 'wrong'"),
        ({"podAffinity": [{"matchPodLabels": {"a": "b"}}]}, {}, "podAffinity[0].topologyKey"),
        (
            {"genericEphemeralVolume": [{"volumeName": "v", "mountPath": "/v", "size": "1Gi", "accessModes": ["RWO"]}]},
            {},
            "unknown access mode 'RWO'",
        ),
        (
            {"genericEphemeralVolume": [{"volumeName": "v", "mountPath": "/v", "accessModes": ["ReadWriteOnce"]}]},
            {},
            "genericEphemeralVolume[0].size",
        ),
        ({"initContainers": [{"name": "main", "image": "i"}]}, {}, "the name 'main' is taken"),
        ({"initContainers": [{"name": "x"}]}, {}, "a name and an image are needed"),
        ({"initContainers": [{"name": "x", "image": "i", "restartPolicy": "Never"}]}, {}, "'Never' is not supported"),
        (
            {"initContainers": [{"name": "x", "image": "i", "volumeMounts": [{"volumeName": "v", "mountPath": "/v"}]}]},
            {},
            "the task has no volume 'v'; it has none",
        ),
        ({"initContainers": [{"name": "x", "image": "i", "env": [{"value": "v"}]}]}, {}, "a variable has no name"),
        ({"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"envVar": "A"}]}]}, {}, "a key of the Secret"),
    ],
)
def test_a_setting_that_cannot_be_fails_the_task_by_name(
    config: dict[str, Any], inputs: dict[str, Any], words: str
) -> None:
    error = error_of(config, **inputs)
    assert words in error and error.startswith("kubernetes.")


def test_an_iteration_resolves_in_its_own_dag() -> None:
    """As the SDK writes it: the loop hands the value on as an input of its DAG."""
    spec = pipeline({"imagePullSecret": [{"secretNameParameter": given("channel--out")}]})
    inner = spec["pipeline_spec"]
    task_b = inner["root"]["dag"]["tasks"].pop("b")
    task_b.pop("dependentTasks")
    text = {"parameterType": "STRING"}
    inner["components"]["comp-loop"] = {
        "inputDefinitions": {"parameters": {"channel--out": text, "item": text}},
        "dag": {"tasks": {"b": task_b}},
    }
    inner["root"]["dag"]["tasks"]["loop"] = {
        "taskInfo": {"name": "loop"},
        "componentRef": {"name": "comp-loop"},
        "dependentTasks": ["a"],
        "inputs": {"parameters": {"channel--out": FROM_A}},
        "parameterIterator": {"itemInput": "item", "items": {"raw": '["x", "y"]'}},
    }
    run = Run(spec)
    assert [effect for effect in run.effects if isinstance(effect, Launch)] == [
        Launch("loop[0]/b", 1),
        Launch("loop[1]/b", 1),
    ]
    for node in run.state.open_tasks.values():
        assert task_launch(node, run.context).kubernetes == {"imagePullSecrets": ["from-a"]}


def test_the_workspace_is_a_claim_of_the_run() -> None:
    workspace: dict[str, Any] = {"pipeline_config": {"workspace": {"size": "1Gi"}}}
    run = Run(pipeline({}, b_inputs={"path": "{{$.workspace_path}}/x"}, **workspace))
    claim = workspace_claim("run-1", "my-run")
    assert claim.startswith("my-run-") and claim.endswith("-kfp-workspace")
    assert run.platform() == {
        "workspace": {
            "claimName": claim,
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
        "volumes": [{"name": "kfp-workspace", "persistentVolumeClaim": {"claimName": claim}}],
        "volumeMounts": [{"name": "kfp-workspace", "mountPath": "/kfp-workspace"}],
    }
    assert Run(pipeline({}, b_inputs={"path": "/elsewhere"}, **workspace)).platform() == {}
    assert Run(pipeline({}, b_inputs={"path": "/kfp-workspace"})).platform() == {}
    assert workspace_claim("run-2", "my-run") != claim


def lookups_of(document: dict[str, Any]) -> list[str]:
    """The cache keys asked for `b`, after `a` was not found in the cache and ran."""
    state = RunState(RunContext("run-1", compile_pipeline(document_from_json(document)), {}, "file:///root"))
    apply(state, RunStarted(1))
    apply(state, CacheAnswered("a", state.open_tasks["a"].fingerprint, at=2))
    effects = apply(state, AttemptEnded("a", 1, 3, outputs=Outputs(parameters={"out": "from-a"}))).effects
    return [effect.fingerprint for effect in effects if isinstance(effect, LookUpCache)]


def test_claims_are_part_of_the_cache_key() -> None:
    def mount(name: str, path: str) -> dict[str, Any]:
        return {"pvcMount": [{"pvcNameParameter": constant(name), "mountPath": path}]}

    keys = {
        key
        for config in ({}, mount("one", "/a"), mount("two", "/a"), mount("one", "/b"))
        for key in lookups_of(pipeline(config, cached=True))
    }
    assert len(keys) == 3


def test_what_uses_the_workspace_is_not_cached_unless_a_key_is_given() -> None:
    """Its work is in the directory, not in its outputs: a second equal task has to do it again."""
    workspace: dict[str, Any] = {"pipeline_config": {"workspace": {"size": "1Gi"}}, "cached": True}
    document = pipeline({}, b_inputs={"path": "/kfp-workspace"}, **workspace)
    assert lookups_of(document) == []
    document["pipeline_spec"]["root"]["dag"]["tasks"]["b"]["cachingOptions"]["cacheKey"] = "mine"
    assert len(lookups_of(document)) == 1


@pytest.mark.parametrize("source", [constant("data"), constant("{{$.inputs.parameters['x']}}"), FROM_A])
def test_a_plan_computes_the_same_key(source: dict[str, Any]) -> None:
    document = pipeline(
        {"pvcMount": [{"pvcNameParameter": source, "mountPath": "/d"}]}, b_inputs={"x": "value"}, cached=True
    )
    asked: list[str] = []

    def look_up(fingerprint: str) -> CachedOutputs | None:
        asked.append(fingerprint)
        return CachedOutputs("earlier", {"out": "from-a"}, {}) if len(asked) == 1 else None

    plan_pipeline(compile_pipeline(document_from_json(document)), {}, look_up)
    assert asked[1:] == lookups_of(document)


def test_a_plan_does_not_guess_claims() -> None:
    asked: list[str] = []
    for document in (
        pipeline({"pvcMount": [{"pvcNameParameter": FROM_A, "mountPath": "/d"}]}, cached=True),
        pipeline({}, b_inputs={"path": "/kfp-workspace"}, pipeline_config={"workspace": {"size": "1Gi"}}, cached=True),
    ):
        plan_pipeline(compile_pipeline(document_from_json(document)), {}, lambda key: asked.append(key))
    # The key of `a` alone, in both.
    assert len(asked) == 2


def test_making_a_claim_is_never_cached() -> None:
    document = pipeline({}, cached=True)
    document["pipeline_spec"]["deploymentSpec"]["executors"]["exec-a"]["container"]["image"] = "argostub/createpvc"
    compiled = compile_pipeline(document_from_json(document))
    state = RunState(RunContext("run-1", compiled, {}, "file:///root"))
    assert apply(state, RunStarted(1)).effects == [Launch("a", 1)]
    assert [task.caching for task in plan_pipeline(compiled, {}).tasks] == [False, True]


@pytest.mark.parametrize(
    ("workspace", "spec"),
    [
        (
            {"size": "5Gi", "kubernetes": {"pvcSpecPatch": {"accessModes": ["ReadWriteMany"]}}},
            {"accessModes": ["ReadWriteMany"]},
        ),
        (
            {"size": "5Gi", "kubernetes": {"pvcSpecPatch": {"storageClassName": "fast"}}},
            {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast"},
        ),
        ({"size": "5Gi", "kubernetes": {}}, {"accessModes": ["ReadWriteOnce"]}),
    ],
)
def test_what_a_pipeline_says_of_its_workspace(workspace: dict[str, Any], spec: dict[str, Any]) -> None:
    run = Run(pipeline({}, b_inputs={"path": "/kfp-workspace"}, pipeline_config={"workspace": workspace}))
    assert run.platform()["workspace"]["spec"] == {**spec, "resources": {"requests": {"storage": "5Gi"}}}


@pytest.mark.parametrize(
    ("workspace", "words"),
    [
        ({"kubernetes": {}}, "workspace.size: expected a size such as 5Gi, got text ()"),
        ({"size": "-1Gi"}, "workspace.size: expected a size such as 5Gi, got text (-1Gi)"),
        ({"size": "1Gi", "kubernetes": {"pvcSpecPatch": {"volumeName": "v"}}}, "'volumeName' cannot be set"),
        ({"size": "1Gi", "kubernetes": {"pvcSpecPatch": {"storageClassName": ""}}}, "name a class, or leave it out"),
        ({"size": "1Gi", "kubernetes": {"pvcSpecPatch": {"accessModes": []}}}, "accessModes: expected some of"),
        ({"size": "1Gi", "kubernetes": {"pvcSpecPatch": {"accessModes": ["RWX"]}}}, "accessModes: expected some of"),
    ],
)
def test_a_workspace_that_cannot_be(workspace: dict[str, Any], words: str) -> None:
    run = Run(pipeline({}, b_inputs={"path": "/kfp-workspace"}, pipeline_config={"workspace": workspace}))
    assert run.node.state.value == "FAILED" and words in run.node.error
