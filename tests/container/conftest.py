"""A container runtime, small images made without a network, and a Penstock whose tasks are containers.

Invariants: images and containers have names and labels of the tests' own and are gone in the end.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock.client import Client
from penstock_executor.backends.container.probe import DetectedRuntime, NoRuntimeError, find

from tools import debian
from tools.embedded import Embedded

PROGRAMS = (
    "sh",
    "cat",
    "echo",
    "ls",
    "mkdir",
    "rm",
    "sleep",
    "test",
    "touch",
    "true",
    "false",
    "kill",
    "id",
    "dd",
    "date",
    "head",
    "tail",
    "seq",
    "stat",
    "printf",
)


@pytest.fixture(scope="session")
def found() -> DetectedRuntime:
    """Of this machine, or the one that the environment names as `up` would be told."""
    program = os.environ.get("PENSTOCK_CONTAINER_RUNTIME", "")
    if not program:
        # Whichever runtime podman brings by itself, this one does with every kind of cgroups.
        debian.require("runc")
        debian.require("podman")
    try:
        return find(program, os.environ.get("PENSTOCK_CONTAINER_OPTION", "").split())
    except NoRuntimeError as error:
        pytest.fail(f"these tests need a container runtime: {error}")


@pytest.fixture(scope="session")
def podman(found: DetectedRuntime) -> Callable[..., str]:
    """Calls the runtime."""

    def call(*arguments: str, data: bytes | None = None) -> str:
        done = subprocess.run([found.program, *found.options, *arguments], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    return call


@pytest.fixture(scope="session")
def image(podman: Callable[..., str]) -> Iterator[str]:
    """An image with a shell and no entrypoint."""
    name = f"localhost/penstock-test:{uuid.uuid4().hex[:12]}"
    podman("import", "-", name, data=_root_file_system())
    yield name
    podman("rmi", "--force", name)


@pytest.fixture(scope="session")
def entry_image(podman: Callable[..., str]) -> Iterator[str]:
    """An image that knows by itself what to run."""
    name = f"localhost/penstock-test-entry:{uuid.uuid4().hex[:12]}"
    script = 'echo "$@" > /tmp/kfp/outputs/said; echo by itself'
    changes = ["--change", f'ENTRYPOINT ["sh", "-c", "{script.replace(chr(34), chr(92) + chr(34))}", "entry"]']
    changes += ["--change", 'CMD ["by", "default"]']
    podman("import", *changes, "-", name, data=_root_file_system())
    yield name
    podman("rmi", "--force", name)


@pytest.fixture(scope="session")
def up(found: DetectedRuntime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with Embedded(tmp_path_factory.mktemp("up"), "--backend", "container", "--parallelism", "3") as embedded:
        yield embedded


@pytest.fixture(scope="session")
def client(up: Embedded) -> Iterator[Client]:
    with Client(up.grpc) as made:
        yield made


def _root_file_system() -> bytes:
    debian.require("/bin/busybox")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "run"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(directory)
        tar.add(Path("/bin/busybox").resolve(), "bin/busybox")
        for name in PROGRAMS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return data.getvalue()
