"""The first process of a warm worker whose attempts are lightweight Python components (docs/workers.md): the image's
Python with the SDK imported, which forks a component in milliseconds.

Why it is the first process itself: between two attempts everything else is killed, and during one everything else can
be killed or stopped by it. Why so little of a worker is in here: what is said between worker and agent, and what is
cleared, is the same program as without Python, `worker --next`, which becomes the wrapper of the next attempt.

Invariants: this process never runs code of an attempt, reads nothing that an attempt says but bytes of the FIFO `stop`,
and knows no token, variable or argument of any attempt, so that what it forks finds none in its memory: requests are
read by the process that was forked for them. One thread, so that forking is safe. It waits for nobody. What an attempt
can make of it is more processes of the attempt's own, which end with it.

A component is carried out by a fork of this process only if a Python started anew would be the same: other settings of
the interpreter, or another module, and a new one is started instead.

Usage: python3 first_process.py --worker PROGRAM [--module MODULE] [--variable NAME=VALUE]… OPTIONS OF THE WORKER…
(Python 3.8 or newer, with ctypes; Linux)
"""

import array
import errno
import fcntl
import gc
import importlib
import io
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import types

SYSTEM: "ctypes.CDLL | None" = None
try:
    import ctypes

    SYSTEM = ctypes.CDLL(None, use_errno=True)
except ImportError:
    pass

OWN_FAILURE = 125
CALLS = 64
"""The most components at a time."""
ENDING_SECONDS = 30.0
REQUEST_SECONDS = 20.0
REQUEST_BYTES = 16 * 1024 * 1024
REQUEST_FILES = 4
LEAVING = (signal.SIGTERM, signal.SIGINT)
# What the interpreter, its loader or the SDK reads while it starts.
SETTINGS = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_", "PATH=", "PROTOCOL_BUFFERS_", "KFP_", "_KFP_")
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


