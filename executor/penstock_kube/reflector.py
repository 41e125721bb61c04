"""A copy of one collection that stays right: list, watch, and again whatever goes wrong in between.

Invariants: whoever listens hears of every object that appeared, and of every one that is gone, at least once, in the
order of the server's versions, never of a version twice; what happened while the watch was down is told by the next
list (an object that came and went meanwhile is not). It never gives up. `on_event` is called on the event loop after
the cache was changed and must not block; what it raises is logged and harms nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from penstock_kube.client import STALL_SECONDS, KubeClient
from penstock_kube.errors import GoneError, KubeError, ThrottledError

log = logging.getLogger(__name__)
T = TypeVar("T")

_SLICE = 0.01
"""Seconds of work after which other tasks of the loop get their turn."""
_TRUSTED_FAILURES = 3
"""Watches in a row that break or stall without a word before the position itself is doubted: a server restored from a
backup is silent until it reaches the version that it was asked to go on from."""


class EventKind(enum.Enum):
    """The cluster's own names of what happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds. A watch lives for a time drawn from `lifetime`; pauses grow from the first of `backoff`."""

    lifetime: tuple[float, float] = (300.0, 600.0)
    backoff: tuple[float, float] = (0.2, 30.0)
    stall: float = STALL_SECONDS


class Reflector(Generic[T]):
    """Mirrors the objects at `path`, which lies in one namespace, that the selectors select.

    `trim` keeps what the caller needs of an object, which is all that stays in memory; `cache` is by name.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        trim: Callable[[dict[str, Any]], T],
        on_event: Callable[[EventKind, T], None],
        label_selector: str = "",
        field_selector: str = "",
        page: int = 500,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        self._client = client
        self._path = path
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._trim = trim
        self._on_event = on_event
        self._page = page
        self._pace = pace
        self._objects: dict[str, T] = {}
        # uid and version by name: what tells an object from its successor, and a change from a repetition.
        self._identities: dict[str, tuple[str, str]] = {}
        self._position = ""
        self._pause = 0.0
        self._listed = asyncio.Event()
        self._turn_ends = 0.0

    @property
    def cache(self) -> Mapping[str, T]:
        """A view: what it shows changes."""
        return MappingProxyType(self._objects)

    async def synced(self) -> None:
        """Returns when the collection was read once; its objects were told before."""
        await self._listed.wait()

    async def run(self) -> None:
        """Until cancelled."""
        silent = 0
        while True:
            before = self._position
            ended = False
            started = time.monotonic()
            try:
                if not self._position:
                    await self._list()
                before, started = self._position, time.monotonic()
                await self._watch()
                ended = True
            except GoneError as error:
                log.info("%s: version %s is no longer known, listing again: %s", self._path, self._position, error)
                self._position = ""
            except KubeError as error:
                log.warning("%s: %s; going on in a while", self._path, error)
                if isinstance(error, ThrottledError):
                    self._pause = max(self._pause, error.retry_after)
            except (KeyError, TypeError):
                log.exception("%s: not what a server says; listing again", self._path)
                self._position = ""
            heard = self._position not in ("", before)
            silent = 0 if heard or ended else silent + 1
            if silent >= _TRUSTED_FAILURES:
                self._position = ""
                silent = 0
            # A list alone is no success: one that is followed by nothing must not be repeated at once.
            await self._rest(heard or time.monotonic() - started >= self._pace.backoff[1])

    async def _rest(self, well: bool) -> None:
        """Nothing after a watch that was of use; else a pause that grows."""
        first, last = self._pace.backoff
        if well:
            self._pause = 0.0
            return
        self._pause = min(max(self._pause * 2, first), max(last, self._pause))
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - a delay

    async def _list(self) -> None:
        seen: set[str] = set()
        position = ""
        listing = self._client.pages(
            self._path, self._label_selector, field_selector=self._field_selector, limit=self._page
        )
        async with contextlib.aclosing(listing) as pages:
            async for page in pages:
                position = page.resource_version
                for item in page.items:
                    seen.add(item["metadata"]["name"])
                    self._put(item)
                    await self._breathe()
        for name in [name for name in self._objects if name not in seen]:
            self._remove(name)
            await self._breathe()
        self._position = position
        self._listed.set()

    async def _watch(self) -> None:
        seconds = random.uniform(*self._pace.lifetime)  # noqa: S311 - a delay
        watch = self._client.watch(
            self._path,
            resource_version=self._position,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=max(1, round(seconds)),
            stall_seconds=self._pace.stall,
        )
        async with contextlib.aclosing(watch) as events:
            async for event in events:
                self._take(event["type"], event["object"])
                await self._breathe()

    def _take(self, kind: str, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        version = str(metadata["resourceVersion"])
        if not _after(version, self._position):
            return
        self._position = version
        if kind in ("ADDED", "MODIFIED"):
            self._put(item)
        elif kind == "DELETED":
            known = self._identities.get(metadata["name"])
            if known is not None and known[0] == metadata["uid"]:
                self._remove(metadata["name"], item)

    def _put(self, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        name, identity = metadata["name"], (metadata["uid"], str(metadata["resourceVersion"]))
        known = self._identities.get(name)
        if known == identity:
            return
        if known is not None and known[0] != identity[0]:
            self._remove(name)
            known = None
        try:
            trimmed = self._trim(item)
        except Exception:
            # A defect of the caller's, of one object: it is left out, the mirror goes on.
            log.exception("%s: %s cannot be read", self._path, name)
            return
        self._identities[name] = identity
        self._objects[name] = trimmed
        self._tell(EventKind.ADDED if known is None else EventKind.MODIFIED, trimmed)

    def _remove(self, name: str, last: dict[str, Any] | None = None) -> None:
        """`last` is the object as it was at its end, when that is known."""
        del self._identities[name]
        known = self._objects.pop(name)
        if last is not None:
            try:
                known = self._trim(last)
            except Exception:
                log.exception("%s: the last state of %s cannot be read", self._path, name)
        self._tell(EventKind.DELETED, known)

    def _tell(self, kind: EventKind, item: T) -> None:
        try:
            self._on_event(kind, item)
        except Exception:
            log.exception("%s: %s was not taken", self._path, kind.value)

    async def _breathe(self) -> None:
        now = time.monotonic()
        if now >= self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + _SLICE


def _after(version: str, position: str) -> bool:
    """Whether a version is later than the position. Versions of one collection are numbers that grow (KEP 5504)."""
    if version.isdecimal() and position.isdecimal():
        return int(version) > int(position)
    return version != position
