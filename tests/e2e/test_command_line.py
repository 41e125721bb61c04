"""The command line as a user types it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.embedded import PENSTOCK, Embedded
from tools.testing import specs


def penstock(up: Embedded, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PENSTOCK, *arguments, "--server", up.grpc]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_run_and_look_at_it(up: Embedded) -> None:
    file = str(specs.COMPILED / "artifact_passing.yaml")
    done = penstock(up, "run", file, "-p", "content=by hand", "--experiment", "command line", "--watch", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["state"] == "SUCCEEDED"
    got = penstock(up, "runs", "get", run["run_id"])
    assert "write" in got.stdout
    assert "SUCCEEDED" in got.stdout
    listed = json.loads(penstock(up, "runs", "list", "--experiment", "command line", "--json").stdout)
    assert run["run_id"] in json.dumps(listed)
    artifacts = json.loads(penstock(up, "artifacts", "list", "--run", run["run_id"], "--json").stdout)
    assert "system.Dataset" in json.dumps(artifacts)


def test_runs_are_found_by_their_labels(up: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "labelled.yaml"
    file.write_text(yaml.safe_dump(specs.container(["true"])))
    labels = ["--label", "team=vision", "--label", "note=a=b\x1b[2J"]
    run_id = penstock(up, "run", str(file), *labels).stdout.strip()
    assert "labels: note=a=b\\x1b[2J, team=vision\n" in penstock(up, "runs", "get", run_id).stdout
    for value, found in (("vision", [run_id]), ("sound", [])):
        listed = json.loads(penstock(up, "runs", "list", "--label", f"team={value}", "--json").stdout)
        assert [run["run_id"] for run in listed] == found


def test_a_list_of_runs_is_shown_until_it_is_interrupted(up: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "listed.yaml"
    file.write_text(yaml.safe_dump(specs.container(["true"])))
    # Whoever is started in the background of a shell ignores interrupts, and so does what it starts.
    interruptible = ["env", "--default-signal=INT"]
    command = [*interruptible, PENSTOCK, "runs", "list", "--experiment", "watched", "--watch", "--server", up.grpc]
    penstock(up, "experiments", "create", "watched")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert "state" in watching.stdout.readline()
        penstock(up, "run", str(file), "--experiment", "watched", "--name", "made elsewhere")
        assert next(line for line in watching.stdout if "made elsewhere" in line and "SUCCEEDED" in line)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
    refused = penstock(up, "runs", "list", "--watch", "--json")
    assert (refused.returncode, "--json" in refused.stderr) == (2, True)


def test_runs_are_found_by_what_they_were_given(up: Embedded) -> None:
    file = str(specs.COMPILED / "artifact_passing.yaml")
    run_id = penstock(up, "run", file, "-p", "content=100% mine").stdout.strip()
    for comparison, found in (("content=100% mine", True), ("content = 99%", False), ("content!=100% mine", False)):
        listed = json.loads(penstock(up, "runs", "list", "--parameter", comparison, "--json").stdout)
        assert (run_id in [run["run_id"] for run in listed]) == found, comparison
    refused = penstock(up, "runs", "list", "--parameter", "content")
    assert refused.returncode == 2
    assert "'content' is no comparison" in refused.stderr
    assert "needs a number" in penstock(up, "runs", "list", "--parameter", "content<much").stderr


def test_a_recurring_run_from_its_making_to_its_end(up: Embedded) -> None:
    def recurring(*arguments: str) -> subprocess.CompletedProcess[str]:
        return penstock(up, "recurring-runs", *arguments)

    file = str(specs.COMPILED / "artifact_passing.yaml")
    years = ["--start", "2031-01-01", "--end", "2031-12-31", "--no-catch-up"]
    made = recurring("create", file, "--cron", "TZ=Asia/Tokyo 0 0 9 * * *", "-p", "content=x", *years).stdout.strip()
    got = recurring("get", made)
    assert "ENABLED  TZ=Asia/Tokyo 0 0 9 * * *" in got.stdout
    assert "missed fires are left out, but for one" in got.stdout
    fires = json.loads(recurring("fires", made, "--count", "2", "--json").stdout)["fires"]
    assert [fire[10:] for fire in fires] == ["T00:00:00Z"] * 2
    assert recurring("disable", made).stderr == f"{made} is disabled\n"
    assert "disabled" in recurring("fires", made).stdout
    assert recurring("enable", made).returncode == 0
    listed = json.loads(recurring("list", "--json").stdout)
    stored = next(one for one in listed if one["recurring_run_id"] == made)
    assert stored["runtime_config"]["parameters"] == {"content": "x"}
    assert recurring("delete", made).returncode == 0
    assert "not found" in recurring("get", made).stderr


def test_a_recurring_run_of_a_stored_pipeline(up: Embedded) -> None:
    file = str(specs.COMPILED / "artifact_passing.yaml")
    pipeline = penstock(up, "pipelines", "upload", file, "--name", "to be scheduled").stdout.strip()
    chosen = ["recurring-runs", "create", "--pipeline", pipeline, "--every", "6h", "--disabled", "--json"]
    made = json.loads(penstock(up, *chosen, "-p", "content=7").stdout)
    assert made["pipeline_version_reference"]["pipeline_id"] == pipeline
    assert made["trigger"]["periodic_schedule"]["interval_second"] == "21600"
    assert made["runtime_config"]["parameters"] == {"content": "7"}
    assert "has no parameter 'other'" in penstock(up, *chosen, "-p", "other=7").stderr
    for arguments in ([file, "--pipeline", pipeline, "--every", "6h"], [file], ["--every", "1h"]):
        refused = penstock(up, "recurring-runs", "create", *arguments)
        assert refused.returncode == 2
        assert "name either" in refused.stderr


def test_a_failed_run_gives_exit_code_1_and_its_log(up: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "fails.yaml"
    file.write_text(yaml.safe_dump(specs.container(["sh", "-c", "echo told; exit 3"])))
    done = penstock(up, "run", str(file), "--watch")
    assert done.returncode == 1
    assert "exited with code 3" in done.stderr
    run_id = next(word for line in done.stderr.splitlines() if line.startswith("run ") for word in line.split()[1:2])
    assert penstock(up, "runs", "logs", run_id, "only").stdout == "told\n"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["run", str(specs.COMPILED / "static_loop.yaml"), "-p", "surprise=1"], "surprise"),
        (["run", str(specs.COMPILED / "conditions.yaml"), "-p", "value=many"], "value"),
        (["run", str(specs.COMPILED / "conditions.yaml"), "-p", "value=NaN"], "'NaN' is no JSON value"),
        (["run", str(specs.COMPILED.parent / "language.py")], "YAML"),
        (["run", str(specs.COMPILED / "static_loop.yaml"), "--label", "team"], "KEY=VALUE"),
        (["run", str(specs.COMPILED / "static_loop.yaml"), "--label", f"{'k' * 64}=v"], "label key"),
        (["runs", "get", "nobody"], "nobody"),
    ],
)
def test_mistakes_are_told_in_one_line(up: Embedded, arguments: list[str], wanted: str) -> None:
    done = penstock(up, *arguments)
    assert done.returncode in (1, 2)
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr


def test_a_workflow_of_argo_is_told_to_be_one(up: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n")
    done = penstock(up, "run", str(file))
    assert done.returncode == 1
    assert "is an Argo Workflow" in done.stderr


def test_no_server_says_what_to_do() -> None:
    command = [PENSTOCK, "runs", "list", "--server", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "penstock up" in done.stderr


def test_doctor(up: Embedded) -> None:
    done = penstock(up, "doctor", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)


def test_tasks_of_a_loop_by_page(up: Embedded, tmp_path: Path) -> None:
    file = tmp_path / "loop.json"
    file.write_text(json.dumps(specs.loop(3)))
    run = json.loads(penstock(up, "run", str(file), "--watch", "--json").stdout)
    children = json.loads(
        penstock(up, "runs", "tasks", run["run_id"], "--parent", "loop", "--limit", "2", "--json").stdout
    )
    assert [task["path"] for task in children] == ["loop[0]", "loop[1]"]
    shown = penstock(up, "runs", "tasks", run["run_id"], "--search", "LOOP", "--state", "succeeded").stdout
    assert "3 SUCCEEDED" in shown
    assert "loop[2]/t" in shown
    wrong = penstock(up, "runs", "tasks", run["run_id"], "--state", "done")
    assert wrong.returncode == 1
    assert "states[0]" in wrong.stderr


def test_every_command_has_help_with_an_example() -> None:
    for words in (
        "up",
        "run",
        "runs list",
        "runs wait",
        "runs retry",
        "pipelines upload",
        "experiments list",
        "doctor",
    ):
        done = subprocess.run([PENSTOCK, *words.split(), "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert "Example: penstock" in done.stdout, words
