"""Tokens, roles and the audit log in Chromium, on a server that asks who calls, and on one that does not."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from penstock_server.gateway.pages import BUNDLE

from tests.support import http, ui_pages
from tests.support.rest_user import OWN, User
from tests.support.ui_forms import filled, focused, pressed_in_row, row
from tests.support.ui_pages import called_by, has, pressed
from tools.embedded import Embedded
from tools.testing.browser import Page

_HOSTILE = "<script>window.hacked = 1</script>\u202eabc"
# Takes the place of the clipboard, which a browser without a user does not give.
_CLIPBOARD = "navigator.clipboard.writeText = async (text) => { window.copied = text; };"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    """A server with namespaces and API tokens, behind a proxy that says who calls."""
    if not (BUNDLE / "index.html").exists():
        pytest.fail("the web UI is not built: make ui")
    directory = tmp_path_factory.mktemp("shared")
    roles = directory / "roles.yaml"
    named = {"admin": ("*", "root"), "editor": ("team-a", "alice"), "viewer": ("team-a", "eve")}
    grants = [{"role": role, "namespaces": [place], "users": [user]} for role, (place, user) in named.items()]
    roles.write_text(json.dumps({"roles": grants}))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow tokens",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(roles),
    }
    with Embedded(directory / "data", environment=environment, environments=environments) as up:
        yield up


def opened(profile: Path, url: str, user: str) -> AbstractAsyncContextManager[Page]:
    return ui_pages.opened(profile, url, called_by(user), _CLIPBOARD)


async def struck(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


_DIALOG = "document.querySelector('[role=dialog]')"
_SECRET = f"{_DIALOG}?.querySelector('input[readonly]')?.value"


def works(up: Embedded, secret: str) -> bool:
    """Whether a token is let in; as somebody whom no proxy names."""
    reply = http.call("GET", f"{up.http}{OWN}/whoami", headers={"Authorization": f"Bearer {secret}"})
    assert reply.status in (200, 401), reply.body
    return reply.status == 200


async def test_a_token_is_made_its_secret_shown_once_and_revoked(shared: Embedded, tmp_path: Path) -> None:
    name = f"{_HOSTILE} {uuid.uuid4().hex[:8]}"
    async with opened(tmp_path / "profile", f"{shared.http}/access?namespace=team-a", "alice") as page:
        await page.until(has("the proxy before the server"))
        await page.until(pressed("New token"))
        await page.until(pressed("Create"))
        await page.until(has("A name is needed"))
        await page.until(filled("Name", name))
        await page.until(filled("Role", "Editor"))
        await page.until(filled("It is good for", "7 days"))
        await page.until(focused("Namespaces"))
        await page.call("Input.insertText", text="team-a")
        await struck(page, "Enter", 13)
        await page.until(pressed("Create"))
        secret = await page.until(_SECRET)
        assert secret.startswith("pst_") and works(shared, secret)
        await page.until(pressed("Copy"))
        await page.until("window.copied !== undefined")
        assert await page.evaluate("window.copied") == secret
        # A key that closes other dialogs would lose it.
        await struck(page, "Escape", 27)
        assert await page.evaluate(_SECRET) == secret
        await page.until(pressed("I have kept it"))
        await page.until(f"{_DIALOG} === null")
        await page.until(row(name, "Editor", "team-a"))
        everywhere = "[document.documentElement.outerHTML, location.href, JSON.stringify({ ...localStorage })].join()"
        assert secret not in await page.evaluate(everywhere)

        await page.until(pressed_in_row(name, "Revoke"))
        await page.until(f"{_DIALOG}?.innerText.includes({json.dumps(name)})")
        assert works(shared, secret)
        await page.until(pressed("Revoke", "[role=dialog] button"))
        # Where the button was there is the time.
        await page.until(f"{row(name)} && !{row(name, 'Revoke')}")
        assert not works(shared, secret)


async def test_the_tokens_of_everybody_are_an_administrators_to_see(shared: Embedded, tmp_path: Path) -> None:
    name = f"of eve {uuid.uuid4().hex[:8]}"
    soon = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = User(shared.http, "eve").call("POST", f"{OWN}/tokens", {"name": name, "expires_at": soon})
    assert made.status == 200, made.body
    async with opened(tmp_path / "root", f"{shared.http}/access?namespace=team-a", "root") as page:
        await page.until(has("There are no tokens"))
        await page.until(filled("Whose", "Everybody’s"))
        await page.until(row(name, "eve", "Viewer", "never"))
        assert "all=true" in await page.address()
        await page.until(pressed_in_row(name, "Revoke"))
        await page.until(pressed("Revoke", "[role=dialog] button"))
    async with opened(tmp_path / "eve", f"{shared.http}/access?namespace=team-a&all=true", "eve") as page:
        await page.until(has("Only an administrator may see the tokens of everybody"))
        assert await page.evaluate("document.querySelector('[role=alert]') === null")
        await page.until(filled("Whose", "Mine"))
        await page.until(row(name))
        await page.until(f"!{has('Only an administrator')}")


async def test_a_role_is_given_and_taken_away_and_the_audit_log_tells(shared: Embedded, tmp_path: Path) -> None:
    user = f"{_HOSTILE}{uuid.uuid4().hex[:8]}"
    async with opened(tmp_path / "profile", f"{shared.http}/access?tab=roles&namespace=team-a", "root") as page:
        # Those of the role file cannot be changed here.
        await page.until(row("alice", "Editor", "team-a", "ROLE FILE"))
        assert not await page.evaluate(pressed_in_row("alice", "Take away"))
        await page.until(pressed("Give a role"))
        await page.until(f"{_DIALOG} !== null")
        await page.until(pressed("Give"))
        await page.until(has("This is needed"))
        await page.until(filled("Name", user))
        await page.until(filled("Namespace", "Team A"))
        await page.until(pressed("Give"))
        await page.until(has("A namespace has lower-case letters"))
        await page.until(filled("Namespace", "team-a"))
        await page.until(pressed("Give"))
        await page.until(row(user, "Viewer", "team-a"))
        await page.until(f"{_DIALOG} === null")
        # What the server has against a role is said in the dialog.
        await page.until(pressed("Give a role"))
        await page.until(filled("Name", user))
        await page.until(pressed("Give"))
        await page.until(f"{_DIALOG}?.querySelector('[role=alert]') != null")
        await page.until(pressed("Cancel", "[role=dialog] button"))
        await page.until(f"{_DIALOG} === null")
        await page.until(pressed_in_row(user, "Take away"))
        await page.until(f"{_DIALOG}?.innerText.includes('Viewer in team-a')")
        await page.until(pressed("Take away", "[role=dialog] button"))
        await page.until(f"!{row(user)}")

        await page.until(pressed("Audit log", "[role=tab]"))
        await page.until(row("root", "Make role", user, "team-a", "DONE"))
        await page.until(row("root", "Delete role", user, "team-a", "DONE"))
        await page.until(filled("Deed", "Delete"))
        await page.until(f"{row('Delete role', user)} && !{row('Make role', user)}")
        # A line is in a period until its end.
        await page.until(filled("From", "2020-01-01T00:00"))
        await page.address(lambda url: "from=" in url)
        await page.until(row("Delete role", user))
        await page.until(filled("Until", "2020-01-02T00:00"))
        await page.until(has("No lines match"))
        period = await page.address(lambda url: "until=" in url)
        await page.until(filled("Until", ""))
        await page.address(lambda url: "until=" not in url)
        await page.until(row("Delete role", user))
        await page.until(filled("User, in full", "nobody"))
        await page.until(has("No lines match"))
        address = await page.address()
        assert all(part in address for part in ("tab=audit", "verb=delete", "user=nobody", "namespace=team-a")), address
        # The address alone shows the same.
        await page.open(period)
        times = "[...document.querySelectorAll('input[type=datetime-local]')].map((one) => one.value).join()"
        await page.until(f"{times} === '2020-01-01T00:00,2020-01-02T00:00' && {has('No lines match')}")
        await page.open(f"{shared.http}/access?tab=audit&namespace=team-a&from=later&until=-5e99")
        await page.until(f"{times} === ',' && {row('Make role', user)}")


async def test_who_is_logged_in_no_more_is_told_so_and_comes_back_to_the_same_page(
    shared: Embedded, tmp_path: Path
) -> None:
    async with ui_pages.opened(tmp_path / "profile", f"{shared.http}/icon.svg") as page:
        await page.send_headers({"kubeflow-userid": "root"})
        address = f"{shared.http}/access?tab=roles&namespace=team-a"
        await page.open(address)
        await page.until(row("alice", "Editor"))
        await page.send_headers({})
        # Without that anything is pressed; what was shown stays.
        await page.until(has("You are not logged in any more"))
        assert await page.evaluate(row("alice", "Editor"))
        await page.until(pressed("Pipelines", "nav a"))
        await page.until("document.querySelector('main [role=alert]')?.innerText.includes('not logged in any more')")
        await page.evaluate("history.back(), 0")
        await page.address(lambda url: url == address)
        await page.send_headers({"kubeflow-userid": "root"})
        await page.until(pressed("Log in again"))
        await page.loaded(f"{row('alice', 'Editor')} && !{has('not logged in any more')}")
        assert await page.address() == address


async def test_what_was_refused_is_in_the_log_and_pages_lead_on(shared: Embedded, tmp_path: Path) -> None:
    eve = User(shared.http, "eve")
    for _ in range(60):
        assert eve.call("POST", "/apis/v2beta1/experiments", {"display_name": "x", "namespace": "team-a"}).status == 403
    url = f"{shared.http}/access?tab=audit&namespace=team-a&user=eve&result=PERMISSION_DENIED&verb=create"
    async with opened(tmp_path / "profile", url, "root") as page:
        await page.until(row("eve", "Make experiment", "REFUSED"))
        await page.until("document.querySelectorAll('tbody tr').length === 50")
        await page.until(pressed("Next page"))
        await page.until("document.querySelectorAll('tbody tr').length === 10")
        await page.until(pressed("First page"))
        await page.until("document.querySelectorAll('tbody tr').length === 50")


@pytest.mark.parametrize(("tab", "said"), [("roles", "may see and change roles"), ("audit", "may read the audit log")])
async def test_a_viewer_is_told_what_they_may_not_do(shared: Embedded, tmp_path: Path, tab: str, said: str) -> None:
    async with opened(tmp_path / "profile", f"{shared.http}/access?tab={tab}&namespace=team-a", "eve") as page:
        await page.until(has(said))
        # With the server's own words.
        await page.until(has("eve"))
        assert await page.evaluate("document.querySelector('[role=alert]') === null")
        assert not await page.evaluate(pressed("Give a role"))


async def test_a_server_that_asks_nobody_says_so(tmp_path: Path, environments: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as up:
        async with ui_pages.opened(tmp_path / "profile", f"{up.http}/") as page:
            await page.until(pressed("Access", "nav a"))
            await page.until(has("This server asks nobody who they are"))
            await page.until(has("docs/admin/authentication.md"))
            await page.until(has("none can be made"))
            assert not await page.evaluate(pressed("New token"))
            await page.until(pressed("Audit log", "[role=tab]"))
            await page.until(has("No lines match"))
