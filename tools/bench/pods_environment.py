"""Settings of servers and executors whose tasks are Pods of a benchmark and whose logs are archived in an S3 server.

Invariant: server and executor get the same variables, so both find the logs.
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.object_stores import ObjectStore

BUCKET = "artifacts"


def pods_environment(directory: Path, s3: ObjectStore, kubeconfig: str, namespace: str) -> dict[str, str]:
    """Writes the store's configuration into `directory`, which is made; `s3` has the bucket."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "store.yaml"
    place = {
        "endpoint": s3.endpoint,
        "region": "us-east-1",
        "forcePathStyle": True,
        "credentials": {"fromEnv": True},
    }
    config.write_text(json.dumps({"providers": {"s3": {"default": place}}}))
    return {
        "KUBECONFIG": kubeconfig,
        "PENSTOCK_NAMESPACE": namespace,
        "PENSTOCK_INSTANCE": namespace,
        "PENSTOCK_AGENT_IMAGE": "none",
        "PENSTOCK_WRITES_PER_SECOND": "2000",
        "PENSTOCK_ARTIFACTS": f"s3://{BUCKET}/root",
        "PENSTOCK_STORE_CONFIG": str(config),
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }
