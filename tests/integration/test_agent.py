"""The agent in a task's Pod (docs/pods.md): real processes, the committed wrapper, files and a real S3 server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult, Transfer
from penstock_executor.agent.results import StoredResult, parse_message, parse_result
from penstock_store.config import BucketSettings, CredentialVariable, StoreConfig

from tests.support.pod import PodDirectory, finished
from tools import object_stores
from tools.testing.wrapper import until, wrapper_of


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where the artifacts of a `file://` root are."""
    path = tmp_path / "kept"
    path.mkdir()
    return path


@pytest.fixture
def pod(tmp_path: Path, kept: Path) -> PodDirectory:
    directory = tmp_path / "pod"
    directory.mkdir()
    return PodDirectory(directory, f"file://{kept}/root")


@pytest.fixture(scope="module")
def s3() -> Iterator[object_stores.ObjectStore]:
    with object_stores.s3(["bucket"]) as store:
        yield store


def s3_config(endpoint: str) -> StoreConfig:
    stem = "PENSTOCK_STORE_S3"
    credentials = tuple(CredentialVariable(f"{stem}_{end}", "secret", end) for end in ("ACCESS_KEY", "SECRET_KEY"))
    return StoreConfig(
        buckets=(BucketSettings("s3", stem, endpoint=endpoint, region="us-east-1", credentials=credentials),)
    )


@pytest.fixture
def s3_pod(tmp_path: Path, s3: object_stores.ObjectStore) -> PodDirectory:
    return PodDirectory(tmp_path, f"s3://bucket/{tmp_path.name}", store=s3_config(s3.endpoint).to_json())


S3_KEYS = {"PENSTOCK_STORE_S3_ACCESS_KEY": "k", "PENSTOCK_STORE_S3_SECRET_KEY": "s"}


def s3_env(store: object_stores.ObjectStore) -> dict[str, str]:
    return {"PENSTOCK_STORE_S3_ACCESS_KEY": store.access_key, "PENSTOCK_STORE_S3_SECRET_KEY": store.secret_key}


def stored(pod: PodDirectory, name: str) -> Path:
    return Path(f"{pod.task_root}/{name}".removeprefix("file://"))


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


def refused(pod: PodDirectory, env: Mapping[str, str] | None = None) -> AttemptResult:
    wrapper = pod.wrapper("touch ran")
    agent = pod.agent(env=env)
    assert finished(wrapper)[0] == 125
    assert finished(agent)[0] == 0
    assert not (pod.directory / "ran").exists()
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.exit is None
    return result


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


# --- who starts and ends when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["agent", "wrapper", "program"])
@pytest.mark.parametrize("inputs", [False, True])
def test_either_may_start_first(pod: PodDirectory, kept: Path, first: str, inputs: bool) -> None:
    if inputs:
        (kept / "file").touch()
        pod.input(f"file://{kept}/file")
    if first == "agent":
        agent = pod.agent()
        until((pod.share / "agent").exists)
        wrapper = pod.wrapper("echo said")
    else:
        wrapper = pod.wrapper("echo said")
        until((pod.share / "alive").exists)
        if first == "program" and not inputs:
            finished(wrapper)
        agent = pod.agent()
    if wrapper.returncode is None:
        assert finished(wrapper)[0] == 0
    finished(agent)
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.exit is not None
    assert (result.exit.code, result.log_stored, result.failure) == (0, True, None)
    assert stored(pod, "executor-logs").read_text() == "said\n"


@pytest.mark.parametrize("before", [True, False])
def test_a_wrapper_that_is_killed(pod: PodDirectory, before: bool) -> None:
    wrapper = pod.wrapper("echo said; echo > begun; sleep 600")
    agent = None if before else pod.agent()
    until((pod.directory / "begun").exists)
    wrapper_of(wrapper).kill()
    finished(wrapper)
    finished(agent or pod.agent())
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert (result.exit, result.log_stored, result.failure) == (None, True, None)