class FirstProcess:
    def __init__(self, options):
        self.options = options
        self.message = options.passed[options.passed.index("--message") + 1] if "--message" in options.passed else ""
        self.told_to_leave = 0
        self.running = {}
        self.wrapper = 0
        self.stop = self.calls = -1

    def serve(self):
        """In a process that is forked for a component, returns the connection over which it was asked for."""
        with open("/proc/self/environ", "rb") as environment:
            self.environment = [entry for entry in environment.read().split(b"\0") if b"=" in entry]
        # Python itself sets some, where the locale is the one of C.
        given = {entry.partition(b"=")[0] for entry in self.environment}
        self.added = {name: value for name, value in os.environb.items() if name not in given}
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        if SYSTEM is None:
            self.fail("the image's Python has no ctypes, without which its memory cannot be protected")
        if not let_others_read(False):
            self.fail("its memory cannot be protected")
        self.wake, self.wake_write = kept_pipe()
        self.kept, self.kept_write = kept_pipe()
        ours, others = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.control, self.control_of_worker = socket.socket(fileno=moved_up(ours.detach())), moved_up(others.detach())
        self.control.setblocking(False)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in LEAVING:
            signal.signal(number, self.leave)
        self.import_sdk()
        gc.collect()
        gc.freeze()
        while True:
            connection = self.between_and_attempt()
            if connection is not None:
                return connection
            self.close_attempt()
            self.end_all()

    def import_sdk(self):
        """Where that fails or leaves a thread, components import it themselves."""
        if not self.options.module:
            return
        use_directory()
        os.environ.update(self.options.variables)
        try:
            importlib.import_module(self.options.module)
            importlib.import_module("locale")
            failed = ""
        except BaseException as error:
            failed = repr(error)
        if not failed and (threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1):
            failed = "it starts threads"
        if failed:
            say("%s is not imported in advance: %s" % (self.options.module, failed))
            bare = [sys.executable, os.path.abspath(__file__), "--worker", self.options.worker, *self.options.passed]
            variables = dict(entry.split(b"=", 1) for entry in self.environment)
            os.execve(sys.executable, bare, variables)  # noqa: S606 - this very program
        for name in self.options.variables:
            os.environ.pop(name, None)

    # --- an attempt ---

    def between_and_attempt(self):
        """Until the next attempt has ended; the connection in a process that is forked for a component of it."""
        self.start_worker()
        while True:
            self.wait()
            self.take_announcement()
            told, self.told_to_leave = self.told_to_leave, 0
            if told:
                self.options.mode = "--last"
                kill(self.wrapper, signal.SIGTERM)
            if self.stop >= 0:
                self.hear_stop()
            if self.reap():
                return None
            if self.calls >= 0 and len(self.running) < CALLS:
                connection = self.take_call()
                if connection is not None:
                    return connection

    def start_worker(self):
        mode = self.options.mode
        files = ((self.control_of_worker, 3), (self.kept, 4), (self.kept_write, 5))
        self.wrapper = os.posix_spawn(
            self.options.worker,
            [self.options.worker, mode, *self.options.passed],
            dict(entry.split(b"=", 1) for entry in self.environment),
            file_actions=[(os.POSIX_SPAWN_DUP2, file, number) for file, number in files],
            setsigmask=self.mask,
            # Python ignores these for itself.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
        self.begun = False

    def wait(self):
        poll = select.poll()
        for file in (self.wake, self.control.fileno(), self.stop):
            if file >= 0:
                poll.register(file, select.POLLIN)
        if self.calls >= 0 and len(self.running) < CALLS:
            poll.register(self.calls, select.POLLIN)
        if not self.told_to_leave:
            poll.poll()
        drain(self.wake)

    def take_announcement(self):
        """The attempt begins: nobody else has the other end of this socket then."""
        if self.begun:
            return
        try:
            data, files = received(self.control, 1, 2)
        except BlockingIOError:
            return
        if len(files) != 2 or not data:
            self.fail("its own words cannot be understood")
        self.begun = True
        self.stop, self.calls = map(moved_up, files)

    def hear_stop(self):
        """A byte at a time, so that none of them stays in memory."""
        try:
            said = os.read(self.stop, 1)
        except BlockingIOError:
            return
        if said == b"T":
            kill(self.wrapper, signal.SIGTERM)
        elif said == b"K":
            kill(-1, signal.SIGKILL)

    def reap(self):
        """True when the attempt has ended; the end of the worker when it ended without one."""
        over = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return over
            connection = self.running.pop(pid, None)
            if connection is not None:
                tell(connection, status)
                connection.close()
            if pid == self.wrapper:
                self.take_announcement()
                if not self.begun:
                    self.leave_with(status)
                over = True

    def leave_with(self, status):
        """There is no attempt: the agent wants none any more, the Pod ends, or something is wrong, as was said."""
        if os.WIFEXITED(status):
            os._exit(os.WEXITSTATUS(status))
        if self.options.mode == "--last":
            os._exit(0)
        self.fail("what prepares an attempt was killed by signal %d" % os.WTERMSIG(status))

    def leave(self, _number, _frame):
        self.told_to_leave += 1

    def close_attempt(self):
        for connection in self.running.values():
            connection.close()
        self.running.clear()
        for file in (self.stop, self.calls):
            if file >= 0:
                os.close(file)
        self.stop = self.calls = -1

    def end_all(self):
        """Ends every other process of the container, and waits until they are gone."""
        until = time.monotonic() + ENDING_SECONDS
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while True:
            nobody = kill(-1, signal.SIGKILL) == errno.ESRCH
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                if nobody:
                    break
            if time.monotonic() > until:
                self.fail("a process of an attempt cannot be ended")
            poll.poll(10)
            drain(self.wake)
        if self.told_to_leave:
            self.told_to_leave = 0
            self.options.mode = "--last"

    def fail(self, what):
        text = "the worker cannot go on: %s" % what
        say(text)
        try:
            file = os.open(self.message, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK)
            os.write(file, text.encode(errors="replace"))
        except OSError:
            pass
        os._exit(OWN_FAILURE)

    # --- components ---

    def take_call(self):
        """Forks a process for whoever connected. In that process, returns the connection."""
        # Not Python's own, which makes a text of the name that the other side may have.
        file = SYSTEM.accept4(self.calls, None, None, socket.SOCK_CLOEXEC) if SYSTEM is not None else -1
        if file < 0:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, file)
        # A signal must find what it is sent to: this process or a component, not something in between.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError:
            pid = -1
        if pid == 0:
            self.become_component(connection)
            return connection
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        connection.setblocking(False)
        if pid > 0:
            tell(connection, pid)
            self.running[pid] = connection
        else:
            connection.close()
        return None

    def become_component(self, connection):
        """In the child: a process like any other of the attempt. Its memory holds nothing that is not the attempt's."""
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Their numbers may soon be those of other files, which must not be closed with these.
        for other in (*self.running.values(), self.control):
            other.detach()
        self.running.clear()
        close_all_but(connection.fileno())
        let_others_read(True)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)


