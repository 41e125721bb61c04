"""What programs of tasks on a cluster say of themselves: that they begin, and that they have come to their end.

Why not look at Pods: in a worker one Pod has many attempts, and what began twice in it looks like what began once.
Invariants: each start of a program has a word of its own, so that a message that is sent again is no second start; the
messages are counted in the order in which they came.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from tests.support.pod_watch import Attempt


class Begun:
    """`url` is where programs say it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._starts: dict[Attempt, dict[str, None]] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._beside: set[Attempt] = set()

    def script(self, path: str, work: str) -> str:
        """A shell's, beside wget: `work`, between the two messages. `path` is the task's, with placeholders."""
        place = f"{{{{$.pipeline_job_uuid}}}}/$KFP_RETRY_INDEX/$word/{path}"
        return (
            "word=$(cat /proc/sys/kernel/random/uuid); "
            f'tell() {{ timeout 3 wget -q -O /dev/null "{self._url}/$1/{place}" 2> /dev/null; }}; '
            f"say() {{ until tell $1; do sleep 0.2; done; }}; say begin; {work}; say end"
        )

    def attempts(self) -> set[Attempt]:
        with self._lock:
            return set(self._starts)

    def twice(self) -> dict[Attempt, int]:
        """Attempts whose program began more than once, with how often."""
        with self._lock:
            return {attempt: len(words) for attempt, words in self._starts.items() if len(words) > 1}

    def beside(self) -> set[Attempt]:
        """Attempts whose program went on when a later one of the same task had begun."""
        with self._lock:
            return set(self._beside)

    def hear(self, place: str) -> None:
        """Raises ValueError when it is none of a program's."""
        event, run_id, index, word, path = place.strip("/").split("/", 4)
        attempt = Attempt(run_id, unquote(path), int(index) + 1)
        task = attempt[:2]
        with self._lock:
            newest = self._newest[task] = max(attempt.number, self._newest.get(task, 0))
            if newest > attempt.number:
                self._beside.add(attempt)
            if event == "begin":
                self._starts.setdefault(attempt, {})[word] = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many programs begin in the same moment.
    request_queue_size = 128


@contextmanager
def begun(address: str) -> Iterator[Begun]:
    """`address` is one of this machine that Pods reach."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.hear(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with _Server((address, 0), Answer) as server:
        found = Begun(f"http://{address}:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()