def test_an_agent_that_is_killed_while_the_wrapper_waits(tmp_path: Path) -> None:
    with silent_server() as endpoint:
        pod = PodDirectory(tmp_path, "s3://bucket/root", store=s3_config(endpoint).to_json())
        pod.input("s3://bucket/root/x")
        wrapper = pod.wrapper("touch ran")
        agent = pod.agent(env=S3_KEYS)
        until((pod.share / "agent").exists)
        agent.kill()
        finished(agent)
        assert finished(wrapper)[0] == 125
    assert not (pod.directory / "ran").exists()
    assert not pod.message.exists()
    result = parse_message((pod.directory / "main-message").read_text())
    assert isinstance(result, AttemptResult)
    assert result.failure == ("infrastructure", "the agent ended before it had fetched the inputs")


def test_an_agent_that_is_killed_later(pod: PodDirectory) -> None:
    wrapper = pod.wrapper("echo > begun; read x; exit 3", stdin=-1)
    agent = pod.agent()
    until((pod.directory / "begun").exists)
    until((pod.share / "ready").exists)
    agent.kill()
    finished(agent)
    wrapper.communicate(b"\n", timeout=60)
    assert wrapper.returncode == 3
    assert not pod.message.exists()
    assert (pod.share / "exit").exists()


# --- the Pod is ended -----------------------------------------------------------------------------------------------


def test_ended_before_the_program_started(pod: PodDirectory) -> None:
    agent = pod.agent()
    until((pod.share / "ready").exists)
    agent.terminate()
    finished(agent)
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.failure == ("infrastructure", "the Pod was ended before its program started")


def test_ended_while_inputs_are_fetched(tmp_path: Path) -> None:
    with silent_server() as endpoint:
        pod = PodDirectory(tmp_path, "s3://bucket/root", store=s3_config(endpoint).to_json())
        pod.input("s3://bucket/root/x")
        wrapper = pod.wrapper("touch ran")
        agent = pod.agent(env=S3_KEYS)
        until((pod.share / "agent").exists)
        agent.terminate()
        finished(agent)
        assert finished(wrapper)[0] == 125
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.failure == ("infrastructure", "the Pod was ended before its program started")


@pytest.mark.parametrize(("code", "failed"), [(143, False), (0, True)])
def test_ended_while_the_program_runs(pod: PodDirectory, code: int, failed: bool) -> None:
    model = pod.output("model")
    trap = "trap 'echo bye; exit 0' TERM;" if code == 0 else "echo bye;"
    wrapper = pod.wrapper(f"{trap} echo m > {model}; echo > begun; sleep 600 & wait")
    agent = pod.agent()
    until((pod.directory / "begun").exists)
    until((pod.share / "ready").exists)
    agent.terminate()
    wrapper_of(wrapper).terminate()
    assert finished(wrapper)[0] == code
    finished(agent)
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.exit is not None
    assert (result.exit.code, result.stored, result.log_stored) == (code, (), True)
    assert (result.failure is not None) == failed
    assert stored(pod, "executor-logs").read_text() == "bye\n"


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


# --- without a wrapper ----------------------------------------------------------------------------------------------


def test_an_init_container_fetches(pod: PodDirectory, kept: Path) -> None:
    (kept / "file").write_text("x")
    brought = pod.input(f"file://{kept}/file")
    assert finished(pod.agent("fetch"))[0] == 0
    assert brought.read_text() == "x"
    assert not pod.message.exists()


def test_an_init_container_that_cannot_fetch_stops_the_pod(pod: PodDirectory) -> None:
    pod.task = replace(pod.task, inputs=(Transfer("ftp://host/x", str(pod.root / "x")),))
    assert finished(pod.agent("fetch"))[0] == 1
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert result.failure is not None
    assert result.failure[0] == "configuration"


def test_a_sidecar_is_told_of_the_end_by_sigterm(pod: PodDirectory) -> None:
    model, number = pod.output("model"), pod.parameter("number")
    model.parent.mkdir(parents=True)
    number.parent.mkdir(parents=True)
    agent = pod.agent("attend")
    until((pod.share / "agent").exists)
    model.write_text("m")
    number.write_text("1")
    agent.terminate()
    assert finished(agent)[0] == 0
    result = pod.left()
    assert isinstance(result, AttemptResult)
    assert (result.exit, result.parameters, result.stored) == (None, {"number": "1"}, (f"{pod.task_root}/model",))
    assert (result.log_stored, result.failure) == (False, None)


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
