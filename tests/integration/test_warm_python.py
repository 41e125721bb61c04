"""Lightweight Python components in a warm worker whose first process is Python (docs/workers.md): each is carried out
by a fork of it as by a Python of its own, and leaves nothing to the next.

`test_warm_worker.py` has everything that holds for any worker, with this first process too.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from penstock_executor.agent.protocol import AttemptResult

from tests.support import warm_python
from tests.support.warm_worker import WorkerPod, warm_worker
from tools.testing import wrapper

IMPORTS = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"
# What differs from one attempt to the next, or between both ways to start a component, and means nothing.
PASSING = re.compile(
    r"(?m)^(?:Killed|Terminated)\n|"  # what the shell says of its child
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+|(?<=tmp\.)\w+|(?<=/run/)\w+|::penstock-attempt \w+|"
    r'  File "\S+/first_process.py", line \d+, in <module>\n.*\n(?:    ~*\^+~*\^*\n)?'
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in which any user may write; pytest's own are private."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture
async def pod(place: Path) -> AsyncIterator[WorkerPod]:
    async with warm_worker(place, warm_python.first_process(place)) as pod:
        yield pod


def component(body: str, parameters: str = "", returns: str = "None") -> str:
    lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{IMPORTS}def c({parameters}) -> {returns}:\n    import os, sys, time, signal, socket\n{lines}\n"


def executor_input(pod: WorkerPod, name: str, **parameters: Any) -> str:
    task = pod.task(name)
    outputs = {"parameters": {"Output": {"outputFile": task.parameters["out"]}}, "outputFile": task.metadata}
    return json.dumps({"inputs": {"parameterValues": parameters}, "outputs": outputs})


async def begin(pod: WorkerPod, name: str, source: str, *, cold: bool = False, **variables: str) -> None:
    await pod.heard("state", ready=True)
    parameters: dict[str, Any] = {"given": "x" * 100_000} if "given" in source else {}
    given = executor_input(pod, name, **parameters)
    program = warm_python.cold_program(source, given) if cold else warm_python.program(pod.share, source, given)
    await pod.begin_program(name, program, OUT=pod.task(name).parameters["out"], **variables)
    await pod.heard("started", id=name)


def log(pod: WorkerPod, name: str) -> str:
    return (pod.kept / "root" / "pipeline" / "run" / name / "uuid" / "executor-logs").read_text(errors="replace")


async def run(pod: WorkerPod, name: str, body: str, **variables: str) -> AttemptResult:
    await begin(pod, name, component(body), cold=False, **variables)
    return await pod.result(name)


ENDINGS = {
    "a value": component('return "value"', returns="str"),
    "a long argument": component("return str(len(given))", "given: str", "str"),
    "an exception": component('raise ValueError("no")'),
    "an exception with a cause": component("""
        try:
            json.loads("{")
        except Exception as error:
            raise ValueError("no") from error
    """),
    "an error of its syntax": f"{IMPORTS}def c(:\n    pass\n",
    "no such function": f"{IMPORTS}def d():\n    pass\n",
    "exit 0": component("sys.exit()"),
    "exit 3": component("sys.exit(3)"),
    "exit with a text": component('sys.exit("a text")'),
    "exit at once": component('print("lost"); os._exit(7)'),
    "killed": component("os.kill(os.getpid(), signal.SIGKILL)"),
    "terminated": component("os.kill(os.getpid(), signal.SIGTERM)"),
    "interrupted": component("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)"),
    "output": component('print("text", end=""); print("other", end="", file=sys.stderr)'),
    "much output": component('print("x" * 3_000_000)'),
    "bytes and odd characters": component(r'sys.stdout.buffer.write(b"\xff\n"); print("äöü ☃", "\udc80".isascii())'),
    "a thread": component("""
        import threading
        threading.Thread(target=lambda: (time.sleep(0.3), print("after the end"))).start()
    """),
    "what is registered for the exit": component('import atexit; atexit.register(print, "at the exit")'),
    "a file that is not closed": component("""
        global file
        file = open(os.environ["OUT"], "w")
        file.write("written")
        file.buffer.cycle = file
    """),
    "a pool of processes": component("""
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(abs, [-1, -2]))
    """),
    "new processes": component("""
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(abs, [-1, -2]))
    """),
    "another Python": component("""
        import subprocess
        print(subprocess.check_output([sys.executable, "-c", "import kfp, sys; print(sys.prefix, kfp.__file__)"]))
    """),
    "itself": component("""
        import __main__, resource
        file = os.path.basename(sys.argv[2])
        print(__name__, __main__.__name__, __main__.__spec__.name, sys.argv[0], file, sys.argv[3:], sys.orig_argv[:3])
        print(sys.path, sys.flags, sys.prefix, sys.executable, sys.stdin, sys.stdout, sys.stderr, sys.excepthook)
        print([bool(getattr(sys, name).line_buffering) for name in ("stdin", "stdout", "stderr")])
        print("kfp.dsl.executor_main" in sys.modules, sorted(vars(__main__)))
        print(os.getcwd(), oct(os.umask(0)), sorted(os.listdir("/proc/self/fd")), sys.stdin.fileno())
        print([(number, signal.getsignal(number)) for number in signal.valid_signals() if number < 32])
        print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getsid(0), time.tzname, os.nice(0))
        print([resource.getrlimit(number) for number in range(16)])
        print(sorted(pair for pair in os.environ.items() if pair[0] not in ("_", "SHLVL", "PWD", "OLDPWD")))
        # Two signals are the C library's own: nobody else sees or sets them, and who spawns a process ignores them.
        print([
            (line[:7], hex(int(line.split()[1], 16) & ~(3 << 31)))
            for line in open("/proc/self/status") if line.startswith(("SigB", "SigI", "SigC", "NoNew"))
        ])
        print(os.stat("/proc/self/mem").st_uid == os.getuid(), os.listdir(os.path.dirname(sys.argv[2]))[:1])
    """),
}


@pytest.mark.parametrize("source", ENDINGS.values(), ids=ENDINGS)
async def test_a_component_is_as_in_a_python_of_its_own(pod: WorkerPod, source: str) -> None:
    found = []
    for name, cold in (("cold", True), ("warm", False)):
        await begin(pod, name, source, cold=cold, TZ="Asia/Kathmandu")
        result = await pod.result(name)
        assert result.exit is not None and result.exit.errno == 0, pod.said()
        found.append((result.exit.code, result.parameters, PASSING.sub("", log(pod, name)).splitlines()))
    assert found[1][2][0].startswith("[KFP Executor")
    if "sys.stderr)" in source:
        # Two streams come in no order.
        found = [(code, parameters, sorted("".join(lines))) for code, parameters, lines in found]
    assert found[0] == found[1]


async def test_a_signal_is_told_as_one(pod: WorkerPod) -> None:
    for number in (9, 11, 15):
        result = await run(pod, f"a{number}", f"os.kill(os.getpid(), {number})")
        assert result.exit is not None and (result.exit.code, result.exit.signal) == (128 + number, number)


async def test_what_the_caller_has_is_handed_over(pod: WorkerPod) -> None:
    await pod.heard("state", ready=True)
    source = component(
        "print('found', oct(os.umask(0)), os.getcwd(), sys.path[1], repr(sys.stdin.read()), os.environ['B'])"
    )
    called = warm_python.program(pod.share, source, executor_input(pod, "a"))
    script = 'umask 037; cd /usr; printf "a\nb" | B=given "$@"'
    await pod.begin_program("a", ["sh", "-euc", script, "sh", *called])
    await pod.heard("started", id="a")
    assert (await pod.result("a")).exit is not None
    assert "\nfound 0o37 /usr /usr 'a\\nb' given\n" in pod.log("a")


async def test_attempts_share_no_randomness(pod: WorkerPod) -> None:
    body = (
        "import random, uuid, tempfile; print('drawn', random.random(), uuid.uuid4(), tempfile.mktemp(), os.urandom(8))"
    )
    drawn = set()
    for name in "abc":
        assert (await run(pod, name, body)).exit is not None
        drawn |= set(pod.log(name).partition("drawn ")[2].split()[:4])
    assert len(drawn) == 12


async def begun(pod: WorkerPod) -> None:
    while "begun" not in pod.said():
        await asyncio.sleep(0.01)


WAITING = """
def asked(*_):
    print("asked")
    sys.exit(3)
