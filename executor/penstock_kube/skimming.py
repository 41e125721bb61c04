"""A reflector of Pods that reads only those somebody here works with; of the others it keeps the line they came in.

Why: several executors mirror the same Pods, and each works with its own alone (`skim`).

Invariants: those of `Reflector`, for both kinds of events together. `cache` has all objects and reads one when it is
first asked for, from the newest line, so what it gives is what reading everything would have given. An object that was
read once, as those of a list are, is read with each of its events, since looking at it first would cost as much again;
whether one is read that was not is decided anew with each of its events.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from penstock_kube.client import KubeClient
from penstock_kube.reflector import EventKind, Reflector, is_newer
from penstock_kube.skim import Skimmed, name_in, skim

log = logging.getLogger(__name__)
T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class _Unread(Generic[S]):
    """With the line alone: what was decoded of it takes more room than the line."""

    stands: S
    line: bytes


class SkimmingReflector(Reflector[T], Generic[T, S]):
    """`skim(skimmed)` gives what stands for an object that need not be read, None for one that is to be: the events of
    the first go to `on_skimmed`, of the second to `on_event`. An object may change from one to the other.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        trim: Callable[[dict[str, Any]], T],
        on_event: Callable[[EventKind, T], None],
        skim: Callable[[Skimmed], S | None],
        on_skimmed: Callable[[EventKind, S], None],
        label_selector: str = "",
    ) -> None:
        super().__init__(client, path, trim=trim, on_event=on_event, label_selector=label_selector)
        self._skim = skim
        self._on_skimmed = on_skimmed
        self._unread: dict[str, _Unread[S]] = {}

    @property
    def cache(self) -> Mapping[str, T]:
        """A live view by name, which reads what it is asked for."""
        return _Cache(self)

    def known(self) -> list[T | S]:
        """All objects, as far as they were read: none is read for this."""
        return [*self._objects.values(), *(one.stands for one in self._unread.values())]

    def is_known(self, name: str) -> bool:
        """Whether there is such an object."""
        return name in self._identities

    def names(self) -> list[str]:
        """Of all objects."""
        return [*self._objects, *self._unread]

    def peek(self, name: str) -> T | S | None:
        """As far as it was read; None when there is none."""
        unread = self._unread.get(name)
        return unread.stands if unread is not None else self._objects.get(name)

    def read(self, name: str) -> T:
        """Raises KeyError."""
        if name in self._unread:
            unread = self._unread.pop(name)
            try:
                self._objects[name] = self._trim(json.loads(unread.line)["object"])
            except Exception:
                # As where an object is read at once: it is left out, the others are mirrored.
                log.exception("%s: %s cannot be read", self._path, name)
                del self._identities[name]
        return self._objects[name]

    def _apply_line(self, line: bytes) -> None:
        skimmed = skim(line) if name_in(line) not in self._objects else None
        stands = self._skim(skimmed) if skimmed is not None else None
        if skimmed is None or stands is None:
            super()._apply_line(line)
            return
        name, uid, version = (skimmed.metadata[one] for one in ("name", "uid", "resourceVersion"))
        if not is_newer(version, self._position):
            return
        self._position = version
        previous = self._identities.get(name)
        if skimmed.kind == EventKind.DELETED.value:
            if previous is not None and previous[0] == uid:
                del self._identities[name]
                self._drop(name)
                self._tell(EventKind.DELETED, stands)
            return
        if previous == (uid, version):
            return
        if previous is not None and previous[0] != uid:
            self._remove(name)
            previous = None
        self._identities[name] = (uid, version)
        self._drop(name)
        self._unread[name] = _Unread(stands, line)
        self._tell(EventKind.ADDED if previous is None else EventKind.MODIFIED, stands)

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        if item["metadata"]["name"] in self._objects:
            self._unread.pop(item["metadata"]["name"], None)

    def _remove(self, name: str, last: dict[str, Any] | None = None) -> None:
        unread = self._unread.get(name)
        skimmed = skim(unread.line) if unread is not None else None
        if unread is not None and skimmed is not None and self._skim(skimmed) is not None:
            del self._unread[name], self._identities[name]
            self._tell(EventKind.DELETED, unread.stands)
            return
        # Somebody works with it by now, and has to hear of its end.
        with contextlib.suppress(KeyError):
            self.read(name)
            super()._remove(name, last)

    def _names(self) -> list[str]:
        return self.names()

    def _drop(self, name: str) -> None:
        self._objects.pop(name, None)
        self._unread.pop(name, None)

    def _tell(self, kind: EventKind, stands: S) -> None:
        try:
            self._on_skimmed(kind, stands)
        except Exception:
            log.exception("%s: %s was not taken", self._path, kind.value)


class _Cache(Mapping[str, T]):
    def __init__(self, reflector: SkimmingReflector[T, Any]) -> None:
        self._reflector = reflector

    def __getitem__(self, name: str) -> T:
        return self._reflector.read(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._reflector.is_known(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._reflector.names())

    def __len__(self) -> int:
        return len(self._reflector.names())
