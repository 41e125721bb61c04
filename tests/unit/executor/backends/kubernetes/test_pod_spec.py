"""Pods of tasks, whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from penstock_executor.agent.protocol import AgentTask, Transfer
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.kubernetes.settings import ArtifactsClaim, NamespacePolicy
from penstock_ir.artifact import Artifact

from tests.support.pods import (
    HARDENED,
    HOMES,
    LOCAL_ROOT,
    ROOT,
    SCRATCH,
    WRAPPER,
    agent_of,
    launch,
    main_of,
    plain_pod,
    pod,
    scratch,
)
from tools.testing.pod_settings import SECRET_KEY, SETTINGS


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
        *("--mkdir", "/tmp/kfp/outputs", "--mkdir", LOCAL_ROOT),
        *("--metadata", f"{LOCAL_ROOT}/output_metadata.json", "--home", "/tmp/kfp/.home", "--", "train"),
    ]
    main["volumeMounts"] = [*files, share, WRAPPER]
    emptied = [{"name": mount["name"], "emptyDir": {}} for mount in (*files, share)]
    expected["spec"]["volumes"][: len(SCRATCH)] = emptied
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


def test_an_image_with_an_entrypoint_of_its_own_runs_as_it_is() -> None:
    made = pod(launch(args=["--x", "$HOME"]))
    (main,) = made["spec"]["containers"]
    assert "command" not in main and main["args"] == ["--x", "$$HOME"]
    assert "initContainers" not in made["spec"]
    assert [volume["name"] for volume in made["spec"]["volumes"]] == [
        *(mount["name"] for mount in (*SCRATCH, scratch("/s3", "s3"), *HOMES))
    ]


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["{{$}}"], ()),
        (['["--executor_input", "{{$.json_escape[1]}}"]'], ()),
        (["--into={{$.outputs.output_file}}"], ()),
        ([f"ls {LOCAL_ROOT}"], ()),
        ([], (("TOLD", LOCAL_ROOT),)),
    ],
)
def test_a_task_that_is_told_of_its_root_has_it(arguments: list[str], variables: tuple[tuple[str, str], ...]) -> None:
    main = main_of(pod(launch("true", *arguments, env=variables)))
    made = main["command"].index(LOCAL_ROOT)
    assert main["command"][made - 1] == "--mkdir"
    assert main["command"][made + 1 : made + 3] == ["--metadata", f"{LOCAL_ROOT}/output_metadata.json"]
    assert scratch("/s3", "s3") in main["volumeMounts"]


def test_a_root_that_every_program_knows_is_there() -> None:
    main = main_of(pod(launch("true", task_root="https://elsewhere/root")))
    assert main["command"][3:7] == ["--mkdir", "/tmp/kfp", "--metadata", "/tmp/kfp/output_metadata.json"]


@pytest.mark.parametrize("path", ["/.cache/models", "/.local/lib"])
@pytest.mark.parametrize("by", ["pipeline", "template"])
def test_what_is_mounted_in_a_home_stays_in_it(path: str, by: str) -> None:
    mount = {"name": "models", "mountPath": path}
    volume = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    if by == "pipeline":
        made = pod(launch("true", kubernetes={"volumes": [volume], "volumeMounts": [mount]}))
    else:
        template = {"spec": {"containers": [{"name": "main", "volumeMounts": [mount]}], "volumes": [volume]}}
        made = pod(launch("true"), policy=NamespacePolicy(pod_template=template))
    main = main_of(made)
    assert "--home" not in main["command"]
    assert [one for one in main["volumeMounts"] if one in HOMES] == HOMES
    assert mount in main["volumeMounts"]


def test_around_an_entrypoint_the_agent_fetches_first_and_uploads_last() -> None:
    data = Artifact("data", "system.Dataset", "gs://lake/data")
    made = pod(launch(args=["--x"], outputs=["score"], reads={"data": [data]}))
    (main,) = made["spec"]["containers"]
    fetch, sidecar = made["spec"]["initContainers"]
    assert main["volumeMounts"] == [
        *(scratch("/tmp/kfp", "kfp"), scratch("/gcs", "gcs"), scratch("/s3", "s3"), *HOMES),
        {**scratch("/tmp/kfp/outputs", "kfp"), "subPath": "outputs"},
        {**scratch(LOCAL_ROOT, "s3"), "subPath": LOCAL_ROOT.removeprefix("/s3/")},
    ]
    assert fetch["name"] == "agent-fetch" and fetch["command"][-1] == "fetch"
    assert sidecar["name"] == "agent" and sidecar["command"][-1] == "attend"
    assert sidecar["restartPolicy"] == "Always" and "restartPolicy" not in fetch
    assert {**fetch, "name": "", "command": [], "restartPolicy": "Always"} == {**sidecar, "name": "", "command": []}
    assert made["spec"]["terminationGracePeriodSeconds"] == 3600
    instructions = AgentTask.from_json(sidecar["env"][0]["value"])
    assert instructions.parameters == {"score": "/tmp/kfp/outputs/score"} and instructions.log == ""


def test_around_an_entrypoint_nothing_is_fetched_when_there_is_nothing() -> None:
    (sidecar,) = pod(launch(outputs=["score"]))["spec"]["initContainers"]
    assert sidecar["name"] == "agent"


def test_instructions_of_any_size_come_in_pieces() -> None:
    many = [Artifact(str(index), "system.Dataset", f"s3://lake/{'é' * 400}/{index}") for index in range(150)]
    env = agent_of(pod(launch("true", reads={"many": many})))["env"]
    pieces = [one["value"] for one in env if one["name"].startswith("PENSTOCK_TASK_")]
    assert [one["name"] for one in env[: len(pieces)]] == [f"PENSTOCK_TASK_{index}" for index in range(len(pieces))]
    assert len(pieces) > 1 and max(len(piece.encode()) for piece in pieces) <= 96 * 1024
    assert [one.uri for one in AgentTask.from_json("".join(pieces)).inputs] == [one.uri for one in many]


def test_files_lie_in_a_claim_that_the_agent_alone_mounts() -> None:
    settings = replace(SETTINGS, artifacts_claim=ArtifactsClaim("artifacts", "/data"))
    data = Artifact("d", "system.Dataset", "file:///data/in")
    task = launch("{{$.inputs.artifacts['data'].path}}", "{{$}}", reads={"data": [data]}, task_root="file:///data/out")
    made = pod(task, settings)
    main, agent = main_of(made), agent_of(made)
    assert main["command"][-2] == "/minio/_file/data/in"
    shown = json.loads(main["command"][-1].replace("$$", "$"))
    assert shown["inputs"]["artifacts"]["data"]["artifacts"][0]["uri"] == "minio://_file/data/in"
    assert shown["outputs"]["outputFile"] == "/minio/_file/data/out/output_metadata.json"
    files = scratch("/minio", "minio")
    assert files in main["volumeMounts"] and files in agent["volumeMounts"]
    mount = {"name": "penstock-artifacts", "mountPath": "/data"}
    assert mount in agent["volumeMounts"] and mount not in main["volumeMounts"]
    claim = {"name": "penstock-artifacts", "persistentVolumeClaim": {"claimName": "artifacts"}}
    assert claim in made["spec"]["volumes"]
    assert AgentTask.from_json(agent["env"][0]["value"]).inputs == (
        Transfer("file:///data/in", "/minio/_file/data/in"),
    )


def test_what_is_not_moved_is_shown_as_it_is() -> None:
    page = Artifact("p", "system.Artifact", "https://example.com/page")
    made = pod(launch("{{$.inputs.artifacts['page'].uri}}", reads={"page": [page]}))
    assert main_of(made)["command"][-1] == page.uri and len(made["spec"]["containers"]) == 1


def test_the_workspace_is_filled_by_the_agent() -> None:
    volume = {"name": "kfp-workspace", "persistentVolumeClaim": {"claimName": "claim"}}
    platform = {
        "workspace": {"claimName": "claim", "spec": {}},
        "volumes": [dict(volume)],
        "volumeMounts": [{"name": "kfp-workspace", "mountPath": "/kfp-workspace"}],
    }
    data = Artifact("d", "system.Dataset", "gs://lake/data", workspace=True)
    made = pod(launch("{{$.inputs.artifacts['data'].path}}", "{{$}}", reads={"data": [data]}, kubernetes=platform))
    main, agent = main_of(made), agent_of(made)
    local = "/kfp-workspace/.artifacts/gcs/lake/data"
    assert main["command"][-2] == local
    shown = json.loads(main["command"][-1].replace("$$", "$"))["inputs"]["artifacts"]["data"]["artifacts"][0]
    assert shown["uri"] == "gs://lake/data" and shown["metadata"] == {"_kfp_workspace": True}
    assert AgentTask.from_json(agent["env"][0]["value"]).inputs == (
        Transfer("gs://lake/data", local, keep=True, link="/gcs/lake/data"),
    )
    # Of two volumes of one claim a kubelet never mounts the second.
    assert [one for one in made["spec"]["volumes"] if "persistentVolumeClaim" in one] == [volume]
    assert {"name": "kfp-workspace", "mountPath": "/kfp-workspace"} in agent["volumeMounts"]
    assert {"name": "kfp-workspace", "mountPath": "/kfp-workspace"} in main["volumeMounts"]
    assert "/gcs" in [mount["mountPath"] for mount in main["volumeMounts"]]


def test_models_in_images_are_shown_by_sidecars() -> None:
    model = Artifact("m", "system.Model", "oci://registry/team/model:1")
    platform = {"securityContext": {"runAsUser": 65534}}
    made = pod(launch("{{$.inputs.artifacts['model'].path}}", reads={"model": [model, model]}, kubernetes=platform))
    assert main_of(made)["command"][-1] == "/oci/registry_team_model:1/models"
    assert len(made["spec"]["containers"]) == 1 and made["spec"]["shareProcessNamespace"] is True
    check, sidecar = made["spec"]["initContainers"]
    assert (check["name"], sidecar["name"]) == ("oci-prepull-0", "oci-0")
    assert check["image"] == sidecar["image"] == "registry/team/model:1"
    assert sidecar["restartPolicy"] == "Always" and "restartPolicy" not in check
    assert sidecar["command"][-1] == "/oci/registry_team_model:1"
    assert scratch("/oci", "oci") in sidecar["volumeMounts"] and scratch("/oci", "oci") in main_of(made)["volumeMounts"]
    # `/proc/<pid>/root` can be read by the same user only.
    assert sidecar["securityContext"] == main_of(made)["securityContext"]


ARCH = "kubernetes.io/arch"


def arm(*values: str, operator: str = "In") -> dict[str, Any]:
    terms = [{"matchExpressions": [{"key": ARCH, "operator": operator, "values": [value]}]} for value in values]
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    }


@pytest.mark.parametrize(
    ("platform", "architecture"),
    [
        ({"nodeSelector": {ARCH: "arm64"}}, "arm64"),
        (arm("arm64"), "arm64"),
        (arm("arm64", "arm64"), "arm64"),
        (arm("arm64", "amd64"), ""),
        (arm("arm64", operator="NotIn"), ""),
        ({"nodeSelector": {"disk": "ssd"}}, ""),
        ({}, ""),
    ],
)
def test_on_nodes_of_both_architectures(platform: dict[str, Any], architecture: str) -> None:
    made = pod(launch("true", kubernetes=platform), replace(SETTINGS, architecture="mixed"))
    (volume,) = (one for one in made["spec"]["volumes"] if one["name"] == "penstock-wrapper")
    if architecture:
        assert volume["configMap"]["items"] == [{"key": f"run-{architecture}", "path": "run"}]
        assert "initContainers" not in made["spec"]
        return
    (chooser,) = made["spec"]["initContainers"]
    assert "items" not in volume["configMap"]
    assert chooser["image"] == "penstock/agent:1"
    assert scratch("/penstock/bin", "bin") in chooser["volumeMounts"]
    assert {**scratch("/penstock/bin", "bin"), "readOnly": True} in main_of(made)["volumeMounts"]


def test_the_same_task_gives_the_same_pod() -> None:
    data = Artifact("data", "system.Dataset", "gs://lake/data")
    task = launch("train", outputs=["b", "a"], artifacts={"m": "system.Model"}, reads={"z": [data], "a": [data]})
    shuffled = replace(task, input_artifacts=dict(reversed(list(task.input_artifacts.items()))))
    assert json.dumps(pod(task)) == json.dumps(pod(task)) == json.dumps(pod(shuffled))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (launch("true", "\0"), "argument 1 ('\\x00') holds a NUL character"),
        (launch("true", "x" * 131_072), "argument 1 ('" + "x" * 40 + "'…) has 131072 bytes"),
        (launch("true", "é" * 70_000), "has 140000 bytes, and Linux takes at most 131071"),
        (launch("true", "\ud800"), "holds half of a surrogate pair"),
        (launch("true", env=(("A", "x" * 131_071),)), "environment variable 0 ('A=xxx"),
        (launch(*["true", *["x" * 100_000] * 11]), "the largest part is argument"),
        (
            launch("true", env=tuple((f"V{index}", "y" * 120_000) for index in range(9))),
            "the largest part is variable V",
        ),
        (launch("true", artifacts={"m": "system.Model"}, task_root="file:///data"), "no claim is set for files"),
        (
            launch("true", reads={"m": [Artifact("m", "system.Model", "s3://b/../c")]}),
            "s3://b/../c: '..' and NUL are not allowed",
        ),
        (
            launch("true", reads={"m": [Artifact("m", "system.Model", "s3://b/c", workspace=True)]}),
            "the pipeline has none: give it one",
        ),
    ],
    ids=range(10),
)
def test_what_cannot_be_a_pod_says_why(task: TaskLaunch, words: str) -> None:
    with pytest.raises(TaskSpecError) as error:
        pod(task)
    assert words in str(error.value)


def test_files_outside_the_claim() -> None:
    settings = replace(SETTINGS, artifacts_claim=ArtifactsClaim("artifacts", "/data"))
    with pytest.raises(TaskSpecError, match="does not lie in /data, which the claim 'artifacts' holds"):
        pod(launch("true", artifacts={"m": "system.Model"}, task_root="file:///database"), settings)


def test_the_largest_argument_that_goes() -> None:
    argument = "x" * 131_071
    assert main_of(pod(launch("true", argument)))["command"][-1] == argument
