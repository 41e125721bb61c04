"""Settings of the Kubernetes backend under which Pods are made without a cluster.

Invariant: nothing here is a default of the products, so what a Pod has of it was handed on.
"""

from __future__ import annotations

from typing import Any

from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings

SETTINGS = PodSettings(agent_image="penstock/agent:1", instance="here", wrapper_config_map="penstock-run-abc")
POLICY = NamespacePolicy()
SECRET_KEY = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "id"}}}


class Store:
    """What `penstock_store` says of an S3 store."""

    def to_json(self) -> dict[str, Any]:
        return {"endpoint": "http://s3"}

    def credentials_env(self) -> list[dict[str, Any]]:
        return [SECRET_KEY]

    def session_secret(self) -> str:
        return ""

    def only_sessions(self) -> bool:
        return False
