"""The HTTP application: annotated routes, uploads, logs, downloads, healthz, the web UI.

Invariants: every reply carries X-Request-Id; what is unforeseen answers 500 with a fixed text and is logged; requests
under way at the same time are bounded, one too many is told when to come back. No route, known or not, is reached by
what a browser sends for another site (`cross_site`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.descriptor import ServiceDescriptor
from penstock_api.v1 import insight_pb2

from penstock_server.gateway import calls, cross_site, replies
from penstock_server.gateway.cross_site import THIS_MACHINE_ALONE, SitePolicy
from penstock_server.gateway.grpc_web import AS_IT_IS, GrpcWeb, View
from penstock_server.gateway.streams import Streams
from penstock_server.gateway.transcoder import BadRequestError, RouteTable, leave_out_additions, to_json
from penstock_server.gateway.ui import NO_UI, UiSettings, WebInterface
from penstock_server.gateway.uploads import Uploads
from penstock_server.telemetry import CONTENT_TYPE

log = logging.getLogger(__name__)
requests_log = logging.getLogger("penstock_server.requests")

MAX_BODY_BYTES = 64 * 1024 * 1024
# As proxies write it: the client went away before it was answered.
_CLIENT_GONE = 499
# Everything is served below it too: where the web UI lives behind a central dashboard.
UI_PREFIX = "/pipeline"
# As the router calls the route of everything else.
_ANYTHING = "/{path}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`user_header` is forwarded as the caller's identity when set."""

    user_header: str = ""
    commit: str = "unknown"
    tag: str = "unknown"
    concurrent_requests: int = 1000
    exposition: Callable[[], bytes] = bytes
    """Figures for Prometheus; may block."""
    services: Sequence[ServiceDescriptor] = ()
    """What is served by its annotations."""
    web_methods: Mapping[str, bool] = field(default_factory=dict)
    """Methods that are served as gRPC-Web too, by full path, with whether the reply is a stream."""
    web_view: View = AS_IT_IS
    ui: UiSettings = NO_UI
    max_package_bytes: int = 32 * 1024 * 1024
    problems: Callable[[], list[str]] = list
    """Why the server is not ready, empty when it is; may block."""
    sites: SitePolicy = THIS_MACHINE_ALONE


def create_app(server: calls.Calls, settings: GatewaySettings) -> web.Application:
    """An application that calls `server`."""
    gateway = _Gateway(server, settings)
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[gateway.around, gateway.guarded],
        handler_args={"max_field_size": 16 * 1024},
    )
    uploads = Uploads(gateway.caller, settings.user_header, settings.max_package_bytes)
    app.router.add_get("/metrics", gateway.metrics)
    app.router.add_get("/readyz", gateway.readyz)
    app.router.add_get("/livez", gateway.livez)
    app.router.add_get("/openapi.json", gateway.openapi)
    for prefix in ("", UI_PREFIX):
        for version in ("v1beta1", "v2beta1"):
            app.router.add_route("*", f"{prefix}/apis/{version}/healthz", gateway.healthz)
            app.router.add_post(f"{prefix}/apis/{version}/pipelines/upload", uploads.pipeline)
            app.router.add_post(f"{prefix}/apis/{version}/pipelines/upload_version", uploads.version)
        for version in ("v1alpha1", "v1beta1", "v2beta1"):
            app.router.add_get(f"{prefix}/apis/{version}/runs/{{run_id}}/nodes/{{node_id}}/log", gateway.log)
        app.router.add_get(f"{prefix}/apis/penstock/v1/artifacts/{{name}}:download", gateway.download)
        app.router.add_get(f"{prefix}/apis/penstock/v1/runs/{{run_id}}/events", gateway.events)
        gateway.ui.add_routes(app, prefix)
    app.router.add_route("*", "/{path:.*}", gateway.transcode)
    return app


