"""Calls to a Kubernetes API server over HTTP, with objects as the server writes them: dicts.

Invariants: every call ends, by its deadline at the latest, with what was asked for or a KubeError. Reading is repeated
until then when the network or the server falters. Creating and deleting is sent once: the caller knows whether the
name makes it repeatable; only 429, which says that nothing was done, is waited out as long as the deadline allows. A
server that no longer knows us (401) makes the client read its credentials anew, once per call.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from penstock_kube.config import Cluster
from penstock_kube.errors import (
    GoneError,
    KubeConfigError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    from_response,
    from_status,
)
from penstock_kube.pages import decode_list

_T = TypeVar("_T")

CONNECT_SECONDS = 10.0
STALL_SECONDS = 90.0
"""How long a watch may say nothing: the server's bookmarks come once a minute."""
_CREDENTIALS_SECONDS = 30.0
_LIST_ATTEMPTS = 3
_BACKOFF = (0.1, 5.0)


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`resource_version` is that of the whole list: a watch from there on misses nothing."""

    items: list[dict[str, Any]]
    resource_version: str


@dataclass(slots=True)
class _Credentials:
    """What was read of the cluster's credentials, and when."""

    cluster: Cluster
    headers: Mapping[str, str] = field(default_factory=dict)
    read_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Two pools: a stream holds its connection for minutes and must not keep calls waiting."""

    calls: aiohttp.ClientSession
    streams: aiohttp.ClientSession


class KubeClient:
    """One cluster, one pool of connections. `deadline` in seconds, of every call that is no stream.

    `connections` calls run at a time, more wait; watches and logs that are followed do not count. `observe(verb, code,
    seconds)` hears of every try of a call that is no stream; the code is empty when nothing was answered.
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
        self._renewing = asyncio.Lock()
        self._connections = connections
        self._opened: _Sessions | None = None
        self._observe = observe

    @property
    def namespace(self) -> str:
        """The one that the configuration names."""
        return self._credentials.cluster.namespace

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections; streams that are open break off."""
        if self._opened is not None:
            await self._opened.calls.close()
            await self._opened.streams.close()

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """The object, or the list, at `path` (`/api/v1/…`), with parameters as the API names them."""
        return _object(await self._call("GET", path, params=params))

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Creates `body` in the collection at `path`. An UnavailableError that is `ambiguous` may have created it."""
        return _object(await self._call("POST", path, body=body))

    async def delete(
        self, path: str, *, uid: str | None = None, grace_seconds: int | None = None, propagation: str = "Background"
    ) -> dict[str, Any]:
        """Deletes the object at `path`: with `uid` only that very one, else ConflictError."""
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
        """Every object of the collection, read in chunks of `limit` that belong to one version of it."""
        attempt = 0
        while True:
            attempt += 1
            items: list[dict[str, Any]] = []
            resource_version = ""
            try:
                async for page in self.pages(path, label_selector, limit=limit):
                    items.extend(page.items)
                    resource_version = page.resource_version
                return ObjectList(items, resource_version)
            except GoneError:
                # The version was compacted between two chunks.
                if attempt == _LIST_ATTEMPTS:
                    raise

    async def pages(
        self, path: str, label_selector: str = "", *, field_selector: str = "", limit: int = 500
    ) -> AsyncGenerator[ObjectList, None]:
        """The chunks of `list_all` as they come. Raises GoneError when the list has to be begun anew."""
        params: dict[str, str | int] = {"limit": limit, **_selected(label_selector, field_selector)}
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
    ) -> AsyncGenerator[bytes, None]:
        """The container's log in pieces of any length. With `follow`, until the container ends."""
        params: dict[str, str | int] = {"container": container}
        if follow:
            params["follow"] = "true"
        if tail_lines is not None:
            params["tailLines"] = tail_lines
        if limit_bytes is not None:
            params["limitBytes"] = limit_bytes
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
        """What happens to the collection after `resource_version`: documents with `type` and `object`.

        Ends when the server ends it, after `timeout_seconds` at the latest. An ERROR event is raised: GoneError means
        that the list has to be read again. A server that says nothing for `stall_seconds` is unavailable.
        """
        params: dict[str, str | int] = {"watch": "1", "resourceVersion": resource_version}
        params["timeoutSeconds"] = timeout_seconds
        params.update(_selected(label_selector, field_selector))
        if bookmarks:
            params["allowWatchBookmarks"] = "true"
        async with self._stream(path, params, silence=stall_seconds) as content:
            rest = b""
            async for piece in content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    event = _object(line)
                    if event.get("type") == "ERROR":
                        raise from_status(event.get("object") or {})
                    yield event

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
        reads = method == "GET"
        backoff = _BACKOFF[0]
        renewed = False
        answered: ThrottledError | UnavailableError | None = None
        while True:
            credentials = await self._known()
            # What can be repeated must not wait for one attempt until its time is over.
            seconds = min(max(0.001, until - time.monotonic()), self._deadline / (3 if reads else 1))
            try:
                return await self._once(method, url, data, headers, credentials, seconds)
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
                if not reads:
                    raise
                failure = error
                pause = random.uniform(0, backoff)  # noqa: S311 - a delay
                backoff = min(backoff * 2, _BACKOFF[1])
            answered = failure if failure.status else answered
            if time.monotonic() + pause >= until:
                # What the server said last says more than a last attempt that had no time left.
                raise answered or failure
            await asyncio.sleep(pause)

    async def _once(
        self,
        method: str,
        url: URL,
        data: bytes | None,
        headers: Mapping[str, str],
        credentials: _Credentials,
        seconds: float,
    ) -> bytes:
        # `connect` counts the wait for a place in the pool too, and ends before `total`: such a call was never sent.
        timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds * 0.9, sock_connect=CONNECT_SECONDS)
        options = self._options(credentials, headers)
        started, code = time.monotonic(), ""
        try:
            with _failures(f"{method} {url.path}"):
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
        with _failures(f"GET {path}"):
            for renewed in (False, True):
                credentials = await self._known()
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
                        _break_off(response)
                    return

    def _sessions(self) -> _Sessions:
        if self._opened is None:
            # No compression: it costs the server more than the bytes cost a network inside a cluster.
            headers = {"User-Agent": self._agent, "Accept": "application/json", "Accept-Encoding": "identity"}
            self._opened = _Sessions(
                calls=aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._connections), headers=headers),
                streams=aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers),
            )
        return self._opened

    def _url(self, path: str, params: Mapping[str, str | int] | None) -> URL:
        return URL(self._credentials.cluster.server + path + ("?" + urlencode(params) if params else ""), encoded=True)

    def _options(self, credentials: _Credentials, headers: Mapping[str, str]) -> dict[str, Any]:
        cluster = credentials.cluster
        options: dict[str, Any] = {"headers": {**credentials.headers, **headers}, "allow_redirects": False}
        if cluster.ssl is not None:
            # Part of the pool's key: a context that was made anew gets connections of its own.
            options["ssl"] = cluster.ssl
        if cluster.server_name:
            options["server_hostname"] = cluster.server_name
        if cluster.proxy:
            options["proxy"] = cluster.proxy
        return options

    async def _known(self) -> _Credentials:
        """The credentials, asked for again when they are old."""
        if time.monotonic() - self._credentials.read_at > _CREDENTIALS_SECONDS:
            async with self._renewing:
                known = self._credentials
                if time.monotonic() - known.read_at > _CREDENTIALS_SECONDS:
                    headers = await _blocking(known.cluster.headers)
                    self._credentials = _Credentials(known.cluster, headers, time.monotonic())
        return self._credentials

    async def _renew(self, refused: _Credentials) -> None:
        """Reads everything anew, unless another call just did."""
        async with self._renewing:
            if self._credentials is refused:
                reload = refused.cluster.reload
                cluster = refused.cluster if reload is None else await _blocking(reload)
                self._credentials = _Credentials(cluster, await _blocking(cluster.headers), time.monotonic())


async def _blocking(read: Callable[[], _T]) -> _T:
    """On a thread: a plugin may take seconds."""
    try:
        return await asyncio.to_thread(read)
    except KubeConfigError as error:
        raise UnavailableError(0, "Credentials", str(error), ambiguous=False) from error


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Turns what the network does into an UnavailableError that says whether the request may have arrived."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise UnavailableError(0, "NoConnection", f"{what}: no connection: {error}", ambiguous=False) from error
    except asyncio.TimeoutError as error:
        raise UnavailableError(0, "Timeout", f"{what}: no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnavailableError(0, "ConnectionLost", f"{what}: {error or type(error).__name__}") from error


def _break_off(response: aiohttp.ClientResponse) -> None:
    """Ends what is not read to its end without the farewell of TLS, which would outlive the client."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


def _selected(labels: str, fields: str) -> dict[str, str]:
    return {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}


def _object(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError as error:
        raise UnavailableError(0, "BadAnswer", f"the answer is no JSON document: {error}") from error
    if not isinstance(document, dict):
        raise UnavailableError(0, "BadAnswer", "the answer is no JSON object")
    return document
