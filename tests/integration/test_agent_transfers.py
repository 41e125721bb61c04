"""The agent in a task's Pod (docs/pods.md), with real processes, the committed wrapper, files and a real S3 server:
what it brings and stores, and that nothing of its own is given away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult, Transfer

from tests.support.agent_pods import (
    S3_KEYS,
    bucket_pod,
    file_pod,
    kept_in,
    refused,
    s3_bucket,
    s3_config,
    s3_env,
    silent_server,
    stored,
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


# --- what is moved --------------------------------------------------------------------------------------------------


def test_files_of_a_claim(pod: PodDirectory, kept: Path) -> None:
    (kept / "in" / "deep").mkdir(parents=True)
    (kept / "in" / "deep" / "file").write_text("deep")
    (kept / "single").write_text("single")
    directory, single = pod.input(f"file://{kept}/in"), pod.input(f"file://{kept}/single")
    model, metrics, number = pod.output("model"), pod.output("metrics"), pod.parameter("number")
    script = f"cat {directory}/deep/file {single}; mkdir {model}; echo m > {model}/weights; printf 42 > {number}"
    began = int(time.time() * 1000)
    result = pod.both(script)
    assert result.exit is not None
    assert result.exit.code == 0
    assert result.parameters == {"number": "42"}
    assert result.metadata is None
    assert result.stored == (f"{pod.task_root}/model",)
    assert result.failure is None
    assert result.log_stored
    assert began <= result.fetched_at <= result.exit.started_at
    assert result.exit.finished_at <= result.stored_at <= time.time() * 1000
    assert stored(pod, "model/weights").read_text() == "m\n"
    assert stored(pod, "executor-logs").read_text() == "deepsingle"
    assert not stored(pod, "metrics").exists()
    assert not metrics.exists()


def test_an_s3_bucket(s3_pod: PodDirectory, s3: object_stores.ObjectStore) -> None:
    pod = s3_pod
    bucket = s3.directory / "bucket" / pod.directory.name
    (bucket / "in" / "deep").mkdir(parents=True)
    (bucket / "in" / "deep" / "file").write_text("deep")
    (bucket / "single").write_text("single")
    root = f"s3://bucket/{pod.directory.name}"
    directory, single = pod.input(f"{root}/in"), pod.input(f"{root}/single")
    nothing, model = pod.input(f"{root}/nothing"), pod.output("model")
    script = f"cat {directory}/deep/file {single}; test ! -e {nothing}; mkdir {model}; echo m > {model}/weights"
    result = pod.both(script, env=s3_env(s3))
    assert result.failure is None
    assert result.stored == (f"{pod.task_root}/model",)
    assert result.log_stored
    task = bucket / "pipeline" / "run" / "task" / "uuid"
    assert (task / "model" / "weights").read_text() == "m\n"
    assert (task / "executor-logs").read_text() == "deepsingle"


def test_any_user_may_change_what_was_brought(pod: PodDirectory, kept: Path) -> None:
    (kept / "in").mkdir(mode=0o700)
    (kept / "in" / "file").touch(mode=0o600)
    brought = pod.input(f"file://{kept}/in")
    result = pod.both(f"stat -c %a {brought} {brought}/file")
    assert result.log_stored
    assert stored(pod, "executor-logs").read_text().split() == ["777", "666"]


def test_outputs_that_the_task_named(pod: PodDirectory, kept: Path) -> None:
    pod.output("many"), pod.output("moved"), pod.output("shown"), pod.output("own"), pod.output("elsewhere")
    root = pod.task_root
    (kept / "root" / "own").parent.mkdir(parents=True)
    (kept / "root" / "own").write_text("put there by the task itself")
    script = "".join(
        f"echo {name} > {pod.place(f'{root}/{name}')}\n" for name in ("many", "second", "third", "moved-to", "shown-as")
    ) + pod.say(
        {
            "many": [{"name": "a"}, {"uri": f"{root}/second"}, {"uri": f"{root}/third", "metadata": {"x": 1}}],
            "moved": [{"uri": f"{root}/moved-to"}],
            "shown": [{"uri": f"minio://_file{root.removeprefix('file://')}/shown-as"}],
            "own": [{"uri": f"file://{kept}/root/own"}],
            "elsewhere": [{"uri": "https://example.org/x"}],
        }
    )
    result = pod.both(script)
    assert result.failure is None
    assert sorted(result.stored) == sorted(
        [f"{root}/{name}" for name in ("many", "second", "third", "moved-to", "shown-as")] + [f"file://{kept}/root/own"]
    )
    for name in ("many", "second", "third", "moved-to", "shown-as"):
        assert stored(pod, name).read_text() == f"{name}\n"
    assert result.metadata is not None


def test_custom_paths(pod: PodDirectory) -> None:
    """Places of the task's own, which the agent does not see."""
    for port in ("file", "tree", "relative", "shared", "missing"):
        pod.output(port)
    own = pod.directory / 'own "é😀\\'
    script = (
        f"mkdir -p '{own}/deep/er' '{own}/empty'; echo t > '{own}/deep/er/x'; ln -s ../deep/er/x '{own}/empty/link'\n"
        f"ln -s deep '{own}/again'; mkfifo '{own}/fifo'; echo f > '{own}/file'; echo r > relative\n"
        f"echo s > {pod.share}/kept\n"
    ) + pod.say(
        {
            "file": [{"customPath": f"{own}/file"}],
            "tree": [{"custom_path": str(own), "metadata": {"note": 'a "customPath": "/etc"'}}],
            "relative": [{"custom_path": "relative"}],
            "shared": [{"customPath": f"{pod.share}/kept"}],
            "missing": [{"customPath": "/none/such"}],
        }
    )
    result = pod.both(script)
    assert result.failure is None
    root = pod.task_root
    assert sorted(result.stored) == [f"{root}/{port}" for port in ("file", "relative", "shared", "tree")]
    assert stored(pod, "file").read_text() == "f\n"
    assert stored(pod, "relative").read_text() == "r\n"
    assert stored(pod, "shared").read_text() == "s\n"
    tree = stored(pod, "tree")
    found = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    assert found == ["deep/er/x", "empty/link", "file"]


