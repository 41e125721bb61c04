"""Penstock whose data directory is full: is it alive, does it say so, does it recover?

Usage: full_data_disk.py DATA_DIR, on a small file system. Prints what `/readyz` said, and how the run after it ended.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

# A line of log each; a pipe that nobody empties holds fewer than a thousand.
REQUESTS = 3000


def main() -> None:
    data = Path(sys.argv[1])
    with Embedded(data, "--log-level", "debug") as up, Client(up.grpc) as client:
        runs.finished(client, runs.start(client, specs.container(["true"])))
        assert http.call("GET", f"{up.http}/readyz").status == 200
        filler = data / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(os.urandom(1 << 16)):
                    pass
            except OSError as error:
                sys.stdout.write(f"filled: {error.strerror}\n")
        connection = HTTPConnection(up.http.removeprefix("http://"), timeout=30)
        for _ in range(REQUESTS):
            connection.request("GET", "/apis/v2beta1/healthz")
            assert connection.getresponse().read()
        connection.close()
        full = runs.until(lambda: http.call("GET", f"{up.http}/readyz"), lambda reply: reply.status == 503, 10)
        sys.stdout.write(f"full: {full.body.decode()}\n")
        filler.unlink()
        again = runs.until(lambda: http.call("GET", f"{up.http}/readyz"), lambda reply: reply.status == 200, 30)
        sys.stdout.write(f"again: {again.body.decode()}\n")
        after = runs.finished(client, runs.start(client, specs.container(["true"])))
        sys.stdout.write(f"the next one: {run_pb2.RuntimeState.Name(after.state)}\n")
    sys.stdout.write((data / "logs" / "server.log").read_text())


if __name__ == "__main__":
    main()
