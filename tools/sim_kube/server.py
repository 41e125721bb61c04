"""The simulated API server's HTTP side: paths and parameters of the Kubernetes API, and `/sim/…` to make trouble.

Why aiohttp's low-level server: a router and its middlewares cost as much as the whole rest of a request here.

Invariant: between the effect of a request and its answer nothing is awaited, so an answer that was lost was lost on
purpose.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from tools.sim_kube import discovery, selectors
from tools.sim_kube.exec_calls import ExecCalls
from tools.sim_kube.faults import Fault, Faults
from tools.sim_kube.node import Latency, Node
from tools.sim_kube.objects import NAMESPACES, PODS, RESOURCES, Refusal, already_exists, not_found, patched, stored_from
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.store import Gone, Resource, Store, Stored
from tools.sim_kube.watching import Watching

_JSON = {"Content-Type": "application/json"}


class Target:
    """A parsed path of the API."""

    __slots__ = ("name", "namespace", "resource", "sub")

    def __init__(self, path: str) -> None:
        """Raises Refusal."""
        parts = path.strip("/").split("/")
        if len(parts) >= 3 and parts[0] == "api":
            group, rest = "", parts[2:]
        elif len(parts) >= 4 and parts[0] == "apis":
            group, rest = parts[1], parts[3:]
        else:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        self.namespace = ""
        if rest[0] == "namespaces" and len(rest) >= 3:
            self.namespace, rest = rest[1], rest[2:]
        resource = RESOURCES.get((group, rest[0]))
        if resource is None or len(rest) > 3:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        self.resource: Resource = resource
        self.name = rest[1] if len(rest) > 1 else ""
        self.sub = rest[2] if len(rest) > 2 else ""


class SimKube:
    """A server that listens between `start` and `close`, on loopback. `token`, when set, is the only one it knows."""

    def __init__(
        self,
        *,
        latency: Latency = Latency(),  # noqa: B008 - frozen
        decide: Callable[[Mapping[str, Any]], Outcome] | None = None,
        history: int = 10_000,
        bookmark_seconds: float = 60.0,
        seed: int = 0,
        namespaces: tuple[str, ...] = ("default",),
    ) -> None:
        source = random.Random(seed)  # noqa: S311 - what it does can be repeated
        self.store = Store(history)
        self.faults = Faults(source)
        self.node = Node(self.store, PODS, latency=latency, source=source, decide=decide)
        self.watching = Watching(self.store, bookmark_seconds=bookmark_seconds, source=source)
        self.execs = ExecCalls()
        self.token = ""
        self.requests: Counter[str] = Counter()
        self.created: Counter[str] = Counter()
        self._runner: web.ServerRunner | None = None
        self._port = 0
        for name in namespaces:
            self.store.put(stored_from(NAMESPACES, "", {"metadata": {"name": name}}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> SimKube:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, port: int = 0) -> None:
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port or self._port, reuse_address=True, backlog=1024).start()
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Connections break, the port is closed; objects and the Pods' progress stay. `start` goes on."""
        self.watching.cut()
        self.execs.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def close(self) -> None:
        self.node.close()
        await self.stop()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/sim/"):
            return await self._control(path, request)
        fault = self.faults.pick(request.method, request.path_qs)
        try:
            if fault is not None and not fault.action.endswith("-after"):
                return await befall(fault, request)
            answer = await self._serve(path, request)
            if fault is not None:
                return await befall(fault, request)
            return answer
        except Refusal as refusal:
            return status_response(refusal.code, refusal.reason, str(refusal))

    async def _serve(self, path: str, request: web.BaseRequest) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        known = discovery.DOCUMENTS.get(path)
        if known is not None:
            return web.Response(body=known, headers=_JSON)
        target = Target(path)
        query = request.query
        method = request.method
        if target.sub == "exec" and method in ("GET", "POST"):
            self.requests["CONNECT pods"] += 1
            return await self._exec(target, request)
        self.requests[f"{method} {target.resource.plural}"] += 1
        if method == "POST":
            return self._create(target, await _document(request), dry=bool(query.get("dryRun")))
        if method == "DELETE":
            return self._delete(target, await _document(request), query)
        if method == "PATCH":
            return self._patch(target, await _document(request), query.get("fieldManager", ""))
        if method != "GET":
            raise Refusal(405, "MethodNotAllowed", f"the server does not allow {method} here")
        if target.sub == "log":
            return await self._log(target, request)
        if target.name:
            return web.Response(body=self._existing(target).document(), headers=_JSON)
        if query.get("watch") in ("1", "true"):
            return await self.watching.serve(target.resource, target.namespace, request)
        return self._list(target, query)

    def _create(self, target: Target, document: dict[str, Any], *, dry: bool) -> web.Response:
        resource, namespace = target.resource, target.namespace
        if namespace and self.store.get(NAMESPACES, "", namespace) is None:
            raise not_found(NAMESPACES, namespace)
        try:
            stored = stored_from(resource, namespace, document)
            if self.store.get(resource, namespace, stored.name) is not None:
                raise already_exists(resource, stored.name)
            if not dry:
                stored = self.store.put(stored)
                if resource is PODS:
                    self.node.take(stored, document)
                    self.created[f"{namespace}/{stored.name}"] += 1
        except (TypeError, ValueError, AttributeError) as error:
            raise Refusal(400, "BadRequest", f"{resource.kind} cannot be handled: {error}") from error
        return web.Response(status=201, body=stored.document(), headers=_JSON)

    def _delete(self, target: Target, options: dict[str, Any], query: Mapping[str, str]) -> web.Response:
        if not target.name:
            for stored in list(self.store.select(target.resource, target.namespace, _selector(query))):
                self._remove(stored, options.get("gracePeriodSeconds"))
            return status_response(200, "", "")
        stored = self._existing(target)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted is not None and wanted != stored.uid:
            raise Refusal(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {stored.resource.kind} "{stored.name}": the UID in the precondition '
                f"({wanted}) does not match the UID in record ({stored.uid}).",
            )
        grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        gone = self._remove(stored, None if grace is None else int(grace))
        if stored.resource is PODS:
            return web.Response(body=gone.document(), headers=_JSON)
        return status_response(200, "", "", uid=stored.uid)

    def _remove(self, stored: Stored, grace: int | None) -> Stored:
        if stored.resource is PODS:
            return self.node.delete(stored, grace)
        if stored.resource is NAMESPACES:
            for resource in RESOURCES.values():
                for inside in list(self.store.select(resource, stored.name, selectors.everything)):
                    if resource.namespaced:
                        self.node.forget(inside)
                        self.store.remove(inside)
        return self.store.remove(stored)

    def _patch(self, target: Target, patch: dict[str, Any], manager: str) -> web.Response:
        changed = self.store.put(patched(self._existing(target), patch, target.sub, manager))
        if target.resource is PODS and not target.sub:
            self.node.changed(changed, json.loads(changed.document()))
        return web.Response(body=changed.document(), headers=_JSON)

    def _existing(self, target: Target) -> Stored:
        stored = self.store.get(target.resource, target.namespace, target.name)
        if stored is None:
            raise not_found(target.resource, target.name)
        return stored

    def _list(self, target: Target, query: Mapping[str, str]) -> web.Response:
        limit = int(query.get("limit") or 0)
        asked = query.get("resourceVersion", "")
        if asked.isdecimal() and int(asked) > self.store.version:
            message = f"Too large resource version: {asked}, current: {self.store.version}"
            raise Refusal(504, "Timeout", message)
        token = query.get("continue", "")
        try:
            version, objects = self.store.kept(_number(token)) if token else (self.store.version, None)
        except Gone:
            raise Refusal(
                410, "Expired", "The provided continue parameter is too old to display a consistent list"
            ) from None
        if objects is None:
            objects = list(self.store.select(target.resource, target.namespace, _selector(query)))
            objects = discovery.filtered(objects, query.get("fieldSelector", ""))
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if limit and len(objects) > limit:
            number = self.store.keep(objects[limit:], version)
            metadata["continue"] = base64.urlsafe_b64encode(f"sim:{number}".encode()).decode()
            metadata["remainingItemCount"] = len(objects) - limit
            objects = objects[:limit]
        head = f'{{"kind":"{target.resource.kind}List","apiVersion":"{target.resource.api_version}","metadata":'
        body = b'%b%b,"items":[%b]}\n' % (
            head.encode(),
            json.dumps(metadata, separators=(",", ":")).encode(),
            b",".join(stored.body() for stored in objects),
        )
        return web.Response(body=body, headers=_JSON)

    async def _exec(self, target: Target, request: web.BaseRequest) -> web.StreamResponse:
        stored = self._existing(target)
        document = json.loads(stored.document())
        containers = [str(one.get("name")) for one in document["spec"]["containers"]]
        container = request.query.get("container") or containers[0]
        command = request.query.getall("command", [])
        if not command:
            raise Refusal(400, "BadRequest", "you must specify at least 1 command for the container")
        if container not in containers:
            raise Refusal(400, "BadRequest", f"container {container} is not valid for pod {stored.name}")
        if not document["spec"].get("nodeName"):
            raise Refusal(400, "BadRequest", f"pod {stored.name} does not have a host assigned")
        return await self.execs.serve(partial(self.node.begin, stored, container, command), request)

    async def _log(self, target: Target, request: web.BaseRequest) -> web.StreamResponse:
        stored = self._existing(target)
        log, began = self.node.log(stored)
        container = request.query.get("container", "main")
        if not began:
            why = f'container "{container}" in pod "{stored.name}" is waiting to start: ContainerCreating'
            raise Refusal(400, "BadRequest", why)
        data = log.text.encode()
        if lines := request.query.get("tailLines"):
            data = b"".join(data.splitlines(keepends=True)[-int(lines) :] if int(lines) else [])
        if limit := request.query.get("limitBytes"):
            data = data[: int(limit)]
        if request.query.get("follow") not in ("1", "true"):
            return web.Response(body=data, headers={"Content-Type": "text/plain"})
        following = log.follow()
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(data)
        async for text in following:
            await response.write(text.encode())
        await response.write_eof()
        return response

    async def _control(self, path: str, request: web.BaseRequest) -> web.Response:
        """`/sim/…`, for tests whose server is another process."""
        if path == "/sim/stats":
            return web.json_response(self.stats())
        body = await request.read()
        document = json.loads(body) if body else {}
        if path == "/sim/faults":
            self.faults.clear()
            for fault in document:
                self.faults.add(Fault.from_document(fault))
        elif path == "/sim/cut":
            self.watching.cut()
        elif path == "/sim/cut-execs":
            self.execs.cut()
        elif path == "/sim/stall":
            self.watching.stall(bool(document.get("on", True)))
        elif path == "/sim/repeat":
            self.watching.repeat = float(document["rate"])
        elif path == "/sim/compact":
            self.store.compact()
        elif path == "/sim/restart":
            asyncio.get_running_loop().create_task(self._restart(float(document.get("seconds", 0.0))))
        else:
            return web.json_response({"message": "no such trouble"}, status=404)
        return web.json_response({})

    async def _restart(self, seconds: float) -> None:
        await self.stop()
        self.store.compact()
        await asyncio.sleep(seconds)
        await self.start()

    def stats(self) -> dict[str, Any]:
        """Requests by method and resource, Pods created, names created more than once, CPU seconds of this process."""
        return {
            "requests": dict(self.requests),
            "pods_created": sum(self.created.values()),
            "created_twice": sorted(name for name, count in self.created.items() if count > 1),
            "pods": sum(1 for _ in self.store.select(PODS, "", selectors.everything)),
            "watches": self.watching.open,
            "execs": self.execs.open,
            "cpu_seconds": time.process_time(),
        }