class _Gateway:
    def __init__(self, server: calls.Calls, settings: GatewaySettings) -> None:
        self.caller = calls.Caller(server)
        self.streams = Streams(self.caller, settings.user_header)
        self.ui = WebInterface(self.caller, self.streams, settings.ui, settings.user_header)
        self._settings = settings
        self._table = RouteTable(settings.services)
        self._web = GrpcWeb(self.caller, settings.web_methods, settings.web_view, settings.user_header)
        self._active = 0

    @property
    def around(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self._active >= self._settings.concurrent_requests:
                busy = replies.error_reply(grpc.StatusCode.UNAVAILABLE, "too many requests under way; try again")
                busy.headers["Retry-After"] = "1"
                return busy
            self._active += 1
            started = time.perf_counter()
            try:
                reply = await handler(request)
            except web.HTTPRequestEntityTooLarge:
                reply = replies.error_reply(
                    grpc.StatusCode.INVALID_ARGUMENT, f"the body is larger than {MAX_BODY_BYTES} bytes", 413
                )
            except web.HTTPMethodNotAllowed:
                reply = _wrong_verb()
            except web.HTTPException as error:
                reply = replies.plain_status(error.status, grpc.StatusCode.UNKNOWN, error.reason)
            except (ConnectionResetError, asyncio.CancelledError):
                _note(request, _CLIENT_GONE, started)
                raise
            except Exception:
                log.exception("%s %s failed, request %s", request.method, request.path, calls.request_id(request))
                reply = replies.error_reply(
                    grpc.StatusCode.INTERNAL, f"Internal Server Error (request {calls.request_id(request)})"
                )
            finally:
                self._active -= 1
            _note(request, reply.status, started)
            if not reply.prepared:
                reply.headers["X-Request-Id"] = calls.request_id(request)
            return reply

        return middleware

    @property
    def guarded(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = cross_site.refusal(request, self._settings.sites)
            if refused is not None:
                return replies.error_reply(grpc.StatusCode.PERMISSION_DENIED, refused)
            return await (self.options(request) if request.method == "OPTIONS" else handler(request))

        return middleware

    async def options(self, request: web.Request) -> web.StreamResponse:
        """The verbs of a path, and nothing that would let other origins use them."""
        path = _unprefixed(request)
        verbs = self._table.verbs(path)
        for resource in request.app.router.resources():
            if resource.canonical != _ANYTHING:
                _, known = await resource.resolve(request)
                verbs |= {"GET", "HEAD"} if "*" in known else known
        if self._web.serves(path):
            verbs.add("POST")
        if self.ui.has(path):
            verbs.add("GET")
        if not verbs:
            return replies.plain_status(404, grpc.StatusCode.NOT_FOUND, "Not Found")
        verbs |= {"OPTIONS", "HEAD"} if "GET" in verbs else {"OPTIONS"}
        return web.Response(status=204, headers={"Allow": ", ".join(sorted(verbs))})

    async def transcode(self, request: web.Request) -> web.StreamResponse:
        path = _unprefixed(request)
        if self._web.serves(path):
            return await self._web.handle(request, path)
        # What answers HEAD leaves the body out.
        found = self._table.find("GET" if request.method == "HEAD" else request.method, path)
        if found is None:
            if self._table.verbs(path):
                return _wrong_verb()
            file = await self.ui.file(request, path)
            if file is not None:
                return file
            return replies.plain_status(404, grpc.StatusCode.NOT_FOUND, "Not Found")
        route, values = found
        request["route"] = route.path
        if not cross_site.carries_json(request):
            return replies.unsupported_type(request.headers.get("Content-Type", ""), cross_site.JSON_TYPE)
        content = await request.read() if route.body else b""
        try:
            message = route.build(values, request.query.items(), content)
        except BadRequestError as error:
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        extra = (("x-clear-tags", "true"),) if _clears_tags(request, content) else ()
        try:
            reply = await self.caller.unary(
                route.rpc,
                message,
                calls.deadline(request),
                calls.metadata(request, self._settings.user_header, *extra),
            )
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        if request.query.get("options", "").lower() not in ("true", "1"):
            leave_out_additions(reply)
        return replies.json_reply(to_json(reply))

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """With the keys of the API and those that the web UI's own server adds (api.md §1.4, §4.2)."""
        commit, tag = self._settings.commit, self._settings.tag
        document = {
            "commit_sha": commit,
            "tag_name": tag,
            "multi_user": False,
            "pipeline_store": "database",
            "apiServerCommitHash": commit,
            "apiServerTagName": tag,
            "apiServerMultiUser": False,
            "apiServerReady": True,
            "pipelineStore": "database",
            "frontendCommitHash": commit,
            "frontendTagName": tag,
        }
        if "/v1beta1/" in request.path:
            del document["pipeline_store"]
        return web.json_response(document)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        content = await asyncio.to_thread(self._settings.exposition)
        return web.Response(body=content, headers={"Content-Type": CONTENT_TYPE})

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        """503 with the reasons while the server cannot do its work."""
        problems = await asyncio.to_thread(self._settings.problems)
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def livez(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"alive": True})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """What these routes are, for tools (OpenAPI 3)."""
        return web.Response(body=_openapi(), content_type="application/json")

    async def log(self, request: web.Request) -> web.StreamResponse:
        message = insight_pb2.ReadLogRequest(
            run_id=request.match_info["run_id"],
            node_id=request.match_info["node_id"],
            follow=request.query.get("follow", "").lower() in ("true", "1"),
        )
        return await self.streams.send(request, "ReadLog", message, "text/plain; charset=utf-8")

    async def events(self, request: web.Request) -> web.StreamResponse:
        message = insight_pb2.ReadEventLogRequest(run_id=request.match_info["run_id"])
        return await self.streams.send(request, "ReadEventLog", message, "application/x-ndjson")

    async def download(self, request: web.Request) -> web.StreamResponse:
        message = insight_pb2.ReadArtifactRequest(name=request.match_info["name"])
        return await self.streams.send(request, "ReadArtifact", message, "application/octet-stream")


@cache
def _openapi() -> bytes:
    return (resources.files("penstock_server.gateway") / "openapi" / "openapi.json").read_bytes()


def _unprefixed(request: web.Request) -> str:
    path = request.rel_url.raw_path
    if path == UI_PREFIX or path.startswith(f"{UI_PREFIX}/"):
        path = path[len(UI_PREFIX) :] or "/"
    return path


def _note(request: web.Request, status: int, started: float) -> None:
    """A line in the log: the route, never the path, which may hold anything."""
    resource = request.match_info.route.resource
    route = request.get("route") or (resource.canonical if resource else "")
    # What asks every few seconds, a probe or whoever waits for a run, says nothing as long as all is well.
    level = logging.DEBUG if request.method in ("GET", "HEAD") and status < 400 else logging.INFO
    if not requests_log.isEnabledFor(level):
        return
    fields = {
        "verb": request.method,
        "route": route,
        "status": status,
        "millis": round((time.perf_counter() - started) * 1000, 2),
        "request_id": calls.request_id(request),
    }
    requests_log.log(level, "%s", " ".join(f"{key}={value}" for key, value in fields.items()), extra=fields)


def _wrong_verb() -> web.Response:
    return replies.plain_status(501, grpc.StatusCode.UNIMPLEMENTED, "Method Not Allowed")


def _clears_tags(request: web.Request, content: bytes) -> bool:
    """`"tags": {}` in a PATCH of a pipeline or version removes all tags (api.md §2.1)."""
    if request.method not in ("PUT", "PATCH") or not _unprefixed(request).startswith("/apis/v2beta1/pipelines/"):
        return False
    try:
        document = json.loads(content)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("tags") == {}
