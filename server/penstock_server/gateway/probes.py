"""What probes and Prometheus ask: /livez, /readyz, /metrics, on the HTTP port and, if it is set, on one of their own.

Why a port of their own: a network policy can keep strangers off it. Invariants: what blocks runs on threads that
nothing else uses, so an answer waits for no other request; many who ask at a time are answered together. Where a server
has several processes, whichever is asked says that the server lives only if all of them do that are there, and gives
the metrics of all; whether it is ready it says for all, as they have the same database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from aiohttp import web

from penstock_server.telemetry import CONTENT_TYPE

_Result = TypeVar("_Result")


class Probes:
    """`exposition` returns the metrics for Prometheus, `problems` why the server is not ready, `silent` the numbers of
    other processes that do not answer, None where there are no others; all may block.
    """

    def __init__(
        self,
        exposition: Callable[[], bytes],
        problems: Callable[[], list[str]],
        silent: Callable[[], list[int]] | None = None,
    ) -> None:
        self._exposition = _Shared("metrics", exposition)
        self._problems = _Shared("readyz", problems)
        self._silent = _Shared("livez", silent) if silent is not None else None

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/livez", self.livez)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        content = await self._exposition.result()
        return web.Response(body=content, headers={"Content-Type": CONTENT_TYPE})

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        """503 with the reasons while the server is not ready."""
        problems = await self._problems.result()
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def livez(self, request: web.Request) -> web.StreamResponse:
        """503 while a process of the server stands still."""
        silent = await self._silent.result() if self._silent is not None else []
        if silent:
            problems = [f"process {number} does not answer" for number in silent]
            return web.json_response({"alive": False, "problems": problems}, status=503)
        return web.json_response({"alive": True})


def probes_app(
    exposition: Callable[[], bytes],
    problems: Callable[[], list[str]],
    silent: Callable[[], list[int]] | None = None,
) -> web.Application:
    """An application with these routes alone."""
    app = web.Application()
    Probes(exposition, problems, silent).add_routes(app)
    return app


class _Shared(Generic[_Result]):
    """A function on a thread of its own; whoever asks while it runs gets the same result."""

    def __init__(self, name: str, function: Callable[[], _Result]) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: asyncio.Future[_Result] | None = None

    async def result(self) -> _Result:
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().run_in_executor(self._pool, self._function)
        # A client that goes away does not end it for the others.
        return await asyncio.shield(self._running)
