"""A proxy in front of a real API server that injects faults: `python -m tools.kube_proxy --kubeconfig FILE`.

Requests go on with the credentials of the cluster it stands before (`--upstream`, or KUBECONFIG), unless they bring
their own; what happens to them on the way is a list of faults (tools/sim_kube/faults.py) under one seed. Watches, logs
and WebSockets pass piece by piece.

Invariants: an injected answer other than `-after` means that the server never saw the request; one line `ready URL`
goes to stdout when it listens. `/proxy/faults`, `/proxy/cut` and `/proxy/stats` control the faults.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from penstock_kube.config import Cluster, load_cluster
from penstock_kube.errors import KubeError
from penstock_kube.exec_stream import refused_upgrade
from yarl import URL

from tools.sim_kube.faults import Fault, Faults
from tools.sim_kube.kubeconfig import write_kubeconfig
from tools.sim_kube.process import Troublemaker, troublemaker
from tools.sim_kube.server import befall, status_response

_DROPPED = frozenset(("host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade"))


class KubeProxy:
    """Listens on loopback between `start` and `close`."""

    def __init__(self, cluster: Cluster, *, seed: int = 0) -> None:
        self._cluster = cluster
        self.faults = Faults(random.Random(seed))  # noqa: S311 - what it does can be repeated
        self.requests: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self._streams: set[asyncio.Transport] = set()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._cluster.ssl or False)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, middlewares=(refused_upgrade,)
        )
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def cut(self) -> None:
        """Cuts off every open watch, log and WebSocket."""
        for transport in list(self._streams):
            transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/proxy/"):
            return await self._control(request)
        fault = self.faults.pick(request.method, request.path_qs)
        self.requests[request.method] += 1
        if fault is not None:
            self.met[f"{fault.action} {fault.status}" if fault.action == "status" else fault.action] += 1
            if not fault.action.endswith("-after"):
                return await befall(fault, request)
        streams = request.query.get("watch") in ("1", "true") or request.query.get("follow") in ("1", "true")
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._tunnel(request, fault)
            return await self._pass_on(request, fault, streams=streams)
        except KubeError as refused:
            return status_response(refused.status, refused.reason, refused.message)
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"the API server is away: {error}")

    async def _pass_on(self, request: web.BaseRequest, fault: Fault | None, *, streams: bool) -> web.StreamResponse:
        assert self._session is not None
        url, headers = self._onward(request)
        body = await request.read()
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
            if not streams or answer.status != 200:
                whole = await answer.read()
                if fault is not None:
                    return await befall(fault, request)
                return web.Response(status=answer.status, body=whole, headers=kept)
            return await self._stream(request, answer, kept, fault)

    async def _stream(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, headers: dict[str, str], fault: Fault | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        transport = request.transport
        assert transport is not None
        self._streams.add(transport)
        try:
            async for piece in answer.content.iter_any():
                await response.write(piece)
                if fault is not None:
                    # Something came through, then it breaks off or falls silent.
                    return await befall(fault, request)
            await response.write_eof()
        finally:
            self._streams.discard(transport)
        return response

    async def _tunnel(self, request: web.BaseRequest, fault: Fault | None) -> web.StreamResponse:
        """Raises KubeError when the other side refuses it."""
        assert self._session is not None
        url, headers = self._onward(request)
        offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        async with self._session.ws_connect(url, headers=headers, protocols=offered, max_msg_size=0) as far:
            near: web.WebSocketResponse[Any] = web.WebSocketResponse(
                protocols=[far.protocol] if far.protocol else (), max_msg_size=0, timeout=1.0
            )
            await near.prepare(request)
            transport = request.transport
            assert transport is not None
            self._streams.add(transport)

            async def outward() -> None:
                async for message in near:
                    await far.send_bytes(message.data)

            going = asyncio.ensure_future(outward())
            try:
                async for message in far:
                    await near.send_bytes(message.data)
                    if fault is not None:
                        return await befall(fault, request)
                await near.close()
            finally:
                self._streams.discard(transport)
                going.cancel()
        return near

    def _onward(self, request: web.BaseRequest) -> tuple[URL, dict[str, str]]:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _DROPPED and not name.lower().startswith("sec-websocket-")
        }
        if "Authorization" not in headers:
            headers.update(self._cluster.headers())
        return URL(self._cluster.server + request.path_qs, encoded=True), headers

    async def _control(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/proxy/stats":
            return web.json_response({"requests": dict(self.requests), "met": dict(self.met)})
        body = await request.read()
        if request.path == "/proxy/faults":
            self.faults.clear()
            for document in json.loads(body):
                self.faults.add(Fault(**document))
        elif request.path == "/proxy/cut":
            self.cut()
        else:
            return web.json_response({"message": "no such trouble"}, status=404)
        return web.json_response({})


@contextmanager
def kube_proxy(upstream: str, *, faults: list[dict[str, Any]] | None = None, seed: int = 0) -> Iterator[Troublemaker]:
    """A running proxy before the cluster of the kubeconfig `upstream`."""
    arguments = ("--upstream", upstream, "--seed", str(seed))
    with troublemaker("tools.kube_proxy", "/proxy/", *arguments) as process:
        process.control("faults", faults or [])
        yield process


async def _serve(arguments: argparse.Namespace) -> None:
    cluster = load_cluster(kubeconfig=arguments.upstream)
    proxy = KubeProxy(cluster, seed=arguments.seed)
    for text in arguments.fault:
        proxy.faults.add(Fault(**json.loads(text)))
    await proxy.start(arguments.port)
    if arguments.kubeconfig:
        write_kubeconfig(arguments.kubeconfig, proxy.url, namespace=cluster.namespace)
    print(f"ready {proxy.url}", flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await proxy.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tools.kube_proxy", description="An API server behind trouble.")
    parser.add_argument("--upstream", default=os.environ.get("KUBECONFIG", ""), help="kubeconfig of the cluster")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[], help="a fault as JSON; may be repeated")
    parser.add_argument("--kubeconfig", type=Path, help="written before the proxy says that it is ready")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
