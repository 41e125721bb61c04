"""Calls to a Kubernetes API server over HTTP, with objects as dicts, as the server sends them.

Invariants: every call ends, by its deadline at the latest, with its result or a KubeError. Reads are retried until then
when the network or the server fails. Creating and deleting is sent once, since only the caller knows whether it may be
repeated; 429, which means that nothing was done, is retried within the deadline. On 401 the client reads its
credentials anew, once per call. A path with anything but names in it is refused before it is sent.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from yarl import URL

from penstock_kube.config import Cluster
from penstock_kube.errors import (
    GoneError,
    InvalidError,
    KubeConfigError,
    KubeError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    from_response,
    from_status,
)
from penstock_kube.exec_stream import ExecSocket, ExecStream, refused_upgrade
from penstock_kube.network import CONNECT_SECONDS, STALL_SECONDS, abort, network_errors
from penstock_kube.pages import decode_list

_T = TypeVar("_T")

_CREDENTIALS_SECONDS = 30.0
_LIST_ATTEMPTS = 3
_BACKOFF = (0.1, 5.0)
# Names in it may come from a pipeline: none is a query, climbs out of its collection, or is another one once decoded.
_PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._:-]+)+")


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`resource_version` is that of the whole list: a watch that starts there misses nothing."""

    items: list[dict[str, Any]]
    resource_version: str


