"""Runs a compiled pipeline (JSON) and waits for its end.

Example: python clients/python/examples/run_pipeline.py 127.0.0.1:8887 pipeline.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

server, package = sys.argv[1:]
request = run_pb2.CreateRunRequest()
request.run.display_name = "from Python"
request.run.pipeline_spec.update(json.loads(Path(package).read_text()))
with Client(server) as client:
    created = client.call(client.runs.CreateRun, request)
    run = client.wait_for_run(created.run_id, timeout=600)
    print(run.run_id, run_pb2.RuntimeState.Name(run.state))
