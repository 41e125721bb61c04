"""Chromium as a user has it: pages are opened, buttons pressed, scripts run in them, over its DevTools protocol.

Invariants: one browser has one page that can be used, others are only open; its cookies go with its profile; it is
ended when the block ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tools import debian

_SECONDS = 60.0
_PAUSE = 0.05


class PageError(Exception):
    """What the browser or a script says went wrong."""


class Page:
    def __init__(self, socket: ClientWebSocketResponse[bool], session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = count(1)

    async def open(self, url: str) -> str:
        """Where redirects have led to, once that is loaded. Raises PageError."""
        reply = await self.call("Page.navigate", url=url)
        if "errorText" in reply:
            raise PageError(reply["errorText"])
        return await self.address()

    async def open_apart(self, url: str) -> None:
        """Opens a page in a window with cookies and connections of its own, as another browser would."""
        whole = Page(self._socket, "")
        context = await whole.call("Target.createBrowserContext")
        await whole.call("Target.createTarget", url=url, browserContextId=context["browserContextId"], newWindow=True)

    async def address(self, wanted: Callable[[str], bool] = lambda _: True) -> str:
        """The address of the page, once it is as wanted and loaded. Raises PageError after a minute."""
        return str(await self._loaded("location.href", wanted))

    async def loaded(self, script: str) -> None:
        """Returns once a script is true in a page that is loaded. Raises PageError after a minute."""
        await self._loaded(script, bool)

    async def _loaded(self, script: str, wanted: Callable[[Any], bool]) -> Any:
        until = asyncio.get_running_loop().time() + _SECONDS
        while True:
            try:
                state, found = await self.evaluate(f"[document.readyState, {script}]")
            except PageError:
                # Between two pages.
                state, found = "", ""
            if state == "complete" and wanted(found):
                return found
            if asyncio.get_running_loop().time() > until:
                raise PageError(f"{script} is {found}")
            await asyncio.sleep(_PAUSE)

    async def before_pages(self, script: str) -> None:
        """Runs a script in each page that is opened from now on, before the page's own."""
        await self.call("Page.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def until(self, script: str) -> Any:
        """The value of a script once it is true. Raises PageError with what the page shows after a minute."""
        until = asyncio.get_running_loop().time() + _SECONDS
        while not (value := await self.evaluate(script)):
            if asyncio.get_running_loop().time() > until:
                raise PageError(f"not so within {_SECONDS:.0f} s: {script}\n{await self.text()}")
            await asyncio.sleep(_PAUSE)
        return value

    async def resize(self, width: int, height: int) -> None:
        """Shows pages in a window of this size, in CSS pixels, one device pixel each."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def picture(self) -> bytes:
        """What is in sight, as PNG."""
        reply = await self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
        return base64.b64decode(reply["data"])

    async def send_headers(self, headers: dict[str, str]) -> None:
        """Sends these with every request from now on, as a proxy between the browser and the server does."""
        await self.call("Network.enable")
        await self.call("Network.setExtraHTTPHeaders", headers=headers)

    async def press(self) -> None:
        """The only button of the page."""
        await self.evaluate("document.querySelector('button').click()")

    async def text(self) -> str:
        return str(await self.evaluate("document.body.innerText"))

    async def fetch(self, path: str, document: Any = None, **options: Any) -> tuple[int, str]:
        """Status and text of a request that a script of the page makes; status 0 when it may not read the answer.

        Raises PageError.
        """
        if document is not None:
            json_type = {"headers": {"Content-Type": "application/json"}}
            options = {"method": "POST", "body": json.dumps(document), **json_type, **options}
        script = f"fetch({json.dumps(path)}, {json.dumps(options)}).then(async (r) => [r.status, await r.text()])"
        status, text = await self.evaluate(script)
        return status, text

    async def evaluate(self, script: str) -> Any:
        """Its value, awaited. Raises PageError with what it threw."""
        reply = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in reply:
            raise PageError(json.dumps(reply["exceptionDetails"]))
        return reply["result"].get("value")

    async def cookies(self) -> dict[str, str]:
        """All, also those that scripts cannot read."""
        reply = await self.call("Storage.getCookies")
        return {cookie["name"]: cookie["value"] for cookie in reply["cookies"]}

    async def call(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol. Raises PageError."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json({**message, "sessionId": self._session} if self._session else message)
        while True:
            reply = await self._socket.receive_json(timeout=_SECONDS)
            if reply.get("id") == number:
                if "error" in reply:
                    raise PageError(reply["error"]["message"])
                return reply["result"]


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    command = [
        str(debian.require("chromium")), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    quiet = asyncio.subprocess.DEVNULL
    one = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=asyncio.subprocess.PIPE)
    assert one.stderr is not None
    address = await asyncio.wait_for(_address(one.stderr), _SECONDS)
    drain = asyncio.create_task(one.stderr.read())
    try:
        async with ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            yield Page(socket, await _attached(socket))
    finally:
        one.kill()
        await one.wait()
        await drain


async def _address(stderr: asyncio.StreamReader) -> str:
    """Where it listens, which is in one of the lines that it begins with."""
    said = ""
    while line := (await stderr.readline()).decode(errors="replace"):
        said += line
        if line.startswith("DevTools listening on "):
            return line.strip().rpartition(" ")[2]
    raise RuntimeError(said)


async def _attached(socket: ClientWebSocketResponse[bool]) -> str:
    """The session of a new page."""
    page = Page(socket, "")
    target = await page.call("Target.createTarget", url="about:blank")
    attached = await page.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    return str(attached["sessionId"])
