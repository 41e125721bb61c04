"""Pods of workers: which tasks they can take, and what of a task is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.attempts import AttemptKey, TaskLaunch
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.view import view_of
from penstock_executor.backends.kubernetes.workers.choice import why_not
from penstock_executor.backends.kubernetes.workers.instructions import instructions
from penstock_executor.backends.kubernetes.workers.worker_pod import named, shape_of, worker_pod
from penstock_ir.gangs import GangShare
from penstock_store.providers import parse_file

from tests.support.pods import RUN, compiled, launch, main_of
from tools.testing.pod_settings import POLICY, SECRET_KEY, SETTINGS, Store

PLAIN = launch("train", "--fast", outputs=["score"])


def made(
    task: TaskLaunch = PLAIN,
    settings: PodSettings = SETTINGS,
    policy: NamespacePolicy = POLICY,
    isolation: str = "namespace",
) -> dict[str, Any]:
    return worker_pod(task, settings, policy, Store(), frozenset(), isolation)


def shape(task: TaskLaunch, **kwargs: Any) -> str:
    return shape_of(made(task, **kwargs))


OTHER_RUN = AttemptKey("4d3a1f0e-0000-4000-8000-000000000002", "other", 3)
SAME: Mapping[str, TaskLaunch] = {
    "arguments": launch("other", "program", outputs=["score"]),
    "variables": launch("train", env=(("A", "1"), ("KFP_POD_NAME", "x"))),
    "outputs": launch("train", outputs=["a", "b"], artifacts={"model": "system.Model"}),
    "a deadline": launch("train", deadline_seconds=5.0),
    "another attempt of another run": replace(PLAIN, key=OTHER_RUN, pod_name="other", run_display_name="Other"),
}
OTHER: Mapping[str, TaskLaunch] = {
    "an image": launch("train", image="other"),
    "resources": launch("train", resources={"resourceMemoryLimit": "1Gi"}),
    "an account": launch("train", service_account="trainer"),
    "a user": launch("train", kubernetes={"securityContext": {"runAsUser": 1234}}),
    "a volume": launch(
        "train",
        kubernetes={
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        },
    ),
    "a Secret in a variable": launch(
        "train",
        kubernetes={"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}]},
    ),
    "a node": launch("train", kubernetes={"nodeSelector": {"gpu": "yes"}}),
    "a label": launch("train", kubernetes={"labels": {"team": "a"}}),
}


@pytest.mark.parametrize("task", SAME.values(), ids=SAME)
def test_what_is_an_attempts_own_is_no_part_of_the_shape(task: TaskLaunch) -> None:
    assert shape(task) == shape(PLAIN)


@pytest.mark.parametrize("task", OTHER.values(), ids=OTHER)
def test_what_is_the_pods_is(task: TaskLaunch) -> None:
    assert shape(task) != shape(PLAIN)


def test_runs_share_no_worker_with_isolation_run() -> None:
    other = replace(PLAIN, key=OTHER_RUN)
    assert shape(PLAIN, isolation="run") != shape(other, isolation="run")
    assert made(isolation="run")["metadata"]["labels"]["pipeline/runid"] == RUN
    assert "pipeline/runid" not in made()["metadata"]["labels"]


def test_all_that_an_attempt_can_write_to_is_cleared() -> None:
    own = {
        "ownVolumes": [{"name": "cache", "emptyDir": {}}, {"name": "shm", "emptyDir": {"medium": "Memory"}}],
        "ownVolumeMounts": [{"name": "cache", "mountPath": "/cache"}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    template = {
        "spec": {
            "volumes": [{"name": "more", "emptyDir": {}}],
            "containers": [{"name": "main", "volumeMounts": [{"name": "more", "mountPath": "/more"}]}],
        }
    }
    pod = made(launch("train", kubernetes=own), policy=replace(POLICY, pod_template=template))
    main = main_of(pod)
    command = main["command"]
    cleared = {command[at + 1] for at, word in enumerate(command) if word == "--clear"}
    emptied = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
    writable = {one["mountPath"] for one in main["volumeMounts"] if one["name"] in emptied}
    assert writable - {"/penstock/share"} <= cleared
    assert {"/cache", "/more", "/tmp", "/tmp/kfp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/s3"} <= cleared
    assert main["securityContext"]["readOnlyRootFilesystem"] is True
    assert main["securityContext"]["runAsNonRoot"] is True


def test_the_agent_alone_has_the_stores_credentials() -> None:
    pod = made()
    (agent,) = (one for one in pod["spec"]["containers"] if one["name"] == "agent")
    assert SECRET_KEY in agent["env"] and agent["command"][-1] == "work"
    assert main_of(pod)["env"] == []
    assert not any(one["name"].startswith("PENSTOCK_TASK") for one in agent["env"])
    assert pod["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "main"


def test_a_lightweight_component_brings_its_packages() -> None:
    component = compiled("'kfp==2.17.0' '--no-deps' 'typing-extensions>=3.7.4,<5; python_version<\"3.9\"'")
    task = replace(component, env=(("PIP_INDEX_URL", "https://index"),))
    pod = made(task)
    (packages,) = pod["spec"]["initContainers"]
    assert packages["command"][:2] == ["sh", "-c"] and "kfp==2.17.0" in packages["command"][2]
    assert {"name": "PIP_INDEX_URL", "value": "https://index"} in packages["env"]
    main = main_of(pod)
    assert main["command"][:2] == ["python3", "/penstock/bin/first_process.py"]
    (mount,) = (one for one in main["volumeMounts"] if one["mountPath"] == "/penstock/packages")
    assert mount["readOnly"] is True
    told = instructions(task, SETTINGS, POLICY, Store())
    words = told.request["arguments"]
    assert words[words.index("--") + 1] == "/penstock/bin/worker" and component.command[-1] in words
    assert shape_of(pod) != shape(replace(task, env=()))


def _packages(task: TaskLaunch, policy: NamespacePolicy = POLICY) -> list[dict[str, Any]]:
    """The variables of the container that installs; of a task whose command runs as it is there is none."""
    containers = made(task, policy=policy)["spec"].get("initContainers") or []
    return [one for container in containers for one in container["env"]]


def test_what_installs_has_the_variables_that_it_needs() -> None:
    component = compiled("--index-url https://$USER_NAME:${TOKEN}@index")
    task = replace(component, env=(("USER_NAME", "me"), ("TOKEN", "t"), ("OTHER", "o"), ("PIP_PROXY", "p")))
    of_namespace = {"name": "PIP_CERT", "value": "/of/$(WHERE)"}, {"name": "TOKEN", "value": "the namespace's"}
    policy = replace(POLICY, pod_template={"spec": {"containers": [{"name": "main", "env": list(of_namespace)}]}})
    found = {one["name"]: one["value"] for one in _packages(task, policy)}
    assert {name: found.get(name) for name in ("USER_NAME", "TOKEN", "PIP_PROXY", "PIP_CERT", "OTHER")} == {
        "USER_NAME": "me", "TOKEN": "the namespace's", "PIP_PROXY": "p", "PIP_CERT": "/of/$(WHERE)", "OTHER": None,
    }  # fmt: skip
    assert _packages(replace(task, env=())), "a shell's variable that nobody sets is none of ours"


@pytest.mark.parametrize(
    "task",
    [
        replace(compiled("'$(PACKAGE)'"), env=(("PACKAGE", "six"),)),
        replace(compiled("'six'"), env=(("HOST", "h"), ("PIP_INDEX_URL", "https://$(HOST)"))),
        compiled("--index-url https://$KFP_POD_NAME 'six'"),
    ],
    ids=["a package", "the index", "the Pod"],
)
def test_what_is_done_once_for_many_attempts_refers_to_no_variable(task: TaskLaunch) -> None:
    assert not _packages(task)
    words = instructions(task, SETTINGS, POLICY, Store()).request["arguments"]
    assert words[words.index("--") + 1] == "sh", "it runs as it is"


def test_an_attempt_brings_what_it_would_have_in_a_pod_of_its_own() -> None:
    env = [
        {"name": "LATER", "value": "$(A) $$"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "own", "key": "k"}}},
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    task = launch("train", "$(LATER)", env=(("A", "1"), ("B", "2")), kubernetes={"env": env})
    template = {"spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "the namespace's"}]}]}}
    told = instructions(task, SETTINGS, replace(POLICY, pod_template=template), Store())
    document = named(made(task), "shape", "ab12")
    document["metadata"]["uid"] = "the-uid"
    message = told.message(view_of(document), 7, "mark")
    assert message["variables"] == {
        "KFP_RETRY_INDEX": "0",
        "LATER": "$(A) $$",
        "KFP_POD_NAME": "penstock-worker-shape-ab12",
        "KFP_POD_UID": "the-uid",
    }
    assert message["arguments"][-2:] == ["train", "$(A) $$"]
    assert (message["fence"], message["log_token"], message["op"]) == (7, "mark", "run")
    in_pod = [one["name"] for one in main_of(made(task))["env"]]
    assert in_pod == ["KEY", "A"], "what only the kubelet knows"


@pytest.mark.parametrize("task", [PLAIN, launch("train", artifacts={"model": "system.Model"})], ids=["nothing", "one"])
def test_a_store_that_is_reached_with_a_role_is_for_pods_of_their_own(task: TaskLaunch) -> None:
    """However much the task moves: the agent of a worker stores its log in any case."""
    default = {"credentials": {"fromEnv": True}, "assumeRole": {"roleArn": "arn:aws:iam::123456789012:role/tasks"}}
    config = parse_file(json.dumps({"providers": {"s3": {"default": default}}}))
    assert "role that is taken for each attempt" in why_not(task, SETTINGS, POLICY, TaskStore(config, task))


def test_a_member_of_a_gang_has_a_pod_of_its_own_and_says_why() -> None:
    store = TaskStore(parse_file("{}"), PLAIN)
    why = "it starts together with others (penstock.dev/gang), and workers may be busy"
    assert why_not(replace(PLAIN, gang=GangShare("loop[*]/train", 4)), SETTINGS, POLICY, store) == why
    assert why_not(PLAIN, SETTINGS, POLICY, store) != why
