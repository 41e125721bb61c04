"""A namespace's ConfigMap, and how its Pod template changes a task's Pod."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.policy import parse_policy
from penstock_executor.backends.kubernetes.settings import NamespacePolicy

from tests.support.pods import agent_of, launch, main_of, pod


def test_a_namespace_without_a_policy() -> None:
    assert parse_policy(None) == parse_policy({}) == NamespacePolicy()


def test_everything_it_can_say() -> None:
    data = {
        "security": "image-user\n",
        "serviceAccount": " team ",
        "imagePullSecrets": "one, two,",
        "podTemplate": "spec:\n  priorityClassName: batch\n",
    }
    assert parse_policy(data) == NamespacePolicy(
        security="image-user",
        service_account="team",
        image_pull_secrets=("one", "two"),
        pod_template={"spec": {"priorityClassName": "batch"}},
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"securty": "restricted"}, "unknown key 'securty'; known are security, serviceAccount"),
        ({"security": "baseline"}, "security is 'baseline', but has to be restricted or image-user"),
        ({"podTemplate": "a: b: c"}, "podTemplate is no YAML"),
        ({"podTemplate": "[1]"}, "podTemplate is no object"),
        ({"podTemplate": "specs: {}"}, "podTemplate has an unknown field 'specs'"),
        ({"podTemplate": "spec: 3"}, "podTemplate.spec is no object"),
    ],
)
def test_what_is_not_understood_is_refused(data: dict[str, str], words: str) -> None:
    with pytest.raises(PodSpecError) as error:
        parse_policy(data)
    assert words in str(error.value) and "ConfigMap 'penstock'" in str(error.value)


TASK = launch("true", env=(("A", "1"),), artifacts={"m": "system.Model"}, kubernetes={"nodeSelector": {"disk": "ssd"}})


def merged(template: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(template)
    found = pod(TASK, policy=NamespacePolicy(pod_template=template))
    assert template == before
    return found


def test_objects_are_merged_and_the_template_wins() -> None:
    found = merged(
        {
            "metadata": {"labels": {"cost": "team-a"}, "annotations": {"sidecar.istio.io/inject": "true"}},
            "spec": {
                "priorityClassName": "batch",
                "nodeSelector": {"pool": "tasks"},
                "terminationGracePeriodSeconds": 5,
                "securityContext": {"fsGroup": None, "supplementalGroups": [7]},
                "dnsConfig": {"options": [{"name": "ndots", "value": "1"}], "searches": None},
            },
        }
    )
    assert found["metadata"]["labels"]["cost"] == "team-a" and found["metadata"]["labels"]["pipeline/runid"]
    assert found["metadata"]["annotations"]["sidecar.istio.io/inject"] == "true"
    spec = found["spec"]
    assert (spec["priorityClassName"], spec["terminationGracePeriodSeconds"]) == ("batch", 5)
    assert spec["nodeSelector"] == {"disk": "ssd", "pool": "tasks"}
    assert "fsGroup" not in spec["securityContext"] and spec["securityContext"]["supplementalGroups"] == [7]
    assert spec["dnsConfig"] == {"options": [{"name": "ndots", "value": "1"}]}


def test_lists_are_merged_by_name() -> None:
    plain = pod(TASK)
    sidecar = {"name": "metrics", "image": "m", "restartPolicy": "Always"}
    toleration = {"key": "tasks", "operator": "Exists"}
    volume = {"name": "extra", "emptyDir": {}}
    mount = {"name": "extra", "mountPath": "/extra"}
    found = merged(
        {
            "spec": {
                "containers": [
                    {"name": "main", "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]},
                    {"name": "main", "volumeMounts": [mount], "resources": {"requests": {"cpu": "1"}}},
                    {"name": "agent", "resources": {"limits": {"memory": "1Gi"}}},
                ],
                "initContainers": [sidecar],
                "tolerations": [toleration, toleration],
                "volumes": [volume],
            }
        }
    )
    main = main_of(found)
    assert main["env"] == [*main_of(plain)["env"][:-1], {"name": "A", "value": "2"}, {"name": "B", "value": "3"}]
    assert main["volumeMounts"] == [*main_of(plain)["volumeMounts"], mount]
    assert main["command"] == main_of(plain)["command"]
    assert agent_of(found)["resources"] == {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
    assert found["spec"]["initContainers"] == [sidecar]
    assert found["spec"]["tolerations"][0] == toleration
    assert found["spec"]["volumes"] == [*plain["spec"]["volumes"], volume]


def test_what_is_meant_for_an_agent_waits_for_one() -> None:
    policy = NamespacePolicy(pod_template={"spec": {"containers": [{"name": "agent", "resources": {"limits": {}}}]}})
    assert pod(launch("true"), policy=policy) == pod(launch("true"))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"metadata": {"name": "x"}}, "metadata.name is Penstock's own"),
        ({"metadata": {"labels": {"pipeline/runid": "x"}}}, "metadata.labels[pipeline/runid] is Penstock's own"),
        ({"metadata": {"labels": {"penstock.dev/instance": None}}}, "metadata.labels[penstock.dev/instance]"),
        ({"metadata": {"labels": {"penstock.dev/new": "x"}}}, "metadata.labels[penstock.dev/new]"),
        ({"metadata": {"annotations": {"penstock.dev/path": "x"}}}, "metadata.annotations[penstock.dev/path]"),
        ({"spec": {"restartPolicy": "Always"}}, "spec.restartPolicy is Penstock's own"),
        ({"spec": {"containers": [{"name": "main", "image": "x"}]}}, "spec.containers[main].image"),
        ({"spec": {"containers": [{"name": "main", "command": ["x"]}]}}, "spec.containers[main].command"),
        ({"spec": {"containers": [{"name": "main", "args": ["x"]}]}}, "spec.containers[main].args"),
        ({"spec": {"containers": [{"name": "agent", "image": "x"}]}}, "spec.containers[agent].image"),
        ({"spec": {"containers": [{"name": "other", "image": "x"}]}}, "spec.containers is Penstock's own"),
        ({"spec": {"volumes": [{"name": "penstock", "emptyDir": {"medium": "Memory"}}]}}, "spec.volumes[penstock]"),
        (
            {"spec": {"containers": [{"name": "main", "volumeMounts": [{"mountPath": "/tmp/kfp", "name": "x"}]}]}},
            "spec.containers[main].volumeMounts[/tmp/kfp]",
        ),
        (
            {"spec": {"containers": [{"name": "agent", "env": [{"name": "PENSTOCK_TASK_0", "value": "{}"}]}]}},
            "spec.containers[agent].env[PENSTOCK_TASK_0]",
        ),
        ({"spec": {"volumes": {"a": "b"}}}, "podTemplate.spec.volumes is of another kind: expected a list"),
        (
            {"spec": {"securityContext": "none"}},
            "podTemplate.spec.securityContext is of another kind: expected an object",
        ),
        ({"spec": {"volumes": [{"emptyDir": {}}]}}, "every entry of podTemplate.spec.volumes needs a name"),
    ],
)
def test_what_is_ours_stays(template: dict[str, Any], words: str) -> None:
    with pytest.raises(PodSpecError) as error:
        merged(template)
    assert words in str(error.value)
