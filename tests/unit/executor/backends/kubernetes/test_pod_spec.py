"""Pods of tasks, whole."""

from __future__ import annotations

import json

from penstock_executor.agent.protocol import AgentTask, Transfer
from penstock_executor.artifacts.base import Artifact

from tests.unit.executor.backends.kubernetes.pods import (
    HARDENED,
    HOMES,
    LOCAL_ROOT,
    ROOT,
    SECRET_KEY,
    WRAPPER,
    agent_of,
    launch,
    main_of,
    plain_pod,
    pod,
    scratch,
)


def test_a_task_that_moves_nothing_is_one_container() -> None:
    assert pod(launch("echo", "hello")) == plain_pod("echo", "hello")


def test_output_parameters_are_told_to_the_wrapper() -> None:
    assert pod(launch("true", outputs=["score", "loss"])) == plain_pod("true", parameters=["score", "loss"])


def test_artifacts_bring_an_agent() -> None:
    data = Artifact("data", "system.Dataset", "gs://lake/data")
    made = pod(launch("train", outputs=["score"], artifacts={"model": "system.Model"}, reads={"data": [data, data]}))
    expected = plain_pod()
    files = [scratch("/tmp/kfp", "kfp"), scratch("/gcs", "gcs"), scratch("/s3", "s3")]
    share = scratch("/penstock/share", "share")
    (main,) = expected["spec"]["containers"]
    main["command"] = [
        *("/penstock/bin/run", "--share", "/penstock/share", "--wait", "--log", "/penstock/share/log"),
        *("--mkdir", "/tmp/kfp/outputs", "--mkdir", LOCAL_ROOT, "--", "train"),
    ]
    main["volumeMounts"] = [*files, share, *HOMES, WRAPPER]
    agent = agent_of(made)
    instructions = agent["env"].pop(0)
    assert instructions["name"] == "PENSTOCK_TASK_0"
    assert AgentTask.from_json(instructions["value"]) == AgentTask(
        task_root=ROOT,
        inputs=(Transfer("gs://lake/data", "/gcs/lake/data"),),
        outputs={"model": Transfer(f"{ROOT}/model", f"{LOCAL_ROOT}/model")},
        parameters={"score": "/tmp/kfp/outputs/score"},
        metadata=f"{LOCAL_ROOT}/output_metadata.json",
        log="/penstock/share/log",
        store={"endpoint": "http://s3"},
    )
    expected["spec"]["containers"].append(
        {
            "name": "agent",
            "image": "penstock/agent:1",
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-m", "penstock_executor.agent"],
            "env": [SECRET_KEY],
            "volumeMounts": [*files, share],
            "securityContext": {**HARDENED, "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 0},
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        }
    )
    assert made == expected


def test_placeholders_are_paths_in_the_pod() -> None:
    data = Artifact("data", "system.Dataset", "gs://lake/data", custom_path="/elsewhere")
    task = launch(
        *("{{$.inputs.artifacts['data'].path}}", "{{$.outputs.artifacts['model'].path}}", "{{$}}"),
        artifacts={"model": "system.Model"},
        reads={"data": [data]},
    )
    given, made, whole = main_of(pod(task))["command"][-3:]
    assert (given, made) == ("/gcs/lake/data", f"{LOCAL_ROOT}/model")
    document = json.loads(whole.replace("$$", "$"))
    assert document["outputs"]["outputFile"] == f"{LOCAL_ROOT}/output_metadata.json"
    assert document["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == f"{ROOT}/model"
    (shown,) = document["inputs"]["artifacts"]["data"]["artifacts"]
    assert shown["uri"] == "gs://lake/data" and "customPath" not in shown
