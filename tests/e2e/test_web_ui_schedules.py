"""Recurring runs in the web UI, on a live server: found, disabled, deleted, looked into, and made by the form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from penstock.client import Client, ClientError
from penstock_api.v1 import upload_pb2
from penstock_api.v2beta1 import recurring_run_pb2 as pb
from penstock_server.gateway.pages import BUNDLE

from tests.support import schedules
from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs

_NIGHTLY = {"cron_schedule": {"cron": "TZ=Europe/Berlin 0 30 2 * * *"}}
_HOSTILE = "<script>window.hacked = 1</script> " + "w" * 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    with Embedded(tmp_path_factory.mktemp("data"), environments=environments) as up:
        yield up


def typed(label: str, value: str) -> str:
    """A script that types into the input with a label, once it is there."""
    return (
        "(() => { const input = [...document.querySelectorAll('label')]"
        f".filter((one) => one.innerText.replace('*', '').trim() === {json.dumps(label)})"
        ".map((one) => document.getElementById(one.htmlFor)).find((one) => one && one.type !== 'radio');"
        "if (!input) return false;"
        "const kind = input instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;"
        f"Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(input, {json.dumps(value)});"
        "input.dispatchEvent(new Event('input', { bubbles: true })); return true; })()"
    )


def fires(count: int) -> str:
    return f"document.querySelector('[data-fires]')?.dataset.fires === '{count}'"


def uploaded(client: Client, spec: Mapping[str, Any]) -> str:
    """The id of a new pipeline with one version."""
    request = upload_pb2.UploadPipelineRequest(name="nightly", content=json.dumps(spec).encode())
    return str(client.call(client.uploads.UploadPipeline, request).pipeline_id)


def get(client: Client, recurring_run_id: str) -> pb.RecurringRun:
    request = pb.GetRecurringRunRequest(recurring_run_id=recurring_run_id)
    found: pb.RecurringRun = client.call(client.recurring_runs.GetRecurringRun, request)
    return found


async def test_a_recurring_run_is_found_disabled_and_deleted(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        spec = specs.container(["true"])
        one = schedules.schedule(client, spec, display_name=_HOSTILE, trigger=_NIGHTLY).recurring_run_id
        schedules.schedule(client, spec, display_name="another", trigger=_NIGHTLY)
        async with opened(tmp_path / "profile", f"{served.http}/recurring-runs?name=script") as page:
            await page.until(has("Every day at 2:30"))
            assert not await page.evaluate(has("another"))
            await page.until("document.querySelector('td time[datetime$=\"Z\"]') !== null")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.until(pressed("Disable"))
            await page.until("document.querySelector('[data-status=DISABLED]') !== null")
            assert get(client, one).status == pb.RecurringRun.DISABLED
            await page.until(pressed("Enable"))
            await page.until("document.querySelector('[data-status=ENABLED]') !== null")
            await page.until(pressed("Delete"))
            await page.until(has("Delete this recurring run?"))
            assert get(client, one).status == pb.RecurringRun.ENABLED
            await page.until(pressed("Delete", "[role=dialog] button"))
            await page.until(has("No recurring runs match"))
        with pytest.raises(ClientError):
            get(client, one)


async def test_pages_are_turned_by_the_address(served: Embedded, tmp_path: Path) -> None:
    with Client(served.grpc) as client:
        spec = specs.container(["true"])
        for number in range(51):
            schedules.schedule(client, spec, display_name=f"paged {number}", mode="DISABLE", trigger=_NIGHTLY)
    rows = "document.querySelectorAll('tbody tr').length"
    async with opened(tmp_path / "profile", f"{served.http}/recurring-runs?name=paged") as page:
        await page.until(f"{rows} === 50")
        await page.until(pressed("Next page"))
        await page.until(f"{rows} === 1 && {has('paged 0')}")
        address = await page.address(lambda url: "page=" in url and "name=paged" in url)
        await page.open(f"{served.http}/recurring-runs?name=paged")
        await page.until(f"{rows} === 50")
        await page.open(address)
        await page.until(f"{rows} === 1 && {has('paged 0')}")


async def test_what_waits_is_told_and_the_runs_that_were_started_are_listed(served: Embedded, tmp_path: Path) -> None:
    trigger = {"cron_schedule": {"cron": "0 * * * * *", **schedules.past(8)}}
    with Client(served.grpc) as client:
        spec = specs.container(specs.LONG)
        one = schedules.schedule(client, spec, display_name="backfill", max_concurrency=1, trigger=trigger)
        identifier = one.recurring_run_id
        made = runs.until(lambda: schedules.made(client, identifier), lambda found: len(found) == 1, 60)[0]
        async with opened(tmp_path / "profile", f"{served.http}/recurring-runs/{identifier}") as page:
            await page.until(has("1 of 1 at the same time have not"))
            assert await page.evaluate(fires(2)) and await page.evaluate(has("Due and not made yet: 2."))
            await page.until(pressed(made.display_name, "a"))
            await page.address(lambda url: url.endswith(f"/runs/{made.run_id}"))
            # And back.
            await page.until(pressed("backfill", "a"))
            await page.address(lambda url: url.endswith(f"/recurring-runs/{identifier}"))


async def test_a_recurring_run_is_made_by_the_form(served: Embedded, tmp_path: Path) -> None:
    spec = specs.container(["true"], name="nightly")
    spec["root"]["inputDefinitions"] = {"parameters": {"day": {"parameterType": "STRING"}}}
    with Client(served.grpc) as client:
        pipeline = uploaded(client, spec)
        async with opened(tmp_path / "profile", f"{served.http}/recurring-runs/new?pipeline={pipeline}") as page:
            await page.until(fires(10))
            await page.until(typed("Cron expression", "30 2 * *"))
            await page.until(has("it has 4 fields"))
            assert not await page.evaluate(fires(10))
            await page.until(typed("Cron expression", "0 30 2 * * mon"))
            await page.until(has("Every Monday at 2:30"))
            await page.until(f"document.querySelector('[aria-busy=false]') !== null && {fires(10)}")
            weekdays = await page.evaluate(
                "[...document.querySelectorAll('[data-fires] time')].map((one) => new Date(one.dateTime).getUTCDay())"
            )
            assert weekdays == [1] * 10
            await page.until('document.querySelector("textarea").value.includes("day")')
            await page.until(typed("Parameters", '{"dya": "x"}'))
            await page.until(pressed("Create"))
            await page.until(has("The pipeline has no parameter dya"))
            assert await page.evaluate(has("This is needed"))
            await page.until("document.activeElement.getAttribute('aria-invalid') === 'true'")
            await page.until(typed("Parameters", '{"day": "[[ScheduledTime.2006-01-02]]"}'))
            await page.until(typed("Name", "by hand"))
            await page.until(pressed("Create"))
            address = await page.address(lambda url: "/recurring-runs/" in url and "/new" not in url)
            await page.until(has("by hand"))
            made = get(client, address.rpartition("/")[2])
    assert made.trigger.cron_schedule.cron.endswith("0 30 2 * * mon")
    assert made.pipeline_version_reference.pipeline_id == pipeline
    assert made.runtime_config.parameters["day"].string_value == "[[ScheduledTime.2006-01-02]]"
    assert (made.status, made.max_concurrency, made.no_catchup) == (pb.RecurringRun.ENABLED, 1, True)
