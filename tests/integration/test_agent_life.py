"""The agent in a task's Pod (docs/pods.md), with real processes and the committed wrapper: who starts and ends when,
whoever is killed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult, Transfer
from penstock_executor.agent.results import parse_message

from tests.support.agent_pods import (
    S3_KEYS,
    file_pod,
    kept_in,
    s3_config,
    silent_server,
    stored,
)
from tests.support.pod import PodDirectory, finished
from tools.testing.wrapper import until, wrapper_of


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return kept_in(tmp_path)


@pytest.fixture
def pod(tmp_path: Path, kept: Path) -> PodDirectory:
    return file_pod(tmp_path, kept)


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
