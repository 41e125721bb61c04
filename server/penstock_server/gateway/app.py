"""The HTTP application: annotated routes, uploads, logs, downloads, healthz, the web UI.

Invariants: every reply has X-Request-Id; an unexpected exception is logged and becomes a 500 with a fixed text; the
number of concurrent requests is bounded, and one more gets a 503 with Retry-After. No route, not even an unknown one,
handles a request that a browser sends for a page of another site (`cross_site`).
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
from penstock_server.gateway.cross_site import LOCAL_ONLY, SitePolicy
from penstock_server.gateway.grpc_web import UNCHANGED, BrowserView, GrpcWeb
from penstock_server.gateway.streams import Streams
from penstock_server.gateway.transcoder import BadRequestError, RouteTable, clear_penstock_fields, to_json
from penstock_server.gateway.ui import NO_UI, UiSettings, WebInterface
from penstock_server.gateway.uploads import Uploads
from penstock_server.telemetry import CONTENT_TYPE

log = logging.getLogger(__name__)
requests_log = logging.getLogger("penstock_server.requests")

MAX_BODY_BYTES = 64 * 1024 * 1024
# The status that nginx logs when the client closed the connection before the reply.
_CLIENT_GONE = 499
# All routes exist below this prefix too, which the web UI has behind a central dashboard.
UI_PREFIX = "/pipeline"
# The canonical name of the catch-all route in aiohttp.
_CATCH_ALL = "/{path}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`user_header` is forwarded as the caller's identity when set."""

    user_header: str = ""
    commit: str = "unknown"
    tag: str = "unknown"
    concurrent_requests: int = 1000
    exposition: Callable[[], bytes] = bytes
    """Returns the metrics for Prometheus; may block."""
    services: Sequence[ServiceDescriptor] = ()
    """The services whose annotated methods are served over REST."""
    web_methods: Mapping[str, bool] = field(default_factory=dict)
    """The methods served as gRPC-Web, by full path; True for those with a streamed reply."""
    web_view: BrowserView = UNCHANGED
    ui: UiSettings = NO_UI
    max_package_bytes: int = 32 * 1024 * 1024
    problems: Callable[[], list[str]] = list
    """Returns why the server is not ready, nothing if it is; may block."""
    sites: SitePolicy = LOCAL_ONLY


def create_app(server: calls.Calls, settings: GatewaySettings) -> web.Application:
    """An application that calls `server`."""
    gateway = _Gateway(server, settings)
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[gateway.request_middleware, gateway.cross_site_middleware],
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
    def request_middleware(self) -> Any:
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
                reply = _method_not_allowed()
            except web.HTTPException as error:
                reply = replies.plain_status(error.status, grpc.StatusCode.UNKNOWN, error.reason)
            except (ConnectionResetError, asyncio.CancelledError):
                _log_request(request, _CLIENT_GONE, started)
                raise
            except Exception:
                log.exception("%s %s failed, request %s", request.method, request.path, calls.request_id(request))
                reply = replies.error_reply(
                    grpc.StatusCode.INTERNAL, f"Internal Server Error (request {calls.request_id(request)})"
                )
            finally:
                self._active -= 1
            _log_request(request, reply.status, started)
            if not reply.prepared:
                reply.headers["X-Request-Id"] = calls.request_id(request)
            return reply

        return middleware

    @property
    def cross_site_middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = cross_site.refusal(request, self._settings.sites)
            if refused is not None:
                return replies.error_reply(grpc.StatusCode.PERMISSION_DENIED, refused)
            return await (self.options(request) if request.method == "OPTIONS" else handler(request))

        return middleware

    async def options(self, request: web.Request) -> web.StreamResponse:
        """Lists the methods of a path, without CORS headers that would allow them to other origins."""
        path = _unprefixed(request)
        verbs = self._table.verbs(path)
        for resource in request.app.router.resources():
            if resource.canonical != _CATCH_ALL:
                _, methods = await resource.resolve(request)
                verbs |= {"GET", "HEAD"} if "*" in methods else methods
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
        # aiohttp omits the body of a reply to HEAD.
        match = self._table.find("GET" if request.method == "HEAD" else request.method, path)
        if match is None:
            if self._table.verbs(path):
                return _method_not_allowed()
            file = await self.ui.file(request, path)
            if file is not None:
                return file
            return replies.plain_status(404, grpc.StatusCode.NOT_FOUND, "Not Found")
        route, values = match
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
            clear_penstock_fields(reply)
        return replies.json_reply(to_json(reply))

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """Has the keys of the API and those of the web UI's own server (api.md §1.4, §4.2)."""
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
        """503 with the reasons while the server is not ready."""
        problems = await asyncio.to_thread(self._settings.problems)
        return web.json_response({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def livez(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"alive": True})

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """The OpenAPI 3 document of these routes."""
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


def _log_request(request: web.Request, status: int, started: float) -> None:
    """Logs the route of the request, never its path, which may hold anything."""
    resource = request.match_info.route.resource
    route = request.get("route") or (resource.canonical if resource else "")
    # Probes, and clients that wait for a run, ask every few seconds: only failures of reads are logged as INFO.
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


def _method_not_allowed() -> web.Response:
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
