"""Whose settings and whose keys a read of a namespace's object is made with, down to what a store receives."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from penstock_server.errors import FailedPreconditionError, PermissionDeniedError
from penstock_server.storage.namespace_settings import NamespaceSettings
from penstock_server.storage.namespace_stores import NamespaceStores
from penstock_server.storage.objects import configured_store
from penstock_server.storage.store_endpoints import StoreEndpoints
from penstock_store.base import Limits
from penstock_store.config import BucketSettings, CredentialVariable, StoreConfig

LIMITS = Limits(retry_seconds=0.2, connect=2, stall=2)
A, B = "team-a", "team-b"


@dataclass
class Store:
    """Answers every GET and HEAD with its name; `keys` are the access keys that were shown to it."""

    name: str
    endpoint: str = ""
    keys: list[str] = field(default_factory=list)


@contextmanager
def serving(name: str) -> Iterator[Store]:
    store = Store(name)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.headers.get("Authorization", "").partition("Credential=")[2]
            store.keys.append(shown.partition("/")[0])
            self.send_response(200)
            for header, value in (("Content-Length", str(len(name))), ("ETag", '"x"')):
                self.send_header(header, value)
            self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(name.encode())

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        store.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()


@dataclass
class World:
    """`data`: that of the ConfigMap by the namespace; each namespace has a Secret `keys`."""

    own: Store
    of: dict[str, Store]
    elsewhere: Store
    stores: NamespaceStores
    data: dict[str, str]
    secrets: dict[str, str]

    def read(self, namespace: str, uri: str = "s3://bucket/key") -> str:
        return b"".join(self.stores.of(namespace).read(uri)).decode()


def providers(store: Store, credentials: str = "") -> str:
    keys = credentials or "secretRef: {secretName: keys, accessKeyKey: access, secretKeyKey: secret}"
    return f"s3: {{default: {{endpoint: '{store.endpoint}', credentials: {{{keys}}}}}}}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        own, a, b, elsewhere = (stack.enter_context(serving(name)) for name in ("own", "of a", "of b", "elsewhere"))
        data, secrets = {A: providers(a), B: providers(b)}, {A: "key-a", B: "key-b"}

        class Cluster:
            def get(self, namespace: str, plural: str, name: str) -> dict[str, Any] | None:
                if plural == "configmaps":
                    return {"data": {"providers": data[namespace]}} if namespace in data else None
                found = {"access": secrets[namespace], "secret": "s"}
                return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in found.items()}}

        keys = (CredentialVariable("O_ACCESS_KEY", "own", "a"), CredentialVariable("O_SECRET_KEY", "own", "s"))
        config = StoreConfig(
            "s3://bucket", (BucketSettings("s3", "O", endpoint=own.endpoint, credentials=keys, max_attempts=1),)
        )
        reader = configured_store([str(tmp_path)], config, {"O_ACCESS_KEY": "key-own", "O_SECRET_KEY": "s"})
        endpoints = StoreEndpoints([a.endpoint, b.endpoint], config)
        # Nothing is kept, so that each read finds what the test has set.
        times = iter(range(0, 10**9, 1000))
        settings = NamespaceSettings(Cluster(), lambda: float(next(times)))
        stores = NamespaceStores(reader, settings, endpoints, LIMITS)
        yield World(own, {A: a, B: b}, elsewhere, stores, data, secrets)


def test_each_namespace_is_read_with_its_own(world: World) -> None:
    assert [world.read(namespace) for namespace in (A, B, "team-without", "")] == ["of a", "of b", "own", "own"]
    assert set(world.of[A].keys) == {"key-a"}
    assert set(world.of[B].keys) == {"key-b"}
    assert set(world.own.keys) == {"key-own"}


def test_a_rotated_secret_is_used(world: World) -> None:
    world.read(A)
    world.secrets[A] = "key-new"
    world.read(A)
    assert world.of[A].keys[-1] == "key-new"


def test_two_that_share_a_store_do_not_share_keys(world: World) -> None:
    world.data[B] = world.data[A]
    assert (world.read(A), world.read(B)) == ("of a", "of a")
    assert set(world.of[A].keys) == {"key-a", "key-b"}
    assert world.of[B].keys == []


def test_an_override_has_its_bucket_alone(world: World) -> None:
    override = (
        f"overrides: [{{bucketName: other, endpoint: '{world.of[B].endpoint}', credentials: {{secretRef: "
        "{secretName: keys, accessKeyKey: access, secretKeyKey: secret}}}]"
    )
    world.data[A] = f"{world.data[A][:-1]}, {override}}}"
    assert (world.read(A), world.read(A, "s3://other/key"), world.read(A, "s3://third/key")) == (
        "of a", "of b", "of a",
    )  # fmt: skip


def test_an_endpoint_that_is_not_listed_is_not_connected_to(world: World) -> None:
    world.data[A] = providers(world.elsewhere)
    with pytest.raises(FailedPreconditionError, match=r"ConfigMap kfp-launcher of namespace team-a.*--store-endpoint"):
        world.read(A)
    assert world.elsewhere.keys == []
    assert world.read(B) == "of b"


def test_without_keys_the_servers_own_are_sent_to_its_own_store_alone(world: World) -> None:
    world.data[A] = providers(world.of[B], "fromEnv: true")
    assert world.read(A) == "own"
    with pytest.raises(PermissionDeniedError, match=r"outside.*name a Secret there"):
        world.read(A, "s3://private/key")
    assert world.of[B].keys == []


def test_another_provider_and_files_are_the_servers_own(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    assert world.read(A, f"file://{tmp_path}/file") == "a file"
    with pytest.raises(PermissionDeniedError, match="outside"):
        world.read(A, "gs://bucket/key")


def test_a_bucket_outside_of_the_servers_roots_is_the_namespaces_own_affair(world: World) -> None:
    assert world.read(A, "s3://private/key") == "of a"
    with pytest.raises(PermissionDeniedError, match="outside"):
        world.read("team-without", "s3://private/key")


@pytest.mark.parametrize("bucket", ["evil\\", "a@b", "127.0.0.1:1", "%2e"])
def test_a_bucket_leads_nowhere_else(world: World, bucket: str) -> None:
    with pytest.raises(FailedPreconditionError, match="name of a bucket"):
        world.read(A, f"s3://{bucket}/key")
    assert world.of[A].keys == []
