"""Watches: one open answer each, fed from the store, resumed from its history, troubled on demand.

Invariants: a watch tells the changes after the version it was asked for in their order; when the history does not reach
back it says so with an ERROR event, as the real server does, and ends. Changes of one moment leave in one write.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from aiohttp import web

from tools.sim_kube import selectors
from tools.sim_kube.objects import Refusal
from tools.sim_kube.store import Change, Gone, Resource, Store, Watcher

_GATHER_SECONDS = 0.001
_DEFAULT_SECONDS = 1800.0
_LAST_BOOKMARK_SECONDS = 2.0
"""A watch that ends gets a bookmark before, so that whoever resumes it need not hear old changes again."""


class _Open:
    """One watch: what wakes it besides changes. `bookmark_seconds` None means that none were asked for."""

    def __init__(self, transport: asyncio.Transport, *, seconds: float, bookmark_seconds: float | None) -> None:
        self.transport = transport
        self.news = asyncio.Event()
        self.bookmark_due = False
        self.over = False
        self._every = bookmark_seconds
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(seconds, self.end)
        self._bookmark = loop.call_later(bookmark_seconds, self._remind) if bookmark_seconds is not None else None
        last = seconds - _LAST_BOOKMARK_SECONDS
        self._last = loop.call_later(max(0.0, last), self._due) if bookmark_seconds is not None else None

    def end(self) -> None:
        self.over = True
        self.news.set()

    def close(self) -> None:
        for timer in (self._end, self._bookmark, self._last):
            if timer is not None:
                timer.cancel()

    def _due(self) -> None:
        self.bookmark_due = True
        self.news.set()

    def _remind(self) -> None:
        assert self._every is not None
        self._due()
        self._bookmark = asyncio.get_running_loop().call_later(self._every, self._remind)


class Watching:
    """`repeat` is the share of writes whose events are sent twice."""

    def __init__(self, store: Store, *, bookmark_seconds: float, source: random.Random) -> None:
        self._store = store
        self._bookmark_seconds = bookmark_seconds
        self._random = source
        self._opened: set[_Open] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.repeat = 0.0

    @property
    def open(self) -> int:
        return len(self._opened)

    def cut(self) -> None:
        """Cuts off every watch in the middle."""
        for watch in list(self._opened):
            watch.transport.abort()

    def stall(self, on: bool) -> None:
        """Every watch falls silent and stays open, those that are opened meanwhile too."""
        if on:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def serve(self, resource: Resource, namespace: str, request: web.BaseRequest) -> web.StreamResponse:
        query = request.query
        try:
            selector = selectors.parse(query.get("labelSelector", ""))
        except ValueError as error:
            raise Refusal(400, "BadRequest", str(error)) from error
        asked = query.get("resourceVersion", "")
        transport = request.transport
        assert transport is not None
        wants_bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        watch = _Open(
            transport,
            seconds=float(query.get("timeoutSeconds") or _DEFAULT_SECONDS),
            bookmark_seconds=self._bookmark_seconds if wants_bookmarks else None,
        )
        watcher = Watcher(namespace, selector, int(asked or 0), watch.news.set)
        try:
            self._catch_up(watcher, resource, namespace, asked)
        except Gone:
            watcher.waiting.append(_error(asked, self._store.version))
            watch.end()
        watchers = self._store.watchers.setdefault(resource, set())
        watchers.add(watcher)
        self._opened.add(watch)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            await self._send_events(response, resource, watcher, watch)
            await response.write_eof()
            return response
        finally:
            watch.close()
            watchers.discard(watcher)
            self._opened.discard(watch)

    def _catch_up(self, watcher: Watcher, resource: Resource, namespace: str, asked: str) -> None:
        """Raises Gone."""
        if asked in ("", "0"):
            for stored in self._store.select(resource, namespace, selectors.everything):
                watcher.notify(Change("ADDED", stored, None), {})
            return
        for change in self._store.since(resource, int(asked)):
            watcher.notify(change, {})

    async def _send_events(
        self, response: web.StreamResponse, resource: Resource, watcher: Watcher, watch: _Open
    ) -> None:
        while not watch.over or watcher.waiting:
            if not watcher.waiting:
                watch.news.clear()
                await watch.news.wait()
                # What happens at nearly the same time goes together.
                await asyncio.sleep(_GATHER_SECONDS)
            if not self._flowing.is_set():
                await self._flowing.wait()
            events, watcher.waiting = b"".join(watcher.waiting), []
            if events:
                await response.write(events)
                if self.repeat and self._random.random() < self.repeat:
                    await response.write(events)
            if watch.bookmark_due and not watcher.waiting and watcher.after <= self._store.version:
                watch.bookmark_due = False
                await response.write(_bookmark(resource, self._store.version))


def _bookmark(resource: Resource, version: int) -> bytes:
    document: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.api_version}
    document["metadata"] = {"resourceVersion": str(version)}
    return _event("BOOKMARK", document)


def _error(asked: str, oldest: int) -> bytes:
    message = f"too old resource version: {asked} ({oldest})"
    document = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return _event("ERROR", {**document, "reason": "Expired", "code": 410})


def _event(kind: str, document: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": document}, separators=(",", ":")).encode() + b"\n"
