"""The command line of a container, and tasks that are refused before the runtime is called."""

from __future__ import annotations

from typing import Any

import pytest
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.container.command import RunOptions, run_command
from penstock_executor.backends.container.images import Image, qualified
from penstock_executor.backends.container.probe import DetectedRuntime
from penstock_executor.backends.container.resources import quantity
from penstock_executor.backends.container.runtime import last_words
from penstock_executor.backends.container.volumes import Mount
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.task_paths import TaskPaths

from tests.support.launch import RUN, launch

ROOT = "file:///data/artifacts"
IMAGE = Image("sha256:abc", ("/entry", "point"), ("by", "default"), "", "amd64")
PODMAN = DetectedRuntime("/usr/bin/podman", "podman", "5.0", run_options=("--ulimit", "host"), overlays=True)


def made(
    task: TaskLaunch,
    *,
    image: Image = IMAGE,
    found: DetectedRuntime = PODMAN,
    mounts: tuple[Mount, ...] = (),
    passed: dict[str, str] | None = None,
) -> list[str]:
    return run_command(task, TaskPaths(task), image, mounts, RunOptions(found, "here", passed or {}, 3))


def program(command: list[str]) -> list[str]:
    return command[command.index("--") + 1 :]


def test_a_whole_command_line() -> None:
    task = launch("echo", "{{$.inputs.parameters['x']}}", root=ROOT, inputs={"x": "$(HOME) {{y}}"}, env=(("A", "1=2"),))
    place = f"/minio/_file/data/artifacts/pipeline/{RUN}/task/{task.task_root.rsplit('/', 1)[-1]}"
    assert made(task, mounts=(Mount("/tmp/kfp", "/work/files"), Mount("/in", "/stored", "O"))) == [
        *("run", "--detach", "--pull=never", "--name", task.pod_name, "--log-driver", "none"),
        *("--stop-signal", "SIGTERM", "--ulimit", "host", "--security-opt", "label=disable", "--stop-timeout", "3"),
        *("--label", f"pipeline/runid={RUN}", "--label", "pipelines.kubeflow.org/v2_component=true"),
        *("--label", "app.kubernetes.io/managed-by=penstock", "--label", "penstock.dev/instance=here"),
        *("--label", "penstock.dev/path=task", "--label", "penstock.dev/attempt=1"),
        *("--mount", "type=bind,source=/work/files,target=/tmp/kfp", "--volume", "/stored:/in:O"),
        *("--env", f"KFP_POD_NAME={task.pod_name}", "--env", f"KFP_POD_UID={task.task_root.rsplit('/', 1)[-1]}"),
        *("--env", "KFP_RETRY_INDEX=0", "--env", "A=1=2"),
        *("--entrypoint", "/penstock/bin/run", "sha256:abc"),
        *("--share", "/penstock/share", "--log", "/penstock/log", "--mkdir", "/tmp/kfp/outputs", "--mkdir", place),
        *("--metadata", f"{place}/output_metadata.json", "--", "echo", "$(HOME) {{y}}"),
    ]


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        (("cmd", "a"), (), ["cmd", "a"]),
        (("cmd",), ("b",), ["cmd", "b"]),
        ((), (), ["/entry", "point", "by", "default"]),
        ((), ("x",), ["/entry", "point", "x"]),
    ],
)
def test_command_and_entrypoint_as_on_kubernetes(
    command: tuple[str, ...], args: tuple[str, ...], argv: list[str]
) -> None:
    assert program(made(launch(*command, root=ROOT, args=args))) == argv


def test_limits_and_requests() -> None:
    task = launch("true", root=ROOT, resources={"memoryLimit": 1.5, "cpuLimit": 0.5, "cpuRequest": 64})
    command = made(task)
    assert command[command.index("--memory") + 1] == "1500000000"
    assert command[command.index("--cpus") + 1] == "0.5"
    without = DetectedRuntime("/usr/bin/podman", "podman", "5.0", limits=False)
    assert not {"--memory", "--cpus"} & set(made(task, found=without))


@pytest.mark.parametrize(
    ("text", "number"), [("1Gi", 1 << 30), ("512Mi", 512 << 20), ("1e3", 1000), ("2G", 2 * 10**9), ("1500m", 1.5)]
)
def test_quantities(text: str, number: float) -> None:
    assert float(quantity(text, "x")) == number


