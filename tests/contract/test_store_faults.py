"""Object stores that are unreachable, refuse, stall, disconnect or hold unexpected objects: which requests are retried,
and which errors are reported.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from obstore.store import S3Store
from penstock_store.base import ArtifactStoreError, ContentError, Limits
from penstock_store.clients import open_bucket
from penstock_store.config import BucketSettings
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore
from penstock_store.uris import parse

from tests.support import http
from tests.support.faulty import NOT_IMPLEMENTED, Cut, FaultyProxy, Refuse, Stall
from tools import object_stores
from tools.ports import free_port

# The first use of a server builds it.
pytestmark = pytest.mark.timeout(900)
_SECRET = {"secretRef": {"secretName": "keys", "accessKeyKey": "access", "secretKeyKey": "secret"}}
# For what cannot succeed: the error comes when patience has run out.
_SHORT = Limits(retry_seconds=1, stall=1, connect=1)
_PATIENT = Limits(retry_seconds=30)
_ROOT = "s3://artifacts/faults"


@pytest.fixture(scope="module")
def server() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["artifacts", "second"]) as running:
        yield running


@pytest.fixture
def proxy(server: object_stores.ObjectStore) -> Iterator[FaultyProxy]:
    with FaultyProxy(int(server.endpoint.rsplit(":", 1)[1])) as running:
        yield running


def opened(
    server: object_stores.ObjectStore,
    endpoint: str = "",
    *,
    provider: str = "s3",
    limits: Limits = _PATIENT,
    secret: str = "",
    **settings: Any,
) -> RoutedStore:
    default = {"endpoint": endpoint or server.endpoint, "credentials": _SECRET, **settings}
    config = parse_file(json.dumps({"providers": {provider: {"default": default}}}))
    variables = f"PENSTOCK_STORE_{provider.upper()}"
    environ = {f"{variables}_ACCESS_KEY": server.access_key, f"{variables}_SECRET_KEY": secret or server.secret_key}
    return RoutedStore(config, environ, limits=limits)


def planted(server: object_stores.ObjectStore, name: str, data: bytes) -> str:
    path = server.directory / "artifacts" / "faults" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{_ROOT}/{name}"


async def failing(work: Any) -> ArtifactStoreError:
    with pytest.raises(ArtifactStoreError) as caught:
        await work
    return caught.value


async def test_a_bucket_that_is_missing(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    store, source = opened(server), tmp_path / "source"
    source.write_text("x")
    for work in (
        store.upload(source, "s3://nobody/x"),
        store.fetch("s3://nobody/x", tmp_path / "y"),
        store.exists("s3://nobody/x"),
    ):
        error = await failing(work)
        assert not error.transient
        assert "s3://nobody/x" in str(error)
        assert server.endpoint in str(error)
        assert "there is no bucket 'nobody'" in str(error)


async def test_credentials_that_are_wrong(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    uri = planted(server, "secret", b"x")
    error = await failing(opened(server, secret="wrong").fetch(uri, tmp_path / "y"))
    assert not error.transient
    assert "access denied" in str(error)
    assert "access, secret of the Secret 'keys'" in str(error)


_OPERATIONS = ("fetch", "upload", "write", "create", "exists", "info", "read", "list")


async def carried_out(name: str, store: RoutedStore, uri: str, tmp_path: Path) -> None:
    if name == "fetch":
        await store.fetch(uri, tmp_path / "target")
    elif name == "upload":
        (tmp_path / "source").write_text("x")
        await store.upload(tmp_path / "source", uri)
    elif name == "write":
        await store.write(b"x", uri)
    elif name == "create":
        await store.create(b"x", uri)
    elif name == "exists":
        await store.exists(uri)
    elif name == "info":
        store.info(uri)
    else:
        list(store.read(uri) if name == "read" else store.list(uri))


@pytest.mark.parametrize("operation", _OPERATIONS)
@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        ("400 Bad Request", "ExpiredToken", r"access denied \(ExpiredToken: It was refused\.\)"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", r"in another region \(It was refused\.\); set `region`"),
        ("400 Bad Request", "IllegalLocationConstraintException", "in another region"),
        ("400 Bad Request", "InvalidRequest", r"the store refused \(InvalidRequest: It was refused\.\)"),
        ("403 Forbidden", "InvalidAccessKeyId", r"access denied \(InvalidAccessKeyId: It was refused\.\)"),
        ("301 Moved Permanently", "PermanentRedirect", "in another region .*; set `region`"),
    ],
)
async def test_what_a_store_says_reaches_whoever_asked(
    server: object_stores.ObjectStore,
    proxy: FaultyProxy,
    tmp_path: Path,
    operation: str,
    status: str,
    code: str,
    told: str,
) -> None:
    """Answers to HEAD have no body, and most operations begin with one."""
    proxy.always = Refuse(status, code)
    store = opened(server, proxy.endpoint, provider="minio", limits=_SHORT)
    error = await failing(carried_out(operation, store, "minio://artifacts/faults/x", tmp_path))
    assert re.search(told, str(error)), str(error)
    assert not error.transient


async def test_what_may_be_read_and_not_asked_for(
    server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """When the second request goes well, the answer to the first one is what is known."""
    uri = planted(server, "unasked", b"x")
    for refused in ("403 Forbidden", "400 Bad Request"):
        proxy.drop()
        proxy.faults.append(Refuse(refused))
        error = await failing(opened(server, proxy.endpoint, limits=_SHORT).fetch(uri, tmp_path / "y"))
        assert f"status {refused[:3]}" in str(error)
        assert not error.transient


async def test_a_store_without_conditions_is_asked_first(server: object_stores.ObjectStore, proxy: FaultyProxy) -> None:
    """Once it has refused one, it is sent no other."""
    proxy.unknown = b"if-none-match"
    store = opened(server, proxy.endpoint, limits=_SHORT)
    await store.create(b"new", f"{_ROOT}/unconditional")
    assert NOT_IMPLEMENTED in proxy.met
    refused = len(proxy.met)
    await store.create(b"new", f"{_ROOT}/unconditional")
    with pytest.raises(ContentError, match="nothing is overwritten"):
        await store.create(b"newer", f"{_ROOT}/unconditional")
    assert len(proxy.met) == refused
    assert b"".join(opened(server).read(f"{_ROOT}/unconditional")) == b"new"


async def test_credentials_that_are_missing(server: object_stores.ObjectStore) -> None:
    config = parse_file(
        json.dumps({"providers": {"s3": {"default": {"endpoint": server.endpoint, "credentials": _SECRET}}}})
    )
    error = await failing(RoutedStore(config, {}).exists(f"{_ROOT}/x"))
    assert not error.transient
    assert "key 'access' of the Secret 'keys' is missing or empty" in str(error)


def test_credentials_of_the_environment(server: object_stores.ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = planted(server, "ambient", b"ambient")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    ambient = opened(server, credentials={"fromEnv": True})
    assert b"".join(ambient.read(uri)) == b"ambient"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody")
    # Given ones are not mixed with the environment's.
    assert b"".join(opened(server).read(uri)) == b"ambient"
    with pytest.raises(ArtifactStoreError, match=r"access denied .*those of the environment"):
        next(opened(server, credentials={"fromEnv": True}, limits=_SHORT).read(uri))


async def test_every_place_has_its_own_credentials(server: object_stores.ObjectStore) -> None:
    section = {
        "default": {"endpoint": server.endpoint, "credentials": _SECRET},
        "overrides": [{"bucketName": "second", "endpoint": server.endpoint, "credentials": _SECRET}],
    }
    config = parse_file(json.dumps({"providers": {"s3": section}}))
    environ = {
        "PENSTOCK_STORE_S3_ACCESS_KEY": server.access_key,
        "PENSTOCK_STORE_S3_SECRET_KEY": "wrong",
        "PENSTOCK_STORE_S3_1_ACCESS_KEY": server.access_key,
        "PENSTOCK_STORE_S3_1_SECRET_KEY": server.secret_key,
    }
    store = RoutedStore(config, environ)
    assert not await store.exists("s3://second/x")
    assert "access denied" in str(await failing(store.exists("s3://artifacts/x")))


async def test_a_store_that_is_away(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    error = await failing(opened(server, endpoint, limits=_SHORT).fetch(f"{_ROOT}/x", tmp_path / "y"))
    assert error.transient
    assert f"{_ROOT}/x at {endpoint}: it cannot be reached" in str(error)
    error = await failing(opened(server, "http://store.invalid", limits=_SHORT).exists(f"{_ROOT}/x"))
    assert error.transient
    assert "it cannot be reached" in str(error)


async def test_a_store_that_refuses_for_a_while(
    server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    store = opened(server, proxy.endpoint, limits=Limits(retry_seconds=30, stall=5))
    source, uri = tmp_path / "source", f"{_ROOT}/refused"
    source.write_bytes(b"x" * 100_000)
    for work in (partial(store.upload, source, uri), partial(store.fetch, uri, tmp_path / "target")):
        proxy.drop()
        proxy.faults.extend([Refuse(), Refuse("500 Internal Server Error"), Refuse()])
        assert await work()
        assert not proxy.faults
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert len(proxy.met) == 6


async def test_a_store_that_refuses_for_ever(
    server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    proxy.always = Refuse()
    error = await failing(opened(server, proxy.endpoint, limits=_SHORT).fetch(f"{_ROOT}/x", tmp_path / "y"))
    assert error.transient
    assert "503" in str(error) or "SlowDown" in str(error)
    assert len(proxy.met) > 2
    proxy.met.clear()
    error = await failing(opened(server, proxy.endpoint, maxRetries=2).exists(f"{_ROOT}/x"))
    assert error.transient
    assert len(proxy.met) == 2


async def test_a_store_that_stalls(server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path) -> None:
    store = opened(server, proxy.endpoint, limits=Limits(retry_seconds=30, stall=0.5))
    source, uri = tmp_path / "source", f"{_ROOT}/stalled"
    source.write_bytes(b"x" * 100_000)
    for work in (partial(store.upload, source, uri), partial(store.fetch, uri, tmp_path / "target")):
        proxy.drop()
        proxy.faults.extend([Stall(), Stall()])
        assert await work()
        assert not proxy.faults
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


async def test_a_transfer_has_an_end(server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path) -> None:
    proxy.always = Stall()
    error = await failing(opened(server, proxy.endpoint, limits=_SHORT).fetch(f"{_ROOT}/x", tmp_path / "y"))
    assert error.transient
    assert "does not answer in time" in str(error)
    patient = Limits(retry_seconds=60, stall=60, timeout=0.5)
    error = await failing(opened(server, proxy.endpoint, limits=patient).upload(Path(__file__), f"{_ROOT}/x"))
    assert error.transient
    assert "took more than 0.5 s" in str(error) or "does not answer in time" in str(error)


async def test_a_connection_that_breaks_off(
    server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 20_000
    uri = planted(server, "broken", data)
    store = opened(server, proxy.endpoint, limits=Limits(retry_seconds=30, stall=5))
    target = tmp_path / "target"
    proxy.faults.extend([Cut(1_000_000), Cut(2_000_000), Cut(500_000)])
    assert await store.fetch(uri, target / "file")
    assert (target / "file").read_bytes() == data
    assert not proxy.faults
    proxy.drop()
    proxy.faults.extend([Cut(1_000_000), Cut(300_000)])
    assert b"".join(store.read(uri, offset=5)) == data[5:]
    assert not proxy.faults
    proxy.drop()
    proxy.always = Cut(100_000)
    error = await failing(opened(server, proxy.endpoint, limits=_SHORT).fetch(uri, target / "never"))
    assert error.transient
    assert [path.name for path in target.iterdir()] == ["file"]


async def test_an_upload_whose_last_answer_is_lost(
    server: object_stores.ObjectStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(20 << 20))
    store = opened(server, proxy.endpoint, limits=Limits(retry_seconds=30, stall=5))
    unknown = Refuse("404 Not Found", "NoSuchUpload")
    proxy.lose_answer_to(b"POST /artifacts/faults/lost?uploadId=", unknown)
    assert await store.upload(tmp_path / "big", f"{_ROOT}/lost")
    assert proxy.met == [unknown]
    assert b"".join(store.read(f"{_ROOT}/lost")) == (tmp_path / "big").read_bytes()


async def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    ca, chain, key = certificates(tmp_path)
    (tmp_path / "source").write_text("x")
    with object_stores.s3(["artifacts"], certificate=(chain, key)) as server:
        trusting = opened(server, caBundle=ca.read_text())
        assert await trusting.upload(tmp_path / "source", f"{_ROOT}/x")
        assert await trusting.exists(f"{_ROOT}/x")
        error = await failing(opened(server, limits=_SHORT).exists(f"{_ROOT}/x"))
        assert "its TLS certificate is not trusted (UnknownIssuer)" in str(error)
        assert "caBundle" in str(error)
        assert not error.transient
    with pytest.raises(ArtifactStoreError, match="settings are wrong"):
        opened(server, caBundle="no certificate").info(f"{_ROOT}/x")


async def test_checksums_are_stored_when_asked_for(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    (tmp_path / "big").write_bytes(b"x" * (20 << 20))
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )
    for name in ("small", "big"):
        assert await opened(server, checksums=True).upload(tmp_path / name, f"{_ROOT}/sum/{name}")
        head = client.head_object(Bucket="artifacts", Key=f"faults/sum/{name}", ChecksumMode="ENABLED")
        assert head["ChecksumSHA256"]


async def test_marks_of_directories_are_no_files(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    for name in ("marked/a/b", "marked/c"):
        planted(server, name, name.encode())
    store = opened(server)
    assert [one.uri for one in store.list(f"{_ROOT}/marked")] == [f"{_ROOT}/marked/a/b", f"{_ROOT}/marked/c"]
    info = store.info(f"{_ROOT}/marked/a")
    assert info is not None
    assert info.size is None
    assert await store.fetch(f"{_ROOT}/marked", tmp_path / "target")
    assert (tmp_path / "target" / "a" / "b").read_text() == "marked/a/b"


async def test_names_that_climb_are_refused(tmp_path: Path) -> None:
    with object_stores.google(["artifacts"]) as server:
        for name in ("set%2Fgood", "set%2F..%2F..%2Fescaped"):
            url = f"{server.endpoint}/upload/storage/v1/b/artifacts/o?uploadType=media&name={name}"
            assert http.call("POST", url, data=b"x").status == 200
        config = parse_file(
            f"providers: {{gs: {{default: {{endpoint: '{server.endpoint}', credentials: {{fromEnv: true}}}}}}}}"
        )
        error = await failing(RoutedStore(config, {}).fetch("gs://artifacts/set", tmp_path / "deep" / "target"))
        assert "a name there cannot be a path" in str(error)
    assert not list(tmp_path.rglob("escaped"))


async def test_nothing_is_stored_of_what_cannot_be_stored_whole(
    server: object_stores.ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("x")
    (tmp_path / "source" / "link").symlink_to("/etc/hostname")
    assert "leads out" in str(await failing(opened(server).upload(tmp_path / "source", f"{_ROOT}/linked")))
    assert opened(server).info(f"{_ROOT}/linked") is None


async def test_names_without_a_form_are_refused(server: object_stores.ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "line\nbreak").write_text("x")
    error = await failing(opened(server).upload(tmp_path / "source", f"{_ROOT}/names"))
    assert "control characters are refused" in str(error)
    assert not error.transient


@pytest.mark.parametrize(
    ("place", "bucket", "endpoint", "virtual"),
    [
        (BucketSettings("s3", ""), "plain", None, True),
        (BucketSettings("s3", ""), "dotted.name", None, False),
        (BucketSettings("s3", "", endpoint="https://store:9000"), "plain", "https://store:9000", False),
        (
            BucketSettings("s3", "", endpoint="https://store:9000", path_style=False),
            "plain",
            "https://plain.store:9000",
            True,
        ),
        (BucketSettings("minio", "", path_style=True), "plain", None, False),
    ],
)
def test_where_the_bucket_stands(place: BucketSettings, bucket: str, endpoint: str | None, virtual: bool) -> None:
    made = open_bucket(place, parse(f"s3://{bucket}/x"), {"AWS_REGION": "eu-west-1"}, Limits())
    assert isinstance(made, S3Store)
    config = dict(made.config)
    assert config.get("endpoint") == endpoint
    assert str(config["virtual_hosted_style_request"]).lower() == str(virtual).lower()
    assert config["region"] == "eu-west-1"


def test_credentials_go_to_no_host_that_a_uri_names() -> None:
    store = RoutedStore(parse_file(""), {})
    with pytest.raises(ArtifactStoreError, match="no account of Azure"):
        store.info("abfs://container@evil.example.org/x")


def certificates(directory: Path) -> tuple[Path, Path, Path]:
    """A CA, and a chain with its key for 127.0.0.1."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def made(name: str, issuer: str, key: Any, signer: Any, extension: Any) -> x509.Certificate:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
        builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256())

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = made("test-ca", "test-ca", ca_key, ca_key, x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = made("store", "test-ca", key, ca_key, names)
    pem = serialization.Encoding.PEM
    ca_path, chain_path, key_path = (directory / name for name in ("ca.pem", "chain.pem", "key.pem"))
    ca_path.write_bytes(ca.public_bytes(pem))
    chain_path.write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
    none = serialization.NoEncryption()
    key_path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    return ca_path, chain_path, key_path