def received(connection, size, most):
    """Bytes and open files; no more than `most` of these. Raises OSError."""
    room = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(size, socket.CMSG_LEN(most * room.itemsize))
    for level, kind, files in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            room.frombytes(files[: len(files) - len(files) % room.itemsize])
    return data, list(room)


def tell(connection, number):
    """Where nobody listens any more, nothing."""
    try:
        connection.send(number.to_bytes(4, sys.byteorder, signed=True), socket.MSG_NOSIGNAL)
    except OSError:
        pass


def kill(pid, number):
    """The error's number, 0 for none."""
    try:
        os.kill(pid, number)
    except OSError as error:
        return error.errno
    return 0


def drain(file):
    """Takes what is there, of a pipe that wakes."""
    try:
        while len(os.read(file, 4096)) == 4096:
            pass
    except BlockingIOError:
        pass


def moved_up(file):
    """Out of the way of those that a program is given by their number."""
    moved = fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(file)
    return moved


def kept_pipe():
    """Both ends, neither of which blocks."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return tuple(moved_up(end) for end in ends)


def close_all_but(kept):
    """And but stdin, stdout and stderr."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass


def let_others_read(allowed):
    """Whether other processes of this user may read this process's memory and variables, and trace it; if it is so."""
    wanted = 1 if allowed else 0
    assert SYSTEM is not None
    SYSTEM.prctl(PR_SET_DUMPABLE, wanted, 0, 0, 0)
    return SYSTEM.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == wanted


def say(text):
    """In the container's log, past what a component may have made of Python's own streams."""
    os.write(2, ("penstock: %s\n" % text).encode(errors="backslashreplace"))


# --- in a process that was forked for a component ---


class Request:
    """What the attempt's own program asks for (call.h). Raises OSError and ValueError for what is no request."""

    def __init__(self, connection):
        connection.settimeout(REQUEST_SECONDS)
        head, self.files = received(connection, 16, REQUEST_FILES)
        self.umask, words, variables, size = array.array("I", head + whole(connection, 16 - len(head)))
        if size > REQUEST_BYTES or len(self.files) != REQUEST_FILES:
            raise ValueError("no request")
        said = whole(connection, size).split(b"\0")[:-1]
        if len(said) != words + variables:
            raise ValueError("no request")
        self.environment = said[words:]
        self.variables = {}
        while b"=" in said[0]:
            name, _, value = said.pop(0).partition(b"=")
            words -= 1
            self.variables[os.fsdecode(name)] = os.fsdecode(value)
        self.module, self.source = os.fsdecode(said[0]), said[1]
        self.arguments = [os.fsdecode(word) for word in said[2:words]]


def whole(connection, size):
    """So many bytes. Raises OSError, ValueError."""
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise ValueError("the request ends too early")
        data += piece
    return bytes(data)


def settings(environment):
    """What of it decides how a Python starts."""
    return sorted(entry for entry in environment if os.fsdecode(entry).startswith(SETTINGS))


