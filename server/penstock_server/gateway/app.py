"""The HTTP application: annotated routes, uploads, logs, downloads, healthz, the web UI.

Invariants: every reply has X-Request-Id; an unexpected exception is logged and becomes a 500 with a fixed text; what
peers may take is bounded (`admission`), but for health checks and metrics. No route, not even an unknown one, handles a
request that a browser sends for a page of another site (`cross_site`). No reply but a file of the web UI or of its
log-in is shown as a page of this origin: every other has the headers `replies.UNTRUSTED`, whichever route it comes by.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from penstock_api.v1 import insight_pb2

from penstock_server.errors import PenstockError
from penstock_server.gateway import calls, compression, conditional, connections, cross_site, masks, replies
from penstock_server.gateway.admission import CONTENT, Admission, Handler
from penstock_server.gateway.conversion import beside, converted
from penstock_server.gateway.cross_site import LOCAL_ONLY, SitePolicy
from penstock_server.gateway.grpc_web import UNCHANGED, BrowserView, GrpcWeb
from penstock_server.gateway.limits import DEFAULT_LIMITS, HttpLimits
from penstock_server.gateway.login import Login
from penstock_server.gateway.pages import Pages
from penstock_server.gateway.probes import Probes
from penstock_server.gateway.streams import Streams
from penstock_server.gateway.transcoder import (
    BadRequestError,
    Route,
    RouteTable,
    clear_penstock_fields,
    is_small,
    to_json,
)
from penstock_server.gateway.ui import NO_UI, UiSettings, WebInterface
from penstock_server.gateway.uploads import Uploads
from penstock_server.gateway.watches import Watches
from penstock_server.telemetry import Limited, count_nothing
from penstock_server.workers.elsewhere import Elsewhere

log = logging.getLogger(__name__)
requests_log = logging.getLogger("penstock_server.requests")

MAX_BODY_BYTES = 64 * 1024 * 1024
# The status that nginx logs when the client closed the connection before the reply.
_CLIENT_GONE = 499
_MAX_HTML_BYTES = 10 * 1024 * 1024
# All routes exist below this prefix too, which the web UI has behind a central dashboard.
UI_PREFIX = "/pipeline"
_ROUTE = web.RequestKey("route", str)
# The canonical name of the catch-all route in aiohttp.
_CATCH_ALL = "/{path}"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the routes need besides the calls."""

    commit: str = "unknown"
    tag: str = "unknown"
    multi_user: bool = False
    limits: HttpLimits = DEFAULT_LIMITS
    limited: Limited = count_nothing
    """Told of what the limits refuse or end."""
    other_site: Callable[[], None] = lambda: None
    """Told of each request that is refused as one of another site's page."""
    exposition: Callable[[], bytes] = bytes
    """Returns the metrics for Prometheus; may block."""
    services: Sequence[ServiceDescriptor] = ()
    """The services whose annotated methods are served over REST."""
    web_methods: Mapping[str, bool] = field(default_factory=dict)
    """The methods served as gRPC-Web, by full path; True for those with a streamed reply."""
    web_view: BrowserView = UNCHANGED
    ui: UiSettings = NO_UI
    bundle: Path | None = None
    """Where Penstock's own web UI is built; None serves none."""
    max_package_bytes: int = 32 * 1024 * 1024
    problems: Callable[[], list[str]] = list
    """Returns why the server is not ready, nothing if it is; may block."""
    silent: Callable[[], list[int]] | None = None
    """Returns the numbers of the server's other processes that do not answer; None where there are no others."""
    sites: SitePolicy = LOCAL_ONLY
    elsewhere: Elsewhere | None = None
    """Reads large JSON bodies; without it they are read here."""
    login: Login | None = None
    """The routes of the web UI's log-in; None where nobody logs in here."""


