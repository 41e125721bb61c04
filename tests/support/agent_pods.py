"""Directories and stores of Pods in which an agent works, as files and as an S3 bucket."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from penstock_executor.agent.protocol import AttemptResult
from penstock_store.config import BucketSettings, CredentialVariable, StoreConfig

from tests.support.pod import PodDirectory, finished
from tools import object_stores


@contextmanager
def s3_bucket() -> Iterator[object_stores.ObjectStore]:
    """An object store with the bucket `bucket`."""
    with object_stores.s3(["bucket"]) as store:
        yield store


def kept_in(directory: Path) -> Path:
    """Where the artifacts of a `file://` root are."""
    path = directory / "kept"
    path.mkdir()
    return path


def file_pod(directory: Path, kept: Path) -> PodDirectory:
    """One whose root is `kept`, which its agent reaches as files."""
    made = directory / "pod"
    made.mkdir()
    return PodDirectory(made, f"file://{kept}/root")


def bucket_pod(directory: Path, store: object_stores.ObjectStore) -> PodDirectory:
    """One whose root is in the bucket."""
    return PodDirectory(directory, f"s3://bucket/{directory.name}", store=s3_config(store.endpoint).to_json())


def s3_config(endpoint: str) -> StoreConfig:
    stem = "PENSTOCK_STORE_S3"
    credentials = tuple(CredentialVariable(f"{stem}_{end}", "secret", end) for end in ("ACCESS_KEY", "SECRET_KEY"))
    return StoreConfig(
        buckets=(BucketSettings("s3", stem, endpoint=endpoint, region="us-east-1", credentials=credentials),)
    )


S3_KEYS = {"PENSTOCK_STORE_S3_ACCESS_KEY": "k", "PENSTOCK_STORE_S3_SECRET_KEY": "s"}


def s3_env(store: object_stores.ObjectStore) -> dict[str, str]:
    return {"PENSTOCK_STORE_S3_ACCESS_KEY": store.access_key, "PENSTOCK_STORE_S3_SECRET_KEY": store.secret_key}


def stored(pod: PodDirectory, name: str) -> Path:
    return Path(f"{pod.task_root}/{name}".removeprefix("file://"))


def refused(pod: PodDirectory, env: Mapping[str, str] | None = None) -> AttemptResult:
    """What is left of a Pod whose program was not begun, since its inputs could not be had."""
    wrapper = pod.wrapper("touch ran")
    agent = pod.agent(env=env)
    assert finished(wrapper)[0] == 125
    assert finished(agent)[0] == 0
    assert not (pod.directory / "ran").exists()
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.exit is None
    return result


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
