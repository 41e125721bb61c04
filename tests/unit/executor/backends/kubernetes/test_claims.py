"""Claims that tasks and runs make, as manifests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.kubernetes.claims import (
    claim_to_create,
    claim_to_delete,
    is_claim_task,
    is_same_claim,
    workspace_claim,
)
from penstock_executor.backends.kubernetes.errors import PodSpecError

from tests.support.pods import RUN, launch

LABELS = {"app.kubernetes.io/managed-by": "penstock", "penstock.dev/instance": "here", "pipeline/runid": RUN}
PLAIN = {"access_modes": ["ReadWriteOnce"], "size": "1Gi", "pvc_name": "data"}


def create(**inputs: Any) -> TaskLaunch:
    return launch(image="argostub/createpvc", inputs=inputs, defaults={"storage_class_name": ""})


def made(**inputs: Any) -> dict[str, Any]:
    return claim_to_create(create(**inputs), "here")


def test_a_plain_claim() -> None:
    assert made(**PLAIN) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data",
            "labels": LABELS,
            "annotations": {"penstock.dev/path": "loop[2]/train", "penstock.dev/attempt": "1"},
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, {}),
        ({"storage_class_name": None}, {}),
        ({"storage_class_name": "fast"}, {"storageClassName": "fast"}),
        ({"storage_class_name": ""}, {"storageClassName": ""}),
        ({"volume_name": "pv-1"}, {"storageClassName": "", "volumeName": "pv-1"}),
        ({"volume_name": "pv-1", "storage_class_name": "manual"}, {"storageClassName": "manual", "volumeName": "pv-1"}),
        (
            {"data_source": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}},
            {"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}},
        ),
    ],
)
def test_where_its_bytes_come_from(inputs: dict[str, Any], expected: dict[str, Any]) -> None:
    assert made(**PLAIN, **inputs)["spec"] == {**made(**PLAIN)["spec"], **expected}


def test_annotations_cannot_hide_whose_it_is() -> None:
    annotations = made(**PLAIN, annotations={"a": 1, "penstock.dev/path": "other"})["metadata"]["annotations"]
    assert annotations == {"a": "1", "penstock.dev/path": "loop[2]/train", "penstock.dev/attempt": "1"}


def name_of(task: TaskLaunch) -> str:
    name = claim_to_create(task, "here")["metadata"]["name"]
    assert isinstance(name, str) and len(name) <= 63
    return name


def test_generated_names() -> None:
    unnamed = {key: value for key, value in PLAIN.items() if key != "pvc_name"}
    task = create(**unnamed, pvc_name_suffix="-cache")
    name = name_of(task)
    assert name.startswith("my-run-") and name.endswith("-cache")
    assert name_of(task) == name
    assert name_of(create(**unnamed, pvc_name_suffix="cache")) == name
    assert name_of(create(**unnamed)) == name.removesuffix("-cache")
    others = {
        name_of(replace(task, key=key))
        for key in (AttemptKey(RUN, "other", 1), AttemptKey(RUN, "loop[2]/train", 2), AttemptKey("run", "x", 1))
    }
    assert len(others | {name}) == 4
    long = replace(task, run_resource_name="a-very-long-pipeline-name" * 9)
    assert name_of(long) != name_of(replace(long, key=AttemptKey(RUN, "other", 1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"access_modes": None}, "access_modes of the claim: it is required"),
        ({"access_modes": []}, "access_modes of the claim: it is required"),
        ({"access_modes": ["RWO"]}, "'RWO' is none of ReadWriteOnce"),
        ({"size": ""}, "size of the claim: it is required"),
        ({"size": 5}, "size of the claim: it must not be a number (5)"),
        ({"pvc_name_suffix": "-x"}, "give a name or a suffix, not both"),
        ({"pvc_name": None, "pvc_name_suffix": "Not_DNS"}, "pvc_name_suffix of the claim"),
        ({"pvc_name": None, "pvc_name_suffix": "x" * 60}, "is too long"),
        ({"data_source": {"kind": "VolumeSnapshot"}}, "a kind and a name are needed"),
        ({"data_source": {"kind": "k", "name": "n", "uid": "u"}}, "unknown field 'uid'"),
    ],
)
def test_what_cannot_be(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PodSpecError) as error:
        made(**{**PLAIN, **change})
    assert words in str(error.value)


def test_deleting() -> None:
    task = launch(image="argostub/deletepvc", inputs={"pvc_name": "data"})
    assert is_claim_task(task) and claim_to_delete(task) == "data"
    assert is_claim_task(create(**PLAIN)) and claim_to_delete(create(**PLAIN)) is None
    assert not is_claim_task(launch("true"))
    with pytest.raises(PodSpecError, match="pvc_name of the claim: it is required"):
        claim_to_delete(replace(task, inputs={}))


def test_the_workspace_of_a_run() -> None:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    task = launch("true", kubernetes={"workspace": {"claimName": "my-run-kfp-workspace", "spec": spec}})
    claim = workspace_claim(task, "here")
    assert claim == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "my-run-kfp-workspace",
            "labels": {**LABELS, "penstock.dev/workspace": "true"},
            "annotations": {},
        },
        "spec": spec,
    }
    assert workspace_claim(replace(task, key=AttemptKey(RUN, "other", 3)), "here") == claim
    assert is_same_claim(claim, claim)


def test_whose_claim_it_is() -> None:
    ours = made(**PLAIN)
    # A cluster adds to what it is given.
    bound = {"pv.kubernetes.io/bind-completed": "yes", **ours["metadata"]["annotations"]}
    existing = {**ours, "metadata": {**ours["metadata"], "annotations": bound, "uid": "u"}, "status": {}}
    assert is_same_claim(ours, existing)
    retried = claim_to_create(replace(create(**PLAIN), key=AttemptKey(RUN, "loop[2]/train", 2)), "here")
    assert is_same_claim(retried, existing)
    for key in (AttemptKey(RUN, "other", 1), AttemptKey("other", "loop[2]/train", 1)):
        assert not is_same_claim(claim_to_create(replace(create(**PLAIN), key=key), "here"), existing)
    assert not is_same_claim(claim_to_create(create(**PLAIN), "there"), existing)
    assert not is_same_claim(ours, {"metadata": {"name": "data"}})