def create_app(server: calls.Calls, settings: GatewaySettings) -> web.Application:
    """An application that calls `server`."""
    gateway = _Gateway(server, settings)
    app = web.Application(
        middlewares=[gateway.request_middleware, gateway.cross_site_middleware, gateway.admission_middleware],
        handler_args={"max_field_size": 16 * 1024},
    )
    app.on_response_prepare.append(_distrust)
    uploads = Uploads(gateway.caller, gateway.admission, settings.max_package_bytes)
    gateway.admission.streaming += [uploads.pipeline, uploads.version]
    app.cleanup_ctx.append(gateway.admission.bodies.sweeping)
    probes = Probes(settings.exposition, settings.problems, settings.silent)
    gateway.admission.always += [probes.metrics, probes.readyz, probes.livez, gateway.healthz]
    probes.add_routes(app)
    app.router.add_get("/openapi.json", gateway.openapi)
    for prefix in ("", UI_PREFIX):
        for version in ("v1beta1", "v2beta1"):
            app.router.add_route("*", f"{prefix}/apis/{version}/healthz", gateway.healthz)
            app.router.add_post(f"{prefix}/apis/{version}/pipelines/upload", uploads.pipeline)
            app.router.add_post(f"{prefix}/apis/{version}/pipelines/upload_version", uploads.version)
        for version in ("v1alpha1", "v1beta1", "v2beta1"):
            app.router.add_get(f"{prefix}/apis/{version}/runs/{{run_id}}/nodes/{{node_id}}/log", gateway.log)
        app.router.add_get(f"{prefix}/apis/penstock/v1/artifacts/{{name}}:download", gateway.download)
        app.router.add_get(f"{prefix}/apis/penstock/v1/artifacts/{{name}}:html", gateway.show)
        app.router.add_get(f"{prefix}/apis/penstock/v1/runs/{{run_id}}/events", gateway.events)
        gateway.watches.add_routes(app, prefix)
        gateway.ui.add_routes(app, prefix)
        if settings.login is not None:
            settings.login.add_routes(app, prefix)
    app.router.add_route("*", "/{path:.*}", gateway.transcode)
    return app


