"""Runs the HTTP application in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from aiohttp import web


class GatewayServer:
    """One listening socket. `start` and `stop` may be called from any thread, once each."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._grace = 5.0

    def start(self) -> int:
        """Binds and serves; returns the port. Raises OSError when the address is in use."""
        bound: Future[int] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(bound)), name="gateway", daemon=True)
        self._thread.start()
        return bound.result()

    def stop(self, grace_seconds: float) -> None:
        """Refuses new connections and gives pending requests `grace_seconds` to finish."""
        self._grace = grace_seconds
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(grace_seconds + 5)

    async def _serve(self, bound: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        runner = web.AppRunner(
            self._app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=5.0,
            # A client that disconnects cancels its request, so that a followed log ends with it.
            handler_cancellation=True,
        )
        try:
            await runner.setup()
            site = web.TCPSite(runner, self._host, self._port, reuse_port=False)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            bound.set_exception(error)
            return
        bound.set_result(int(runner.addresses[0][1]))
        await self._stop.wait()
        await runner.cleanup()
