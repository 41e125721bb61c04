"""Temporary object stores for tests: real servers of S3, Google Cloud Storage and Azure Blob Storage.

Invariants: nothing listens but a free port on loopback; the server is ended when the block ends; the programs are
those that `tools.programs` has installed in `build/bin` (Go programs from their modules, Azurite from npm), atomically.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from tools import google_uploads
from tools.go_programs import go_program
from tools.ports import free_port
from tools.services import serving

_BIN = Path(__file__).resolve().parents[1] / "build" / "bin"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
_AZURITE = "azurite@3.35.0"
_AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's published key: everybody has it.
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """`directory` is where the server keeps its objects."""

    endpoint: str
    directory: Path
    access_key: str = ""
    secret_key: str = ""


@contextlib.contextmanager
def s3(
    buckets: Sequence[str] = (),
    *,
    certificate: tuple[Path, Path] | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
    keys: tuple[str, str] = ("penstock-test", "penstock-secret"),
    owners: Mapping[str, str] | None = None,
) -> Iterator[ObjectStore]:
    """versitygw over a directory. `certificate`: files of a chain and its key, for TLS. `keys`: access and secret.

    `owners` maps buckets to secrets: such a bucket belongs to an account of its name, which reaches no other one.
    """
    with _directory("s3", buckets) as directory, _directory("s3-accounts") as accounts:
        port = port or free_port(host)
        tls = ("--cert", str(certificate[0]), "--key", str(certificate[1])) if certificate else ()
        found = ObjectStore(f"{'https' if tls else 'http'}://{host}:{port}", directory, *keys)
        command = [
            str(go_program(VERSITYGW)), "--access", found.access_key, "--secret", found.secret_key,
            "--port", f"{host}:{port}", "--quiet", *tls, *(("--iam-dir", str(accounts)) if owners else ()),
            "posix", str(directory),
        ]  # fmt: skip
        with serving(command, port, host):
            for bucket, secret in (owners or {}).items():
                _give_bucket(found, bucket, secret)
            yield found


@contextlib.contextmanager
def google(buckets: Sequence[str] = ()) -> Iterator[ObjectStore]:
    """fake-gcs-server with its objects in memory, and with the uploads that it lacks."""
    with _directory("google") as directory:
        port, behind = free_port(), free_port()
        command = [
            str(go_program(FAKE_GCS)), "-scheme", "http", "-host", "127.0.0.1", "-port", str(behind),
            "-public-host", f"127.0.0.1:{port}", "-backend", "memory",
        ]  # fmt: skip
        with serving(command, behind), google_uploads.front(port, behind):
            for bucket in buckets:
                made = json.dumps({"name": bucket}).encode()
                with urllib.request.urlopen(f"http://127.0.0.1:{behind}/storage/v1/b", data=made):
                    pass
            yield ObjectStore(f"http://127.0.0.1:{port}", directory)


@contextlib.contextmanager
def azure(containers: Sequence[str] = ()) -> Iterator[ObjectStore]:
    """Azurite with its published account; `access_key` is the account's name."""
    with _directory("azure") as directory:
        port = free_port()
        command = [
            _tool("node"), str(_azurite()), "--blobHost", "127.0.0.1", "--blobPort", str(port),
            "--location", str(directory), "--silent", "--skipApiVersionCheck", "--disableTelemetry",
        ]  # fmt: skip
        with serving(command, port):
            found = ObjectStore(f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}", directory, _AZURE_ACCOUNT, _AZURE_KEY)
            for container in containers:
                _make_container(found, container)
            yield found


@contextlib.contextmanager
def _directory(name: str, buckets: Sequence[str] = ()) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"penstock-{name}-", ignore_cleanup_errors=True) as made:
        for bucket in buckets:
            (Path(made) / bucket).mkdir()
        yield Path(made)


def install_azurite() -> None:
    """Unless it is there. Raises RuntimeError with what npm said."""
    home = _azurite_home()
    if home.exists():
        return
    _BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_BIN, prefix=".building-") as elsewhere:
        made = Path(elsewhere) / "azurite"
        made.mkdir()
        _checked([_tool("npm"), "install", "--silent", "--no-fund", "--prefix", str(made), _AZURITE], {})
        try:
            made.replace(home)
        except OSError:
            # Another process installed it first.
            if not home.exists():
                raise


def _azurite() -> Path:
    if not _azurite_home().exists():
        raise RuntimeError(f"{_AZURITE} is not in build/bin; `make test-programs` installs it")
    return _azurite_home() / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def _azurite_home() -> Path:
    return _BIN / _AZURITE.replace("@", "-")


def _give_bucket(store: ObjectStore, name: str, secret: str) -> None:
    admin = [
        str(go_program(VERSITYGW)), "admin", "--access", store.access_key, "--secret", store.secret_key,
        "--endpoint-url", store.endpoint,
    ]  # fmt: skip
    _checked([*admin, "create-user", "--access", name, "--secret", secret, "--role", "user"], {})
    _checked([*admin, "change-bucket-owner", "--bucket", name, "--owner", name], {})


def _make_container(store: ObjectStore, name: str) -> None:
    """By hand: the client library makes none."""
    date = formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
    # Azurite's account is in the path, and in the canonical resource once more.
    resource = f"/{store.access_key}/{store.access_key}/{name}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    digest = hmac.new(base64.b64decode(store.secret_key), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {store.access_key}:{base64.b64encode(digest).decode()}"
    request = urllib.request.Request(f"{store.endpoint}/{name}?restype=container", method="PUT", headers=headers)
    with urllib.request.urlopen(request):
        pass


def _tool(name: str) -> str:
    """Of the development environment, else of the system."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        raise RuntimeError(f"{name} is not installed; make setup installs it")
    return found


def _checked(command: Sequence[str], environment: Mapping[str, str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, env={**os.environ, "PATH": path, **environment},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-3000:]}")
