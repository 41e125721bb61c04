"""A thread that fires recurring runs when they are due.

Invariants: any number of servers may run it at once (`services.recurring_runs` says why). A failed tick is logged and
repeated; the thread ends only when it is stopped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from penstock_server.services.recurring_runs import RecurringRunService

log = logging.getLogger(__name__)

_SECONDS = 0.5


class Ticker:
    """`fired(count)` is called with the number of runs created by a tick."""

    def __init__(self, service: RecurringRunService, fired: Callable[[int], None] = lambda count: None) -> None:
        self._service = service
        self._fired = fired
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="schedules", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits for the current tick to end."""
        self._stop.set()
        self._thread.join(10)

    def _work(self) -> None:
        # No retry of a failed call: it ticks at its interval whether the last tick failed or not.
        while not self._stop.is_set():
            try:
                fired = self._service.tick()
                self._fired(fired)
            except Exception:
                log.exception("schedules could not be looked at; they will be again")
                fired = 0
            # The next fire of a schedule that catches up may be due already.
            if not fired:
                self._stop.wait(_SECONDS)
