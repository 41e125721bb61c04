"""A Penstock on this machine whose tasks are Pods of a cluster: for tests, the conformance runner and benchmarks.

Server and executor are processes here, the object store too; Pods reach it at the node's address. Invariants: a
namespace, a store and a data directory of its own, all gone when the block ends. The image of agents is named by
PENSTOCK_IMAGE, and the cluster has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import object_stores
from tools.cluster import RESTRICTED, Cluster
from tools.embedded import Embedded

BUCKET = "artifacts"
SECRET = "penstock-store"  # noqa: S105 - the name of a Secret


@dataclass(frozen=True, slots=True)
class KubePenstock:
    """`store` is where the objects of the bucket lie as files."""

    up: Embedded
    cluster: Cluster
    namespace: str
    store: Path


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What programs beside a cluster need to run tasks there. `environment` is theirs, `store` as in KubePenstock."""

    namespace: str
    environment: Mapping[str, str]
    endpoint: str
    store: Path

    def reach_store_at(self, endpoint: str) -> None:
        """Lets programs that are started from now on, and the agents, use a proxy instead of the object store."""
        Path(self.environment["PENSTOCK_STORE_CONFIG"]).write_text(_store_config(endpoint))


@contextmanager
def kube_penstock(
    cluster: Cluster,
    data_dir: Path,
    *options: str,
    settings: Mapping[str, str] | None = None,
    labels: Mapping[str, str] = RESTRICTED,
    namespace: str = "",
) -> Iterator[KubePenstock]:
    """`settings` are further PENSTOCK_ variables, `options` further ones of `penstock up`."""
    with surroundings(cluster, data_dir, labels, namespace) as around:
        environment = {**around.environment, **(settings or {})}
        with Embedded(data_dir, "--backend", "kubernetes", *options, environment=environment) as up:
            yield KubePenstock(up, cluster, around.namespace, around.store)


@contextmanager
def surroundings(
    cluster: Cluster, data_dir: Path, labels: Mapping[str, str] = RESTRICTED, namespace: str = ""
) -> Iterator[Surroundings]:
    """A namespace (unless one is given) and an object store. Raises RuntimeError when PENSTOCK_IMAGE is missing."""
    image = os.environ.get("PENSTOCK_IMAGE", "")
    if not image:
        raise RuntimeError("PENSTOCK_IMAGE: name the image of deploy/Dockerfile as the cluster has it (`make image`)")
    with _namespace(cluster, namespace, labels) as place, object_stores.s3([BUCKET], host=cluster.node_address()) as s3:
        keys = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key, "AWS_REGION": "us-east-1"}
        cluster.create(
            f"/api/v1/namespaces/{place}/secrets", {"metadata": {"name": SECRET}, "type": "Opaque", "stringData": keys}
        )
        data_dir.mkdir(parents=True, exist_ok=True)
        config = data_dir / "store.yaml"
        config.write_text(_store_config(s3.endpoint))
        environment = {
            **keys,
            "KUBECONFIG": cluster.kubeconfig,
            "PENSTOCK_NAMESPACE": place,
            "PENSTOCK_INSTANCE": place,
            "PENSTOCK_AGENT_IMAGE": image,
            "PENSTOCK_AGENT_SECRET": SECRET,
            "PENSTOCK_STORE_CONFIG": str(config),
            "PENSTOCK_ARTIFACTS": f"s3://{BUCKET}/root",
        }
        yield Surroundings(place, environment, s3.endpoint, s3.directory / BUCKET)


def _store_config(endpoint: str) -> str:
    return (
        f"providers:\n  s3:\n    default:\n      endpoint: {endpoint}\n      region: us-east-1\n"
        "      forcePathStyle: true\n      credentials: {fromEnv: true}\n"
    )


@contextmanager
def _namespace(cluster: Cluster, given: str, labels: Mapping[str, str]) -> Iterator[str]:
    if given:
        yield given
        return
    with cluster.namespace("penstock-test", labels) as made:
        yield made
