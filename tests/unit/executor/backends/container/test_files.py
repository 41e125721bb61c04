"""A task's files on the machine: directories, mounts, inputs of its own; what a runtime knows of a container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import Transfer
from penstock_executor.attempts import AttemptKey
from penstock_executor.backends.container.directory import AttemptDirectory
from penstock_executor.backends.container.inputs import bring
from penstock_executor.backends.container.state import states_of
from penstock_executor.backends.container.volumes import Mount, claims_in_parts, our_mounts, task_mounts
from penstock_executor.backends.errors import TaskSpecError
from penstock_store.files import FileArtifactStore

KEY = AttemptKey("run", "loop[1]/task", 2)


@pytest.fixture
def directory(tmp_path: Path) -> AttemptDirectory:
    made = AttemptDirectory(tmp_path / "home", KEY)
    made.prepare(workspace=True)
    return made


async def brought(tmp_path: Path, directory: AttemptDirectory, *inputs: Transfer, overlays: bool = True) -> list[Mount]:
    store = FileArtifactStore(tmp_path)
    return await bring(store, inputs, directory, overlays=overlays, timeout=10)


def test_a_claim_is_made_once(directory: AttemptDirectory) -> None:
    assert not directory.claimed
    assert [directory.claim(), directory.claim()] == [True, False]
    assert directory.claimed


def test_places_of_a_task(tmp_path: Path, directory: AttemptDirectory) -> None:
    paths = ["/s3/b/k", "/minio/_file/x/y", "/kfp-workspace/.artifacts/s3/b"]
    mounts = our_mounts(directory, tmp_path / "run", directory.log, paths)
    targets = {mount.target: mount for mount in mounts}
    assert set(targets) == {*("/tmp/kfp", "/s3", "/minio", "/penstock/share", "/penstock/log", "/penstock/bin/run")}
    assert targets["/penstock/bin/run"].mode == "ro"
    for place in ("/tmp/kfp", "/s3", "/minio", "/penstock/share"):
        assert Path(targets[place].source).stat().st_mode & 0o777 == 0o777


async def test_a_directory_is_shown_itself_and_a_file_alone(tmp_path: Path, directory: AttemptDirectory) -> None:
    stored = tmp_path / "stored"
    (stored / "tree").mkdir(parents=True)
    (stored / "file").write_text("content")
    (stored / "secret").write_text("of somebody else")
    tree = Transfer((stored / "tree").as_uri(), f"/minio/_file{stored}/tree")
    file = Transfer((stored / "file").as_uri(), f"/minio/_file{stored}/file")
    mounts = await brought(tmp_path, directory, tree, file)
    assert Mount(tree.path, str(stored / "tree"), "O") in mounts
    [alone] = [mount for mount in mounts if mount.target == f"/minio/_file{stored}"]
    assert alone.mode == "O"
    assert [path.name for path in Path(alone.source).iterdir()] == ["file"]
    assert (Path(alone.source) / "file").samefile(stored / "file")


@pytest.mark.parametrize("overlays", [True, False])
async def test_what_cannot_be_an_overlay_is_copied(tmp_path: Path, directory: AttemptDirectory, overlays: bool) -> None:
    stored = tmp_path / ("a:b" if overlays else "plain")
    stored.mkdir()
    (stored / "file").write_text("content")
    one = Transfer(f"file://{stored}/file", f"/minio/_file{stored}/file")
    assert await brought(tmp_path, directory, one, overlays=overlays) == []
    copy = directory.on_host(one.path)
    assert copy.read_text() == "content"
    assert not copy.samefile(stored / "file")


async def test_an_input_of_the_workspace_is_found_at_both_places(tmp_path: Path, directory: AttemptDirectory) -> None:
    (tmp_path / "model").write_text("content")
    inside = "/kfp-workspace/.artifacts/s3/b/model"
    assert (
        await brought(tmp_path, directory, Transfer(f"file://{tmp_path}/model", inside, keep=True, link="/s3/b/model"))
        == []
    )
    assert (directory.workspace / ".artifacts/s3/b/model").read_text() == "content"
    # As the container has it.
    assert directory.on_host("/s3/b/model").readlink() == Path(inside)


def claim(name: str, claim_name: str) -> dict[str, Any]:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim_name}}


def test_volumes_of_a_task(directory: AttemptDirectory) -> None:
    settings: dict[str, Any] = {
        "workspace": {"claimName": "ws"},
        "volumes": [claim("ws", "ws"), claim("data", "data"), {"name": "s", "secret": {"optional": True}}],
        "volumeMounts": [
            {"name": "ws", "mountPath": "/kfp-workspace"},
            {"name": "data", "mountPath": "/whole"},
            {"name": "data", "mountPath": "/part", "subPath": "a/b"},
            {"name": "s", "mountPath": "/secret"},
        ],
        "ownVolumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
        "ownVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    assert claims_in_parts(settings) == ["data"]
    mounts = task_mounts(settings, directory, {"data": "/volumes/data"}, [])
    assert mounts == [
        Mount("/kfp-workspace", str(directory.workspace)),
        Mount("/whole", "data"),
        Mount("/part", "/volumes/data/a/b"),
        Mount("/secret"),
        Mount("/scratch", str(directory.path / "volumes" / "scratch")),
        Mount("/dev/shm", size=1 << 20),
    ]
    assert mounts[1].options() == ["--mount", "type=volume,source=data,target=/whole"]
    assert mounts[5].options() == ["--tmpfs", "/dev/shm:size=1048576"]


@pytest.mark.parametrize(
    ("mounts", "words"),
    [
        ([("data", "/tmp/kfp", "")], "where Penstock keeps"),
        ([("data", "/penstock/x", "")], "where Penstock keeps"),
        ([("data", "/a", ""), ("data", "/a", "")], "two volumes"),
        ([("data", "/a", "../b")], "must not lead out"),
    ],
)
def test_mounts_that_are_in_the_way(directory: AttemptDirectory, mounts: list[Any], words: str) -> None:
    given = [{"name": name, "mountPath": path, **({"subPath": part} if part else {})} for name, path, part in mounts]
    settings: dict[str, Any] = {"volumes": [claim("data", "data")], "volumeMounts": given}
    with pytest.raises(TaskSpecError, match=words):
        task_mounts(settings, directory, {"data": "/v"}, [Mount("/tmp/kfp", "/x")])


def test_what_podman_and_docker_say() -> None:
    labels = {"pipeline/runid": "run", "penstock.dev/path": "loop[1]/task", "penstock.dev/attempt": "2"}
    podman = {
        "Id": "1",
        "Name": "one",
        "Config": {"Labels": labels},
        "State": {
            "Status": "exited",
            "ExitCode": 137,
            "OOMKilled": True,
            "StartedAt": "2026-11-28T07:50:47.06266478+01:00",
            "FinishedAt": "0001-01-01T00:00:00Z",
        },
    }
    docker = {
        "Id": "2",
        "Name": "/two",
        "Config": {"Labels": None},
        "State": {"Status": "created", "StartedAt": "2026-11-28T06:50:47Z"},
    }
    one, two = states_of(json.dumps([podman, docker]))
    assert (one.name, one.key, one.ended, one.out_of_memory) == ("one", KEY, True, True)
    assert (one.started_at, one.finished_at) == (1_795_848_647_062, 0)
    assert (two.name, two.key, two.ended, two.begun, two.started_at) == ("two", None, False, False, 1_795_848_647_000)
