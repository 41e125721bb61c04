"""Users and programs that log in, from end to end: the server's own log-in in Chromium, and oauth2-proxy before the
server with Chromium, an unmodified kfp SDK and the command line.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from tests.support import http
from tools.embedded import PENSTOCK, Embedded
from tools.oauth2_proxy import COOKIE, Pass, oauth2_proxy
from tools.testing import specs
from tools.testing.browser import Page, browser
from tools.testing.oidc_issuer import CLIENT, SECRET, OidcIssuer, oidc_issuer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import kfp

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
PIPELINE = str(specs.COMPILED / "artifact_passing.yaml")
EXPERIMENTS = "/apis/v2beta1/experiments"
TEAM = "team-a"
# The groups come from the issuer: Alice herself has no role.
ROLES = {"roles": [{"role": "editor", "namespaces": [TEAM], "groups": [TEAM]}]}


@dataclass(frozen=True)
class Installation:
    """`url` is what users open: the proxy's, or the server's where there is none."""

    up: Embedded
    issuer: OidcIssuer
    url: str

    def names(self) -> set[str]:
        """The experiments, asked for with a token of the issuer."""
        headers = {"Authorization": f"Bearer {self.issuer.token()}"}
        reply = http.call("GET", f"{self.url}{EXPERIMENTS}?namespace={TEAM}&page_size=100", headers=headers)
        assert reply.status == 200, reply.body
        return {one["display_name"] for one in reply.json.get("experiments", ())}


@contextmanager
def installed(directory: Path, environments: Path, what: Pass | None) -> Iterator[Installation]:
    """With its own log-in, or with a proxy before it that says who calls."""
    (directory / "roles.yaml").write_text(json.dumps(ROLES))
    (directory / "secret").write_text(SECRET)
    (directory / "ui").mkdir()
    (directory / "ui" / "index.html").write_text("<!doctype html><title>UI</title><body>the web UI</body>")
    with ExitStack() as stack:
        issuer = stack.enter_context(oidc_issuer())
        issuer.asks = True
        environment = {
            "MULTIUSER": "true",
            "PENSTOCK_ROLE_FILE": str(directory / "roles.yaml"),
            "PENSTOCK_UI": str(directory / "ui"),
            "KUBECONFIG": "",
        }
        environment |= _of_headers() if what is Pass.HEADERS else _of_tokens(issuer)
        if what is None:
            # The others know no client: the log-in is the proxy's.
            secret = str(directory / "secret")
            environment |= {"PENSTOCK_OIDC_CLIENT_ID": CLIENT, "PENSTOCK_OIDC_CLIENT_SECRET_FILE": secret}
        up = Embedded(directory / "data", environment=environment, environments=environments)
        stack.enter_context(up)
        url = up.http
        if what is not None:
            url = stack.enter_context(oauth2_proxy(up.http, issuer.url, CLIENT, SECRET, what))
        yield Installation(up, issuer, url)


def _of_headers() -> dict[str, str]:
    return {
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.1/32",
        "KUBEFLOW_USERID_HEADER": "X-Forwarded-Email",
        "PENSTOCK_GROUPS_HEADER": "X-Forwarded-Groups",
    }


def _of_tokens(issuer: OidcIssuer) -> dict[str, str]:
    return {
        "PENSTOCK_AUTH": "oidc",
        "PENSTOCK_OIDC_ISSUER": issuer.url,
        "PENSTOCK_OIDC_AUDIENCES": CLIENT,
    }


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("own"), environments, None) as running:
        yield running


@pytest.fixture(scope="module", params=Pass, ids=lambda what: what.name.lower())
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environments: Path
) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("behind"), environments, request.param) as running:
        yield running


async def log_in(page: Page, at: Installation) -> None:
    """Opens the web UI, is led to the issuer, logs in there, and sees the page that was asked for."""
    assert (await page.open(f"{at.url}/?of=the-user")).startswith(f"{at.issuer.url}/authorize?")
    await page.press()
    assert await page.address(lambda found: found.startswith(at.url)) == f"{at.url}/?of=the-user"
    assert await page.text() == "the web UI"


async def changes_from_the_page_alone(page: Page, at: Installation, name: str) -> None:
    """A script of the page makes an experiment and archives it; one of another origin with the same cookies cannot."""
    status, text = await page.fetch(EXPERIMENTS, {"display_name": name, "namespace": TEAM})
    assert status == 200 and name in at.names(), text
    experiment_id = json.loads(text)["experiment_id"]
    archive = f"{EXPERIMENTS}/{experiment_id}:archive"
    own_page = await page.address()
    # To a browser another port is another origin of the same site, whose requests have the cookies.
    await page.open(f"{at.issuer.url}/keys")
    blind: dict[str, Any] = {"method": "POST", "mode": "no-cors", "credentials": "include"}
    await page.fetch(at.url + archive, **blind)
    assert state(at, experiment_id) == "AVAILABLE"
    assert await page.open(own_page) == own_page
    assert (await page.fetch(archive, method="POST"))[0] == 200
    assert state(at, experiment_id) == "ARCHIVED"


def state(at: Installation, experiment_id: str) -> str:
    headers = {"Authorization": f"Bearer {at.issuer.token()}"}
    return str(http.call("GET", f"{at.url}{EXPERIMENTS}/{experiment_id}", headers=headers).json["storage_state"])


async def until_refused(page: Page, at: Installation) -> None:
    """Until what the page asks for is answered with a 401, as the web UI would see it."""
    with anyio.fail_after(60):
        while (await page.fetch(f"{EXPERIMENTS}?namespace={TEAM}"))[0] != 401:
            await anyio.sleep(0.1)


async def test_the_servers_own_log_in(own: Installation, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await log_in(page, own)
        await changes_from_the_page_alone(page, own, "own log-in")

        with contextlib.closing(sqlite3.connect(own.up.data_dir / "penstock.db")) as database, database:
            assert database.execute("UPDATE sessions SET expires_at = 1").rowcount == 1
        await until_refused(page, own)
        # The issuer still knows the browser, and asks nothing.
        assert await page.open(f"{own.url}/") == f"{own.url}/"
        assert (await page.fetch(f"{EXPERIMENTS}?namespace={TEAM}"))[0] == 200

        cookies = {"Cookie": f"penstock_session={(await page.cookies())['penstock_session']}"}
        assert http.call("GET", f"{own.url}{EXPERIMENTS}?namespace={TEAM}", headers=cookies).status == 200
        await page.open(f"{own.url}/logout")
        await page.press()
        # Back at the web UI nobody is known any more, to the issuer neither.
        await page.address(lambda found: found.startswith(f"{own.issuer.url}/authorize?"))
        assert not own.issuer.known and "penstock_session" not in await page.cookies()
        assert http.call("GET", f"{own.url}{EXPERIMENTS}?namespace={TEAM}", headers=cookies).status == 401


async def test_the_log_in_of_a_proxy(behind: Installation, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await log_in(page, behind)
        await changes_from_the_page_alone(page, behind, "log-in of the proxy")
        await page.open(f"{behind.url}/oauth2/sign_out?rd={quote(behind.issuer.url + '/logout', safe='')}")
        await page.address(lambda found: found.startswith(behind.issuer.url))
        assert not behind.issuer.known and COOKIE not in await page.cookies()

        behind.issuer.seconds = 3
        try:
            await log_in(page, behind)
            await until_refused(page, behind)
        finally:
            behind.issuer.seconds = 300
        assert await page.open(f"{behind.url}/") == f"{behind.url}/"
        assert (await page.fetch(f"{EXPERIMENTS}?namespace={TEAM}"))[0] == 200


def runs_a_pipeline(sdk: kfp.Client, name: str) -> None:
    started = sdk.create_run_from_pipeline_package(
        PIPELINE, arguments={"content": name}, experiment_name=name, namespace=TEAM
    )
    assert sdk.wait_for_run_completion(started.run_id, timeout=120, sleep_duration=0.2).state == "SUCCEEDED"
    found = sdk.list_runs(
        namespace=TEAM, experiment_id=sdk.get_experiment(experiment_name=name, namespace=TEAM).experiment_id
    )
    assert [one.run_id for one in found.runs] == [started.run_id]


def test_the_sdk_with_a_token(behind: Installation) -> None:
    runs_a_pipeline(kfp.Client(host=behind.url, existing_token=behind.issuer.token()), "with a token")


async def test_the_sdk_with_the_cookie_of_a_browser(behind: Installation, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await log_in(page, behind)
        cookies = f"{COOKIE}={(await page.cookies())[COOKIE]}"
    runs_a_pipeline(kfp.Client(host=behind.url, cookies=cookies), "with a cookie")


def test_a_program_that_nobody_knows_is_not_led_to_a_log_in(behind: Installation) -> None:
    expired = behind.issuer.token({"exp": 1})
    for headers in ({}, {"Authorization": f"Bearer {expired}"}, {"Cookie": f"{COOKIE}=x"}):
        reply = http.call("GET", f"{behind.url}{EXPERIMENTS}?namespace={TEAM}", headers=headers)
        assert reply.status == 401


def test_nobody_is_somebody_else_through_the_proxy(behind: Installation) -> None:
    token = behind.issuer.token({"email": "bob@example.com", "groups": []})
    forged = {
        "X-Forwarded-Email": behind.issuer.user,
        "X-Forwarded-User": behind.issuer.user,
        "X-Forwarded-Groups": TEAM,
        "kubeflow-userid": behind.issuer.user,
        "kubeflow-groups": TEAM,
    }
    headers = {"Authorization": f"Bearer {token}", **forged}
    reply = http.call("GET", f"{behind.url}{EXPERIMENTS}?namespace={TEAM}", headers=headers)
    assert reply.status == 403 and "bob@example.com" in reply.json["message"]


def test_the_command_line_with_a_token(own: Installation) -> None:
    def called(token: str) -> subprocess.CompletedProcess[str]:
        words = ["experiments", "list", "--namespace", TEAM, "--server", own.up.grpc, "--token", token]
        return subprocess.run([PENSTOCK, *words], capture_output=True, text=True, timeout=60)

    assert called(own.issuer.token()).returncode == 0
    expired = called(own.issuer.token({"exp": 1}))
    assert expired.returncode == 1
    assert "the token has expired" in expired.stderr and "--token-file" in expired.stderr