@pytest.mark.parametrize("escaped", [True, False])
def test_custom_paths_of_any_characters(pod: PodDirectory, escaped: bool) -> None:
    pod.output("model")
    name = 'a/\t"\\\u007f\u00e9\u20ac\U0001f600'
    path = pod.directory / name
    path.parent.mkdir()
    path.write_text("m")
    document = json.dumps({"artifacts": {"model": {"artifacts": [{"customPath": str(path)}]}}}, ensure_ascii=escaped)
    (pod.directory / "document").write_text(document.replace("/", "\\/"))
    result = pod.both(f"cp document {pod.task.metadata}")
    assert result.stored == (f"{pod.task_root}/model",)
    assert stored(pod, "model").read_text() == "m"


def test_a_custom_path_that_cannot_be_copied(pod: PodDirectory) -> None:
    pod.output("model")
    deep = pod.directory / "deep"
    (deep / "/".join(["x"] * 150)).mkdir(parents=True)
    result = pod.both("echo said\n" + pod.say({"model": [{"customPath": str(deep)}]}))
    assert result.exit is not None
    assert result.exit.code == 0
    assert result.failure is not None
    assert result.failure[0] == "infrastructure"
    assert result.failure[1].startswith(f"what the task left at {deep} cannot be copied for the agent")
    assert result.log_stored


@pytest.mark.parametrize(
    "document", ["", "[]", "{", '{"artifacts": []}', '{"artifacts": {"model": {"artifacts": [1]}}}']
)
def test_a_document_that_says_nothing(pod: PodDirectory, document: str) -> None:
    model = pod.output("model")
    result = pod.both(f"echo m > {model}; printf '%s' '{document}' > {pod.task.metadata}")
    assert result.metadata == document
    assert result.failure is None


def test_a_uri_for_all_runs_is_written_anew_by_each(s3_pod: PodDirectory, s3: object_stores.ObjectStore) -> None:
    """But not what another run left where runs keep their artifacts."""
    name = s3_pod.directory.name
    latest, others = f"s3://bucket/models-{name}/latest", f"s3://bucket/{name}/pipeline/other run/task/uuid/model"
    for uri in (latest, others):
        there = s3.directory / uri.removeprefix("s3://")
        there.parent.mkdir(parents=True)
        there.write_text("first\n")
    s3_pod.output("latest"), s3_pod.output("others")

    def written(uri: str) -> str:
        return f"mkdir -p '{s3_pod.place(uri).parent}'; echo second > '{s3_pod.place(uri)}'\n"

    said = s3_pod.say({"latest": [{"uri": latest}], "others": [{"uri": others}]})
    result = s3_pod.both(written(latest) + written(others) + said, env=s3_env(s3))
    assert result.failure is not None
    assert result.failure[0] == "user"
    assert "nothing is overwritten" in result.failure[1]
    assert result.stored == (latest,)
    assert (s3.directory / latest.removeprefix("s3://")).read_text() == "second\n"
    assert (s3.directory / others.removeprefix("s3://")).read_text() == "first\n"


