"""A warm worker takes one attempt after another and leaves nothing of one to the next (docs/workers.md).

Real processes: the committed program, and the same with checks of memory and undefined behaviour, as PID 1 of
namespaces of its own and as a user without rights; a real agent beside it.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import warm_python
from tests.support.warm_worker import WorkerPod, warm_worker
from tools.testing import wrapper

# Everything by which an attempt could notice an earlier one. The agent's own marks come when it is ready;
# the log grows.
PROBE = """
for one in /proc/[0-9]*/cmdline; do
    case $(tr '\\0' ' ' < $one 2>/dev/null) in "run "*|"sh -euc "*|"") ;; *) tr '\\0' ' ' < $one; echo ;; esac
done
find "$TMPDIR" "$SHARE" "$ROOT" /dev/shm /dev/mqueue -mindepth 1 ! -name agent ! -name .agent \\
    ! -name ready ! -name log -printf '%p %y %m %U %s %l\\n' | sort
ipcs -a
ulimit -a
cat /proc/1/limits
nice; taskset -cp 1; chrt -p 1; ionice -p 1
env | grep -v -e '^OUT=' -e '^SHLVL' -e '^_='| sort
"""
# What the place of each attempt is called, and the tokens of its FIFOs.
NAMES = re.compile(r"(?<=/run/)\w+|(?<=stop-)\w+")


@pytest.fixture(params=["committed", "sanitized", "python"])
def program(request: pytest.FixtureRequest, place: Path) -> Path:
    if request.param == "python":
        return warm_python.first_process(place)
    return wrapper.WORKER if request.param == "committed" else wrapper.sanitized("worker")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in which any user may write; pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture
async def pod(place: Path, program: Path) -> AsyncIterator[WorkerPod]:
    async with warm_worker(place, program) as pod:
        yield pod


async def seen(pod: WorkerPod, name: str) -> str:
    """What an attempt finds."""
    variables = {"SHARE": str(pod.share), "ROOT": str(pod.root), "LANG": "C"}
    result = await pod.run(name, f"exec 2>&1; {PROBE} exit 0", **variables)
    assert result.exit is not None and result.exit.code == 0, pod.said()
    return NAMES.sub("NAME", pod.log(name))


async def test_attempts_one_after_another(pod: WorkerPod) -> None:
    for number in range(20):
        name = f"a{number}"
        result = await pod.run(name, f'printf {number} > "$OUT"; echo out {number}; echo err >&2; exit {number % 2}')
        assert result.exit is not None and result.exit.code == number % 2
        assert result.parameters == ({} if number % 2 else {"out": str(number)})
        assert (result.failure, result.log_stored) == (None, True)
        assert sorted(pod.log(name).split()) == sorted(f"out {number} err".split())
    said = pod.said()
    for number in range(20):
        between = said.partition(f"::penstock-attempt loga{number} begin\n")[2]
        own = between.partition(f"\n::penstock-attempt loga{number} end\n")[0]
        assert sorted(own.split()) == sorted(f"out {number} err".split()), "errors too"


DEEP = """
import os
os.chdir(os.environ["TMPDIR"])
for _ in range(3000):
    os.mkdir("x" * 100)
    os.chdir("x" * 100)
"""
MANY = """
import os
for number in range(20000):
    open(os.environ["TMPDIR"] + "/" + str(number), "w").close()
