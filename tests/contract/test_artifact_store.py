"""One suite for every artifact store: files, S3, Google Cloud Storage and Azure Blob Storage, each a real server."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from penstock_executor.dispatch.existence import ExistenceChecks
from penstock_ir.artifact import Artifact
from penstock_ir.event_log import CachedResult, Outputs
from penstock_store.base import ArtifactStoreError, ContentError, Limits
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.objects import ObjectBucket
from penstock_store.providers import parse_file
from penstock_store.router import RoutedStore

from tools import object_stores

# The first use of a server builds it.
pytestmark = pytest.mark.timeout(900)
_S3 = """
providers:
  s3:
    default:
      endpoint: {endpoint}
      credentials: {{secretRef: {{secretName: keys, accessKeyKey: access, secretKeyKey: secret}}}}
"""
_GOOGLE = "providers: {{gs: {{default: {{endpoint: '{endpoint}', credentials: {{fromEnv: true}}}}}}}}"
_AZURE = """
providers:
  az:
    default:
      endpoint: {endpoint}
      account: {access_key}
      credentials: {{secretRef: {{secretName: keys, accountKeyKey: key}}}}
"""


@dataclass(frozen=True)
class Kind:
    """A running store. Every test has a root of its own in it."""

    name: str
    bucket: str
    config: StoreConfig
    environ: dict[str, str]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["artifacts"]) as server:
        yield server


@pytest.fixture(scope="module", params=["files", "s3", "google", "azure"])
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    if request.param == "files":
        yield Kind("files", tmp_path_factory.mktemp("files").as_uri(), StoreConfig(), {})
    elif request.param == "s3":
        server = request.getfixturevalue("s3_server")
        yield Kind("s3", "s3://artifacts", parse_file(_S3.format(endpoint=server.endpoint)), s3_environ(server))
    elif request.param == "google":
        with object_stores.google(["artifacts"]) as server:
            yield Kind("google", "gs://artifacts", parse_file(_GOOGLE.format(endpoint=server.endpoint)), {})
    else:
        with object_stores.azure(["artifacts"]) as server:
            text = _AZURE.format(endpoint=server.endpoint, access_key=server.access_key)
            environ = {"PENSTOCK_STORE_AZ_ACCOUNT_KEY": server.secret_key}
            yield Kind("azure", "az://artifacts", parse_file(text), environ)


def s3_environ(server: object_stores.ObjectStore) -> dict[str, str]:
    return {"PENSTOCK_STORE_S3_ACCESS_KEY": server.access_key, "PENSTOCK_STORE_S3_SECRET_KEY": server.secret_key}


@pytest.fixture
def root(kind: Kind, request: pytest.FixtureRequest) -> str:
    """Kinds may share a server."""
    return f"{kind.bucket}/{kind.name}/{request.node.originalname}"


@pytest.fixture
def store(kind: Kind, root: str) -> RoutedStore:
    files = None
    if kind.name == "files":
        directory = Path(root.removeprefix("file://"))
        # As a bucket, it is there before anything is kept in it.
        directory.mkdir(parents=True, exist_ok=True)
        files = FileArtifactStore(directory)
    return RoutedStore(kind.config, kind.environ, files=files, limits=Limits(retry_seconds=5))


async def test_files_and_directories_come_back(store: RoutedStore, root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "deeper").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"\x00\xff")
    (source / "deep" / "deeper" / "empty").touch()
    (source / "deep-er").write_text("beside")
    (source / "nothing in it").mkdir()
    assert await store.upload(source, f"{root}/a/b")
    assert await store.upload(source / "deep-er", f"{root}/file")
    target = tmp_path / "target"
    assert await store.fetch(f"{root}/a/b", target / "b")
    assert await store.fetch(f"{root}/file", target / "file")
    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"b/deep/file": b"\x00\xff", "b/deep/deeper/empty": b"", "b/deep-er": b"beside", "file": b"beside"}
    assert [path.stat().st_mode & 0o444 for path in (target / "file", target / "b" / "deep-er")] == [0o444, 0o444]


async def test_a_cached_result_is_valid_while_its_objects_exist(store: RoutedStore, root: str, tmp_path: Path) -> None:
    """A file, a directory, and nothing any more."""

    async def store_of(namespace: str) -> RoutedStore:
        return store

    checks = ExistenceChecks(store_of)

    async def why(*names: str) -> str:
        artifacts = tuple(Artifact(name, "system.Model", f"{root}/made/{name}") for name in names)
        result = CachedResult(Outputs(artifacts={"model": artifacts}), "made", "only")
        return await checks.why_unusable("", result)

    await put(store, tmp_path, f"{root}/made/file", b"content")
    await put(store, tmp_path, f"{root}/made/tree/deep/file", b"content")
    assert await why("file", "tree") == ""
    assert await why("file", "nothing") == f"the artifact {root}/made/nothing of run made is gone"
    remove(store, f"{root}/made/tree/deep/file")
    assert await why("file") == ""
    assert await why("file", "tree") == f"the artifact {root}/made/tree of run made is gone"


def remove(store: RoutedStore, uri: str) -> None:
    """Removes an object as its owner does, behind our back."""
    path = store.local_path(uri)
    if path is not None:
        path.unlink()
        # Other stores have no empty directories.
        path.parent.rmdir()
        path.parent.parent.rmdir()
        return
    bucket = store._store(uri)
    assert isinstance(bucket, ObjectBucket)
    obstore.delete(bucket._client, uri.split("/", 3)[3])


async def test_what_is_not_there(store: RoutedStore, root: str, tmp_path: Path) -> None:
    assert not await store.exists(f"{root}/nobody")
    assert not await store.fetch(f"{root}/nobody", tmp_path / "target")
    assert not (tmp_path / "target").exists()
    assert not await store.upload(tmp_path / "nobody", f"{root}/a")
    assert store.info(f"{root}/nobody") is None
    assert list(store.list(f"{root}/nobody")) == []
    with pytest.raises(ArtifactStoreError, match=r"nobody.*lies there"):
        next(store.read(f"{root}/nobody"))


async def test_a_name_is_no_prefix(store: RoutedStore, root: str, tmp_path: Path) -> None:
    for name in ("data/one", "data2/two", "data.txt"):
        await put(store, tmp_path, f"{root}/{name}", name.encode())
    assert await store.fetch(f"{root}/data", tmp_path / "target")
    assert [str(path.relative_to(tmp_path / "target")) for path in (tmp_path / "target").rglob("*")] == ["one"]
    assert not await store.exists(f"{root}/dat")
    assert not await store.exists(f"{root}/data/on")
    info = store.info(f"{root}/data")
    assert info is not None
    assert info.size is None


@pytest.mark.parametrize(
    "name",
    ["a b", "ünïcode/ß", "100%25", "%2e%2e", "a+b", "q?x=1#y", "a&b=c;d", "it's", 'say "x"', "~a", "*(!)@:,$", "🙂"],
)
async def test_names_come_back_as_they_are(store: RoutedStore, root: str, tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    (source / name).parent.mkdir(parents=True)
    (source / name).write_text(name)
    at = f"{root}/{name.encode().hex()}"
    assert await store.upload(source, at)
    assert await store.fetch(at, tmp_path / "target")
    assert (tmp_path / "target" / name).read_text() == name
    listed = [one.uri for one in store.list(at)]
    assert [b"".join(store.read(uri)).decode() for uri in listed] == [name]
    if not root.startswith("file://"):
        assert listed == [f"{at}/{name}"]


async def test_pieces_of_an_object(store: RoutedStore, root: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    await put(store, tmp_path, f"{root}/object", data)
    await put(store, tmp_path, f"{root}/empty", b"")
    uri = f"{root}/object"

    def read(**span: int) -> bytes:
        return b"".join(store.read(uri, **span))

    assert read() == data
    assert read(offset=1000) == data[1000:]
    assert read(offset=300_000, length=5) == data[300_000:300_005]
    assert read(length=7) == data[:7]
    assert read(offset=len(data) - 3, length=100) == data[-3:]
    assert read(offset=len(data)) == b""
    assert read(offset=len(data) + 1, length=1) == b""
    assert read(length=0) == b""
    assert b"".join(store.read(f"{root}/empty")) == b""
    found = [store.info(uri), store.info(f"{root}/empty")]
    assert [info and info.size for info in found] == [len(data), 0]


async def test_the_content_of_one_object_up_to_a_limit(store: RoutedStore, root: str, tmp_path: Path) -> None:
    await store.write(b"x" * 1000, f"{root}/directory/object")
    assert await store.content(f"{root}/directory/object", 1000) == b"x" * 1000
    with pytest.raises(ContentError, match="has more than 999 bytes"):
        await store.content(f"{root}/directory/object", 999)
    assert await store.content(f"{root}/directory", 1000) is None
    assert await store.content(f"{root}/nothing", 1000) is None


async def test_lists_are_in_the_order_of_keys(store: RoutedStore, root: str, tmp_path: Path) -> None:
    names = ["b/x", "b-y", "a/1", "a/10", "a/2", "c", "B"]
    for name in names:
        await put(store, tmp_path, f"{root}/{name}", name.encode())
    listed = [(one.uri.removeprefix(f"{root}/"), one.size) for one in store.list(root)]
    assert listed == sorted((name, len(name)) for name in names)
    assert [one.uri for one in store.list(f"{root}/a")] == [f"{root}/a/{name}" for name in ("1", "10", "2")]


async def test_what_lies_there_stays(store: RoutedStore, root: str, tmp_path: Path) -> None:
    await put(store, tmp_path, f"{root}/file", b"first")
    await put(store, tmp_path, f"{root}/directory/file", b"first")
    await put(store, tmp_path, f"{root}/file", b"first")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"other")
    for change, uri in ((source / "file", f"{root}/file"), (source, f"{root}/directory"), (source, f"{root}/file")):
        with pytest.raises(ContentError, match="nothing is overwritten"):
            await store.upload(change, uri)
    with pytest.raises(ContentError, match="nothing is overwritten"):
        await store.upload(source / "file", f"{root}/directory")
    (source / "file").write_bytes(b"first")
    (source / "more").write_bytes(b"more")
    assert await store.upload(source, f"{root}/directory")
    assert b"".join(store.read(f"{root}/file")) == b"first"
    assert [one.size for one in store.list(f"{root}/directory")] == [5, 4]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user may look into; pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.mark.parametrize("what", ["FIFO", "FIFO inside", "unreadable", "name"])
async def test_what_cannot_be_stored(store: RoutedStore, root: str, open_to_all: Path, what: str) -> None:
    """Whoever left it hears of it: the store itself is well."""
    source = open_to_all / ("x" * 300 if what == "name" else "source")
    if what == "FIFO":
        os.mkfifo(source)
    elif what == "FIFO inside":
        source.mkdir()
        os.mkfifo(source / "inner")
    elif what == "unreadable":
        source.write_bytes(b"x")
        source.chmod(0)
    # Root may read everything.
    privileged = what == "unreadable" and os.geteuid() == 0
    try:
        if privileged:
            os.seteuid(65534)
        with pytest.raises(ContentError):
            await store.upload(source, f"{root}/{what.replace(' ', '-')}")
    finally:
        if privileged:
            os.seteuid(0)


@pytest.mark.parametrize("operation", ["write", "create"])
async def test_what_is_held_is_written_as_a_file_is(store: RoutedStore, root: str, operation: str) -> None:
    write = getattr(store, operation)
    for content in (b"", b"\x00\xff" * 100_000):
        uri = f"{root}/of {operation}/{len(content)} bytes"
        for _ in range(2):
            await write(content, uri)
        assert b"".join(store.read(uri)) == content
        for other in (content + b"more", b"\x00\xfe" * 100_000):
            with pytest.raises(ContentError, match="nothing is overwritten"):
                await write(other, uri)
        assert b"".join(store.read(uri)) == content
    with pytest.raises(ContentError, match="nothing is overwritten"):
        await store.write(b"a file", f"{root}/of {operation}")
    with pytest.raises(ArtifactStoreError, match=r"outside|\.\."):
        await write(b"x", f"{root}/../../escaped")


async def test_what_lies_there_is_replaced_when_that_is_wanted(store: RoutedStore, root: str, tmp_path: Path) -> None:
    await put(store, tmp_path, f"{root}/file", b"first")
    await put(store, tmp_path, f"{root}/directory/file", b"first")
    await put(store, tmp_path, f"{root}/directory/stays", b"first")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"second one")
    (source / "more").write_bytes(b"more")
    for change, uri in ((source / "file", f"{root}/directory"), (source, f"{root}/file")):
        with pytest.raises(ContentError, match="nothing is overwritten"):
            await store.upload(change, uri, replace=True)
    assert await store.upload(source / "file", f"{root}/file", replace=True)
    assert await store.upload(source, f"{root}/directory", replace=True)
    assert b"".join(store.read(f"{root}/file")) == b"second one"
    found = {one.uri.rsplit("/", 1)[-1]: b"".join(store.read(one.uri)) for one in store.list(f"{root}/directory")}
    assert found == {"file": b"second one", "more": b"more", "stays": b"first"}


async def test_nothing_climbs(store: RoutedStore, root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    with pytest.raises(ArtifactStoreError, match=r"outside|\.\."):
        await store.upload(source, f"{root}/../../escaped")
    with pytest.raises(ArtifactStoreError, match=r"outside|\.\."):
        store.info(f"{root}/../../escaped")


def test_big_files_pass_in_little_memory(kind: Kind, root: str, tmp_path: Path) -> None:
    """100 MiB there and back again, in a process of its own."""
    (tmp_path / "big").mkdir()
    block = os.urandom(1 << 20)
    with (tmp_path / "big" / "file").open("wb") as file:
        for number in range(100):
            file.write(number.to_bytes(8, "big") + block[8:])
    (tmp_path / "config").write_text(json.dumps(kind.config.to_json()))
    code = """
