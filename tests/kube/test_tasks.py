"""Results of tasks in Pods: of any size, and for every kind of failure a message of its own."""

from __future__ import annotations

from typing import Any

import pytest
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tests.support.go_ahead import GoAhead
from tools.kube_penstock import KubePenstock
from tools.testing import kube_specs, runs


def failed(client: Client, spec: dict[str, Any], timeout: float = 120.0) -> str:
    """The error of the one task of a run that fails."""
    run_id = runs.start(client, spec)
    run = runs.finished(client, run_id, timeout)
    assert run.state == run_pb2.FAILED
    task = runs.tasks(client, run_id)["only"]
    assert task.state == "FAILED"
    return str(task.error)


def test_a_task_is_one_pod_and_leaves_none(kube: KubePenstock, kube_client: Client) -> None:
    spec = kube_specs.shell("printf '%s' \"$KFP_POD_NAME\" > /tmp/kfp/outputs/name", outputs=["name"])
    run_id = runs.start(kube_client, spec)
    run = runs.finished(kube_client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    task = runs.tasks(kube_client, run_id)["only"]
    assert task.outputs["name"] == task.pod_name
    kube.cluster.until(lambda: kube.cluster.pods(kube.namespace, run_id), lambda pods: pods == [])


def test_a_user_whom_the_image_does_not_know_has_a_home(kube_client: Client) -> None:
    script = "mkdir -p ~/.cache/program && cd ~ && printf '%s' \"$HOME $(pwd)\" > /tmp/kfp/outputs/home"
    run_id = runs.start(kube_client, kube_specs.shell(script, outputs=["home"]))
    run = runs.finished(kube_client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    assert runs.tasks(kube_client, run_id)["only"].outputs["home"] == "/tmp/kfp/.home /tmp/kfp/.home"


@pytest.mark.parametrize("size", [1, 3_000, 4_096, 100_000, 2_000_000])
def test_parameters_of_any_size(kube_client: Client, size: int) -> None:
    """A termination message holds 4096 bytes; what is larger takes another way, unseen."""
    script = f"head -c {size} /dev/zero | tr '\\0' 'x' > /tmp/kfp/outputs/text; echo seen"
    run_id = runs.start(kube_client, kube_specs.shell(script, outputs=["text"]))
    run = runs.finished(kube_client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    assert runs.tasks(kube_client, run_id)["only"].outputs["text"] == "x" * size
    assert runs.until(lambda: runs.log(kube_client, run_id, "only"), lambda text: text.strip() == b"seen")


def test_a_log_that_the_kubelet_rotated_says_what_is_missing(kube_client: Client) -> None:
    """50 MB, written slowly enough for the kubelet, which keeps 10 MiB and looks every ten seconds."""
    lines = "yes 'a line of sixty-four bytes of which a newline is the last one..' | head -n 200000"
    run_id = runs.start(kube_client, kube_specs.shell(f"for part in 1 2 3 4; do {lines}; sleep 11; done; echo last"))
    assert runs.finished(kube_client, run_id).state == run_pb2.SUCCEEDED
    log = runs.until(lambda: runs.log(kube_client, run_id, "only"), lambda text: text.endswith(b"last\n"))
    written = 4 * 200_000 * 64 + len("last\n")
    if log.startswith(b"[penstock: the first "):
        head, _, rest = log.partition(b"\n")
        assert head.decode().startswith(
            f"[penstock: the first {written - len(rest):,} of {written:,} bytes of this log"
        )
    else:
        assert len(log) == written


@pytest.mark.parametrize("text", ["$HOME $(KFP_POD_NAME) $$ $(date)", "quote ' \" \\ \n line", "ünïcödé 🌍"])
def test_arguments_arrive_byte_for_byte(kube_client: Client, text: str) -> None:
    spec = kube_specs.container(["sh", "-c", 'printf "%s" "$0" > /tmp/kfp/outputs/text', text], outputs=["text"])
    run_id = runs.start(kube_client, spec)
    assert runs.finished(kube_client, run_id).state == run_pb2.SUCCEEDED
    task = runs.tasks(kube_client, run_id)["only"]
    assert task.outputs["text"] == text.replace("$(KFP_POD_NAME)", task.pod_name)


def test_exit_code_and_last_lines(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.shell("echo first; echo the reason >&2; exit 3"))
    assert "exited with code 3" in error
    assert "the reason" in error


def test_a_signal(kube_client: Client) -> None:
    assert "killed by signal 9 (SIGKILL)" in failed(kube_client, kube_specs.shell("kill -9 $$"))


def test_no_such_command(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.container(["no-such-program", "x"]))
    assert "'no-such-program' does not exist in the image" in error


def test_no_such_image(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.container(["true"], image="docker.io/nobody/nothing:1"), 240)
    assert "the image 'docker.io/nobody/nothing:1' cannot be pulled" in error


def test_no_image_name(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.container(["true"], image="Not An Image"))
    assert "Not An Image" in error


def test_out_of_memory(kube_client: Client) -> None:
    # Written to memory, which a tmpfs is.
    script = "head -c 200000000 /dev/zero > /dev/shm/x; sleep 1; echo survived"
    spec = kube_specs.shell(
        script,
        resources={"resourceMemoryLimit": "32Mi"},
        kubernetes={"emptyDirMounts": [{"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory"}]},
    )
    assert "more memory than its limit" in failed(kube_client, spec)


def test_memory_grows_until_it_is_enough(kube_client: Client) -> None:
    script = "head -c 100000000 /dev/zero > /dev/shm/x; sleep 1; echo survived"
    annotations = {"penstock.dev/oom-memory-factor": "4", "penstock.dev/oom-memory-max": "256Mi"}
    spec = kube_specs.shell(
        script,
        resources={"resourceMemoryLimit": "32Mi"},
        kubernetes={
            "emptyDirMounts": [{"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory"}],
            "podMetadata": {"annotations": annotations},
        },
        retries=2,
    )
    run_id = runs.start(kube_client, spec)
    run = runs.finished(kube_client, run_id)
    assert run.state == run_pb2.SUCCEEDED, run.error.message
    assert runs.tasks(kube_client, run_id)["only"].attempts == 2, "32Mi, then 128Mi"


def test_deadline(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.shell("sleep 60", kubernetes={"activeDeadlineSeconds": "2"}))
    assert "the deadline of 2 seconds was exceeded" in error


def test_a_secret_that_is_not_there(kube_client: Client) -> None:
    secret = {
        "secretNameParameter": {"runtimeValue": {"constant": "no-such-secret"}},
        "keyToEnv": [{"secretKey": "k", "envVar": "V"}],
    }
    error = failed(kube_client, kube_specs.shell("true", kubernetes={"secretAsEnv": [secret]}))
    assert "no-such-secret" in error
    assert "not found" in error


def test_a_pod_that_kubernetes_refuses(kube_client: Client) -> None:
    error = failed(kube_client, kube_specs.shell("true", resources={"resourceCpuLimit": "lots"}))
    assert "lots" in error or "quantities" in error


def test_retries_are_attempts_of_their_own(kube_client: Client) -> None:
    run_id = runs.start(kube_client, kube_specs.shell("exit 1", retries=2))
    assert runs.finished(kube_client, run_id).state == run_pb2.FAILED
    assert runs.tasks(kube_client, run_id)["only"].attempts == 3


def test_a_pod_deleted_by_hand_is_begun_again(kube: KubePenstock, kube_client: Client, go: GoAhead) -> None:
    run_id = runs.start(kube_client, kube_specs.shell(go.wait))
    (pod, *_) = kube.cluster.until(
        lambda: [one for one in kube.cluster.pods(kube.namespace, run_id) if one["status"]["phase"] == "Running"], bool
    )
    kube.cluster.delete(f"/api/v1/namespaces/{kube.namespace}/pods/{pod['metadata']['name']}", grace_seconds=1)
    runs.until(lambda: runs.tasks(kube_client, run_id)["only"].attempts, lambda attempts: attempts == 2)
    go.give()
    assert runs.finished(kube_client, run_id).state == run_pb2.SUCCEEDED
    assert runs.tasks(kube_client, run_id)["only"].attempts == 2


def test_a_terminated_run_has_no_pod_left(kube: KubePenstock, kube_client: Client) -> None:
    # A program that does not listen to SIGTERM.
    run_id = runs.start(kube_client, kube_specs.shell("trap '' TERM; echo began; while :; do sleep 1; done"))
    kube.cluster.until(
        lambda: [one["status"]["phase"] for one in kube.cluster.pods(kube.namespace, run_id)],
        lambda phases: phases == ["Running"],
    )
    kube_client.call(kube_client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    run = runs.finished(kube_client, run_id, 30)
    assert run.state in (run_pb2.FAILED, run_pb2.CANCELED)
    # It has ended; a node says so before it lets the Pod go.
    assert {one["status"]["phase"] for one in kube.cluster.pods(kube.namespace, run_id)} <= {"Failed", "Succeeded"}
    kube.cluster.until(lambda: kube.cluster.pods(kube.namespace, run_id), lambda pods: pods == [])
    assert runs.until(lambda: runs.log(kube_client, run_id, "only"), lambda text: b"began" in text)


def test_the_log_of_a_running_task(kube: KubePenstock, kube_client: Client, go: GoAhead) -> None:
    run_id = runs.start(kube_client, kube_specs.shell(f"echo one; {go.wait}; echo two"))
    early = runs.until(lambda: runs.log(kube_client, run_id, "only"), lambda text: b"one" in text)
    assert b"two" not in early
    seen = b""
    request = insight_pb2.ReadLogRequest(run_id=run_id, node_id="only", follow=True)
    for chunk in kube_client.stream(kube_client.insight.ReadLog, request):
        seen += chunk.data
        go.give()
    assert seen.split() == [b"one", b"two"]