@pytest.mark.parametrize(("places", "allowed"), [(("s3://bucket/models-*",), True), (("s3://bucket/other/*",), False)])
def test_where_a_task_may_store_is_the_namespaces_decision(
    s3_pod: PodDirectory, s3: object_stores.ObjectStore, places: tuple[str, ...], allowed: bool
) -> None:
    uri = f"s3://bucket/models-{s3_pod.directory.name}/latest"
    there = s3.directory / uri.removeprefix("s3://")
    there.parent.mkdir(parents=True)
    there.write_text("first\n")
    s3_pod.output("latest"), s3_pod.output("own")
    s3_pod.task = replace(s3_pod.task, places=places)
    own = f"{s3_pod.task_root}/own"
    script = "".join(
        f"mkdir -p '{s3_pod.place(one).parent}'; echo second > '{s3_pod.place(one)}'\n" for one in (uri, own)
    )
    result = s3_pod.both(script + s3_pod.say({"latest": [{"uri": uri}]}), env=s3_env(s3))
    assert there.read_text() == ("second\n" if allowed else "first\n")
    if allowed:
        assert result.failure is None and result.stored == (uri, own)
    else:
        assert result.failure is not None and result.failure[0] == "user" and result.stored == (own,)
        assert f"may not be stored at {uri}: the list 'pipelineRoots'" in result.failure[1]


def test_a_task_may_not_write_outside_of_the_root(pod: PodDirectory, kept: Path) -> None:
    pod.output("model")
    uri = f"file://{kept}/other"
    result = pod.both(
        f"mkdir -p {pod.place(uri).parent}; echo m > {pod.place(uri)}\n" + pod.say({"model": [{"uri": uri}]})
    )
    assert result.failure is not None
    assert result.failure[0] == "user"
    assert uri in result.failure[1]
    assert "outside" in result.failure[1]
    assert not (kept / "other").exists()
    assert result.log_stored


def test_a_name_that_no_file_can_have_is_the_tasks_fault(pod: PodDirectory) -> None:
    pod.output("model")
    result = pod.both(pod.say({"model": [{"uri": f"{pod.task_root}/{'x' * 300}"}]}))
    assert result.failure == ("user", "the artifact 'model' cannot be read: File name too long")
    assert result.log_stored


def test_a_program_that_failed_leaves_its_log_only(pod: PodDirectory) -> None:
    model, number = pod.output("model"), pod.parameter("number")
    result = pod.both(f"echo m > {model}; echo 1 > {number}; echo sorry >&2; exit 3")
    assert result.exit is not None
    assert (result.exit.code, result.parameters, result.stored, result.failure) == (3, {}, (), None)
    assert stored(pod, "executor-logs").read_text() == "sorry\n"
    assert not stored(pod, "model").exists()


def test_a_program_that_does_not_exist(pod: PodDirectory) -> None:
    agent = pod.agent()
    finished(pod.wrapper("exec /none/such"))
    finished(agent)
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.exit is not None
    assert result.exit.code == 127


# --- nothing of the agent's own is given away -----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["parameter", "metadata", "artifact", "inside", "log", "directory"])
def test_links_that_lead_out_of_the_shared_directories(pod: PodDirectory, what: str) -> None:
    model, number = pod.output("model"), pod.parameter("environ")
    script = {
        "parameter": f"ln -s /proc/self/environ {number}",
        "metadata": f"ln -s /proc/self/environ {pod.task.metadata}",
        "artifact": f"ln -s /proc/self {model}",
        "inside": f"mkdir {model}; ln -s /proc/self/environ {model}/x",
        "log": f"rm {pod.task.log}; ln -s /proc/self/environ {pod.task.log}",
        "directory": f"rmdir {number.parent}; ln -s /proc/self {number.parent}",
    }[what]
    result = pod.both(script, env={"SECRET": "do-not-tell"})
    everything = [path.read_bytes() for path in pod.directory.parent.rglob("kept/**/*") if path.is_file()]
    assert not any(b"do-not-tell" in data for data in (*everything, pod.message.read_bytes()))
    if what == "log":
        assert not result.log_stored
    elif what == "inside":
        # A directory in files keeps its links, which lead wherever they lead for whoever follows them.
        assert stored(pod, "model/x").is_symlink()
    else:
        assert result.failure is not None
        assert "lead" in result.failure[1] or "link" in result.failure[1]


# --- inputs that cannot be had --------------------------------------------------------------------------------------


def test_inputs_without_a_store(pod: PodDirectory) -> None:
    pod.task = replace(pod.task, inputs=(Transfer("ftp://host/x", str(pod.root / "x")),))
    failure = refused(pod).failure
    assert failure is not None
    assert failure[0] == "configuration"
    assert failure[1].startswith("the input ftp://host/x cannot be fetched: ftp://host/x: no store for it")


def test_inputs_that_have_no_place(pod: PodDirectory, kept: Path) -> None:
    (kept / "file").touch()
    pod.root.write_text("in the way")
    pod.input(f"file://{kept}/file")
    failure = refused(pod).failure
    assert failure is not None
    assert failure[0] == "infrastructure"
    assert "Not a directory" in failure[1]


def test_inputs_that_take_too_long(tmp_path: Path) -> None:
    with silent_server() as endpoint:
        pod = PodDirectory(tmp_path, "s3://bucket/root", store=s3_config(endpoint).to_json(), timeout=0.5)
        pod.input("s3://bucket/root/x")
        failure = refused(pod, env=S3_KEYS).failure
    assert failure is not None
    assert failure[0] == "infrastructure"
