"""Artifacts that are files, through the web UI's own calls: preview, HTML, Markdown, download."""

from __future__ import annotations

import io
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from ml_metadata.proto import metadata_store_service_pb2 as mlmd
from ml_metadata.proto import metadata_store_service_pb2_grpc as mlmd_grpc
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support import web_ui
from tests.support.web_ui import Storage
from tools.embedded import Embedded
from tools.testing import runs, specs

HTML = b"<h1>seen</h1><script>alert(1)</script>"
MARKDOWN = "# Über uns\n".encode()
ROWS = b"a,b\n1,2\n" * 100


@dataclass(frozen=True)
class Shown:
    up: Embedded
    run_id: str

    def storage(self, name: str) -> Storage:
        return Storage.of(web_ui.artifacts(self.up.http, self.run_id)[name].uri)

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"{self.up.http}/pipeline/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Shown]:
    """Below a directory whose name has what a URL gives a meaning of its own."""
    directory = tmp_path_factory.mktemp("shown")
    root = directory / "my files, 100%41 sure? #1 ü+&\n"
    given = directory / "given"
    given.mkdir()
    for name, content in (("html", HTML), ("markdown", MARKDOWN), ("rows", ROWS)):
        (given / name).write_bytes(content)
    script = (
        'mkdir -p "$(dirname "$0")" "$3"; '
        f'cat {given}/html > "$0"; cat {given}/markdown > "$1"; cat {given}/rows > "$2"; cp {given}/* "$3"'
    )
    ports = {"page": "HTML", "notes": "Markdown", "rows": "Dataset", "many": "Dataset"}
    places = [f"{{{{$.outputs.artifacts['{port}'].path}}}}" for port in ports]
    spec = specs.container(
        ["sh", "-ec", script, *places], artifacts={port: f"system.{kind}" for port, kind in ports.items()}
    )
    embedded = Embedded(directory / "data", "--artifacts", str(root), environments=environments)
    with embedded as up, Client(up.grpc) as client:
        run_id = runs.start(client, spec)
        assert runs.finished(client, run_id).state == run_pb2.SUCCEEDED, runs.tasks(client, run_id)
        yield Shown(up, run_id)


def test_the_ui_can_take_the_uris_apart(shown: Shown) -> None:
    for name in ("page", "notes", "rows", "many"):
        assert shown.storage(name).source == "volume"


def test_everybody_else_sees_the_files(shown: Shown) -> None:
    """Over gRPC, and in what the UI asks by: it may name a file as it was told."""
    told = web_ui.artifacts(shown.up.http, shown.run_id)["page"]
    with grpc.insecure_channel(shown.up.grpc) as channel:
        stub = mlmd_grpc.MetadataStoreServiceStub(channel)
        found = stub.GetArtifactsByID(mlmd.GetArtifactsByIDRequest(artifact_ids=[told.id])).artifacts[0]
    assert found.uri.startswith("file:///")
    again = web_ui.metadata(shown.up.http, "GetArtifactsByURI", mlmd.GetArtifactsByURIRequest(uris=[told.uri]))
    assert [(one.id, one.uri) for one in again.artifacts] == [(told.id, told.uri)]
    web_ui.metadata(shown.up.http, "PutArtifacts", mlmd.PutArtifactsRequest(artifacts=[told]))
    with grpc.insecure_channel(shown.up.grpc) as channel:
        stub = mlmd_grpc.MetadataStoreServiceStub(channel)
        assert stub.GetArtifactsByID(mlmd.GetArtifactsByIDRequest(artifact_ids=[told.id])).artifacts[0] == found


@pytest.mark.parametrize(("name", "content"), [("page", HTML), ("notes", MARKDOWN), ("rows", ROWS)])
def test_viewers_and_previews(shown: Shown, name: str, content: bytes) -> None:
    storage = shown.storage(name)
    status, headers, body = shown.get(storage.content())
    assert (status, body) == (200, content)
    # A page of a task's making is text to the UI, and never a page of this origin.
    assert "html" not in headers["Content-Type"]
    assert "sandbox" in headers["Content-Security-Policy"]
    assert shown.get(storage.content(peek="4"))[2] == content[:4]
    assert shown.get(storage.content(keyEncoding="uri"))[2] == content


def test_downloads(shown: Shown) -> None:
    status, headers, body = shown.get(shown.storage("rows").download())
    assert (status, body) == (200, ROWS)
    assert headers["Content-Disposition"].startswith("attachment; filename=")
    status, _, body = shown.get(shown.storage("rows").download(), Range="bytes=0-3")
    assert (status, body) == (206, b"a,b\n")


def test_a_directory_is_previewed_by_its_first_file_and_downloaded_whole(shown: Shown) -> None:
    storage = shown.storage("many")
    assert shown.get(storage.content())[2] == HTML
    status, _, body = shown.get(storage.download())
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert sorted(archive.getnames()) == ["html", "markdown", "rows"]


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ("etc/passwd", 403),
        ("{here}/../../../../../../../../etc/passwd", 403),
        ("{here}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 403),
        ("{here}/out", 403),
        ("{here}/out/passwd", 403),
        ("{here}/nothing", 404),
        ("{here}/%00", 400),
        ("/etc/passwd", 403),
    ],
)
def test_nothing_else_is_read(shown: Shown, key: str, status: int) -> None:
    storage = shown.storage("many")
    link = Path(urllib.request.url2pathname("/" + storage.key)) / "out"
    if not link.is_symlink():
        link.symlink_to("/etc")
    asked = Storage("volume", storage.bucket, key.format(here=storage.key))
    for path in (asked.content(), asked.content(keyEncoding="storage") if "%" not in asked.key else asked.content()):
        found = shown.get(path)
        assert (found[0], b"root:" in found[2]) == (status, False), path
    assert b"root:" not in shown.get(asked.download())[2]
    link.unlink()


def test_other_volumes_are_not_there(shown: Shown) -> None:
    storage = shown.storage("rows")
    for path in (Storage("volume", "data", storage.key).content(), Storage("volume", "data", storage.key).download()):
        status, _, body = shown.get(path)
        assert status == 404
        assert b"'localhost'" in body