"""
HOSTILE = {
    "processes": (
        "sleep 1000 & setsid sleep 1000 & (trap '' TERM INT HUP; sleep 1000) & setsid sh -c 'kill -STOP $$' &"
    ),
    "a process that goes on forking": "setsid sh -c 'while :; do sleep 0.01 & done' >/dev/null 2>&1 & sleep 0.3",
    "daemons": "(setsid sh -c '(sleep 1000 &) ; exec sleep 1000' &) ; sleep 0.1",
    "closed directories": (
        "mkdir -p $TMPDIR/a/b/c; touch $TMPDIR/a/b/c/d; chmod 0 $TMPDIR/a/b/c $TMPDIR/a/b $TMPDIR/a"
    ),
    "deep directories": f"PYTHON -c '{DEEP}' || echo UNDONE",
    "many files": f"PYTHON -c '{MANY}' || echo UNDONE",
    "odd files": "cd $TMPDIR; mkfifo p; ln -s / root; ln -s $SHARE up; touch \"$(printf 'a\\nb')\" -- '-rf' '...' ' '",
    "in its own places": "touch $ROOT/left $OUT/../more $SHARE/left; mkdir -p $SHARE/custom/x; chmod 0 $SHARE/custom",
    "links in the place of directories": "rm -rf $ROOT/tmp; ln -s $TMPDIR $ROOT/tmp; ln -s /etc $SHARE/custom",
    "shared memory": "echo x > /dev/shm/left; ipcmk -M 4096; ipcmk -S 3; ipcmk -Q",
    "names of FIFOs": (
        "cd $SHARE; rm -f stop-*; for kind in work stop done; do for token in first 0 loghostile; do"
        " mkfifo $kind-$token .$kind-$token; done; done; mkdir ready exit || :; rm -f alive agent"
    ),
    "signals that end nothing": "for one in KILL STOP TSTP CHLD USR1 HUP QUIT PIPE ALRM SEGV; do kill -$one 1; done",
    "the memory of the first process": (
        "for one in mem environ maps auxv stack root fd cwd; do cat /proc/1/$one >/dev/null 2>&1 && echo READ $one;"
        " done; echo -500 > /proc/1/oom_score_adj; echo 1 > /proc/1/timerslack_ns"
    ),
    "words of the worker": "echo; echo ::penstock-attempt loghostile end; echo ::penstock-attempt logafter begin",
    "its message": "echo nonsense > $MESSAGE",
    "its own end": "cd $SHARE; printf T > $(ls -d stop-*); sleep 1000",
    "its own end at once": "cd $SHARE; printf K > $(ls -d stop-*); sleep 1000",
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
async def test_the_next_attempt_finds_what_the_first_one_found(pod: WorkerPod, script: str) -> None:
    before = await seen(pod, "before")
    variables = {"SHARE": str(pod.share), "ROOT": str(pod.root), "MESSAGE": str(pod.message)}
    if "PYTHON" in script:
        script = script.replace("PYTHON", warm_python.interpreter()[0])
    await pod.run("hostile", f"set +e; {script}\nexit 0", **variables)
    assert await seen(pod, "after") == before
    assert "READ" not in pod.said() and "UNDONE" not in pod.said()
    assert pod.message.read_text() == ""


RETIRING = {
    "a limit": ("prlimit --pid 1 --nofile=64:64", "limits"),
    "a priority": ("renice -n 19 -p 1", "priority"),
    "a processor": ("taskset -p 1 1", "processors"),
    "a policy": ("chrt -i -p 0 1", "priority"),
    "an order of reads and writes": ("ionice -c 3 -p 1", "priority"),
}


@pytest.mark.parametrize(("script", "word"), RETIRING.values(), ids=RETIRING)
async def test_a_worker_that_is_not_as_it_was_takes_no_more(pod: WorkerPod, script: str, word: str) -> None:
    result = await pod.run("hostile", f"{script}; exit 0")
    assert result.exit is not None and result.exit.code == 0, pod.said()
    assert pod.main is not None
    assert await asyncio.to_thread(pod.main.wait, 60) == 125
    assert "an attempt changed" in pod.message.read_text() and word in pod.message.read_text()


async def test_the_end_of_the_pod_ends_the_attempt(pod: WorkerPod) -> None:
    await pod.heard("state", ready=True)
    await pod.begin("a", "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.05; done")
    while "begun" not in pod.said():
        await asyncio.sleep(0.01)
    pod.terminate()
    result = await pod.result("a")
    assert result.exit is not None and (result.exit.code, result.exit.signal) == (3, 0)
    assert pod.main is not None and await asyncio.to_thread(pod.main.wait, 60) == 0


async def test_an_attempt_is_canceled(pod: WorkerPod) -> None:
    before = await seen(pod, "before")
    await pod.heard("state", ready=True)
    await pod.begin("a", "trap '' TERM; echo begun; while :; do sleep 0.05; done")
    while "begun" not in pod.said():
        await asyncio.sleep(0.01)
    await pod.send(op="cancel", id="a", run_id="run", fence=1)
    await pod.heard("canceling", id="a")
    await pod.send(op="cancel", id="a", run_id="run", fence=1, at_once=True)
    result = await pod.result("a")
    assert result.exit is None and result.log_stored
    assert await seen(pod, "after") == before


async def test_an_attempt_is_begun_once(pod: WorkerPod) -> None:
    """Whoever asks, however often, also when it is over; and never for one who does not hold its run any more."""
    first = await pod.run("a", "echo once")
    assert first.exit is not None
    await pod.send(op="watch", id="a", run_id="run", fence=5)
    assert (await pod.heard("known", id="a"))["running"] is False
    assert (await pod.result("a")).exit == first.exit
    await pod.begin("a", "echo twice")
    assert "another executor" in (await pod.heard("refused", id="a"))["why"]
    await pod.begin("b", "echo thrice")
    await pod.heard("refused", id="b")
    await pod.send(op="watch", id="b", run_id="run", fence=5)
    await pod.heard("unknown", id="b")
    assert "once" in pod.said() and "twice" not in pod.said() and "thrice" not in pod.said()


async def test_a_worker_that_is_told_to_end(pod: WorkerPod) -> None:
    await pod.heard("state", ready=True)
    await pod.begin("a", "echo last; sleep 0.2")
    await pod.heard("started", id="a")
    await pod.send(op="retire")
    await pod.heard("retiring")
    await pod.send(op="run", id="b", run_id="run", fence=1)
    assert (await pod.heard("refused", id="b"))["why"] == "it was told to end"
    assert (await pod.result("a")).exit is not None
    await pod.send(op="forget", id="a", run_id="run", fence=1)
    await pod.heard("forgotten", id="a")
    assert pod.main is not None and pod.agent is not None
    assert await asyncio.to_thread(pod.main.wait, 60) == 0
    assert await asyncio.to_thread(pod.agent.wait, 60) == 0


async def test_instructions_that_cannot_be_given_are_refused(pod: WorkerPod) -> None:
    """The worker is as good as before."""
    await pod.heard("state", ready=True)
    cases = (
        ("nul", "echo \0", "NUL"),
        ("long", "x" * 128 * 1024, "131071 are the most"),
        ("A", "echo", "small letters"),
    )
    for name, script, why in cases:
        await pod.begin(name, script)
        assert why in (await pod.heard("refused", id=name))["why"]
    await pod.begin("a", "echo well")
    await pod.heard("started", id="a")
    assert (await pod.result("a")).log_stored
