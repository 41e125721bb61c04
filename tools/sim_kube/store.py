"""Objects with versions, their history, and who watches them: the API server without HTTP.

Invariants: a stored object never changes, a change stores another one under the next version; versions are counted over
all resources. Lists and the history hold references, so a snapshot of 100,000 objects is a list of pointers. What was
decoded once is kept as bytes: a Pod that moves on is put together from them, never encoded anew.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tools.sim_kube.selectors import Selector

_SNAPSHOTS = 16


@dataclass(frozen=True, eq=False)
class Resource:
    """`group` is empty for the core API. There is one object of each, so that it is found by identity."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Stored(NamedTuple):
    """One version of one object.

    `metadata` lacks its last brace and what is below; `rest` begins with a comma and holds all but metadata and status.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    metadata: bytes
    rest: bytes
    version: int = 0
    status: bytes = b""
    deletion: bytes = b""

    def body(self) -> bytes:
        """The object as lists write it: without kind and API version. As real servers do, it writes `managedFields`
        behind all other metadata.
        """
        return b'{"metadata":{"resourceVersion":"%d"%b,%b}%b%b}' % (
            self.version,
            self.deletion,
            self.metadata[1:],
            self.rest,
            b',"status":' + self.status if self.status else b"",
        )

    def document(self) -> bytes:
        """The object as everything else writes it."""
        typed = b'{"kind":"%b","apiVersion":"%b",' % (self.resource.kind.encode(), self.resource.api_version.encode())
        return typed + self.body()[1:]


class Change(NamedTuple):
    """`before` is None for what was not there."""

    kind: str
    stored: Stored
    before: Stored | None


class Watcher:
    """The changes after a version that a watch has not sent yet; the version may be in the future.

    `wake` is called when there is something new.
    """

    def __init__(self, namespace: str, selector: Selector, after: int, wake: Callable[[], None]) -> None:
        self.after = after
        self._namespace = namespace
        self._selector = selector
        self._wake = wake
        self.waiting: list[bytes] = []

    def notify(self, change: Change, encoded: dict[str, bytes]) -> None:
        """`encoded` keeps the event's bytes by type, for the next watcher."""
        stored, before = change.stored, change.before
        if (self._namespace and stored.namespace != self._namespace) or stored.version <= self.after:
            return
        kind = change.kind
        selected = self._selector(stored.labels)
        if before is not None and before.labels is not stored.labels and kind == "MODIFIED":
            was = self._selector(before.labels)
            kind = "MODIFIED" if was and selected else "ADDED" if selected else "DELETED" if was else ""
            if not kind:
                return
        elif not selected:
            return
        event = encoded.get(kind)
        if event is None:
            event = encoded[kind] = b'{"type":"%b","object":%b}\n' % (kind.encode(), stored.document())
        self.waiting.append(event)
        self._wake()


class Gone(Exception):
    """That version is no longer known."""


class Store:
    """`history` is how many changes of each resource a watch may be behind."""

    def __init__(self, history: int = 10_000) -> None:
        self._history = history
        self._versions = itertools.count(1001)
        self.version = 1000
        self._objects: dict[Resource, dict[str, dict[str, Stored]]] = {}
        self._changes: dict[Resource, deque[Change]] = {}
        self._forgotten: dict[Resource, int] = {}
        self._snapshots: OrderedDict[int, tuple[int, list[Stored]]] = OrderedDict()
        self._snapshot_ids = itertools.count(1)
        self.watchers: dict[Resource, set[Watcher]] = {}
        self.listeners: list[Callable[[Change], None]] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Stored | None:
        return self._objects.get(resource, {}).get(namespace, {}).get(name)

    def put(self, stored: Stored) -> Stored:
        """Stores under the next version and notifies all watchers."""
        names = self._objects.setdefault(stored.resource, {}).setdefault(stored.namespace, {})
        before = names.get(stored.name)
        stored = Stored(*stored[:7], self._next(), *stored[8:])
        names[stored.name] = stored
        self._publish(Change("ADDED" if before is None else "MODIFIED", stored, before))
        return stored

    def remove(self, stored: Stored) -> Stored:
        """What is told last carries the version of the removal."""
        before = self._objects[stored.resource][stored.namespace].pop(stored.name)
        stored = stored._replace(version=self._next())
        self._publish(Change("DELETED", stored, before))
        return stored

    def select(self, resource: Resource, namespace: str, selector: Selector) -> Iterator[Stored]:
        """In order of namespace and name; of all namespaces when none is given."""
        spaces = self._objects.get(resource, {})
        for space in [namespace] if namespace else sorted(spaces):
            names = spaces.get(space, {})
            for name in sorted(names):
                if selector(names[name].labels):
                    yield names[name]

    def names(self, resource: Resource, namespace: str) -> int:
        return len(self._objects.get(resource, {}).get(namespace, {}))

    def keep(self, rest: Iterable[Stored], version: int) -> int:
        """A snapshot that a continued list reads from; the number names it."""
        number = next(self._snapshot_ids)
        self._snapshots[number] = (version, list(rest))
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return number

    def kept(self, number: int) -> tuple[int, list[Stored]]:
        """Raises Gone."""
        try:
            return self._snapshots.pop(number)
        except KeyError:
            raise Gone from None

    def since(self, resource: Resource, version: int) -> list[Change]:
        """Raises Gone when the history does not reach back to `version`."""
        if version < self._forgotten.get(resource, 0):
            raise Gone
        changes = self._changes.get(resource, ())
        return [change for change in changes if change.stored.version > version]

    def compact(self) -> None:
        """Drops the history, so that watchers behind it have to list again."""
        for resource in self._objects:
            self._forgotten[resource] = self.version
        self._changes.clear()
        self._snapshots.clear()

    def _next(self) -> int:
        self.version = next(self._versions)
        return self.version

    def _publish(self, change: Change) -> None:
        resource = change.stored.resource
        changes = self._changes.get(resource)
        if changes is None:
            changes = self._changes[resource] = deque()
        changes.append(change)
        if len(changes) > self._history:
            self._forgotten[resource] = changes.popleft().stored.version
        watchers = self.watchers.get(resource)
        if watchers:
            encoded: dict[str, bytes] = {}
            for watcher in watchers:
                watcher.notify(change, encoded)
        for listener in self.listeners:
            listener(change)
