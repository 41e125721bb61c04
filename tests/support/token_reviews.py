"""A Kubernetes API server that answers TokenReviews and nothing else, in a thread of the test."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock_kube.config import Cluster

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass
class ReviewServer:
    """`tokens`: the status with which each token is answered; `asked`: the specs of all reviews, in order.

    `fails` is the HTTP status of every answer while it is set. Answers wait for `answering`; `arrived` counts requests.
    """

    url: str = ""
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: int = 0
    answering: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.url, None, dict, "default")

    def accept(self, token: str, user: str, *groups: str, audiences: tuple[str, ...]) -> None:
        identity = {"username": user, "groups": list(groups)}
        self.tokens[token] = {"authenticated": True, "user": identity, "audiences": list(audiences)}


@contextlib.contextmanager
def review_server() -> Iterator[ReviewServer]:
    state = ReviewServer()
    state.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.arrived.release()
            state.answering.wait()
            found = self.path == PATH and not state.fails
            if found:
                state.asked.append(document["spec"])
                document["status"] = state.tokens.get(document["spec"]["token"], {"error": "unknown token"})
            content = json.dumps(document if found else {"kind": "Status", "message": "no"}).encode()
            self.send_response(201 if found else state.fails or 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
