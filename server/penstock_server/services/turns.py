"""A bounded number of threads that work for many peers in turn.

Why: sending blocks while a reader takes nothing, so a reader may keep a thread. Invariants: one peer has a part of the
threads at most; of those that wait, each peer's first has its turn before another peer's second.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)


class Turns:
    """Threads are made when they are needed, and called after `name`."""

    def __init__(self, name: str, threads: int, of_one_peer: int) -> None:
        self._threads = threads
        self._of_one_peer = of_one_peer
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._at_work: Counter[str] = Counter()
        self._running = 0
        self._stopped = False

    def take(self, peer: str, work: Callable[[], None]) -> None:
        """Has `work` called as soon as it is the peer's turn; nothing happens after `stop`."""
        with self._lock:
            if self._stopped:
                return
            self._waiting.setdefault(peer, deque()).append(work)
            if self._running == self._threads:
                return
            self._running += 1
            self._pool.submit(self._run)

    def held_up(self, peer: str) -> bool:
        """Whether somebody waits for a thread that this peer has."""
        with self._lock:
            if not self._waiting:
                return False
            return self._running == self._threads or (
                peer in self._waiting and self._at_work[peer] >= self._of_one_peer
            )

    def stop(self) -> None:
        """What waits is dropped; what is under way is not waited for."""
        with self._lock:
            self._stopped = True
            self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while True:
            with self._lock:
                peer = next((one for one in self._waiting if self._at_work[one] < self._of_one_peer), None)
                if peer is None:
                    self._running -= 1
                    return
                queue = self._waiting[peer]
                work = queue.popleft()
                self._at_work[peer] += 1
                # Behind the others, if there is more.
                self._waiting.move_to_end(peer)
                if not queue:
                    del self._waiting[peer]
            try:
                work()
            except Exception:
                log.exception("a turn failed")
            finally:
                with self._lock:
                    self._at_work[peer] -= 1
                    if not self._at_work[peer]:
                        del self._at_work[peer]
