"""The start page and the page of health in Chromium: what they say of runs, of executors, and of a new installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_api.v1 import pool_pb2
from penstock_api.v2beta1 import run_pb2
from penstock_server.gateway.pages import BUNDLE

from tests.support.replicas import Replicas
from tests.support.rest_user import User
from tests.support.ui_pages import has, opened, pressed
from tools.embedded import Embedded
from tools.testing import runs, specs
from tools.testing.browser import browser

TEAM = "team-a"
_HOSTILE = "<script>window.hacked = 1</script>\u202egnp" + "x" * 400
_MARK = "document.querySelector('nav [data-problems]')"


@pytest.fixture(autouse=True)
def built() -> None:
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    with Embedded(tmp_path_factory.mktemp("data"), "--parallelism", "1", environments=environments) as up:
        yield up


def section(heading: str) -> str:
    """A script for the text of the part of the page with this heading."""
    return (
        "([...document.querySelectorAll('section')]"
        f".find((one) => one.querySelector('h3').innerText === {json.dumps(heading)})?.innerText ?? '')"
    )


def says(heading: str, text: str) -> str:
    return f"{section(heading)}.includes({json.dumps(text)})"


async def test_from_a_new_installation_to_what_runs_waits_and_failed(served: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = ["sh", "-c", f"until test -e {go}; do sleep 0.1; done"]
    with Client(served.grpc) as client:
        async with opened(tmp_path / "profile", f"{served.http}/") as page:
            await page.until(says("First steps", "penstock run pipeline.yaml"))
            assert await page.evaluate(says("First steps", f'kfp.Client(host="{served.http}")'))
            await page.until(pressed("Add a pipeline", "a"))
            await page.address(lambda url: url.endswith("/pipelines"))
            await page.until(pressed("Penstock", "h1 a"))
            await page.until(has("First steps"))
            # The page goes on by itself when there are runs.
            fine = runs.start(client, specs.container(["true"]), name="is fine")
            assert runs.finished(client, fine).state == run_pb2.SUCCEEDED
            script = "echo said before the end; exit 3"
            failed = runs.start(client, specs.container(["sh", "-c", script]), name=_HOSTILE)
            assert runs.finished(client, failed).state == run_pb2.FAILED
            error = runs.get(client, failed).error.message
            assert "code 3" in error
            await page.until(says("Failed in the last 24 hours", error.splitlines()[0]))
            assert not await page.evaluate(has("First steps")) and not await page.evaluate(has("is fine"))
            assert await page.evaluate(_MARK) is None
            assert await page.evaluate("document.body.scrollWidth <= innerWidth")
            both = [runs.start(client, specs.container(waits), name=name) for name in ("one", "two")]
            await page.until(f"{says('Under way', 'one')} && {says('Under way', 'two')}")
            await page.until(says("Under way", "Running: 2"))
            # The executor has one place.
            await page.until(says("Waiting", "until an executor has a free place: 1"))
            await page.until(pressed("Health", "nav a"))
            await page.until(says("Executors", "1 of 1"))
            assert await page.evaluate(has("No problems"))
            cells = "[...document.querySelectorAll('tbody tr > *')].map((one) => one.innerText)"
            await page.until(f"{cells}[3] === '2' && {cells}[5] === '1'")
            assert str(await page.evaluate("document.querySelector('td time').title")).endswith("Z")
            await page.until(pressed("Running: 2", "a"))
            await page.address(lambda url: url.endswith("/runs?state=RUNNING"))
            go.touch()
            for run_id in both:
                assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
            await page.until(pressed("Penstock", "h1 a"))
            await page.until(f"{says('Under way', 'No run is under way')} && {says('Waiting', 'Nothing waits')}")
            await page.until(pressed(_HOSTILE, "section a"))
            await page.address(lambda url: url.endswith(f"/runs/{failed}"))
            # What was archived is out of sight.
            client.call(client.runs.ArchiveRun, run_pb2.ArchiveRunRequest(run_id=failed))
            await page.until(pressed("Penstock", "h1 a"))
            await page.until(says("Failed in the last 24 hours", "Nothing has failed"))


async def test_pools_are_shown_with_what_is_taken_and_what_waits(served: Embedded, tmp_path: Path) -> None:
    async with opened(tmp_path / "profile", f"{served.http}/health") as page:
        await page.until(says("Server", "sqlite"))
        assert await page.evaluate(section("Pools and limits")) == ""
        with Client(served.grpc) as client:
            for pool in (pool_pb2.Pool(name="licence", slots=0), pool_pb2.Pool(name="namespace/team-a", weight=2)):
                client.call(client.pools.PutPool, pool_pb2.PutPoolRequest(pool=pool))
            run_id = runs.start(client, specs.pooled("licence"))
            await page.until(f"/licence\\s+everybody\\s+0 of 0\\s+1\\s+1/.test({section('Pools and limits')})")
            assert await page.evaluate(says("Pools and limits", "no limit"))
            pool = pool_pb2.Pool(name="licence", slots=1)
            client.call(client.pools.PutPool, pool_pb2.PutPoolRequest(pool=pool))
            assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
            await page.until(f"/licence\\s+everybody\\s+0 of 1\\s+0\\s+1/.test({section('Pools and limits')})")


async def test_without_an_executor_the_pages_say_so_and_what_to_do(tmp_path: Path, environments: Path) -> None:
    database = f"sqlite:///{tmp_path / 'penstock.db'}"
    with Replicas(tmp_path, database, servers=1, executors=1, environments=environments) as replicas:
        (executor,) = replicas.executors
        executor.terminate()
        with Client(replicas.addresses[0]) as client:
            run_id = runs.start(client, specs.container(["true"]), name="nobody takes it")
            async with opened(tmp_path / "profile", f"{replicas.http[0]}/") as page:
                await page.until(says("Waiting", "no executor has taken the run yet"))
                await page.until(
                    "document.querySelector('[role=alert]').innerText.includes('no executor is connected')"
                )
                await page.until(f"{_MARK}?.innerText === '1'")
                await page.until(pressed("See Health", "[role=alert] a"))
                await page.address(lambda url: url.endswith("/health"))
                await page.until(says("Executors", "penstock-executor --server"))
                await page.until(says("Runs that have not ended", "Waiting for an executor: 1"))
                await page.evaluate("localStorage.setItem('penstock-language', '\"zh-CN\"')")
                await page.open(f"{replicas.http[0]}/health")
                await page.until(says("执行器", "没有执行器连接"))
                await page.until(says("未结束的运行", "等待执行器的运行：1 个"))
                await page.open(f"{replicas.http[0]}/")
                await page.until(says("等待中的运行与任务", "nobody takes it"))
                await page.until(has("系统存在问题"))
                executor.start()
                executor.ready()
                assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED
                await page.until(f"document.querySelector('[role=alert]') === null && {_MARK} === null")


async def test_the_namespace_of_the_address_goes_with_every_call(tmp_path: Path, environments: Path) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text(json.dumps({"roles": [{"role": "editor", "namespaces": [TEAM], "users": ["alice"]}]}))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(roles),
    }
    with Embedded(tmp_path / "data", environment=environment, environments=environments) as up:
        alice = User(up.http, "alice")
        body = {
            "display_name": "of the team",
            "experiment_id": alice.experiment(TEAM),
            "pipeline_spec": specs.container(["false"]),
        }
        run_id = alice.call("POST", "/apis/v2beta1/runs", body).json["run_id"]
        async with browser(tmp_path / "profile") as page:
            await page.send_headers({"kubeflow-userid": "alice"})
            await page.open(f"{up.http}/")
            # Said once, not for each part of the page.
            await page.until("document.querySelectorAll('[role=alert]').length === 1")
            assert await page.evaluate("document.querySelector('[role=alert]').innerText.includes('namespace')")
            await page.open(f"{up.http}/?namespace={TEAM}")
            await page.until(says("Failed in the last 24 hours", "of the team"))
            await page.until(pressed("Health", "nav a"))
            await page.until(says("Server", "sqlite"))
            assert f"/health?namespace={TEAM}" in await page.address()
            await page.until(pressed("Penstock", "h1 a"))
            await page.until(pressed("of the team", "section a"))
            await page.address(lambda url: url.endswith(f"/runs/{run_id}?namespace={TEAM}"))
            await page.open(f"{up.http}/health?namespace=team-b")
            await page.until("document.querySelector('[role=alert]')?.innerText.includes('alice')")
