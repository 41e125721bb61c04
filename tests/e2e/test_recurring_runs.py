"""Recurring runs through the SDK and over gRPC (api.md §2.9)."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from kfp import client as kfp_client
from penstock.client import Client, ClientError
from penstock_api.v2beta1 import recurring_run_pb2 as pb
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tests.support.schedules import made, past, schedule
from tools.embedded import Embedded
from tools.testing import runs, specs


@pytest.fixture
def sdk(up: Embedded) -> kfp_client.Client:
    return kfp_client.Client(host=up.http)


@pytest.fixture
def experiment(sdk: kfp_client.Client) -> str:
    return str(sdk.create_experiment(f"schedules {time.time_ns()}").experiment_id)


@pytest.mark.parametrize("trigger", ["cron", "periodic"])
@pytest.mark.parametrize(("no_catchup", "expected"), [(False, 3), (True, 1)])
def test_missed_fires(client: Client, trigger: str, no_catchup: bool, expected: int) -> None:
    kind = {"cron_schedule": {"cron": "0 * * * * ?"}} if trigger == "cron" else None
    document = kind or {"periodic_schedule": {"interval_second": "60"}}
    next(iter(document.values())).update(past(10))
    spec = specs.container(["true"], name="scheduled")
    found = schedule(client, spec, trigger=document, no_catchup=no_catchup)
    rows = runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == expected, 20)
    assert len({row.display_name for row in rows}) == expected
    assert {row.display_name.rsplit("-", 2)[1] for row in rows} == {str(n + 1) for n in range(expected)}
    for row in rows:
        assert runs.finished(client, row.run_id).state == run_pb2.SUCCEEDED
    assert len(made(client, found.recurring_run_id)) == expected


def test_without_a_trigger_one_run_is_made(client: Client) -> None:
    found = schedule(client, specs.container(["true"], name="once"))
    runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 1, 20)
    shown = client.call(
        client.recurring_runs.GetRecurringRun, pb.GetRecurringRunRequest(recurring_run_id=found.recurring_run_id)
    )
    assert shown == found, "a fire changes nothing that is shown"
    assert shown.HasField("trigger")
    assert shown.namespace == "kubeflow"


ZERO = {"start_time": "0001-01-01T00:00:00Z", "end_time": "0001-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "trigger",
    [{"cron_schedule": {"cron": "* * * * *", **ZERO}}, {"periodic_schedule": {"interval_second": "1", **ZERO}}],
    ids=["cron", "periodic"],
)
def test_the_zero_time_of_go_is_none(client: Client, trigger: dict[str, Any]) -> None:
    found = schedule(client, specs.container(["true"], name="zero-times"), trigger=trigger)
    kind = found.trigger.cron_schedule if "cron_schedule" in trigger else found.trigger.periodic_schedule
    assert not kind.HasField("start_time") and not kind.HasField("end_time")
    runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) >= 2, 20)
    client.call(
        client.recurring_runs.DeleteRecurringRun,
        pb.DeleteRecurringRunRequest(recurring_run_id=found.recurring_run_id, propagation_policy=pb.FOREGROUND),
    )


def test_a_run_scheduled_at_the_zero_time_was_not_scheduled(client: Client) -> None:
    request = run_pb2.CreateRunRequest()
    json_format.ParseDict(
        {"display_name": "unscheduled", "pipeline_spec": specs.container(["true"]), "scheduled_at": ZERO["start_time"]},
        request.run,
    )
    run = client.call(client.runs.CreateRun, request)
    assert run.scheduled_at == run.created_at
    runs.finished(client, run.run_id)


@pytest.mark.parametrize("pinned", [True, False])
def test_runs_inherit_what_is_for_plugins(client: Client, sdk: kfp_client.Client, tmp_path: Path, pinned: bool) -> None:
    plugins = {"tracking": {"experiment": "nightly", "tags": ["a", {"n": 1732752000000000000}]}, "other": {}}
    spec = specs.container(["true"], name="with-plugins")
    source: dict[str, Any] = {"plugins_input": plugins}
    if not pinned:
        file = tmp_path / "pipeline.json"
        file.write_text(json.dumps(spec))
        pipeline = sdk.upload_pipeline(str(file), pipeline_name=f"with plugins {time.time_ns()}")
        source["pipeline_version_reference"] = {"pipeline_id": pipeline.pipeline_id}
    found = schedule(client, spec if pinned else None, **source)
    assert {name: json_format.MessageToDict(one) for name, one in found.plugins_input.items()} == plugins
    (row,) = runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 1, 20)
    assert row.plugins_input == found.plugins_input
    assert runs.finished(client, row.run_id).plugins_input == found.plugins_input


def test_max_concurrency_holds_fires_back(client: Client) -> None:
    spec = specs.container(["sleep", "60"], name="slow-schedule")
    trigger = {"periodic_schedule": {"interval_second": "60", **past(10)}}
    found = schedule(client, spec, trigger=trigger, max_concurrency=2)
    rows = runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 2, 20)
    client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=rows[0].run_id))
    runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 3, 30)
    for row in made(client, found.recurring_run_id):
        if runs.get(client, row.run_id).state not in runs.ENDED:
            client.call(client.runs.TerminateRun, run_pb2.TerminateRunRequest(run_id=row.run_id))


@pytest.mark.parametrize("over", ["gRPC", "REST"])
@pytest.mark.parametrize("policy", ["DELETE_PROPAGATION_POLICY_UNSPECIFIED", "FOREGROUND", "BACKGROUND", "ORPHAN"])
def test_deleted_its_runs_stay_and_go_on_or_are_terminated(
    up: Embedded, client: Client, tmp_path: Path, policy: str, over: str
) -> None:
    go = tmp_path / "go"
    spec = specs.container(["sh", "-c", f"until test -e {go}; do sleep 0.05; done"], name="deleted")
    found = schedule(client, spec)
    (row,) = runs.until(lambda: made(client, found.recurring_run_id), bool, 20)
    runs.until(lambda: runs.get(client, row.run_id).state, lambda state: state == run_pb2.RUNNING)
    if over == "gRPC":
        request = pb.DeleteRecurringRunRequest(recurring_run_id=found.recurring_run_id, propagation_policy=policy)
        client.call(client.recurring_runs.DeleteRecurringRun, request)
    else:
        path = f"/apis/v2beta1/recurringruns/{found.recurring_run_id}?propagation_policy={policy}"
        assert http.call("DELETE", up.http + path).status == 200
    with pytest.raises(ClientError) as gone:
        client.call(
            client.recurring_runs.GetRecurringRun, pb.GetRecurringRunRequest(recurring_run_id=found.recurring_run_id)
        )
    assert gone.value.code is grpc.StatusCode.NOT_FOUND
    if policy in ("FOREGROUND", "BACKGROUND"):
        assert runs.finished(client, row.run_id).state == run_pb2.FAILED
    else:
        go.touch()
        assert runs.finished(client, row.run_id).state == run_pb2.SUCCEEDED


def test_disabled_until_it_is_enabled(client: Client) -> None:
    found = schedule(client, specs.container(["true"], name="later"), mode="DISABLE")
    assert (found.mode, found.status) == (pb.RecurringRun.DISABLE, pb.RecurringRun.DISABLED)
    other = schedule(client, specs.container(["true"], name="now"))
    runs.until(lambda: made(client, other.recurring_run_id), lambda rows: len(rows) == 1, 20)
    assert not made(client, found.recurring_run_id), "the one made at once would have been made before the other's"
    request = pb.EnableRecurringRunRequest(recurring_run_id=found.recurring_run_id)
    client.call(client.recurring_runs.EnableRecurringRun, request)
    runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 1, 20)


def test_macros_are_expanded_in_the_run_and_kept_in_the_schedule(client: Client) -> None:
    spec = specs.container(["true"], name="macros")
    spec["root"]["inputDefinitions"] = {"parameters": {"text": {"parameterType": "STRING"}}}
    spec["root"]["dag"]["tasks"]["only"]["inputs"] = {"parameters": {"text": {"componentInputParameter": "text"}}}
    text = "[[Index]] at [[ScheduledTime.2006-01-02]]"
    found = schedule(client, spec, runtime_config={"parameters": {"text": text}})
    assert found.runtime_config.parameters["text"].string_value == text
    row = runs.until(lambda: made(client, found.recurring_run_id), lambda rows: len(rows) == 1, 20)[0]
    runs.finished(client, row.run_id)
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    assert runs.tasks(client, row.run_id)["only"].inputs["text"] == f"1 at {today}"


def test_the_newest_version_or_the_pinned_one(sdk: kfp_client.Client, client: Client, experiment: str) -> None:
    name = f"versions {time.time_ns()}"
    first = sdk.upload_pipeline(str(specs.COMPILED / "after_only.yaml"), pipeline_name=name)
    version = sdk.list_pipeline_versions(first.pipeline_id).pipeline_versions[0].pipeline_version_id
    common = {"experiment_id": experiment, "interval_second": 1, "max_concurrency": 10, "no_catchup": True}
    pinned = sdk.create_recurring_run(job_name="pinned", pipeline_id=first.pipeline_id, version_id=version, **common)
    newest = pb.CreateRecurringRunRequest()
    json_format.ParseDict(
        {
            "display_name": "newest",
            "max_concurrency": 10,
            "mode": "ENABLE",
            "trigger": {"periodic_schedule": {"interval_second": 1}},
            "no_catchup": True,
            "pipeline_version_reference": {"pipeline_id": first.pipeline_id},
        },
        newest.recurring_run,
    )
    follows = client.call(client.recurring_runs.CreateRecurringRun, newest)
    assert follows.pipeline_version_reference.pipeline_version_id == ""
    file = str(specs.COMPILED / "shell_command.yaml")
    second = sdk.upload_pipeline_version(file, pipeline_version_name="second", pipeline_id=first.pipeline_id)

    def of(recurring_run_id: str) -> set[str]:
        return {row.pipeline_version_reference.pipeline_version_id for row in made(client, recurring_run_id)}

    runs.until(lambda: of(follows.recurring_run_id), lambda found: second.pipeline_version_id in found, 20)
    runs.until(lambda: made(client, pinned.recurring_run_id), lambda rows: len(rows) >= 2, 20)
    assert of(pinned.recurring_run_id) == {version}
    for one in (pinned.recurring_run_id, follows.recurring_run_id):
        sdk.delete_recurring_run(one)


def test_the_sdk_manages_them(sdk: kfp_client.Client, client: Client, experiment: str) -> None:
    created = sdk.create_recurring_run(
        experiment_id=experiment,
        job_name="nightly",
        cron_expression="0 0 3 * * *",
        pipeline_package_path=str(specs.COMPILED / "embedded_text.yaml"),
        params={"name": "schedule"},
        enabled=False,
    )
    listed = sdk.list_recurring_runs(experiment_id=experiment)
    assert [one.recurring_run_id for one in listed.recurring_runs] == [created.recurring_run_id]
    assert listed.total_size == 1
    sdk.enable_recurring_run(created.recurring_run_id)
    assert sdk.get_recurring_run(created.recurring_run_id).status == "ENABLED"
    sdk.archive_experiment(experiment)
    assert sdk.get_recurring_run(created.recurring_run_id).status == "DISABLED", "its experiment is archived"
    sdk.delete_recurring_run(created.recurring_run_id)
    with pytest.raises(Exception, match="404"):
        sdk.get_recurring_run(created.recurring_run_id)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"display_name": ""}, "display_name"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": 11}, "max_concurrency"),
        ({"trigger": {"cron_schedule": {"cron": "* * * *"}}}, "six"),
        ({"trigger": {"cron_schedule": {"cron": ""}}}, "cron"),
        ({"trigger": {"periodic_schedule": {"interval_second": "0"}}}, "interval_second"),
        ({"trigger": {"periodic_schedule": {"interval_second": str(2**62)}}}, "interval_second"),
        ({"experiment_id": "nobody"}, "nobody"),
        ({"runtime_config": {"parameters": {"surprise": 1}}}, "surprise"),
        ({"pipeline_spec": {}}, "pipeline"),
    ],
)
def test_wrong_schedules_are_refused(client: Client, fields: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ClientError, match=wanted):
        schedule(client, specs.container(["true"]), **fields)


def test_two_servers_make_each_run_once(tmp_path: Path, environments: Path) -> None:
    database = f"sqlite:///{tmp_path}/shared.db"
    with (
        Embedded(tmp_path / "one", "--database", database, environments=environments) as one,
        Embedded(tmp_path / "two", "--database", database, environments=environments) as two,
        Client(one.grpc) as first,
        Client(two.grpc) as second,
    ):
        trigger = {"periodic_schedule": {"interval_second": "60", **past(30)}}
        trigger["periodic_schedule"]["end_time"] = datetime.now(timezone.utc).isoformat()
        found = [schedule(client, specs.container(["true"]), trigger=trigger) for client in (first, second)]
        for each in found:
            rows = runs.until(lambda: made(first, each.recurring_run_id), lambda rows: len(rows) >= 30, 180)  # noqa: B023
            assert len({row.display_name for row in rows}) == len(rows)
            assert len({row.scheduled_at.seconds for row in rows}) == len(rows)


def test_an_idle_schedule_writes_nothing(tmp_path: Path, environments: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as up, Client(up.grpc) as client:
        schedule(client, specs.container(["true"]), trigger={"cron_schedule": {"cron": "0 0 0 1 1 *"}})
        database = tmp_path / "data" / "penstock.db-wal"
        runs.until(lambda: database.stat().st_mtime_ns < time.time_ns() - 500_000_000, bool, 20)
        before = (database.stat().st_size, database.stat().st_mtime_ns)
        # Several ticks long: what is shown is that nothing happens.
        time.sleep(2)
        assert (database.stat().st_size, database.stat().st_mtime_ns) == before


def test_rest_answers(up: Embedded, client: Client) -> None:
    found = schedule(client, specs.container(["true"]), mode="DISABLE")
    with urllib.request.urlopen(f"{up.http}/apis/v2beta1/recurringruns/{found.recurring_run_id}") as reply:
        document = json.load(reply)
    assert document["trigger"] == {}
    assert (document["mode"], document["status"]) == ("DISABLE", "DISABLED")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{up.http}/apis/v2beta1/recurringruns/nobody")
