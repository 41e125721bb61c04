"""The agent in a task's Pod (docs/pods.md), with real processes, the committed wrapper, files and a real S3 server: the
results it leaves, and the workspace it fills.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import Transfer
from penstock_executor.agent.results import StoredResult, parse_result

from tests.support.agent_pods import (
    bucket_pod,
    file_pod,
    kept_in,
    refused,
    s3_bucket,
    s3_config,
    s3_env,
)
from tests.support.pod import PodDirectory, finished
from tools import object_stores


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return kept_in(tmp_path)


@pytest.fixture
def pod(tmp_path: Path, kept: Path) -> PodDirectory:
    return file_pod(tmp_path, kept)


@pytest.fixture(scope="module")
def s3() -> Iterator[object_stores.ObjectStore]:
    with s3_bucket() as store:
        yield store


@pytest.fixture
def s3_pod(tmp_path: Path, s3: object_stores.ObjectStore) -> PodDirectory:
    return bucket_pod(tmp_path, s3)


# --- results --------------------------------------------------------------------------------------------------------


def test_large_results_are_stored(s3_pod: PodDirectory, s3: object_stores.ObjectStore) -> None:
    number = s3_pod.parameter("number")
    agent = s3_pod.agent(env=s3_env(s3))
    finished(s3_pod.wrapper(f"head -c 100000 /dev/zero | tr '\\0' x > {number}"))
    finished(agent)
    left = s3_pod.left()
    assert isinstance(left, StoredResult)
    assert left.uri == f"{s3_pod.task_root}/.penstock-result.json"
    data = (s3.directory / left.uri.removeprefix("s3://")).read_bytes()
    assert len(data) == left.size
    result = parse_result(data)
    assert result is not None
    assert result.parameters == {"number": "x" * 100000}


def test_large_results_that_cannot_be_stored(pod: PodDirectory, kept: Path) -> None:
    (kept / "root").write_text("in the way")
    number = pod.parameter("number")
    result = pod.both(f"head -c 100000 /dev/zero | tr '\\0' x > {number}")
    assert result.exit is not None
    assert result.exit.code == 0
    assert result.failure is not None
    assert result.failure[0] == "infrastructure"
    assert "cannot be stored" in result.failure[1]
    assert not result.log_stored


def test_uploads_that_fail(s3: object_stores.ObjectStore, tmp_path: Path) -> None:
    pod = PodDirectory(tmp_path, "s3://no-such-bucket/root", store=s3_config(s3.endpoint).to_json())
    model = pod.output("model")
    result = pod.both(f"echo m > {model}", env=s3_env(s3))
    assert result.failure is not None
    assert result.failure[0] == "configuration"
    assert "no bucket 'no-such-bucket'" in result.failure[1]
    assert not result.log_stored


def test_texts_that_cannot_be_taken(pod: PodDirectory) -> None:
    good, bad, none = pod.parameter("good"), pod.parameter("bad"), pod.parameter("none")
    result = pod.both(f"printf 'é\\r\\n' > {good}; printf '\\377' > {bad}; test ! -e {none}")
    assert result.parameters == {"good": "é\r\n", "bad": None}
    assert result.failure is None


def test_parameters_that_are_too_large(pod: PodDirectory) -> None:
    number = pod.parameter("number")
    result = pod.both(f"truncate -s 16777217 {number}")
    assert result.failure == ("user", "output parameter 'number' is larger than 16777216 bytes")


# --- the workspace --------------------------------------------------------------------------------------------------


def test_the_workspace_is_filled_once(pod: PodDirectory, kept: Path) -> None:
    (kept / "data").mkdir()
    (kept / "data" / "file").write_text("first")
    place = pod.root / "kfp-workspace" / ".artifacts" / "data"
    pod.task = replace(pod.task, inputs=(Transfer(f"file://{kept}/data", str(place), keep=True),))
    assert pod.both(f"cat {place}/file").failure is None
    (kept / "data" / "file").write_text("second")
    for mark in pod.share.iterdir():
        mark.unlink()
    assert pod.both(f"test $(cat {place}/file) = first").failure is None
    assert [path.name for path in place.parent.iterdir()] == ["data"]


def test_a_workspace_cannot_be_filled_with_nothing(pod: PodDirectory, kept: Path) -> None:
    transfer = Transfer(f"file://{kept}/none", str(pod.root / "kfp-workspace" / "none"), keep=True)
    pod.task = replace(pod.task, inputs=(transfer,))
    failure = refused(pod).failure
    assert failure is not None
    assert failure == ("user", f"file://{kept}/none is not there, so it cannot be copied into the workspace")
