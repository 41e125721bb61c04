"""TaskConfig (executor.md §2.8): what goes into the input, and what is left for the task."""

from __future__ import annotations

from typing import Any

from penstock_executor.engine.task_config import SetUp, task_config
from penstock_ir.model import Component, ContainerExecutor, ParameterDefinition, ParameterType

GIVEN = SetUp(
    env=(("A", "1"),),
    resources={"resourceCpuLimit": "2", "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}},
    platform={
        "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "ownVolumes": [{"name": "scratch", "emptyDir": {}}],
        "ownVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "imagePullPolicy": "Always",
    },
)
SHARED: dict[str, Any] = {
    "env": [{"name": "A", "value": "1"}, *GIVEN.platform["env"]],  # type: ignore[misc]
    "resources": {"limits": {"cpu": "2", "nvidia.com/gpu": "1"}},
    "affinity": {"nodeAffinity": {}},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "nodeSelector": {"disk": "ssd"},
    "volumes": GIVEN.platform["volumes"],
    "volumeMounts": GIVEN.platform["volumeMounts"],
}
FIELDS = (
    "ENV",
    "RESOURCES",
    "KUBERNETES_AFFINITY",
    "KUBERNETES_TOLERATIONS",
    "KUBERNETES_NODE_SELECTOR",
    "KUBERNETES_VOLUMES",
)


def split(*passed: dict[str, Any], named: bool = True) -> SetUp:
    inputs = {"config": ParameterDefinition(ParameterType.TASK_CONFIG)} if named else {}
    component = Component(
        name="comp",
        input_parameters=inputs,
        input_artifacts={},
        output_parameters={},
        output_artifacts={},
        implementation=ContainerExecutor("image"),
        task_config_passthroughs=passed,
    )
    return task_config(component, GIVEN)


def test_without_a_list_everything_is_the_tasks() -> None:
    assert split() == GIVEN
    assert split({"field": "ENV"}, named=False) == GIVEN


def test_what_is_passed_through_leaves_the_task() -> None:
    left = split(*({"field": field} for field in FIELDS))
    assert left.inputs == {"config": SHARED}
    assert (left.env, left.resources) == ((), {})
    assert left.platform == {
        "ownVolumes": [{"name": "scratch", "emptyDir": {}}],
        "ownVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "imagePullPolicy": "Always",
    }


def test_applied_to_the_task_it_is_in_both() -> None:
    both = split(*({"field": field, "applyToTask": True} for field in FIELDS))
    assert both.inputs == {"config": SHARED}
    assert (both.env, both.resources, both.platform) == (GIVEN.env, GIVEN.resources, GIVEN.platform)


def test_what_is_not_listed_is_the_tasks_alone() -> None:
    left = split({"field": "KUBERNETES_TOLERATIONS"})
    assert left.inputs == {"config": {"tolerations": SHARED["tolerations"]}}
    assert "tolerations" not in left.platform and left.platform["nodeSelector"] == SHARED["nodeSelector"]