@pytest.mark.parametrize("text", ["", "-1", "0", "1.2.3", "1GB", "Gi", "1e999", "NaN"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(TaskSpecError, match="expected a quantity"):
        quantity(text, "memory")


def test_variables_of_the_machine_come_first() -> None:
    command = made(launch("true", root=ROOT, env=(("B", "task"),)), passed={"A": "machine", "B": "machine"})
    pairs = [command[index + 1] for index, word in enumerate(command) if word == "--env"]
    # The runtime takes the value from its own environment, so that it is on no command line.
    assert pairs[0] == "A"
    assert pairs.count("B=task") == 1
    assert "B" not in pairs
    assert not any("machine" in word for word in command)


def test_fields_of_the_pod() -> None:
    def entry(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    settings = {
        "labels": {"team": "a"},
        "env": [
            entry("NAME", "metadata.name"),
            entry("RUN_NAME", "metadata.annotations['pipelines.kubeflow.org/run_name']"),
            entry("TEAM", "metadata.labels['team']"),
            entry("NONE", "metadata.labels['other']"),
        ],
    }
    task = launch("true", root=ROOT, kubernetes=settings)
    command = made(task)
    for pair in (f"NAME={task.pod_name}", "RUN_NAME=My run", "TEAM=a", "NONE="):
        assert pair in command
    wrong = launch("true", root=ROOT, kubernetes={"env": [entry("IP", "status.podIP")]})
    with pytest.raises(TaskSpecError, match=r"has no field 'status.podIP'"):
        made(wrong)


@pytest.mark.parametrize(
    ("wanted", "user", "flags"),
    [
        ({}, "", []),
        ({"runAsUser": 7}, "root", ["--user", "7"]),
        ({"runAsUser": 7, "runAsGroup": 8}, "", ["--user", "7:8"]),
        ({"runAsGroup": 8}, "app", ["--user", "app:8"]),
        ({"runAsNonRoot": True}, "app:app", []),
    ],
)
def test_users(wanted: dict[str, Any], user: str, flags: list[str]) -> None:
    image = Image("i", (), (), user, "amd64")
    command = made(launch("true", root=ROOT, kubernetes={"securityContext": wanted}), image=image)
    assert command[command.index("--user") :][:2] == flags if flags else "--user" not in command


@pytest.mark.parametrize(
    ("task", "image", "words"),
    [
        (launch(root=ROOT), Image("i", (), (), "", "amd64"), "neither does the image 'python:3.11'"),
        (launch("x" * 131_072, root=ROOT), IMAGE, "has 131072 bytes"),
        (launch("a\0b", root=ROOT), IMAGE, "holds a NUL"),
        (launch("true", root=ROOT, env=(("A", "x" * 131_071),)), IMAGE, "environment variable 3"),
        (launch("true", root=ROOT, kubernetes={"securityContext": {"runAsNonRoot": True}}), IMAGE, "set runAsUser"),
        (launch("true", root=ROOT, resources={"resourceMemoryLimit": "lots"}), IMAGE, "the limit of memory is 'lots'"),
    ],
)
def test_what_is_refused(task: TaskLaunch, image: Image, words: str) -> None:
    with pytest.raises(TaskSpecError) as error:
        made(task, image=image)
    assert words in str(error.value)


def test_a_path_that_no_flag_can_hold() -> None:
    with pytest.raises(TaskSpecError, match="comma"):
        made(launch("true", root=ROOT), mounts=(Mount("/in", "/a,b"),))


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("python:3.11", "docker.io/library/python:3.11"),
        ("me/tool@sha256:0", "docker.io/me/tool@sha256:0"),
        ("localhost/mine", "localhost/mine"),
        ("host:5000/a/b:c", "host:5000/a/b:c"),
        ("ghcr.io/a/b", "ghcr.io/a/b"),
    ],
)
def test_names_of_images(name: str, whole: str) -> None:
    assert qualified(name) == whole


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (
            "Trying to pull x...\nError: initializing source docker://x: no such host\n",
            "initializing source docker://x: no such host",
        ),
        ("docker: Error response from daemon: no.\nSee 'docker run --help'.\n", "Error response from daemon: no."),
        ("something\n", "something"),
        ("", ""),
    ],
)
def test_the_runtimes_own_words(printed: str, words: str) -> None:
    assert last_words(printed) == words
