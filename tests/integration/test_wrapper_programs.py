"""The wrapper in a task's Pod (docs/pods.md), as PID 1 and as any other process: exit codes, signals and output of its
program. With the committed binary, and one of the same source that ends at the first access outside of an object and
the first undefined operation.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from penstock_executor.agent.results import (
    log_bytes_of,
    without_frame,
)

from tests.support.wrapper_runs import PREFIXES, open_place, run, use_binary
from tools.testing.wrapper import CONTAINER, start, until, wrapper_of


@pytest.fixture(params=["committed", "sanitized"], autouse=True)
def binary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_binary(request.param, monkeypatch)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place() as directory:
        yield directory


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
