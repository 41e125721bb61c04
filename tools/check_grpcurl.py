"""Lists and calls services with a real grpcurl, knowing nothing but the address (reflection).

Example: python -m tools.check_grpcurl build/bin/grpcurl
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.embedded import Embedded

SERVICE = "kubeflow.pipelines.backend.api.v2beta1"


def main() -> int:
    program = sys.argv[1]

    def grpcurl(*arguments: str) -> str:
        done = subprocess.run([program, "-plaintext", *arguments], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"grpcurl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    with tempfile.TemporaryDirectory() as directory, Embedded(Path(directory) / "data") as up:
        services = grpcurl(up.grpc, "list").split()
        for wanted in (f"{SERVICE}.RunService", "ml_metadata.MetadataStoreService", "grpc.health.v1.Health"):
            if wanted not in services:
                raise RuntimeError(f"{wanted} is not listed: {services}")
        made = grpcurl("-d", '{"experiment": {"display_name": "by grpcurl"}}', up.grpc,
                       f"{SERVICE}.ExperimentService/CreateExperiment")  # fmt: skip
        answer = json.loads(made)
        experiment_id = answer.get("experiment_id") or answer["experimentId"]
        found = grpcurl(up.grpc, f"{SERVICE}.ExperimentService/ListExperiments")
        if experiment_id not in found:
            raise RuntimeError(f"{experiment_id} is not in {found}")
        if "CreateRun" not in grpcurl(up.grpc, "describe", f"{SERVICE}.RunService"):
            raise RuntimeError("RunService is not described")
        grpcurl("-d", "{}", up.grpc, "ml_metadata.MetadataStoreService/GetArtifactTypes")
    print(f"grpcurl: {len(services)} services listed, 4 calls made")
    return 0


if __name__ == "__main__":
    sys.exit(main())