import asyncio, json, re, sys
from pathlib import Path
from penstock_store.config import StoreConfig
from penstock_store.files import FileArtifactStore
from penstock_store.router import RoutedStore
import obstore
directory, root, environ = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
files = FileArtifactStore(Path(root.removeprefix("file://"))) if root.startswith("file:") else None
store = RoutedStore(StoreConfig.from_json(json.loads((directory / "config").read_text())), environ, files=files)
def peak():
    # Not getrusage: its figure is inherited from the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
async def there_and_back():
    assert await store.upload(directory / "big" / "file", f"{root}/big")
    assert await store.upload(directory / "big", f"{root}/set")
    assert await store.fetch(f"{root}/big", directory / "back")
    assert await store.fetch(f"{root}/set", directory / "set")
asyncio.run(there_and_back())
print(peak() - before)
"""
    command = [sys.executable, "-c", code, str(tmp_path), root, json.dumps(kind.environ)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 90, f"{done.stdout} MiB more than at the beginning"
    for back in (tmp_path / "back", tmp_path / "set" / "file"):
        assert filecmp.cmp(tmp_path / "big" / "file", back, shallow=False)


async def put(store: RoutedStore, tmp_path: Path, uri: str, data: bytes) -> None:
    source = tmp_path / "put"
    source.write_bytes(data)
    assert await store.upload(source, uri)
