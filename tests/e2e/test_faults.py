"""Tasks that misbehave: each gets one clear error, and other tasks go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml
from penstock.client import Client
from penstock_api.v1 import insight_pb2
from penstock_api.v2beta1 import run_pb2

from tools.embedded import PENSTOCK, Embedded
from tools.testing import runs, specs


def failed(client: Client, spec: dict[str, object]) -> insight_pb2.Task:
    """The only task of a run that has failed."""
    run = runs.finished(client, runs.start(client, spec))
    assert run.state == run_pb2.FAILED, run
    task = runs.tasks(client, run.run_id)["only"]
    assert task.state == "FAILED"
    assert "only" in run.error.message
    return task


def log_of(client: Client, run_id: str, task: str) -> bytes:
    request = insight_pb2.ReadLogRequest(run_id=run_id, node_id=task)
    return b"".join(chunk.data for chunk in client.stream(client.insight.ReadLog, request))


def test_a_task_that_exits_with_3(client: Client) -> None:
    task = failed(client, specs.container(["sh", "-c", "echo the reason; exit 3"]))
    assert "exited with code 3" in task.error
    assert "the reason" in task.error


def test_a_command_that_does_not_exist(client: Client) -> None:
    task = failed(client, specs.container(["no-such-command-anywhere"]))
    assert "no-such-command-anywhere" in task.error
    assert "'image'" in task.error
    assert "Kubernetes" in task.error


def test_a_task_that_prints_100_mb(client: Client) -> None:
    script = "head -c 104857600 /dev/zero | tr '\\0' x; echo; echo the end"
    run = runs.finished(client, runs.start(client, specs.container(["sh", "-c", script])))
    assert run.state == run_pb2.SUCCEEDED
    log = log_of(client, run.run_id, "only")
    assert len(log) > 100 * 1024 * 1024
    assert log.endswith(b"the end\n")


def test_a_task_that_never_ends_is_terminated(client: Client) -> None:
    # It ignores the polite signal, and so does its child.
    script = "trap '' TERM; sleep 3600 & while true; do sleep 1; done"
    run_id = runs.start(client, specs.container(["sh", "-c", script]))
    runs.until(lambda: runs.tasks(client, run_id)["only"].state, lambda state: state == "RUNNING")
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=run_id))
    run = runs.finished(client, run_id)
    assert run.state == run_pb2.FAILED
    assert "terminated" in run.error.message
    assert runs.tasks(client, run_id)["only"].state == "CANCELED"


def test_a_task_that_writes_no_declared_output(client: Client) -> None:
    task = failed(client, specs.container(["true"], outputs=["answer"]))
    assert "did not write its output parameter 'answer'" in task.error


def test_a_task_that_writes_half_a_character(client: Client) -> None:
    script = r"""mkdir -p "$(dirname "$0")"; echo '{"parameterValues": {"answer": "\\ud800"}}' > "$0" """
    command = ["sh", "-c", script, "{{$.outputs.output_file}}"]
    task = failed(client, specs.container(command, outputs=["answer"]))
    assert "surrogate" in task.error


def test_a_task_that_prints_what_is_no_text(client: Client) -> None:
    task = failed(client, specs.container(["sh", "-c", r"printf 'a\000b\377c'; exit 1"]))
    assert "a\ufffdb\ufffdc" in task.error


def test_a_task_that_writes_invalid_json(client: Client) -> None:
    script = 'mkdir -p "$(dirname "$0")"; echo "{broken" > "$0"'
    command = ["sh", "-c", script, "{{$.outputs.output_file}}"]
    task = failed(client, specs.container(command, outputs=["answer"]))
    assert "output_metadata.json is no valid JSON" in task.error


def test_siblings_of_a_failed_task_go_on(client: Client) -> None:
    spec = yaml.safe_load((specs.COMPILED / "siblings_go_on.yaml").read_text())
    run = runs.finished(client, runs.start(client, spec))
    states = {path: task.state for path, task in runs.tasks(client, run.run_id).items() if path}
    assert states == {"fail": "FAILED", "text": "OMITTED", "text-2": "SUCCEEDED"}


def on_a_small_disk(size: str, program: str, small: Path, *arguments: Path) -> str:
    """What a program of this directory prints with a file system of that size, of its own, at `small`."""
    small.mkdir()
    words = " ".join(map(str, (sys.executable, Path(__file__).with_name(program), *arguments)))
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
         f"mount -t tmpfs -o size={size} tmpfs {small} && exec {words}"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_full_disk_in_the_artifact_store(tmp_path: Path) -> None:
    said = on_a_small_disk("1m", "full_disk.py", tmp_path / "small", tmp_path, tmp_path / "small")
    assert "No space left on device" in said
    assert "the next one: SUCCEEDED" in said


def test_a_full_disk_under_everything(tmp_path: Path) -> None:
    """Log files and databases, too: requests are answered, `/readyz` says no, and all goes on when there is room."""
    said = on_a_small_disk("64m", "full_data_disk.py", tmp_path / "small", tmp_path / "small")
    assert "filled: No space left on device" in said
    assert "full: " in said
    assert "cannot be written to: No space left on device" in said
    assert 'again: {"ready": true, "problems": []}' in said
    assert "the next one: SUCCEEDED" in said
    assert "lines are missing here: No space left on device" in said


def test_output_that_nobody_reads(tmp_path: Path) -> None:
    """`penstock up | less`, or a terminal that was told to wait: the server does not."""
    command = [PENSTOCK, "up", "--data-dir", str(tmp_path), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
    command += ["--log-level", "debug"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        try:
            ready = dict(part.split("=", 1) for part in started.stdout.readline().split()[1:])
            connection = HTTPConnection(ready["http"].removeprefix("http://"), timeout=30)
            for _ in range(3000):
                connection.request("GET", "/apis/v2beta1/healthz")
                assert connection.getresponse().read()
            connection.close()
        finally:
            started.send_signal(signal.SIGTERM)
            words = started.stderr.read()
        assert started.wait(40) == 0
    assert "server: " in words
    assert (tmp_path / "logs" / "server.log").read_text().count("/healthz") == 3000


def test_two_up_on_one_data_directory(up: Embedded) -> None:
    with pytest.raises(RuntimeError, match="is in use by another `penstock up`"):
        Embedded(up.data_dir).start()


def test_a_port_in_use(up: Embedded, tmp_path: Path) -> None:
    port = up.http.rsplit(":", 1)[1]
    with pytest.raises(RuntimeError, match=rf"--http: 127.0.0.1:{port} cannot be used"):
        Embedded(tmp_path, "--http", f"127.0.0.1:{port}").start()
