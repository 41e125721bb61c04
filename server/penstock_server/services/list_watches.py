"""Watches of pages of the list of runs: what others may ask again and again for, asked once for all who want the same.

Invariants: a page is looked at once a second at most, and once for all who watch it; of its runs those are read that
came or changed, whichever pages they are on. A round looks at pages for a tenth of a second, then at the others in the
next one, so that watches of runs do not wait for thousands of pages. What is kept of a run for a page is a number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from weakref import WeakValueDictionary

from penstock_server.domain.changes import ListedRun, Position, RunsChange
from penstock_server.domain.listing import ListQuery, ListRequest
from penstock_server.domain.run import Run
from penstock_server.errors import ResourceExhaustedError
from penstock_server.services import runs
from penstock_server.services.kept import Kept
from penstock_server.services.ports import Storage
from penstock_server.services.readers import Reader
from penstock_server.services.tenancy import SINGLE_USER, Tenancy
from penstock_server.services.watched_page import Row, Seen, WatchedPage
from penstock_server.services.watching import Watch, Watching

MOST_PAGES = 1024
# A message has one run at least.
CHARACTERS_OF_A_MESSAGE = 1024 * 1024
LOOK_EVERY_SECONDS = 1.0
_LOOKS_FOR_SECONDS = 0.1
_READ_AT_ONCE = 20
# Runs that are on several pages, or on one that is opened anew, are read and converted once.
_KEPT_RUNS, _KEPT_SECONDS = 512, 60.0
_KEPT_CHARACTERS = 64 * 1024


class ListWatches:
    """The subjects are pages."""

    def __init__(
        self,
        storage: Storage,
        watching: Watching,
        tenancy: Tenancy = SINGLE_USER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._watching = watching
        self._tenancy = tenancy
        self._clock = clock
        self._lock = threading.Lock()
        # Those that are watched: a watch has its page, and nobody else.
        self._pages: WeakValueDictionary[Hashable, WatchedPage] = WeakValueDictionary()
        self._next_look = 0.0
        self._kept: Kept[tuple[str, int], ListedRun] = Kept(_KEPT_RUNS, _KEPT_SECONDS, clock)

    def open(
        self,
        request: ListRequest,
        experiment_id: str,
        namespace: str,
        reader: Reader[RunsChange],
        *,
        until_finished: bool = False,
    ) -> Callable[[], None]:
        """Begins to send; the result ends the watch without a word to its reader.

        Raises InvalidArgumentError, NotFoundError, ResourceExhaustedError, UnavailableError.
        """
        with self._storage.reading() as uow:
            query = runs.query_of_list(uow, self._tenancy, request, experiment_id, namespace)

        def ends(change: RunsChange) -> bool:
            return until_finished and change.finished

        return self._watching.open(Watch(self, self._page(query), reader, Position(0), ends, begun=True))

    def _page(self, query: ListQuery) -> WatchedPage:
        key = (query.scope, query.sort_key, query.descending, query.filter_text, query.page_size, query.cursor)
        with self._lock:
            page = self._pages.get(key)
            if page is None:
                if len(self._pages) >= MOST_PAGES:
                    raise ResourceExhaustedError(f"{MOST_PAGES} lists are watched already; try again later")
                page = self._pages[key] = WatchedPage(query, self._clock)
        return page

    def __len__(self) -> int:
        """Pages that are watched."""
        return len(self._pages)

    def rest(self) -> float:
        return max(0.0, self._next_look - self._clock())

    def newest(self, subjects: Collection[WatchedPage]) -> Mapping[WatchedPage, int]:
        now = self._clock()
        due = sorted((page for page in subjects if now - page.looked >= LOOK_EVERY_SECONDS), key=lambda it: it.looked)
        if due:
            with self._storage.reading() as uow:
                for page in due:
                    page.look(uow)
                    if self._clock() - now > _LOOKS_FOR_SECONDS:
                        break
        self._next_look = min((page.looked for page in subjects), default=now) + LOOK_EVERY_SECONDS
        return {page: page.seen.look for page in subjects}

    def read(self, subject: WatchedPage, position: Position) -> RunsChange:
        seen = subject.seen
        told: dict[str, ListedRun] = {}
        last, characters = position, 0
        for at, listed in self._listed(seen.behind(position)):
            characters += _characters(listed.run)
            if characters > CHARACTERS_OF_A_MESSAGE and told:
                return _change(seen, told, last, more=True)
            told[at.task_id] = listed
            last = at
        return _change(seen, told, Position(seen.look), more=False)

    def _listed(self, wanted: Sequence[tuple[Position, Row]]) -> Iterator[tuple[Position, ListedRun]]:
        """Each at least as new as its row; without those that have just been deleted."""
        for start in range(0, len(wanted), _READ_AT_ONCE):
            chunk = wanted[start : start + _READ_AT_ONCE]
            found = {at: self._kept.get((at.task_id, row.mark)) for at, row in chunk}
            missing = [at.task_id for at, kept in found.items() if kept is None]
            read = self._read(missing) if missing else {}
            for at, kept in found.items():
                listed = kept or read.get(at.task_id)
                if listed is not None:
                    yield at, listed

    def _read(self, run_ids: Sequence[str]) -> Mapping[str, ListedRun]:
        with self._storage.reading() as uow:
            read = {run_id: (ListedRun(run), mark) for run_id, (run, mark) in uow.runs.marked(run_ids).items()}
        for run_id, (listed, mark) in read.items():
            if _characters(listed.run) <= _KEPT_CHARACTERS:
                self._kept.put((run_id, mark), listed)
        return {run_id: listed for run_id, (listed, _) in read.items()}


def _change(seen: Seen, told: Mapping[str, ListedRun], position: Position, *, more: bool) -> RunsChange:
    listed = [told[run_id] for run_id in seen.run_ids if run_id in told]
    return RunsChange(seen.run_ids, listed, seen.total, seen.next_page_token, position, more, seen.finished)


def _characters(run: Run) -> int:
    """How much of a message a run is, nearly."""
    texts = (run.submitted_spec, run.runtime_config or "", run.description, run.error, run.plugins_input)
    return sum(map(len, texts)) + 1000