signal.signal(signal.SIGTERM, asked)
print("begun", flush=True)
time.sleep(1000)
"""


async def test_the_end_of_the_pod_ends_a_component(pod: WorkerPod) -> None:
    await begin(pod, "a", component(WAITING))
    await begun(pod)
    pod.terminate()
    result = await pod.result("a")
    assert result.exit is not None and (result.exit.code, result.exit.signal) == (3, 0)
    assert pod.log("a").count("asked") == 1
    assert pod.main is not None and await asyncio.to_thread(pod.main.wait, 60) == 0


async def test_a_component_is_canceled(pod: WorkerPod) -> None:
    await begin(pod, "a", component(WAITING))
    await begun(pod)
    await pod.send(op="cancel", id="a", run_id="run", fence=1)
    result = await pod.result("a")
    assert result.exit is not None and result.exit.code == 3
    await begin(
        pod, "b", component("signal.signal(15, signal.SIG_IGN); print('b begun', flush=True); time.sleep(1000)")
    )
    while "b begun" not in pod.said():
        await asyncio.sleep(0.01)
    await pod.send(op="cancel", id="b", run_id="run", fence=1, at_once=True)
    assert (await pod.result("b")).exit is None
    assert (await run(pod, "c", "print('well')")).exit is not None


# What a component finds of others: modules and what is in them, files, processes, variables.
LOOK = """
import builtins, json, threading, logging
print("seen", sorted(name for name in sys.modules if not name.startswith("encodings")), len(vars(builtins)))
print(json.dumps([1]), threading.enumerate(), len(logging.root.handlers), sys.getrecursionlimit())
print(sorted(name for name in os.environ if name != "OUT"), os.getcwd(), oct(os.umask(0)), signal.getsignal(15))
print(sorted(os.listdir("/dev/shm")), [name for name in os.listdir(os.environ["TMPDIR"]) if name[:4] != "tmp."])
print(sorted(name for name in os.listdir("/proc") if name.isdigit())[:1], len(os.listdir("/proc/self/fd")))
mine = {"1", str(os.getpid()), str(os.getppid())}
print([open(f"/proc/{p}/cmdline").read()[:9] for p in os.listdir("/proc") if p.isdigit() and p not in mine])
print(sorted(re.sub(r"(?<=^stop-).*", "", name) for name in os.listdir(os.environ["SHARE"])))
print(open("/proc/1/limits").read(), os.getpriority(0, 1), os.sched_getaffinity(1))
"""
CALL = "os.environ['SHARE'] + '/call'"
HOSTILE = {
    "changed modules": """
        import json, builtins, threading, kfp.dsl.executor
        json.dumps = threading.enumerate = builtins.len = builtins.print = None
        for module in [one for name, one in sys.modules.items() if name.startswith("kfp") and vars(one)]:
            for name in list(vars(module)):
                setattr(module, name, None)
        sys.modules.clear()
        sys.setrecursionlimit(77)
        os.environ.clear()
        os._exit(0)
    """,
    "daemons": """
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.signal(15, signal.SIG_IGN)
                    while True:
                        time.sleep(1)
                os._exit(0)
    """,
    "signals to the first process": """
        for number in signal.valid_signals():
            if number not in (2, 15):
                os.kill(1, number)
    """,
    "the memory of the first process": """
        import ctypes
        system = ctypes.CDLL(None, use_errno=True)
        for name in ("mem", "environ", "maps", "auxv", "stack", "root/etc/passwd", "fd/0", "syscall"):
            try:
                open("/proc/1/" + name, "rb").read(1)
                print("READ", name)
            except OSError:
                pass
        for number in (16, 0x4206):
            if system.ptrace(number, 1, 0, 0) == 0:
                print("READ", number)
        pid = system.syscall(434, 1, 0)
        if pid >= 0 and system.syscall(438, pid, 4, 0) >= 0:
            print("READ its files")
    """,
    "a thousand connections": f"""
        kept = []
        for number in range(1000):
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(0.05)
            try:
                one.connect({CALL})
                one.send(os.urandom(number))
            except OSError:
                pass
            kept.append(one) if number < 200 else one.close()
    """,
    "many components": f"""
        import subprocess
        call = [{str(wrapper.WORKER)!r}, "--call", {CALL}, "--", "{warm_python.RUNTIME}", "{warm_python.MODULE}"]
        source = "import time; time.sleep(1000)"
        for _ in range(100):
            subprocess.Popen([*call, source, "--function_to_execute", "c", "--executor_input", "{{}}"])

        def forked():
            files = [f"/proc/{{name}}/status" for name in os.listdir("/proc") if name.isdigit()]
            return sum("PPid:\\t1\\n" in open(file).read() for file in files) - 1

        while forked() < 64:
            time.sleep(0.1)
        time.sleep(0.5)
        assert forked() == 64
    """,
    "requests that are none": f"""
        import array, struct
        for head in (b"", b"x", struct.pack("4I", 0, 2**31, 2**31, 2**32 - 1), struct.pack("4I", 0, 1, 0, 8)):
            for files in ([], [0], [0] * 4, [0] * 200):
                one = socket.socket(socket.AF_UNIX)
                one.connect({CALL})
                try:
                    one.sendmsg([head + b"abc"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
                except OSError:
                    pass
                one.shutdown(socket.SHUT_WR)
    """,
    "no socket any more": f"""
        os.unlink({CALL})
        os.mkdir({CALL})
        open({CALL} + "/in the way", "w")
        os.chmod({CALL}, 0)
    """,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_the_next_component_finds_what_the_first_one_found(pod: WorkerPod, body: str) -> None:
    async def seen(name: str) -> str:
        result = await run(pod, name, f"import re\n{LOOK}", TMPDIR=str(pod.temporary), SHARE=str(pod.share))
        assert result.exit is not None and result.exit.code == 0, pod.log(name)
        return pod.log(name).partition("\nseen")[2].partition("[KFP Executor")[0]

    before = await seen("before")
    assert "executor_main" in before or "kfp.dsl" in before
    hostile = await run(pod, "hostile", textwrap.dedent(body), SHARE=str(pod.share))
    assert hostile.exit is not None and hostile.exit.code == 0, pod.log("hostile")
    assert await seen("after") == before
    assert "READ" not in pod.said()
    assert pod.message.read_text() == ""


# Patterns that do not match themselves.
SCAN = r"""
import re
for line in open("/proc/self/maps"):
    begin, end = (int(one, 16) for one in line.split()[0].split("-"))
    if " r" in line and "[v" not in line:
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(begin)
            try:
                data = memory.read(end - begin)
            except OSError:
                continue
        for found in re.findall(rb"SECRE[T]-\d+", data):
            print("FOUND", found)
        if re.search(rb"stop[-][0-9a-f]{32}|loghostil[e]", data):
            print("FOUND a token")
        if re.search(rb"ow[n]-canary", data):
            print("canary")
"""


async def test_a_component_has_nothing_of_others_in_its_memory(pod: WorkerPod) -> None:
    secret = "SECRET-" + "12345"
    source = component(f"print('{secret}', os.environ['A'])")
    for name in "abc":
        await begin(pod, name, source, A=secret)
        assert secret in pod.log(name) if (await pod.result(name)).exit else False
    result = await run(pod, "hostile", SCAN, A="own-canary")
    assert result.exit is not None and result.exit.code == 0
    assert "canary" in pod.log("hostile")
    assert "FOUND" not in pod.log("hostile")


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "LANG", "PATH"])
async def test_other_settings_have_a_python_started_anew(pod: WorkerPod, name: str) -> None:
    value = {"PYTHONHASHSEED": "7", "LANG": "C", "PATH": warm_python.interpreter()[1]["PATH"] + ":/nowhere"}[name]
    body = f"print('started', open('/proc/self/cmdline').read().split(chr(0))[1], hash('a'), os.environ['{name}'])"
    logs = []
    for one in "ab":
        assert (await run(pod, one, body, **{name: value})).exit is not None
        logs.append(pod.log(one).partition("started ")[2].split("\n")[0])
    assert logs[0].startswith("-m ") and logs[0].endswith(value)
    assert (logs[0] == logs[1]) or name != "PYTHONHASHSEED"


@pytest.mark.parametrize("module", ["no.such", "no.threads"])
async def test_an_sdk_that_cannot_be_imported_in_advance(place: Path, module: str) -> None:
    (place / "no").mkdir()
    (place / "no" / "threads.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    )
    started = warm_python.first_process(place, module=module)
    async with warm_worker(place, started) as pod:
        for name in "ab":
            result = await run(pod, name, "print('well', os.getpid() > 1)")
            assert result.exit is not None and result.exit.code == 0, pod.log(name)
            assert "well True" in pod.log(name)
        assert "is not imported in advance" in (place / "stderr").read_text()


async def test_the_program_with_checks_of_memory(place: Path) -> None:
    worker = wrapper.sanitized("worker")
    async with warm_worker(place, warm_python.first_process(place, worker)) as pod:
        for number in range(3):
            name = f"a{number}"
            source = component(f"os.kill(os.getpid(), 15) if {number} == 2 else sys.exit({number})")
            program = warm_python.program(pod.share, source, executor_input(pod, name))
            await pod.heard("state", ready=True)
            await pod.begin_program(name, [str(worker), *program[1:]])
            await pod.heard("started", id=name)
            result = await pod.result(name)
            assert result.exit is not None and result.exit.code == (0, 1, 143)[number], pod.log(name)
        assert "Sanitizer" not in (place / "stderr").read_text()


async def test_without_ctypes_there_is_no_such_worker(place: Path) -> None:
    """Nothing would keep the attempts out of its memory."""
    (place / "ctypes.py").write_text("raise ImportError")
    packages = [str(place), *filter(None, [warm_python.interpreter()[1].get("PYTHONPATH")])]
    async with warm_worker(place, warm_python.first_process(place, PYTHONPATH=":".join(packages))) as pod:
        assert pod.main is not None and await asyncio.to_thread(pod.main.wait, 60) == 125
        assert "no ctypes" in pod.message.read_text()
