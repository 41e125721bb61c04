"""A reflector, as in client-go: mirrors one collection by list and watch, and starts over after any failure.

Invariants: the listener gets an event for every object that was created and every one that was deleted, in the order of
resource versions, and no version twice; changes during an outage of the watch are found by the next list (except
objects created and deleted in between). It never gives up. `on_event` is called on the event loop after the cache was
changed and must not block; its exceptions are logged.
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

from penstock_kube.client import KubeClient, watch_event
from penstock_kube.errors import GoneError, KubeError, ThrottledError
from penstock_kube.network import STALL_SECONDS

log = logging.getLogger(__name__)
T = TypeVar("T")

_SLICE_SECONDS = 0.01
"""Seconds of work after which the event loop runs other tasks."""
_MAX_SILENT_WATCHES = 3
"""After so many watches in a row that fail or stall without an event, the collection is listed again: a server restored
from a backup sends nothing until it reaches the resource version that the watch starts from."""


class EventKind(enum.Enum):
    """The types of watch events."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class ReflectorTiming:
    """In seconds. `lifetime`: the range of a watch's timeout; `backoff`: the first and the longest pause after
    failures; `stall`: how long a watch may receive nothing.
    """

    lifetime: tuple[float, float] = (300.0, 600.0)
    backoff: tuple[float, float] = (0.2, 30.0)
    stall: float = STALL_SECONDS


class Reflector(Generic[T]):
    """Mirrors the objects at `path`, a collection of one namespace, that the selectors match.

    `trim` reduces an object to what the caller needs; only that stays in memory. `cache` is keyed by name.
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
        timing: ReflectorTiming = ReflectorTiming(),  # noqa: B008 - frozen
    ) -> None:
        self._client = client
        self._path = path
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._trim = trim
        self._on_event = on_event
        self._page = page
        self._timing = timing
        self._objects: dict[str, T] = {}
        # uid and resource version by name: a new uid is a new object, a known version is a repeated event.
        self._identities: dict[str, tuple[str, str]] = {}
        self._position = ""
        self._pause = 0.0
        self._listed = asyncio.Event()
        self._slice_ends = 0.0

    @property
    def cache(self) -> Mapping[str, T]:
        """A live view by name."""
        return MappingProxyType(self._objects)

    async def synced(self) -> None:
        """Returns when the collection was listed once and `on_event` was called for its objects."""
        await self._listed.wait()

    async def run(self) -> None:
        """Runs until cancelled."""
        silent = 0
        # No retry of one call: each turn lists or watches, from where the one before it came to.
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
            progressed = self._position not in ("", before)
            silent = 0 if progressed or ended else silent + 1
            if silent >= _MAX_SILENT_WATCHES:
                self._position = ""
                silent = 0
            # A list alone is no success: if the watch after it fails, the next list must wait.
            await self._back_off(progressed or time.monotonic() - started >= self._timing.backoff[1])

    async def _back_off(self, succeeded: bool) -> None:
        """Resets the backoff after success, else sleeps for a growing pause."""
        first, last = self._timing.backoff
        if succeeded:
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
                    await self._yield_to_loop()
        for name in [name for name in self._names() if name not in seen]:
            self._remove(name)
            await self._yield_to_loop()
        self._position = position
        self._listed.set()

    async def _watch(self) -> None:
        seconds = random.uniform(*self._timing.lifetime)  # noqa: S311 - a delay
        watch = self._client.watch_lines(
            self._path,
            resource_version=self._position,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=max(1, round(seconds)),
            stall_seconds=self._timing.stall,
        )
        async with contextlib.aclosing(watch) as lines:
            async for line in lines:
                self._apply_line(line)
                await self._yield_to_loop()

    def _apply_line(self, line: bytes) -> None:
        event = watch_event(line)
        self._apply_event(event["type"], event["object"])

    def _apply_event(self, kind: str, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        version = str(metadata["resourceVersion"])
        if not is_newer(version, self._position):
            return
        self._position = version
        if kind in ("ADDED", "MODIFIED"):
            self._put(item)
        elif kind == "DELETED":
            previous = self._identities.get(metadata["name"])
            if previous is not None and previous[0] == metadata["uid"]:
                self._remove(metadata["name"], item)

    def _put(self, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        name, identity = metadata["name"], (metadata["uid"], str(metadata["resourceVersion"]))
        previous = self._identities.get(name)
        if previous == identity:
            return
        if previous is not None and previous[0] != identity[0]:
            self._remove(name)
            previous = None
        try:
            trimmed = self._trim(item)
        except Exception:
            # A defect of `trim`: this object is left out, the others are mirrored.
            log.exception("%s: %s cannot be read", self._path, name)
            return
        self._identities[name] = identity
        self._objects[name] = trimmed
        self._notify(EventKind.ADDED if previous is None else EventKind.MODIFIED, trimmed)

    def _remove(self, name: str, last: dict[str, Any] | None = None) -> None:
        """`last` is the object's last state, if the server sent it."""
        del self._identities[name]
        item = self._objects.pop(name)
        if last is not None:
            try:
                item = self._trim(last)
            except Exception:
                log.exception("%s: the last state of %s cannot be read", self._path, name)
        self._notify(EventKind.DELETED, item)

    def _names(self) -> list[str]:
        return list(self._objects)

    def _notify(self, kind: EventKind, item: T) -> None:
        try:
            self._on_event(kind, item)
        except Exception:
            log.exception("%s: %s was not taken", self._path, kind.value)

    async def _yield_to_loop(self) -> None:
        now = time.monotonic()
        if now >= self._slice_ends:
            await asyncio.sleep(0)
            self._slice_ends = time.monotonic() + _SLICE_SECONDS


def is_newer(version: str, position: str) -> bool:
    """Whether a resource version is newer than the position. Those of a collection are increasing numbers (KEP
    5504).
    """
    if version.isdecimal() and position.isdecimal():
        return int(version) > int(position)
    return version != position
