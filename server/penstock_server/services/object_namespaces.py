"""Whose an object is that a caller names by its id or its URI.

Why one place: whether a caller may touch an object is decided by the object's namespace, before the handler runs, for
every kind of id that a request can carry.

Invariants: an object never moves to another namespace, and ids are random and never given out again, so an answer holds
for good and is kept, also beyond the deletion of the object: what a caller who may read the namespace then gets is that
the object is not there. That there is no such object is not kept. An object of a store belongs to the run in whose own
place it lies, which has the run's random id in it, so that nobody can choose a pipeline root whose place holds another
run's objects; who merely names a URI, as an importer or a program that sets the URI of its output, does not own it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from cachetools import LRUCache
from penstock_ir.event_log import RunStarted, decode
from penstock_ir.run_places import run_place

from penstock_server.domain.location import Location, ObjectKind
from penstock_server.services.documents import Documents
from penstock_server.services.ports import Storage

_KEPT = 20_000
_RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A URI of ours has two, the run's id and the attempt's, and what a task puts below them is its own affair.
_MAX_CANDIDATES = 8
_MAX_URI = 4096


class ObjectNamespaces:
    """Thread-safe. `canonical(uri)` is the one way to write the place that a URI names, as whoever reads it takes it;
    None for a URI that has no such form.
    """

    def __init__(self, storage: Storage, documents: Documents, canonical: Callable[[str], str | None]) -> None:
        self._storage = storage
        self._documents = documents
        self._canonical = canonical
        self._lock = threading.Lock()
        self._locations: LRUCache[tuple[ObjectKind, str], Location] = LRUCache(_KEPT)
        self._places: LRUCache[str, str] = LRUCache(_KEPT)

    def of(self, kind: ObjectKind, identifier: str) -> Location | None:
        """The location of an object, None when there is none of this id. Raises UnavailableError."""
        if not identifier:
            return None
        with self._lock:
            try:
                return self._locations[kind, identifier]
            except KeyError:
                pass
        with self._storage.reading() as uow:
            found = uow.locations.find(kind, identifier)
        # A Pod may become that of another run as well, and then it is nobody's.
        if found is not None and kind is not ObjectKind.POD:
            with self._lock:
                self._locations[kind, identifier] = found
        return found

    def of_task(self, run_id: str, node_id: str) -> Location | None:
        """The location of a task, which is its run's; `node_id` decides only without `run_id`, as a Pod's name."""
        return self.of(ObjectKind.RUN, run_id) if run_id else self.of(ObjectKind.POD, node_id)

    def of_uri(self, uri: str) -> Location | None:
        """The location of the run in whose own place a URI lies; None when it lies in no run's place.

        Of several places, one within the other, the innermost counts. Raises UnavailableError.
        """
        canonical = self._canonical(uri) if len(uri) <= _MAX_URI else None
        if canonical is None:
            return None
        segments = canonical.split("/")
        candidates = [segment for segment in dict.fromkeys(reversed(segments)) if _RUN_ID.fullmatch(segment)]
        if len(candidates) > _MAX_CANDIDATES:
            return None
        for run_id in candidates:
            place = self._place(run_id)
            if place is not None and (canonical == place or canonical.startswith(f"{place}/")):
                return self.of(ObjectKind.RUN, run_id)
        return None

    def _place(self, run_id: str) -> str | None:
        """Canonical; None when there is no such run, it has not begun, or its root has no canonical form."""
        with self._lock:
            known = self._places.get(run_id)
        if known is not None:
            return known
        with self._storage.reading() as uow:
            run = uow.runs.get(run_id)
            spec = uow.specs.get(run.spec_hash) if run is not None else None
            first = uow.queue.first_event(run_id) if spec is not None else None
        if spec is None or first is None:
            return None
        event = decode(first)
        if not isinstance(event, RunStarted) or not event.root:
            return None
        place = self._canonical(run_place(event.root, self._documents.compiled(spec).name, run_id))
        if place is not None:
            with self._lock:
                self._places[run_id] = place
        return place