@dataclass(slots=True)
class _Credentials:
    """The cluster's credentials as they were read last; `read_at` on the monotonic clock."""

    cluster: Cluster
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    read_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Two connection pools, because a stream holds its connection for minutes and calls must not wait for it."""

    calls: aiohttp.ClientSession
    streams: aiohttp.ClientSession


class KubeClient:
    """The client of one cluster. `deadline` in seconds, for every call that is no stream.

    At most `connections` calls run at a time, not counting watches, followed logs and programs. `observe(verb, code,
    seconds)` is called for every try of a call that is no stream, and with the verb CONNECT for every try to begin a
    program; the code is empty when there was no response.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        program: str = "penstock-executor",
        deadline: float = 30.0,
        connections: int = 64,
        observe: Callable[[str, str, float], None] = lambda verb, code, seconds: None,
    ) -> None:
        self._deadline = deadline
        self._agent = f"{program}/{version('penstock')}"
        self._credentials = _Credentials(cluster)
        self._renewal_lock = asyncio.Lock()
        self._connections = connections
        self._open_sessions: _Sessions | None = None
        self._observe = observe

    @property
    def namespace(self) -> str:
        """The namespace that the configuration names."""
        return self._credentials.cluster.namespace

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections; open streams are cut off."""
        if self._open_sessions is not None:
            await self._open_sessions.calls.close()
            await self._open_sessions.streams.close()

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """The object, or the list, at `path` (`/api/v1/…`), with parameters as the API names them."""
        return _object(await self._call("GET", path, params=params))

    async def create(self, path: str, body: Mapping[str, Any], **params: str | int) -> dict[str, Any]:
        """Creates `body` in the collection at `path`, with parameters as the API names them. After an `ambiguous`
        UnavailableError it may exist.
        """
        return _object(await self._call("POST", path, params=params, body=body))

    async def delete(
        self, path: str, *, uid: str | None = None, grace_seconds: int | None = None, propagation: str = "Background"
    ) -> dict[str, Any]:
        """Deletes the object at `path`. With `uid`, raises ConflictError if another object has that name by now."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return _object(await self._call("DELETE", path, body=options))

    async def patch_merge(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merges `body` into the object at `path` (JSON merge patch)."""
        return _object(await self._call("PATCH", path, body=body, content_type="application/merge-patch+json"))

    async def list_all(self, path: str, label_selector: str = "", *, limit: int = 500) -> ObjectList:
        """Every object of the collection, in pages of `limit` that all show the same resource version."""

        async def once() -> ObjectList:
            items: list[dict[str, Any]] = []
            resource_version = ""
            async for page in self.pages(path, label_selector, limit=limit):
                items.extend(page.items)
                resource_version = page.resource_version
            return ObjectList(items, resource_version)

        # GoneError: the resource version was compacted between two pages.
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(GoneError), stop=stop_after_attempt(_LIST_ATTEMPTS), reraise=True
        )
        return await retrying(once)

    async def pages(
        self, path: str, label_selector: str = "", *, field_selector: str = "", limit: int = 500
    ) -> AsyncGenerator[ObjectList, None]:
        """The pages of `list_all`, one by one. Raises GoneError when the list has to be started again."""
        params: dict[str, str | int] = {"limit": limit, **_selectors(label_selector, field_selector)}
        while True:
            items, metadata = await decode_list(await self._call("GET", path, params=params))
            yield ObjectList(items, str(metadata.get("resourceVersion", "")))
            if not metadata.get("continue"):
                return
            params["continue"] = metadata["continue"]

    async def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        limit_bytes: int | None = None,
        since_seconds: int = 0,
    ) -> AsyncGenerator[bytes, None]:
        """The container's log in chunks of any length. With `follow`, until the container ends.

        `since_seconds`: since 1970, by the node's clock; what was written before is left out.
        """
        params: dict[str, str | int] = {"container": container}
        if follow:
            params["follow"] = "true"
        if tail_lines is not None:
            params["tailLines"] = tail_lines
        if limit_bytes is not None:
            params["limitBytes"] = limit_bytes
        if since_seconds > 0:
            since = datetime.fromtimestamp(since_seconds, timezone.utc)
            params["sinceTime"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        async with self._stream(path, params, silence=None if follow else self._deadline) as content:
            async for piece in content.iter_any():
                yield piece

    async def watch(
        self,
        path: str,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
        bookmarks: bool = True,
        stall_seconds: float = STALL_SECONDS,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The watch events after `resource_version`: documents with `type` and `object`.

        Ends when the server ends it, after `timeout_seconds` at the latest. An ERROR event is raised: GoneError means
        that the list has to be read again. A server that sends nothing for `stall_seconds` is unavailable.
        """
        lines = self.watch_lines(
            path,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            timeout_seconds=timeout_seconds,
            bookmarks=bookmarks,
            stall_seconds=stall_seconds,
        )
        async with aclosing(lines):
            async for line in lines:
                yield watch_event(line)

    async def watch_lines(
        self,
        path: str,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
        bookmarks: bool = True,
        stall_seconds: float = STALL_SECONDS,
    ) -> AsyncGenerator[bytes, None]:
        """As `watch`, before they are decoded by `watch_event`, which also raises what an ERROR event says."""
        params: dict[str, str | int] = {"watch": "1", "resourceVersion": resource_version}
        params["timeoutSeconds"] = timeout_seconds
        params.update(_selectors(label_selector, field_selector))
        if bookmarks:
            params["allowWatchBookmarks"] = "true"
        async with self._stream(path, params, silence=stall_seconds) as content:
            incomplete = b""
            async for piece in content.iter_any():
                *lines, incomplete = (incomplete + piece).split(b"\n")
                for line in lines:
                    yield line

    @asynccontextmanager
    async def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str]
    ) -> AsyncGenerator[ExecStream, None]:
        """Runs `command`, without a shell, in the container for as long as the block lasts.

        The program may not have begun yet: why it does not, `receive` tells. Raises KubeError when it is refused.
        """
        words: list[tuple[str, str]] = [(name, "true") for name in ("stdin", "stdout", "stderr")]
        words += [("container", container), *(("command", word) for word in command)]
        stream = await self._connected(self._url(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", words))
        try:
            yield stream
        finally:
            await stream.close()

    async def _connected(self, url: URL) -> ExecStream:
        for renewed in (False, True):
            credentials = await self._fresh_credentials()
            options = self._options(credentials, {})
            started, code = time.monotonic(), ""
            try:
                stream = await ExecStream.connect(self._sessions().streams, url, options, seconds=self._deadline)
                code = "101"
                return stream
            except UnauthorizedError as error:
                code = str(error.status)
                if renewed:
                    raise
                await self._renew(credentials)
            except KubeError as error:
                code = str(error.status or "")
                raise
            finally:
                self._observe("CONNECT", code, time.monotonic() - started)
        raise AssertionError("every failure is raised")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        until = time.monotonic() + self._deadline
        url = self._url(path, params)
        data = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {} if data is None else {"Content-Type": content_type}
        is_read = method == "GET"
        backoff = _BACKOFF[0]
        renewed = False
        last_answer: ThrottledError | UnavailableError | None = None
        # No retry of one call: each try has its own credentials and timeout. A 401 is repeated once, without a pause,
        # a 429 after the pause the server asks for, and the error that is raised may be that of an earlier try.
        while True:
            credentials = await self._fresh_credentials()
            # A call that can be retried must not spend all of its time on one try.
            seconds = min(max(0.001, until - time.monotonic()), self._deadline / (3 if is_read else 1))
            try:
                return await self._send(method, url, data, headers, credentials, seconds)
            except UnauthorizedError:
                if renewed:
                    raise
                renewed = True
                await self._renew(credentials)
                continue
            except ThrottledError as error:
                failure: ThrottledError | UnavailableError = error
                pause = error.retry_after * random.uniform(1.0, 1.25)  # noqa: S311 - a delay
            except UnavailableError as error:
                if not is_read:
                    raise
                failure = error
                pause = random.uniform(0, backoff)  # noqa: S311 - a delay
                backoff = min(backoff * 2, _BACKOFF[1])
            last_answer = failure if failure.status else last_answer
            if time.monotonic() + pause >= until:
                # The last response is a better error than the timeout of a last try.
                raise last_answer or failure
            await asyncio.sleep(pause)

    async def _send(
        self,
        method: str,
        url: URL,
        data: bytes | None,
        headers: Mapping[str, str],
        credentials: _Credentials,
        seconds: float,
    ) -> bytes:
        # `connect` includes the wait for a free connection and is shorter than `total`: on its timeout nothing was
        # sent.
        timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds * 0.9, sock_connect=CONNECT_SECONDS)
        options = self._options(credentials, headers)
        started, code = time.monotonic(), ""
        try:
            with network_errors(f"{method} {url.path}"):
                calls = self._sessions().calls
                async with calls.request(method, url, data=data, timeout=timeout, **options) as response:
                    answer = await response.read()
                    code = str(response.status)
                    if response.status >= 300:
                        raise from_response(response.status, answer, response.headers)
                    return answer
        finally:
            self._observe(method, code, time.monotonic() - started)
        raise AssertionError("every failure is raised")

    @asynccontextmanager
    async def _stream(
        self, path: str, params: Mapping[str, str | int], *, silence: float | None
    ) -> AsyncIterator[aiohttp.StreamReader]:
        url = self._url(path, params)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        with network_errors(f"GET {path}"):
            for renewed in (False, True):
                credentials = await self._fresh_credentials()
                options = self._options(credentials, {})
                async with self._sessions().streams.get(url, timeout=timeout, **options) as response:
                    if response.status == 401 and not renewed:
                        await self._renew(credentials)
                        continue
                    if response.status >= 300:
                        raise from_response(response.status, await response.read(), response.headers)
                    try:
                        yield response.content
                    finally:
                        abort(response)
                    return

    def _sessions(self) -> _Sessions:
        if self._open_sessions is None:
            # No compression: it costs the server more CPU than it saves on a network inside the cluster.
            headers = {"User-Agent": self._agent, "Accept": "application/json", "Accept-Encoding": "identity"}
            self._open_sessions = _Sessions(
                calls=aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._connections), headers=headers),
                streams=aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    headers=headers,
                    ws_response_class=ExecSocket,
                    middlewares=(refused_upgrade,),
                ),
            )
        return self._open_sessions

    def _url(self, path: str, params: Mapping[str, str | int] | Sequence[tuple[str, str]] | None) -> URL:
        """Raises InvalidError."""
        if not _PATH.fullmatch(path):
            raise InvalidError(0, "Invalid", f"{path!r} is no path of the API: it holds what no name of an object has")
        return URL(self._credentials.cluster.server + path + ("?" + urlencode(params) if params else ""), encoded=True)

    def _options(self, credentials: _Credentials, headers: Mapping[str, str]) -> dict[str, Any]:
        cluster = credentials.cluster
        options: dict[str, Any] = {"headers": {**credentials.headers, **headers}, "allow_redirects": False}
        if cluster.ssl is not None:
            # Part of the pool's key: a new context gets new connections.
            options["ssl"] = cluster.ssl
        if cluster.server_name:
            options["server_hostname"] = cluster.server_name
        if cluster.proxy:
            options["proxy"] = cluster.proxy
        return options

    async def _fresh_credentials(self) -> _Credentials:
        """The credentials, read again when they are older than `_CREDENTIALS_SECONDS`."""
        if time.monotonic() - self._credentials.read_at > _CREDENTIALS_SECONDS:
            async with self._renewal_lock:
                credentials = self._credentials
                if time.monotonic() - credentials.read_at > _CREDENTIALS_SECONDS:
                    headers = await _blocking(credentials.cluster.headers)
                    self._credentials = _Credentials(credentials.cluster, headers, time.monotonic())
        return self._credentials

    async def _renew(self, refused: _Credentials) -> None:
        """Reads the configuration and credentials anew, unless another call has done so since."""
        async with self._renewal_lock:
            if self._credentials is refused:
                reload = refused.cluster.reload
                cluster = refused.cluster if reload is None else await _blocking(reload)
                self._credentials = _Credentials(cluster, await _blocking(cluster.headers), time.monotonic())


async def _blocking(read: Callable[[], _T]) -> _T:
    """Calls `read` on a thread, since a plugin may take seconds."""
    try:
        return await asyncio.to_thread(read)
    except KubeConfigError as error:
        raise UnavailableError(0, "Credentials", str(error), ambiguous=False) from error


def watch_event(line: bytes) -> dict[str, Any]:
    """What a line of a watch says. Raises KubeError for an ERROR event, and for what is no event."""
    event = _object(line)
    if event.get("type") == "ERROR":
        raise from_status(event.get("object") or {})
    return event


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}


def _object(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError as error:
        raise UnavailableError(0, "BadAnswer", f"the answer is no JSON document: {error}") from error
    if not isinstance(document, dict):
        raise UnavailableError(0, "BadAnswer", "the answer is no JSON object")
    return document
