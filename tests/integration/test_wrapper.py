"""The wrapper in a task's Pod (docs/pods.md), as PID 1 and as any other process: the committed binary, and one of the
same source that ends at the first access outside of an object and the first undefined operation.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.agent.results import (
    FramedResult,
    find_frame,
    log_bytes_of,
    parse_message,
    parse_result,
    without_frame,
)

from tools.testing import wrapper
from tools.testing.wrapper import CONTAINER, start, until, wrapper_of

_RESTRICTED = (*CONTAINER, "setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_AS_USER = (*_RESTRICTED, "--reuid=1000", "--regid=0", "--clear-groups") if os.geteuid() == 0 else _RESTRICTED
PREFIXES = {"plain": (), "first": CONTAINER, "restricted": _AS_USER}


@pytest.fixture(params=["committed", "sanitized"], autouse=True)
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "sanitized":
        monkeypatch.setattr(wrapper, "WRAPPER", wrapper.sanitized())


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in which any user may write, as an emptyDir; pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def run(
    place: Path, *arguments: str, how: str = "first", before: Sequence[str] = (), **options: Any
) -> tuple[int, bytes, bytes, AttemptResult]:
    """Exit code, stdout, stderr and the result in the termination message; `before` is a command that becomes this."""
    message = place / "message"
    prefix = (*before, *PREFIXES[how])
    process = start("--message", str(message), "--token", "t0", *arguments, prefix=prefix, **options)
    out, err = process.communicate(timeout=120)
    left = parse_message(message.read_text())
    if isinstance(left, FramedResult):
        assert left.token == "t0"
        frame = find_frame(out, "t0")
        assert frame is not None
        assert len(frame) == left.size
        left = parse_result(frame)
    assert isinstance(left, AttemptResult)
    return process.returncode, out, err, left


def ended(share: Path) -> ProcessExit:
    return ProcessExit(**json.loads((share / "exit").read_text()))


@pytest.mark.parametrize("how", PREFIXES)
@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        ("exit 0", 0, 0),
        ("exit 1", 1, 0),
        ("exit 126", 126, 0),
        ("exit 255", 255, 0),
        ("kill -TERM $$", 143, 15),
        ("kill -KILL $$", 137, 9),
        ("kill -SEGV $$", 139, 11),
    ],
)
def test_exit_codes(place: Path, how: str, script: str, code: int, number: int) -> None:
    returned, _, _, result = run(place, "--", "sh", "-c", script, how=how)
    assert returned == code
    assert result.exit is not None
    assert (result.exit.code, result.exit.signal, result.exit.errno) == (code, number, 0)
    assert 0 < result.exit.started_at <= result.exit.finished_at
    assert result.failure is None


def check_refused(place: Path, content: bytes | None, mode: int, code: int, errno: int) -> None:
    program = place / 'a "program"'
    if content is not None:
        program.write_bytes(content)
        program.chmod(mode)
    returned, _, err, result = run(place, "--log", str(place / "log"), "--", str(program), how="restricted")
    assert returned == code
    assert result.exit is not None
    assert (result.exit.code, result.exit.errno, result.exit.command) == (code, errno, str(program))
    assert str(program).encode() in err
    assert (place / "log").read_bytes() == err


@pytest.mark.parametrize(
    ("content", "mode", "code", "errno"),
    [(None, 0, 127, 2), (b"#!/bin/sh\n", 0o644, 126, 13), (b"#!/none\n", 0o755, 127, 2)],
)
def test_programs_that_cannot_run(place: Path, content: bytes | None, mode: int, code: int, errno: int) -> None:
    check_refused(place, content, mode, code, errno)


@pytest.mark.parametrize("binary", ["committed"], indirect=True)
def test_a_file_that_is_no_program(place: Path) -> None:
    """The C library with which the checks are built hands it to a shell, the one of the committed binary does not."""
    check_refused(place, b"\x00\x01", 0o755, 126, 8)


@pytest.mark.parametrize("option", ["--count", "--log"])
def test_what_the_program_writes_is_counted(place: Path, option: str) -> None:
    options = [option] if option == "--count" else [option, str(place / "log")]
    script = "head -c 5000000 /dev/zero; printf reason >&2"
    code, out, err, result = run(place, *options, "--", "sh", "-c", script)
    assert (code, len(out), err) == (0, 5_000_000, b"reason")
    assert result.exit is not None
    assert result.exit.log_bytes == 5_000_006
    assert log_bytes_of((place / "message").read_text()) == 5_000_006


def test_the_count_is_not_lost_with_a_result_that_is_too_large(place: Path) -> None:
    script = f"head -c 9000 /dev/zero | tr '\\0' x > {place}/p; echo seen"
    code, out, _, result = run(place, "--count", "--parameter", f"p={place}/p", "--", "sh", "-c", script)
    assert code == 0
    assert result.parameters == {"p": "x" * 9000}
    assert without_frame(out, "t0") == b"seen\n"
    assert log_bytes_of((place / "message").read_text()) == len("seen\n")


def test_programs_are_found_by_path(place: Path) -> None:
    (place / "bin").mkdir()
    (place / "bin" / "mine").write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
    (place / "bin" / "mine").chmod(0o755)
    environment = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    arguments = ["--", "", "a b", "$x\n'\"", "é\\", "--mkdir"]
    code, out, _, _ = run(place, "--", "mine", *arguments, env=environment)
    assert code == 0
    assert out.decode() == "".join(f"<{one}>" for one in arguments)


def test_a_program_gets_what_the_wrapper_was_given(place: Path) -> None:
    script = (
        "import os, re\n"
        "print(os.umask(0), os.listdir('/proc/self/fd'))\n"
        "print(re.findall('Sig(?:Blk|Ign|Cgt).*', open('/proc/self/status').read()))"
    )
    program = [sys.executable, "-ISc", script]

    # A program of its own, and nothing between fork and exec of this process, in which gRPC may have threads.
    prepare = (
        "import os, signal, sys\n"
        "os.umask(0o27)\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "signal.signal(signal.SIGUSR2, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})\n"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    before = [sys.executable, "-ISc", prepare]
    bare = subprocess.run([*before, *CONTAINER, *program], capture_output=True, check=True)
    code, out, _, _ = run(place, "--", *program, before=before)
    assert code == 0
    assert out == bare.stdout


@pytest.mark.parametrize("how", ["plain", "first"])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
)
def test_signals_reach_the_whole_group(place: Path, how: str, number: signal.Signals) -> None:
    script = f"""if True:
        import os, signal, sys
        # Waited for, not handled: a handler does not run when its signal comes right before a pause().
        signal.pthread_sigmask(signal.SIG_BLOCK, [{number.value}])
        ready, said = os.pipe()
        child = os.fork()
        if not child:
            os.write(said, b"x")
        else:
            os.read(ready, 1)
            os.write(1, b"ready\\n")
        signal.sigwait([{number.value}])
        os.write(1, b"parent\\n" if child else b"child\\n")
        os._exit(os.waitpid(child, 0)[1] or 7 if child else 0)
    """
    message = str(place / "message")
    process = start("--message", message, "--", sys.executable, "-ISc", script, prefix=PREFIXES[how])
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wrapper_of(process).send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert sorted(out.split()) == [b"child", b"parent"]
    assert process.returncode == 7


def test_a_program_that_a_signal_ends(place: Path) -> None:
    process = start(
        "--message", str(place / "message"), "--", "sh", "-c", "echo ready; exec sleep 600", prefix=CONTAINER
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wrapper_of(process).terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.parametrize("how", ["plain", "first"])
def test_orphans_are_reaped(place: Path, how: str) -> None:
    script = """
        (sh -c 'echo $$ > orphan' &)
        while [ ! -s orphan ] || [ -e /proc/$(cat orphan) ]; do sleep 0.02; done
        echo "$PPID $(cut -d ' ' -f 4 /proc/self/stat)"
    """
    code, _, _, _ = run(place, "--", "sh", "-c", script, how=how, cwd=place)
    assert code == 0


# --- output -------------------------------------------------------------------------------------------------------


def test_output_is_copied_to_the_last_byte(place: Path) -> None:
    script = (
        "import os, sys\n"
        "for i in range(2560):\n"
        "    os.write(1, bytes([i % 251]) * 4093 + b'o\\n')\n"
        "    i % 16 or os.write(2, b'e%d\\n' % i)\n"
    )
    program = [sys.executable, "-ISc", script]
    bare = subprocess.run(program, capture_output=True, check=True)
    code, out, err, _ = run(place, "--log", str(place / "log"), "--", *program)
    assert code == 0
    assert len(out) > 10_000_000
    assert (out, err) == (bare.stdout, bare.stderr)
    assert len((place / "log").read_bytes()) == len(out) + len(err)


@pytest.mark.parametrize("background", ["sleep 600", "yes", "yes >&2"])
def test_processes_left_behind_hold_up_nothing(place: Path, background: str) -> None:
    script = f"{background} & head -c 300000 /dev/zero | tr '\\0' x; echo; echo last"
    process = start(
        "--message", str(place / "message"), "--log", str(place / "log"), "--", "sh", "-c", script, prefix=CONTAINER
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.count(b"x") == 300000
    assert b"last\n" in out
    assert b"last\n" in (place / "log").read_bytes()


def test_signals_are_heard_while_nobody_reads(place: Path) -> None:
    script = "trap 'echo heard > heard' TERM; echo > begun; head -c 1000000 /dev/zero; echo end"
    process = start(
        "--message",
        str(place / "message"),
        "--log",
        str(place / "log"),
        "--",
        "sh",
        "-c",
        script,
        prefix=CONTAINER,
        cwd=place,
    )
    until((place / "begun").exists)
    # `head` does not ignore the signal, and its shell goes on.
    until(lambda: (place / "log").exists() and (place / "log").stat().st_size > 65536)
    wrapper_of(process).terminate()
    until((place / "heard").exists)
    out, _ = process.communicate(timeout=60)
    assert out.endswith(b"end\n")
    assert process.returncode == 0


def test_nobody_reads_any_more(place: Path) -> None:
    process = start(
        "--message",
        str(place / "message"),
        "--log",
        str(place / "log"),
        "--",
        "sh",
        "-c",
        "read x; head -c 200000 /dev/zero; echo end",
        prefix=CONTAINER,
        stdin=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stderr is not None
    process.stderr.close()
    assert (place / "log").read_bytes() == bytes(200000) + b"end\n"


def test_a_full_disk_costs_the_log_only(place: Path) -> None:
    code, out, _, _ = run(place, "--log", "/dev/full", "--", "sh", "-c", "head -c 200000 /dev/zero; echo end")
    assert code == 0
    assert out == bytes(200000) + b"end\n"


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


# --- results --------------------------------------------------------------------------------------------------------


def left_by(place: Path, files: dict[str, bytes], metadata: bytes | None = None) -> tuple[bytes, AttemptResult]:
    arguments = []
    for index, (name, data) in enumerate(files.items()):
        (place / f"p{index}").write_bytes(data)
        arguments += ["--parameter", f"{name}={place / f'p{index}'}"]
    if metadata is not None:
        (place / "metadata").write_bytes(metadata)
    arguments += ["--metadata", str(place / "metadata")]
    code, out, _, result = run(place, *arguments, "--", "echo", "said")
    assert code == 0
    return out, result


TEXTS = ["", "plain", '"\\/\b\f\n\r\t\x00\x1f\x7f', "é€😀\u2028\ufeff\ufffd\U0010ffff", "\r\n", "a=b", " "]


def test_texts_of_parameters(place: Path) -> None:
    files = {f'name "{index}" é': text.encode() for index, text in enumerate(TEXTS)}
    _, result = left_by(place, files, b'{"a": "\xc3\xa9"}')
    assert result.parameters == {name: data.decode() for name, data in files.items()}
    assert result.metadata == '{"a": "é"}'
    assert result.failure is None


@pytest.mark.parametrize("shift", range(4))
def test_characters_across_the_edge_of_a_buffer(place: Path, shift: int) -> None:
    text = "x" * (32768 - shift) + "😀é€" * 9000
    out, result = left_by(place, {"a": text.encode(), "b": b"x" * (32768 - shift) + b"\xf0\x9f\x98"})
    assert result.parameters == {"a": text, "b": None}
    assert max(len(line) for line in out.split(b"\n")) < 4096
    assert without_frame(out, "t0") == b"said\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"a\xe2\x82",
        b"\xe2\x28\xa1",
        b"\xf0\x9f\x98",
    ],
)
def test_what_is_no_text(place: Path, data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        data.decode()
    _, result = left_by(place, {"good": b"g", "bad": data, "": b"unnamed"})
    assert result.parameters == {"good": "g", "bad": None, "": "unnamed"}
    assert result.failure is None
    _, result = left_by(place, {}, data)
    assert result.metadata is None
    assert result.failure == ("user", "output_metadata.json is no valid JSON: it is no UTF-8 text")


@pytest.mark.parametrize(("size", "framed"), [(4095, False), (4096, False), (4097, True), (200_000, True)])
def test_where_a_result_goes(place: Path, size: int, framed: bool) -> None:
    left_by(place, {"a": b""})
    empty = (place / "message").stat().st_size
    out, result = left_by(place, {"a": b"x" * (size - empty)})
    assert result.parameters == {"a": "x" * (size - empty)}
    message = parse_message((place / "message").read_text())
    assert isinstance(message, FramedResult) == framed
    if isinstance(message, FramedResult):
        assert message.size == size
        assert out.count(b"\n") <= message.lines + 2
        assert without_frame(out, "t0") == b"said\n"
    else:
        assert (place / "message").stat().st_size == size
        assert out == b"said\n"


def test_what_was_not_written_is_left_out(place: Path) -> None:
    _, result = left_by(place, {})
    assert (result.parameters, result.metadata, result.failure) == ({}, None, None)
    code, _, _, result = run(
        place, "--parameter", f"a={place / 'none'}", "--parameter", f"b={place / 'message' / 'x'}", "--", "true"
    )
    assert (code, result.parameters, result.failure) == (0, {}, None)


def test_a_program_that_failed_has_no_outputs(place: Path) -> None:
    (place / "p").write_text("x")
    code, _, _, result = run(place, "--parameter", f"a={place / 'p'}", "--metadata", str(place / "p"), "--", "false")
    assert (code, result.parameters, result.metadata) == (1, {}, None)


def test_limits(place: Path) -> None:
    limit = 16 * 1024 * 1024
    for name, size in (("fits", limit), ("over", limit + 1)):
        with (place / name).open("wb") as file:
            file.truncate(size)
    code, _, _, result = run(place, "--parameter", f"fits={place / 'fits'}", "--", "true")
    assert (code, result.parameters, result.failure) == (0, {"fits": "\0" * limit}, None)
    code, _, _, result = run(place, "--parameter", f"it's={place / 'over'}", "--", "true")
    assert (code, result.parameters) == (0, {})
    assert result.failure == ("user", f"output parameter 'it's' is larger than {limit} bytes")
    with (place / "over").open("wb") as file:
        file.truncate(4 * limit + 1)
    code, _, _, result = run(place, "--metadata", str(place / "over"), "--", "true")
    assert (code, result.metadata) == (0, None)
    assert result.failure == ("user", f"output_metadata.json is larger than {4 * limit} bytes")


def test_what_is_no_file(place: Path) -> None:
    os.mkfifo(place / "fifo")
    for path in (place, place / "fifo", Path("/dev/zero")):
        code, _, _, result = run(place, "--parameter", f"a={path}", "--", "true")
        assert code == 0
        assert result.failure == ("user", "output parameter 'a' cannot be read: it is no file")
