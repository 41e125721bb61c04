"""The wrapper in a task's Pod (docs/pods.md), the committed one and one that notices errors of C: what it shares with
the agent, directories, and failures of its own.
"""

from __future__ import annotations

import os
import select
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult
from penstock_executor.agent.results import (
    parse_message,
)

from tests.support.wrapper_runs import ended, open_place, run, use_binary
from tools.testing.wrapper import CONTAINER, start, until, wrapper_of


@pytest.fixture(params=["committed", "sanitized"], autouse=True)
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_binary(request.param, monkeypatch)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place() as directory:
        yield directory


# --- the share ----------------------------------------------------------------------------------------------------


def hears_the_end(share: Path) -> bool:
    """Whether the FIFO tells of the wrapper's end, as the agent listens for it."""
    until((share / "alive").exists)
    file = os.open(share / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(60_000))
    finally:
        os.close(file)


def test_the_agent_hears_a_normal_end(place: Path) -> None:
    process = start("--share", str(place), "--", "sh", "-c", "read x; exit 3", stdin=subprocess.PIPE, prefix=CONTAINER)
    until((place / "alive").exists)
    assert stat.S_ISFIFO((place / "alive").stat().st_mode)
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 3
    assert ended(place).code == 3
    assert not (place / "message").exists()


def test_the_agent_hears_that_the_wrapper_was_killed(place: Path) -> None:
    process = start("--share", str(place), "--", "sleep", "600", prefix=CONTAINER)
    until((place / "alive").exists)
    file = os.open(place / "alive", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(file, select.POLLIN)
    assert not poll.poll(0)
    wrapper_of(process).kill()
    assert poll.poll(60_000)
    os.close(file)
    process.communicate(timeout=60)
    assert not (place / "exit").exists()


def test_a_wrapper_that_is_gone_has_a_fifo_without_writer(place: Path) -> None:
    process = start("--share", str(place), "--", "true")
    process.communicate(timeout=60)
    file = os.open(place / "alive", os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(file, 1) == b""
    os.close(file)


@pytest.mark.parametrize("before", [True, False])
def test_the_program_waits_for_its_inputs(place: Path, before: bool) -> None:
    if before:
        (place / "ready").touch()
    process = start("--share", str(place), "--wait", "--", "sh", "-c", "test -e ready && echo ran", cwd=place)
    if not before:
        until((place / "alive").exists)
        assert process.poll() is None
        (place / "ready").touch()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == b"ran\n"


def test_inputs_that_could_not_be_fetched(place: Path) -> None:
    process = start("--share", str(place), "--wait", "--", "touch", "ran", cwd=place)
    until((place / "alive").exists)
    (place / "failed").touch()
    process.communicate(timeout=60)
    assert process.returncode == 125
    assert not (place / "ran").exists()


def test_it_is_ended_while_it_waits(place: Path) -> None:
    process = start("--share", str(place), "--wait", "--", "touch", "ran", cwd=place, prefix=CONTAINER)
    until((place / "alive").exists)
    wrapper_of(process).terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert (ended(place).code, ended(place).signal) == (143, 15)
    assert not (place / "ran").exists()


def test_custom_paths_are_copied_for_the_agent(place: Path) -> None:
    """Those that the JSON text says: a path with a NUL in it names nothing, a key with one is another key."""
    for name in ("plain", "é", "cut", "behind", "many"):
        (place / name).write_text(name)
    texts = [
        '{"customPath": "plain", "a": [{"custom_path"\n:\t"\\u00e9"}, {"customPath": "many", "customPath": "none"}]}',
        '{"customPath": "cut\\u0000x", "custom_path\\u0000": "behind", "customPaths": "behind", "b": "customPath"}',
    ]
    (place / "metadata").write_text(f"[{','.join(texts)}]")
    process = start("--share", str(place), "--metadata", str(place / "metadata"), "--", "true", cwd=place)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(copy.read_text() for copy in (place / "custom").iterdir()) == ["many", "plain", "é"]


# --- directories and failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["/", "", None])
def test_a_user_without_a_home_gets_one(place: Path, given: str | None) -> None:
    home = place / "made" / "home"
    environment = {"PATH": os.environ["PATH"], **({} if given is None else {"HOME": given})}
    script = 'mkdir ~/.cache && printf %s "$HOME"'
    code, out, err, _ = run(place, "--home", str(home), "--", "sh", "-c", script, how="restricted", env=environment)
    assert (code, out, err) == (0, str(home).encode(), b"")
    assert (home / ".cache").is_dir()


@pytest.mark.parametrize(("how", "given"), [("restricted", "/somewhere"), ("first", "/")])
def test_a_home_that_is_there_is_left(place: Path, how: str, given: str) -> None:
    """Also `/`, of a user who may write there."""
    home = place / "home"
    environment = {"PATH": os.environ["PATH"], "HOME": given}
    script = 'printf %s "$HOME"'
    code, out, _, _ = run(place, "--home", str(home), "--", "sh", "-c", script, how=how, env=environment)
    assert (code, out) == (0, given.encode())
    assert not home.exists()


def test_directories(place: Path) -> None:
    (place / "there").mkdir()
    (place / "there").chmod(0o777)
    deep = place / "there" / "a b" / "c"
    code, *_ = run(
        place,
        "--mkdir",
        str(deep),
        "--mkdir",
        str(place / "there"),
        "--mkdir",
        f"{place}/x//y/",
        "--",
        "true",
        how="restricted",
    )
    assert code == 0
    for path in (deep, deep.parent, place / "x" / "y"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o777 == 0o777


@pytest.mark.parametrize("shared", [False, True])
def test_failures_of_its_own(place: Path, shared: bool) -> None:
    (place / "file").touch()
    options = ["--share", str(place)] if shared else []
    process = start(
        *options,
        "--message",
        str(place / "message"),
        "--mkdir",
        str(place / "file" / "x"),
        "--",
        "touch",
        "ran",
        cwd=place,
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert not (place / "ran").exists()
    text = f"the directory {place / 'file' / 'x'} cannot be made: Not a directory"
    assert text.encode() in err
    if shared:
        assert (ended(place).code, ended(place).reason) == (125, text)
    else:
        result = parse_message((place / "message").read_text())
        assert isinstance(result, AttemptResult)
        assert result.failure == ("infrastructure", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--"],
        [],
        ["--nonsense", "x", "--", "true"],
        ["--mkdir"],
        ["--wait", "--", "true"],
        ["--parameter", "x", "--", "true"],
    ],
)
def test_it_refuses_what_it_does_not_understand(place: Path, arguments: list[str]) -> None:
    code, _, _, result = run(place, *arguments)
    assert code == 125
    assert result.failure is not None
    assert result.failure[0] == "infrastructure"
