"""Holds tasks on a cluster back until the test lets them go on.

A task that only sleeps may have ended before a slow machine shows that it runs; one that waits is there as long as it
has to be. Invariants: `wait` ends only after `give`; it asks again where nobody answers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class GoAhead:
    """`wait` is a command for a shell beside wget, in a Pod that reaches `url`."""

    def __init__(self, url: str, given: threading.Event) -> None:
        self.wait = f"until wget -q -O /dev/null {url} 2> /dev/null; do sleep 0.2; done"
        self._given = given

    def give(self) -> None:
        self._given.set()


@contextmanager
def go_ahead(address: str) -> Iterator[GoAhead]:
    """`address` is one of this machine that Pods reach."""
    given = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if given.is_set() else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer((address, 0), Answer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield GoAhead(f"http://{address}:{server.server_port}/", given)
        finally:
            given.set()
            server.shutdown()