def prepare(first, connection):
    """Makes this process the one that the component's command would have started; returns what `python -m` is told."""
    request = Request(connection)
    connection.close()
    for number, file in enumerate(request.files[:3]):
        os.dup2(file, number)
    os.fchdir(request.files[3])
    for file in request.files:
        os.close(file)
    os.umask(request.umask)
    same = settings(request.environment) == settings(first.environment)
    os.environ.clear()
    os.environb.update(entry.split(b"=", 1) for entry in request.environment if b"=" in entry)
    # As `mktemp -d` makes it.
    directory = tempfile.mkdtemp(prefix="tmp.", dir=os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - the attempt's
    path = directory + "/ephemeral_component.py"
    with open(path, "wb") as file:
        file.write(request.source)
    os.environ.update(request.variables)
    command = ["python3", "-m", request.module, "--component_module_path", path, *request.arguments]
    if not same or (request.module, request.variables) != (first.options.module, first.options.variables):
        os.execvp(command[0], command)  # noqa: S606 - the command of the attempt, a list of words
    for name, value in first.added.items():
        os.environb.setdefault(name, value)
    be_new(command)
    return request.module


def be_new(command):
    """What a Python has that was started just now."""
    use_directory()
    sys.argv = ["-m", *command[3:]]
    sys.orig_argv = command
    tempfile.tempdir = None
    time.tzset()
    for number, name, before in ((0, "stdin", sys.stdin), (1, "stdout", sys.stdout), (2, "stderr", sys.stderr)):
        file = standard(number, name, before)
        setattr(sys, name, file)
        setattr(sys, "__%s__" % name, file)
    # The SDK's own is run as the main module, under its own name it is a module that nobody has imported.
    sys.modules.pop(command[2], None)
    ours = sys.modules["__main__"].__dict__
    new = sys.modules["__main__"] = types.ModuleType("__main__")
    new.__dict__["__builtins__"] = ours["__builtins__"]
    if "__annotations__" in ours:
        new.__dict__["__annotations__"] = {}


def standard(number, name, before):
    """As the interpreter makes them when it starts, with the settings it was started with."""
    unbuffered = bool(before is not None and before.write_through)
    try:
        raw = open(number, "rb" if number == 0 else "wb", 0 if unbuffered and number else -1, closefd=False)
    except OSError:
        return None
    setattr(getattr(raw, "raw", raw), "name", "<%s>" % name)  # noqa: B010 - not in its stub
    text = io.TextIOWrapper(
        raw,
        encoding=before.encoding if before is not None else "utf-8",
        errors=before.errors if before is not None else "backslashreplace",
        newline=None if number == 0 else "\n",
        line_buffering=os.isatty(number) or bool(number == 2 and before is not None and before.line_buffering),
        write_through=unbuffered,
    )
    setattr(text, "mode", "r" if number == 0 else "w")  # noqa: B010 - likewise
    return text


def use_directory():
    """As `python -m` does; instead of the directory of this file."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.getcwd()
        sys.path_importer_cache.pop(sys.path[0], None)


class Options:
    def __init__(self, words):
        self.worker = self.module = ""
        self.variables = {}
        self.passed = []
        self.mode = "--next"
        for name, value in zip(words[::2], words[1::2]):  # noqa: B905 - Python 3.8 has no `strict`
            if name == "--worker":
                self.worker = value
            elif name == "--module":
                self.module = value
            elif name == "--variable":
                self.variables[value.partition("=")[0]] = value.partition("=")[2]
            else:
                self.passed += [name, value]


def main():
    """In a process that is forked for a component, returns the module it has to run."""
    first = FirstProcess(Options(sys.argv[1:]))
    if os.getpid() != 1:
        first.fail("a worker has to be the first process of its container")
    try:
        connection = first.serve()
    except BaseException as error:
        if os.getpid() == 1:
            first.fail(repr(error))
        raise
    return prepare(first, connection)


if __name__ == "__main__":
    # Not within a function, so that the interpreter ends as after any program: threads, what was registered for the
    # exit, files that were not closed, the exit code.
    # What `python -m` calls.
    getattr(runpy, "_run_module_as_main")(main())  # noqa: B009 - not in its stub