async def befall(fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
    """The response that a fault puts in place of the real one."""
    if fault.action == "status":
        reason = fault.reason or {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}.get(fault.status, "")
        response = status_response(fault.status, reason, fault.message)
        if fault.status == 429:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response
    if fault.action.startswith("drop") and request.transport is not None:
        request.transport.abort()
    # Ends when the client is gone.
    await asyncio.Event().wait()
    raise AssertionError("nothing sets it")


async def _document(request: web.BaseRequest) -> dict[str, Any]:
    body = await request.read()
    if not body:
        return {}
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "BadRequest", f"the object provided is unrecognized: {error}") from error
    if not isinstance(document, dict):
        raise Refusal(400, "BadRequest", "the object provided is unrecognized")
    return document


def _selector(query: Mapping[str, str]) -> selectors.Selector:
    try:
        return selectors.parse(query.get("labelSelector", ""))
    except ValueError as error:
        raise Refusal(400, "BadRequest", str(error)) from error


def _number(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("sim:"))
    except ValueError as error:
        raise Refusal(400, "BadRequest", "continue key is not valid") from error


def status_response(code: int, reason: str, message: str, *, uid: str = "") -> web.Response:
    document: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    document["status"] = "Success" if code < 400 else "Failure"
    if message:
        document["message"] = message
    if reason:
        document["reason"] = reason
    if uid:
        document["details"] = {"uid": uid}
    document["code"] = code
    return web.Response(status=code, body=json.dumps(document).encode(), headers=_JSON)
