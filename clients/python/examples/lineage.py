"""Shows what the tasks of a run wrote and read.

Example: python clients/python/examples/lineage.py 127.0.0.1:8887 RUN_ID
"""

from __future__ import annotations

import sys

from penstock.client import Client
from penstock_api.v1 import insight_pb2

server, run_id = sys.argv[1:]
with Client(server) as client:
    uris = {one.name: one.uri for one in client.list_artifacts(run_id=run_id)}
    for task in client.call(client.insight.ListTasks, insight_pb2.ListTasksRequest(run_id=run_id)).tasks:
        for direction, ports in (("input", task.input_artifacts), ("output", task.output_artifacts)):
            for port, names in ports.items():
                for name in names.names:
                    print(task.path or "root", direction, port, uris.get(name, name))
