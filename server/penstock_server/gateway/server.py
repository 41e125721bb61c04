"""Runs the HTTP applications in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from penstock_server.gateway.bodies import BodyEndedError
from penstock_server.gateway.connections import Listener
from penstock_server.gateway.limits import DEFAULT_LIMITS, HttpLimits
from penstock_server.telemetry import Limited, count_nothing


@dataclass(frozen=True, slots=True)
class Site:
    """An application and where it is served; `option` is what the address is called in errors.

    `shared`: other processes of this server have the port, too.
    """

    app: web.Application
    host: str
    port: int
    option: str = ""
    tls: ssl.SSLContext | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class PrivateSite:
    """An application for the other processes of this server, on a Unix socket."""

    app: web.Application
    path: str


class GatewayServer:
    """Each site has the limits to itself; `limited` is told of connections that any of them refuses or ends.
    `private` are served by the same event loop, without limits: an answer there says that it turns.

    `start` and `stop` may be called from any thread, once each.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        limits: HttpLimits = DEFAULT_LIMITS,
        limited: Limited = count_nothing,
        private: Sequence[PrivateSite] = (),
    ) -> None:
        self._sites = sites
        self._private = private
        self._limits = limits
        self._limited = limited
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> list[int]:
        """Binds and serves; returns the port of each site. Raises SiteError."""
        bound: Future[list[int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(bound)), name="gateway", daemon=True)
        self._thread.start()
        return bound.result()

    def stop(self, grace_seconds: float) -> None:
        """Refuses new connections and gives pending requests `grace_seconds` to finish."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(grace_seconds + 5)

    async def _serve(self, bound: Future[list[int]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        runners: list[web.AppRunner] = []
        listeners: list[Listener] = []
        ports = []
        try:
            for site in self._sites:
                runner = _runner(site.app, self._limits)
                runners.append(runner)
                await runner.setup()
                assert runner.server is not None
                listener = Listener(runner.server, self._limits, site.tls, self._limited)
                listeners.append(listener)
                try:
                    ports.append(await listener.start(site.host, site.port, shared=site.shared))
                except OSError as error:
                    raise SiteError(site, error) from error
            for private in self._private:
                runner = _runner(private.app, self._limits)
                runners.append(runner)
                await runner.setup()
                await web.UnixSite(runner, private.path).start()
            bound.set_result(ports)
            await self._stop.wait()
        except (SiteError, OSError) as error:
            bound.set_exception(error)
        finally:
            for listener in listeners:
                await listener.close()
            for runner in runners:
                await runner.cleanup()


class SiteError(Exception):
    """The address of `site` cannot be used."""

    def __init__(self, site: Site, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.site = site


def _runner(app: web.Application, limits: HttpLimits) -> web.AppRunner:
    logger = logging.getLogger("penstock_server.http")
    logger.addFilter(_is_ours)
    return web.AppRunner(
        app,
        access_log=None,
        logger=logger,
        handle_signals=False,
        shutdown_timeout=5.0,
        keepalive_timeout=limits.idle_seconds,
        # A client that disconnects cancels its request, so that a followed log ends with it.
        handler_cancellation=True,
    )


def _is_ours(record: logging.LogRecord) -> bool:
    """False for what is no fault of the server: a line for each request that is no HTTP could fill the log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, BodyEndedError))
