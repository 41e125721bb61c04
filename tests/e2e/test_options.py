"""Options of a run and settings of the server: fail fast, deadlines, caching and its age."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from penstock.cli.main import main as penstock
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs


def test_fail_fast_ends_what_runs(client: Client) -> None:
    spec = specs.siblings({"fails": ["false"], "slow": specs.LONG})
    run_id = runs.start(client, spec, fail_fast=True)
    run = runs.finished(client, run_id, 30)
    assert run.state == run_pb2.FAILED
    assert "'fails' failed" in run.error.message
    tasks = runs.tasks(client, run_id)
    assert tasks["slow"].state == "CANCELED"
    assert "fail fast" in tasks["slow"].error


def test_without_it_siblings_go_on(client: Client) -> None:
    run_id = runs.start(client, specs.siblings({"fails": ["false"], "other": ["sh", "-c", "sleep 0.5"]}))
    runs.finished(client, run_id, 30)
    assert runs.tasks(client, run_id)["other"].state == "SUCCEEDED"


def test_a_deadline_ends_the_run(client: Client) -> None:
    run_id = runs.start(client, specs.chain({"slow": specs.LONG, "behind": ["true"]}), deadline_seconds=1)
    run = runs.finished(client, run_id, 30)
    assert run.state == run_pb2.FAILED
    assert run.error.message == "the run exceeded its deadline of 1 seconds"
    tasks = runs.tasks(client, run_id)
    assert (tasks["slow"].state, tasks["behind"].state) == ("CANCELED", "OMITTED")


def test_a_deadline_counts_anew_after_a_retry(client: Client) -> None:
    run_id = runs.start(client, specs.container(["sleep", "2"]), deadline_seconds=1)
    first = runs.finished(client, run_id, 30)
    assert first.state == run_pb2.FAILED
    client.call(client.runs.RetryRun, run_pb2.RetryRunRequest(run_id=run_id))
    second = runs.finished(client, run_id, 30)
    assert second.error.message == "the run exceeded its deadline of 1 seconds"
    assert runs.tasks(client, run_id)["only"].attempts == 2


def test_the_final_status_as_documented(client: Client) -> None:
    run_id = runs.start(client, specs.compiled("loop_in_exit_handler"), documented_final_status=True)
    runs.finished(client, run_id)
    assert runs.tasks(client, run_id)["status-of"].outputs["Output"] == "SUCCEEDED: no error"


def test_nested_loops_collect_flat_where_asked(client: Client) -> None:
    outputs = []
    for flat in (False, True):
        run_id = runs.start(client, specs.compiled("nested_collected"), flat_collected=flat)
        runs.finished(client, run_id)
        outputs.append(runs.tasks(client, run_id)[""].outputs["Output"])
    assert outputs == ["[[11, 21], [12, 22]]", "[11, 21, 12, 22]"]


def test_options_are_shown(client: Client) -> None:
    run_id = runs.start(client, specs.container(["true"]), fail_fast=True, caching=False, max_cache_age_seconds=7)
    shown = runs.finished(client, run_id).options
    assert (shown.fail_fast, shown.caching, shown.max_cache_age_seconds) == (True, False, 7)


@pytest.mark.parametrize(("asked", "settled"), [({}, 7), ({"infrastructure_retries": 0}, 0)])
def test_the_platforms_retries_are_the_servers_unless_the_run_says(
    few_retries: Client, asked: dict[str, Any], settled: int
) -> None:
    run_id = runs.start(few_retries, specs.container(["true"]), **asked)
    assert runs.get(few_retries, run_id).options.infrastructure_retries == settled
    assert runs.finished(few_retries, run_id).state == run_pb2.SUCCEEDED


@pytest.fixture(scope="module")
def few_retries(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Client]:
    """A server with another setting than the default."""
    with (
        Embedded(
            tmp_path_factory.mktemp("retries"),
            environment={"PENSTOCK_INFRASTRUCTURE_RETRIES": "7"},
            environments=environments,
        ) as up,
        Client(up.grpc) as client,
    ):
        yield client


@pytest.mark.parametrize("field", ["infrastructure_retries", "max_cache_age_seconds", "deadline_seconds"])
def test_negative_options_are_refused(client: Client, field: str) -> None:
    with pytest.raises(ClientError, match=field):
        runs.start(client, specs.container(["true"]), None, "test", **{field: -1})


def test_a_priority_is_shown_and_bounded(client: Client) -> None:
    run_id = runs.start(client, specs.container(["true"]), priority=-3)
    assert runs.finished(client, run_id).options.priority == -3
    with pytest.raises(ClientError, match=r"run\.options\.priority"):
        runs.start(client, specs.container(["true"]), None, "test", priority=1001)


def test_how_far_workers_are_shared_is_shown_and_kept_by_a_retry(client: Client) -> None:
    run_id = runs.start(client, specs.container(["false"]), workers="run")
    assert runs.finished(client, run_id).options.workers == "run", "a place without workers runs it all the same"
    client.call(client.runs.RetryRun, run_pb2.RetryRunRequest(run_id=run_id))
    assert runs.finished(client, run_id).options.workers == "run"
    with pytest.raises(ClientError, match=r"run\.options\.workers"):
        runs.start(client, specs.container(["true"]), None, "test", workers="on")


def test_the_command_line_asks_for_workers(up: Embedded, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps(specs.container(["true"])))
    command = ["run", str(file), "--json", "--server", up.grpc]
    for arguments, asked in (((), ""), (("--workers", "namespace"), "namespace")):
        done = CliRunner().invoke(penstock, [*command, *arguments])
        assert done.exit_code == 0, done.output
        assert runs.get(client, json.loads(done.stdout)["run_id"]).options.workers == asked
    assert CliRunner().invoke(penstock, [*command, "--workers", "on"]).exit_code == 2


def test_caching_per_run_and_by_age(client: Client) -> None:
    spec = specs.container(["true"], name="aged", cached=True)

    def state(**options: Any) -> str:
        run_id = runs.start(client, spec, **options)
        runs.finished(client, run_id)
        return str(runs.tasks(client, run_id)["only"].state)

    assert state() == "SUCCEEDED"
    assert state() == "CACHED"
    assert state(caching=False) == "SUCCEEDED", "off for this run"
    assert state(max_cache_age_seconds=3600) == "CACHED"


def test_deleting_a_run_keeps_other_runs_hits(client: Client) -> None:
    spec = specs.container(["true"], name="deleted-later", cached=True)
    first = runs.start(client, spec)
    runs.finished(client, first)
    client.call(client.runs.DeleteRun, run_pb2.DeleteRunRequest(run_id=first))
    second = runs.start(client, spec)
    runs.finished(client, second)
    assert runs.tasks(client, second)["only"].state == "CACHED"


def test_a_server_without_caching(tmp_path: Path, environments: Path) -> None:
    with (
        Embedded(tmp_path / "data", "--no-caching", environments=environments) as embedded,
        Client(embedded.grpc) as client,
    ):
        spec = specs.container(["true"], cached=True)
        for _ in range(2):
            run_id = runs.start(client, spec, caching=True)
            runs.finished(client, run_id)
            assert runs.tasks(client, run_id)["only"].state == "SUCCEEDED"
