"""Lists the runs of a server, the newest first.

Example: python clients/python/examples/list_runs.py 127.0.0.1:8887
"""

from __future__ import annotations

import sys

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

with Client(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8887") as client:
    for run in client.list_runs(sort_by="created_at desc"):
        print(run.run_id, run_pb2.RuntimeState.Name(run.state), run.display_name)
