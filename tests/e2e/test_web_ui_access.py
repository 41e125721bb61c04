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
from tests.support.ui_pages import has, pressed
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
    """As that user: a script does what the proxy does."""
    as_user = (
        "{ const real = window.fetch; window.fetch = (to, options = {}) => {"
        "const headers = new Headers(options.headers);"
        f"headers.set('kubeflow-userid', {json.dumps(user)}); return real(to, {{ ...options, headers }}); }} }}"
    )
    return ui_pages.opened(profile, url, as_user, _CLIPBOARD)


def filled(label: str, text: str) -> str:
    """A script that puts a text into a field, or chooses an option by its text: in the dialog, where there is one."""
    return (
        f"(() => {{ const name = {json.dumps(label)}, text = {json.dumps(text)};"
        "const root = document.querySelector('[role=dialog]') ?? document;"
        "const labelled = [...root.querySelectorAll('label')].find((one) => one.innerText.startsWith(name));"
        'const at = root.querySelector(`[aria-label="${name}"]`) ?? document.getElementById(labelled?.htmlFor);'
        "if (!at) return false; const option = [...at.options ?? []].find((one) => one.text === text);"
        "const set = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(at), 'value').set;"
        "set.call(at, option ? option.value : text);"
        "at.dispatchEvent(new Event(at.options ? 'change' : 'input', { bubbles: true })); return true; })()"
    )


def focused(label: str) -> str:
    """A script that goes to a field of the dialog."""
    return (
        f"(() => {{ const labelled = [...document.querySelectorAll('[role=dialog] label')]"
        f".find((one) => one.innerText.startsWith({json.dumps(label)}));"
        "const at = document.getElementById(labelled?.htmlFor); at?.focus(); return Boolean(at); })()"
    )


async def struck(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def row(*texts: str) -> str:
    """A script: whether one row has all of these."""
    return (
        "[...document.querySelectorAll('tbody tr')]"
        f".some((one) => {json.dumps(texts)}.every((text) => one.innerText.includes(text)))"
    )


def pressed_in_row(text: str, name: str) -> str:
    """A script that presses a button of the row with a text."""
    return (
        f"(() => {{ const row = [...document.querySelectorAll('tbody tr')]"
        f".find((one) => one.innerText.includes({json.dumps(text)}));"
        f"const found = [...row?.querySelectorAll('button') ?? []].find((one) => one.innerText === {json.dumps(name)});"
        "found?.click(); return Boolean(found); })()"
    )


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
        await page.until(filled("User, in full", "nobody"))
        await page.until(has("No lines match"))
        address = await page.address()
        assert all(part in address for part in ("tab=audit", "verb=delete", "user=nobody", "namespace=team-a")), address


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