class _Gateway:
    def __init__(self, server: calls.Calls, settings: GatewaySettings) -> None:
        self.caller = calls.Caller(server)
        self.streams = Streams(self.caller)
        self.watches = Watches(self.caller)
        self.ui = WebInterface(self.caller, self.streams, settings.ui)
        self._pages = Pages(settings.bundle)
        self._settings = settings
        self._table = RouteTable(settings.services)
        self._web = GrpcWeb(self.caller, settings.web_methods, settings.web_view)
        self.admission = Admission(settings.limits, MAX_BODY_BYTES, settings.limited)

    @property
    def request_middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            started = time.perf_counter()
            connection = connections.of(request)
            connection.began()
            try:
                reply = await handler(request)
            except web.HTTPMethodNotAllowed:
                reply = _method_not_allowed()
            except web.HTTPException as error:
                reply = replies.plain_status(error.status, grpc.StatusCode.UNKNOWN, error.reason)
            except ConnectionResetError:
                # Nobody reads it; raised further, it would be logged as a fault of ours.
                reply = web.Response(status=_CLIENT_GONE)
            except asyncio.CancelledError:
                _log_request(request, _CLIENT_GONE, started)
                raise
            except Exception:
                log.exception("%s %s failed, request %s", request.method, request.path, calls.request_id(request))
                reply = replies.error_reply(
                    grpc.StatusCode.INTERNAL, f"Internal Server Error (request {calls.request_id(request)})"
                )
            finally:
                connection.finished()
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
                self._settings.other_site()
                return replies.error_reply(grpc.StatusCode.PERMISSION_DENIED, refused)
            return await (self.options(request) if request.method == "OPTIONS" else handler(request))

        return middleware

    @property
    def admission_middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.admission.handle(request, handler)

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
        if self.ui.has(path) or self._pages.has(request.rel_url.raw_path):
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
            # Its addresses are absolute: it is not below the prefix.
            own = request.rel_url.raw_path
            if self._settings.login is not None and (self.ui.has(path) or self._pages.has(own)):
                page = await self._settings.login.page_of_log_in(request)
                if page is not None:
                    return page
            file = await self.ui.file(request, path) or await self._pages.reply(request, own)
            if file is not None:
                return file
            return replies.plain_status(404, grpc.StatusCode.NOT_FOUND, "Not Found")
        route, values = match
        request[_ROUTE] = route.path
        if not cross_site.carries_json(request, request[CONTENT]):
            return replies.unsupported_type(request.headers.get("Content-Type", ""), cross_site.JSON_TYPE)
        content = request[CONTENT] if route.body else b""
        try:
            message = await self._built(route, values, request, content)
        except BadRequestError as error:
            return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except PenstockError as error:
            return replies.unread(error)
        clears_tags = await converted(len(content), lambda: _clears_tags(request, content))
        return await self._answered(route, message, request, (("x-clear-tags", "true"),) if clears_tags else ())

    async def _answered(
        self, route: Route, message: Message | bytes, request: web.Request, metadata: calls.Metadata
    ) -> web.StreamResponse:
        mask = masks.metadata(request)
        keeps_all = request.query.get("options", "").lower() in ("true", "1")
        keeps_all = keeps_all or masks.names_penstock_field(route.reply, mask)
        condition = conditional.Condition(request, keeps_all=keeps_all)
        try:
            reply, trailing = await self.caller.answer(
                route.rpc,
                message,
                calls.deadline(request),
                calls.sent(request, *metadata, *mask, *condition.metadata()),
            )
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        tag = condition.tag_of(trailing)
        if condition.is_known(tag):
            return conditional.not_modified(tag)
        if isinstance(reply, bytes):
            reply = route.reply.FromString(reply)

        def made() -> web.Response:
            content = _json(reply, keeps_all=keeps_all)
            tag_of_reply = tag or condition.tag_of_content(content)
            if condition.is_known(tag_of_reply):
                return conditional.not_modified(tag_of_reply)
            return conditional.tagged(compression.applied(request, replies.json_reply(content)), tag_of_reply)

        return await converted(reply.ByteSize(), made)

    async def _built(
        self, route: Route, values: Sequence[str], request: web.Request, content: bytes
    ) -> Message | bytes:
        """The request message, encoded if it is large: another process made it."""
        query, elsewhere = request.query.items(), self._settings.elsewhere
        if elsewhere is None or is_small(content):
            return await converted(len(content), lambda: route.build(values, query, content))
        return await beside(lambda: route.built_elsewhere(elsewhere, values, query, content))

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """Has the keys of the API and those of the web UI's own server (api.md §1.4, §4.2)."""
        commit, tag = self._settings.commit, self._settings.tag
        document = {
            "commit_sha": commit,
            "tag_name": tag,
            "multi_user": self._settings.multi_user,
            "pipeline_store": "database",
            "apiServerCommitHash": commit,
            "apiServerTagName": tag,
            "apiServerMultiUser": self._settings.multi_user,
            "apiServerReady": True,
            "pipelineStore": "database",
            "frontendCommitHash": commit,
            "frontendTagName": tag,
        }
        if "/v1beta1/" in request.path:
            del document["pipeline_store"]
        return web.json_response(document)

    async def openapi(self, request: web.Request) -> web.StreamResponse:
        """The OpenAPI 3 document of these routes."""
        document = _openapi()
        plain = web.Response(body=document, content_type="application/json")
        return await converted(len(document), lambda: compression.applied(request, plain))

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
        return await self.streams.send(
            request, "ReadArtifact", message, "application/octet-stream", file_name="artifact"
        )

    async def show(self, request: web.Request) -> web.StreamResponse:
        """An artifact that is HTML, for a frame; whom a link leads here, saves it, so that none looks like a page of
        ours.
        """
        message = insight_pb2.ReadArtifactRequest(name=request.match_info["name"], max_bytes=_MAX_HTML_BYTES)
        led_here = request.headers.get("Sec-Fetch-Dest") == "document"
        return await self.streams.send(
            request,
            "ReadArtifact",
            message,
            "text/html; charset=utf-8",
            file_name="artifact.html" if led_here else "",
            headers=replies.HTML_OF_TASK,
        )


async def _distrust(request: web.Request, reply: web.StreamResponse) -> None:
    """Any reply may hold what users or tasks wrote."""
    if not replies.is_page(reply):
        for name, value in replies.UNTRUSTED.items():
            reply.headers.setdefault(name, value)


def _json(reply: Any, *, keeps_all: bool) -> bytes:
    if not keeps_all:
        clear_penstock_fields(reply)
    return to_json(reply)


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
    route = request.get(_ROUTE) or (resource.canonical if resource else "")
    # Probes, and clients that wait for a run, ask every few seconds: only failures of reads are logged as INFO.
    # So are those that come too often.
    is_frequent = (request.method in ("GET", "HEAD") and status < 400) or status == 429
    level = logging.DEBUG if is_frequent else logging.INFO
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
