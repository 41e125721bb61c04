"""The endpoints of the web UI's own Node server (api.md §4.2), so that a built UI runs without it.

Invariants: no file outside the given directory is served; a cloud's metadata address is never contacted; an object is
read through the artifact store, whose settings count, not providers and endpoints in its URL.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import grpc
from aiohttp import web
from penstock_api.v1 import insight_pb2

from penstock_server.gateway import calls, replies
from penstock_server.gateway.protojson import to_dict
from penstock_server.gateway.streams import Streams

_SOURCES = ("minio", "s3", "gcs", "http", "https", "volume", "file")
_SCHEMES = {"gcs": "gs"}
# The name under which `rpc/browser_uris.py` shows files of this machine as a volume.
_OWN_VOLUME = "localhost"
_DASHBOARD = re.compile(r'<script id="kubeflow-client-placeholder"\s*></script>')
_DASHBOARD_SCRIPT = '<script id="kubeflow-client-placeholder" src="/dashboard_lib.bundle.js"></script>'
_MAX_PEEK = 64 * 1024 * 1024
_MAX_DIGITS = 18
_FLAG = re.compile(r"window\.KFP_FLAGS\.(DEPLOYMENT|HIDE_SIDENAV)\s*=\s*[^;<\n]*;?")


@dataclass(frozen=True, slots=True)
class UiSettings:
    """`directory` holds a built web UI; without one only the endpoints are served.

    `deployment` is "" (standalone), KUBEFLOW (inside the central dashboard) or MARKETPLACE.
    """

    directory: Path | None = None
    deployment: str = ""
    hide_side_navigation: bool = False


NO_UI = UiSettings()


class WebInterface:
    def __init__(self, caller: calls.Caller, streams: Streams, settings: UiSettings) -> None:
        self._caller = caller
        self._streams = streams
        self._settings = settings
        self._root = settings.directory.resolve() if settings.directory else None

    def add_routes(self, app: web.Application, prefix: str) -> None:
        app.router.add_get(f"{prefix}/artifacts/get", self.get_artifact)
        app.router.add_get(f"{prefix}/artifacts/{{source}}/{{bucket}}/{{key:(?s:.+)}}", self.download)
        app.router.add_get(f"{prefix}/k8s/pod", self.pod)
        app.router.add_get(f"{prefix}/k8s/pod/events", self.pod_events)
        app.router.add_get(f"{prefix}/k8s/pod/logs", self.pod_logs)
        app.router.add_get(f"{prefix}/visualizations/allowed", self.visualizations_allowed)
        for name in ("cluster-name", "project-id"):
            app.router.add_get(f"{prefix}/system/{name}", self.cloud_metadata)

    async def get_artifact(self, request: web.Request) -> web.StreamResponse:
        """The content of an artifact, unpacked to its first file; `peek` limits the bytes."""
        query = request.query
        missing = [name for name in ("source", "bucket", "key") if not query.get(name)]
        if missing:
            return _invalid(f"{missing[0]}: the parameter is required")
        if query["source"] not in _SOURCES:
            return _invalid(f"source: it must be one of {', '.join(_SOURCES)}")
        peek = query.get("peek", "0")
        if not (peek.isascii() and peek.isdigit() and len(peek) <= _MAX_DIGITS and int(peek) <= _MAX_PEEK):
            return _invalid(f"peek: it must be a number of bytes up to {_MAX_PEEK}")
        source, bucket, key = query["source"], query["bucket"], query["key"]
        if source == "volume" and query.get("keyEncoding") != "storage":
            # Such a key is percent-encoded, as in the URI.
            key = unquote(key)
        uri = _uri(source, bucket, key)
        if uri is None:
            return _no_such_volume(bucket)
        return await self._streams.send_object(request, uri, unpack=True, peek=int(peek))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The content of an artifact unchanged; a directory as a tar file."""
        source, bucket, key = (request.match_info[name] for name in ("source", "bucket", "key"))
        if source not in _SOURCES:
            return _invalid(f"source: it must be one of {', '.join(_SOURCES)}")
        name = key.rstrip("/").rsplit("/", 1)[-1]
        uri = _uri(source, bucket, key)
        if uri is None:
            return _no_such_volume(bucket)
        return await self._streams.send_object(request, uri, unpack=False, file_name=name)

    async def pod(self, request: web.Request) -> web.StreamResponse:
        return await self._pod_reply(request, lambda response: to_dict(response.pod))

    async def pod_events(self, request: web.Request) -> web.StreamResponse:
        def event_list(response: insight_pb2.DescribePodResponse) -> object:
            return {"apiVersion": "v1", "kind": "EventList", "items": [to_dict(event) for event in response.events]}

        return await self._pod_reply(request, event_list)

    async def pod_logs(self, request: web.Request) -> web.StreamResponse:
        """The log of the task that has this Pod, from the running process or the archive."""
        name = request.query.get("podname", "")
        if not name:
            return _invalid("podname: the parameter is required")
        follow = request.query.get("follow", "").lower() in ("true", "1")
        message = insight_pb2.ReadLogRequest(run_id=request.query.get("runid", ""), node_id=name, follow=follow)
        return await self._streams.send(request, "ReadLog", message, "text/plain; charset=utf-8")

    async def visualizations_allowed(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="false")

    async def cloud_metadata(self, request: web.Request) -> web.StreamResponse:
        return replies.plain_status(404, grpc.StatusCode.NOT_FOUND, "metadata of a cloud provider is not asked for")

    async def file(self, request: web.Request, path: str) -> web.StreamResponse | None:
        """A file of the UI, index.html for the root; None if there is none."""
        file = self._file(path)
        if file is None or request.method not in ("GET", "HEAD"):
            return None
        if file.name == "index.html":
            kept = {"Cache-Control": "no-cache"}
            return replies.as_page(web.Response(text=self._page(file), content_type="text/html", headers=kept))
        return replies.as_page(web.FileResponse(file))

    def has(self, path: str) -> bool:
        """Whether the UI has a file there."""
        return self._file(path) is not None

    def _file(self, path: str) -> Path | None:
        name = unquote(path).lstrip("/") or "index.html"
        if self._root is None or "\0" in name:
            return None
        file = Path(os.path.realpath(self._root / name))
        return file if self._root in file.parents and file.is_file() else None

    def _page(self, path: Path) -> str:
        """The page, with a script that sets the flags which it reads at its start."""
        flags = {
            "DEPLOYMENT": self._settings.deployment or None,
            "HIDE_SIDENAV": self._settings.hide_side_navigation,
        }
        script = "".join(f"window.KFP_FLAGS.{name}={json.dumps(value)};" for name, value in flags.items())
        html = _FLAG.sub("", path.read_text("utf-8", errors="replace"))
        if self._settings.deployment == "KUBEFLOW":
            # The page waits for a namespace, which this script gets from the dashboard.
            html = _DASHBOARD.sub(_DASHBOARD_SCRIPT, html)
        tag = f"<script>window.KFP_FLAGS=window.KFP_FLAGS||{{}};{script}</script>"
        # Behind the page's own script, which sets the flags to an empty object.
        head, separator, rest = html.partition("</head>")
        return f"{head}{tag}{separator}{rest}" if separator else f"{tag}{html}"

    async def _pod_reply(
        self, request: web.Request, to_document: Callable[[insight_pb2.DescribePodResponse], object]
    ) -> web.StreamResponse:
        name = request.query.get("podname", "")
        if not name:
            return _invalid("podname: the parameter is required")
        message = insight_pb2.DescribePodRequest(pod_name=name, run_id=request.query.get("runid", ""))
        try:
            response = await self._caller.unary(
                "/penstock.v1.InsightService/DescribePod",
                message,
                calls.deadline(request),
                calls.sent(request),
            )
        except grpc.RpcError as error:
            return replies.rpc_error_reply(error)
        return replies.json_reply(json.dumps(to_document(response), ensure_ascii=False).encode())


def _uri(source: str, bucket: str, key: str) -> str | None:
    """None for a volume other than this machine's files."""
    if source == "volume":
        return f"file:///{quote(key)}" if bucket == _OWN_VOLUME else None
    scheme = _SCHEMES.get(source, source)
    # URIs of object stores are literal.
    return f"file:///{quote(bucket)}/{quote(key)}" if scheme == "file" else f"{scheme}://{bucket}/{key}"


def _no_such_volume(name: str) -> web.Response:
    text = f"bucket: there is no volume {name[:255]!r}; files of this server are in the volume {_OWN_VOLUME!r}"
    return replies.error_reply(grpc.StatusCode.NOT_FOUND, text)


def _invalid(message: str) -> web.Response:
    return replies.error_reply(grpc.StatusCode.INVALID_ARGUMENT, message)
