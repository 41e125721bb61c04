"""Runs beside a full artifact store: prints the error of the task that filled it, and that the next one succeeds.

Usage: full_disk.py DATA_DIR ARTIFACTS
"""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tools.embedded import Embedded
from tools.testing import runs, specs

SCRIPT = 'mkdir -p "$(dirname "$0")" && head -c 4000000 /dev/zero > "$0"'


def main() -> None:
    data, artifacts = Path(sys.argv[1]) / "data", sys.argv[2]
    with Embedded(data, "--artifacts", artifacts) as up, Client(up.grpc) as client:
        command = ["sh", "-c", SCRIPT, "{{$.outputs.artifacts['big'].path}}"]
        full = specs.container(command, artifacts={"big": "system.Dataset"})
        run_id = runs.start(client, full)
        runs.finished(client, run_id)
        sys.stdout.write(runs.tasks(client, run_id)["only"].error + "\n")
        after = runs.finished(client, runs.start(client, specs.container(["true"])))
        sys.stdout.write(f"the next one: {run_pb2.RuntimeState.Name(after.state)}\n")


if __name__ == "__main__":
    main()
