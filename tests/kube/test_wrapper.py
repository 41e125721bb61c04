"""The wrapper in real containers: a restricted namespace, any image, a log that the kubelet keeps."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.agent.results import FramedResult, find_frame, parse_message, parse_result, without_frame
from penstock_executor.backends.kubernetes.wrapper import wrapper_config_map

from tools.cluster import Cluster
from tools.testing.kube_specs import IMAGE

RUN = "/penstock/bin/run"


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace("wrapper") as name:
        cluster.create(f"/api/v1/namespaces/{name}/configmaps", wrapper_config_map())
        yield name


def pod(*command: str) -> dict[str, Any]:
    """As restricted as can be: nothing of the image can be written, nobody has a name."""
    hardened = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 54321,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    config_map = {"name": wrapper_config_map()["metadata"]["name"], "defaultMode": 0o555}
    return {
        "metadata": {"name": f"task-{uuid.uuid4().hex[:8]}"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": list(command),
                    "securityContext": hardened,
                    "volumeMounts": [
                        {"name": "bin", "mountPath": "/penstock/bin", "readOnly": True},
                        {"name": "scratch", "mountPath": "/tmp/kfp"},
                    ],
                }
            ],
            "volumes": [
                {"name": "bin", "configMap": {**config_map, "items": [{"key": "run-amd64", "path": "run"}]}},
                {"name": "scratch", "emptyDir": {}},
            ],
        },
    }


def started(cluster: Cluster, namespace: str, *command: str) -> str:
    made = cluster.create(f"/api/v1/namespaces/{namespace}/pods", pod(*command))
    return f"/api/v1/namespaces/{namespace}/pods/{made['metadata']['name']}"


def terminated(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The state of `main` once it has ended, else empty."""
    statuses = found["status"].get("containerStatuses", []) if found else []
    return statuses[0]["state"].get("terminated", {}) if statuses else {}


def ended(cluster: Cluster, path: str) -> Mapping[str, Any]:
    return cluster.until(lambda: terminated(cluster.get(path)), bool, 120)


def log(cluster: Cluster, path: str) -> bytes:
    *_, namespace, _, name = path.split("/")

    async def read() -> bytes:
        return b"".join([piece async for piece in cluster.client.log(namespace, name, "main")])

    return cluster.wait(read())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["/none"], 127),
        (["/tmp"], 126),
        (["sh", "-c", "kill -9 $$$$"], 137),
    ],
)
def test_exit_codes(cluster: Cluster, namespace: str, command: list[str], code: int) -> None:
    state = ended(cluster, started(cluster, namespace, RUN, "--", *command))
    assert state["exitCode"] == code
    result = parse_message(state["message"])
    assert isinstance(result, AttemptResult)
    assert result.exit is not None
    assert result.exit.code == code


def test_a_frame_among_what_the_program_says(cluster: Cluster, namespace: str) -> None:
    """The runtime reads stdout and stderr apart: lines of stderr come late, into the frame."""
    script = (
        "yes out | head -n 50000; yes 'é€😀' | head -n 50000 > /tmp/kfp/outputs/text;"
        " (while :; do echo left behind; done >&2) & yes err | head -n 100000 >&2"
    )
    arguments = ["--mkdir", "/tmp/kfp/outputs", "--parameter", "text=/tmp/kfp/outputs/text", "--token", "abc"]
    path = started(cluster, namespace, RUN, *arguments, "--", "sh", "-c", script)
    state = ended(cluster, path)
    assert state["exitCode"] == 0
    message = parse_message(state["message"])
    assert isinstance(message, FramedResult)
    data = log(cluster, path)
    frame = find_frame(data, message.token)
    assert frame is not None
    assert len(frame) == message.size
    result = parse_result(frame)
    assert result is not None
    assert result.parameters == {"text": "é€😀\n" * 50000}
    said = without_frame(data, message.token)
    assert said.count(b"out\n") == 50000
    # Not how many there were: of a container that ends while what it leaves behind still writes, containerd 1.6 loses
    # the last of stderr, a bare one's too.
    # Words, not lines: the line end that comes with a frame may lie behind a line of stderr.
    assert said.count(b"err") == data.count(b"err") - frame.count(b"err") > 50000
    assert said.count(b"left behind") == data.count(b"left behind") > 0


def test_a_pod_that_is_deleted(cluster: Cluster, namespace: str) -> None:
    script = "trap 'echo heard; exit 9' TERM; echo begun; while :; do sleep 0.1; done"
    path = started(cluster, namespace, RUN, "--log", "/tmp/kfp/log", "--", "sh", "-c", script)
    cluster.until(
        lambda: cluster.get(path), lambda found: found is not None and found["status"]["phase"] == "Running", 120
    )
    cluster.until(lambda: log(cluster, path), lambda data: b"begun" in data)
    # A finalizer keeps the Pod where its end can be seen.
    cluster.wait(cluster.client.patch_merge(path, {"metadata": {"finalizers": ["penstock.dev/test"]}}))
    cluster.delete(path)
    try:
        assert ended(cluster, path)["exitCode"] == 9
        assert b"heard" in log(cluster, path)
    finally:
        cluster.wait(cluster.client.patch_merge(path, {"metadata": {"finalizers": None}}))
