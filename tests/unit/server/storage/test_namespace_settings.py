"""What the server knows of a namespace's stores: for how long, what it says of faults, and that these are one's own."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from penstock_kube.errors import ForbiddenError, KubeError, UnauthorizedError, UnavailableError
from penstock_server.storage.namespace_settings import FRESH_SECONDS, STALE_SECONDS, NamespaceSettings
from penstock_store.base import ArtifactStoreError
from penstock_store.config import BucketSettings, StoreConfig

PROVIDERS = """
s3:
  default:
    endpoint: http://store:9000
    credentials: {secretRef: {secretName: keys, accessKeyKey: access, secretKeyKey: secret}}
"""
A, B = "team-a", "team-b"


class Cluster:
    """`fails`: what getting an object of a namespace raises."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.fails: dict[str, KubeError] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
        self.asked.append((namespace, plural, name))
        if namespace in self.fails:
            raise self.fails[namespace]
        return self.objects.get((namespace, plural, name))

    def put(self, namespace: str, providers: str = PROVIDERS, **keys: str) -> None:
        self.objects[namespace, "configmaps", "kfp-launcher"] = {"data": {"providers": providers}}
        data = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
        self.objects[namespace, "secrets", "keys"] = {"data": data}


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.put(A, access="a1", secret="s1")
    made.put(B, access="b1", secret="s2")
    return made


@pytest.fixture
def settings(cluster: Cluster) -> NamespaceSettings:
    return NamespaceSettings(cluster, cluster.clock)


def of(settings: NamespaceSettings, namespace: str) -> dict[str, str]:
    found = settings.config(namespace).settings_for("s3://bucket/key")
    return dict(settings.credentials(namespace, found))


def fault(settings: NamespaceSettings, namespace: str = A) -> ArtifactStoreError:
    with pytest.raises(ArtifactStoreError) as caught:
        of(settings, namespace)
    return caught.value


def test_the_keys_are_the_namespaces_own(settings: NamespaceSettings) -> None:
    assert of(settings, A) == {"PENSTOCK_STORE_S3_ACCESS_KEY": "a1", "PENSTOCK_STORE_S3_SECRET_KEY": "s1"}
    assert of(settings, B) == {"PENSTOCK_STORE_S3_ACCESS_KEY": "b1", "PENSTOCK_STORE_S3_SECRET_KEY": "s2"}
    assert settings.config("team-without") == StoreConfig()


def test_what_changes_holds_within_half_a_minute(cluster: Cluster, settings: NamespaceSettings) -> None:
    of(settings, A)
    cluster.put(A, access="a2", secret="s2")
    asked = len(cluster.asked)
    cluster.now += FRESH_SECONDS - 1
    assert of(settings, A)["PENSTOCK_STORE_S3_ACCESS_KEY"] == "a1"
    assert len(cluster.asked) == asked
    cluster.now += 1
    assert of(settings, A)["PENSTOCK_STORE_S3_ACCESS_KEY"] == "a2"
    assert FRESH_SECONDS < 30


def test_while_the_cluster_is_away_what_was_read_last_holds_for_a_time(
    cluster: Cluster, settings: NamespaceSettings
) -> None:
    of(settings, A)
    cluster.fails[A] = UnavailableError(503, "", "hidden")
    for _ in range(3):
        cluster.now += FRESH_SECONDS
        assert of(settings, A)["PENSTOCK_STORE_S3_ACCESS_KEY"] == "a1"
    cluster.now += STALE_SECONDS
    error = fault(settings)
    assert error.transient
    assert "ConfigMap kfp-launcher of namespace team-a: the cluster does not give it; try again" in str(error)
    del cluster.fails[A]
    cluster.now += FRESH_SECONDS
    of(settings, A)


def test_a_right_that_is_taken_away_counts_at_once(cluster: Cluster, settings: NamespaceSettings) -> None:
    """Nothing but a cluster that is away leaves what was read last."""
    of(settings, A)
    cluster.fails[A] = ForbiddenError(403, "", "hidden")
    cluster.now += FRESH_SECONDS
    error = fault(settings)
    assert not error.transient
    assert "may not read it" in str(error)
    assert "hidden" not in str(error)


def test_what_is_wrong_is_asked_for_seldom_and_is_nobody_elses(cluster: Cluster, settings: NamespaceSettings) -> None:
    cluster.fails[A] = UnauthorizedError(401, "", "no")
    errors = [fault(settings) for _ in range(5)]
    assert all(error.transient for error in errors)
    assert len(cluster.asked) == 1
    of(settings, B)


@pytest.mark.parametrize(
    ("providers", "keys", "named"),
    [
        ("s3: {", {}, "ConfigMap kfp-launcher of namespace team-a: providers: it is no YAML"),
        ("s3: {region: x}", {}, r"ConfigMap kfp-launcher of namespace team-a: providers\.s3\.region: unknown"),
        (PROVIDERS.replace("keys", "../../kube-system/secrets/x"), {}, "secretName: .* is no name"),
        (PROVIDERS.replace("keys", "others"), {}, "Secret others of namespace team-a, .* does not exist"),
        (PROVIDERS, {"access": "hidden"}, "Secret keys of namespace team-a: no key 'secret'"),
        (PROVIDERS, {"access": "a", "secret": "hidden" * 20_000}, "key 'secret' is no text of at most"),
    ],
)
def test_a_fault_is_named_and_no_secret_shown(
    cluster: Cluster, providers: str, keys: dict[str, str], named: str
) -> None:
    cluster.put(A, providers, **keys)
    settings = NamespaceSettings(cluster, cluster.clock)
    with pytest.raises(ArtifactStoreError, match=named) as caught:
        of(settings, A)
    assert not caught.value.transient
    assert "hidden" not in str(caught.value)
    of(settings, B)


def test_what_is_no_text_is_no_key(cluster: Cluster) -> None:
    cluster.objects[A, "secrets", "keys"] = {"data": {"access": "////", "secret": "!"}}
    assert "key 'access' is no text" in str(fault(NamespaceSettings(cluster, cluster.clock)))


def test_one_asks_for_all_and_nobody_waits_for_another_namespace(cluster: Cluster) -> None:
    answers, waits = threading.Event(), threading.Event()
    get = cluster.get

    class Slow(Cluster):
        def get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
            if namespace == A:
                waits.set()
                assert answers.wait(30)
            return get(namespace, plural, name)

    settings = NamespaceSettings(Slow(), cluster.clock)
    with ThreadPoolExecutor(8) as threads:
        readers = [threads.submit(settings.config, A) for _ in range(6)]
        assert waits.wait(30)
        assert settings.config(B).buckets
        answers.set()
        assert len({id(reader.result(30)) for reader in readers}) == 1
    assert cluster.asked.count((A, "configmaps", "kfp-launcher")) == 1


def test_settings_without_keys_ask_for_no_secret(cluster: Cluster, settings: NamespaceSettings) -> None:
    assert settings.credentials(A, BucketSettings("s3", "V")) == {}
    assert cluster.asked == []
