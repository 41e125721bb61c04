"""Forks tasks. Runs as a program of its own, in a task environment's Python, without any of Penstock's packages.

Why: importing the SDK costs far more than most steps of a lightweight component; a process that did it once forks a
task in milliseconds. And tasks must outlive the executor: their parent is this process, which writes down how each
ended.

Invariants: an attempt is started only by whoever creates its `claim` file, so never twice, whoever asks; the child
writes `pid` before the task's first instruction; `exit` appears, whole, when the task ended, whatever the task put in
its place, and whoever is connected is told the same. One thread, so that forking is safe. Nobody connected, nothing
running and nothing to do for a while, or told to retire: it ends.

A task is the same user and can reach the socket and the files. Who says nonsense is hung up on; files are written into
the directory that was there when the attempt began, wherever a task moves it; no task can read this process's memory.

A task sees cached packages and input artifacts through a view: a mount namespace of its own, in which file systems that
overlay these files take up what it writes, and the attempt's own outputs lead through to the store.

A module that is imported is run in a fork of this process. A command needs nothing of it, so that a small program
becomes the command where there is one for the machine (`begin.c`); elsewhere, and when that cannot be started, a fork
does the same.

Usage: fork_server.py SOCKET [--preload MODULE]   (Python 3.8 or newer, POSIX)
       fork_server.py --view VIEW                 whether this machine can give such a view; VIEW as in a launch
"""

import ctypes
import errno
import fcntl
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

IDLE_SECONDS = 600.0
MAX_LINE = 256 * 1024 * 1024
MAX_CLIENTS = 64


class Server:
    def __init__(self, path, preload):
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.clients = {}
        self.children = {}
        self.directories = {}
        self.began = {}
        self.kill_at = {}
        self.last_use = time.monotonic()
        self.retiring = False
        self.lock = open(path + ".lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Another one serves this path already.
            sys.exit(0)
        become_subreaper()
        let_others_read(False)
        if preload:
            try:
                importlib.import_module(preload)
            except Exception as error:  # the task will fail on the same import, and say so in its log
                sys.stderr.write("preload of %s failed: %s\n" % (preload, error))
        rehearse()
        gc.collect()
        gc.freeze()
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.wake = read
        self.wake_write = write
        self.handled = handled_signals()
        self.selector.register(read, selectors.EVENT_READ, self.reap)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o600)
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def serve(self):
        while True:
            timeout = 30.0
            if self.kill_at:
                timeout = max(0.0, min(self.kill_at.values()) - time.monotonic())
            for key, mask in self.selector.select(timeout):
                if key.fileobj in self.clients or key.data in (self.accept, self.reap):
                    key.data(key.fileobj, mask)
            self.kill_overdue()
            if self.clients or self.children:
                self.last_use = time.monotonic()
            elif self.retiring or time.monotonic() - self.last_use > IDLE_SECONDS or not os.path.exists(self.path):
                return

    # --- clients ---

    def accept(self, listener, _mask):
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.setblocking(False)
        if len(self.clients) >= MAX_CLIENTS:
            # Those that never said anything go first, then the oldest; an executor comes again.
            silent = [one for one, (_, _, said) in self.clients.items() if not said]
            self.drop((silent or list(self.clients))[0])
        self.clients[client] = [bytearray(), bytearray(), False]
        self.selector.register(client, selectors.EVENT_READ, self.talk)

    def talk(self, client, mask):
        if mask & selectors.EVENT_WRITE:
            self.flush(client)
        if client not in self.clients or not mask & selectors.EVENT_READ:
            return
        try:
            data = client.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(client)
            return
        buffer = self.clients[client][0]
        buffer += data
        while True:
            end = buffer.find(b"\n")
            if end < 0:
                break
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            try:
                self.handle(client, json.loads(line))
            except Exception as error:
                sys.stderr.write("hung up on a client that said nonsense: %r\n" % error)
                self.drop(client)
            if client not in self.clients:
                return
            self.clients[client][2] = True
        if len(buffer) > MAX_LINE:
            self.drop(client)

    def handle(self, client, message):
        kind = message["op"]
        if kind == "launch":
            self.launch(client, message)
        elif kind == "watch":
            began = [self.began[pid] for pid, name in self.children.items() if name == message["id"]]
            answer = {"event": "watched", "id": message["id"], "known": bool(began)}
            self.send(client, dict(answer, at=began[0]) if began else answer)
        elif kind == "cancel":
            self.cancel(message["id"], message.get("grace", 10.0))
        elif kind == "retire":
            # Its executor leaves in good order: there is nothing to wait for once the tasks have ended.
            self.retiring = True

    def send(self, client, document):
        if client in self.clients:
            self.clients[client][1] += json.dumps(document).encode() + b"\n"
            self.flush(client)

    def flush(self, client):
        pending = self.clients[client][1]
        try:
            while pending:
                del pending[: client.send(pending)]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if pending else 0)
        self.selector.modify(client, events, self.talk)

    def drop(self, client):
        if client not in self.clients:
            return
        self.selector.unregister(client)
        del self.clients[client]
        client.close()

    # --- children ---

    def launch(self, client, task):
        self.retiring = False
        name, path = str(task["id"]), str(task["dir"])
        try:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self.send(client, {"event": "failed", "id": name, "error": str(error)})
            return
        try:
            claim_whole(directory, self.path)
            pid = begin(task, directory) or os.fork()
        except FileExistsError:
            os.close(directory)
            self.send(client, {"event": "claimed", "id": name})
            return
        except OSError as error:
            os.close(directory)
            self.send(client, {"event": "failed", "id": name, "error": str(error)})
            return
        if pid == 0:
            self.become(task, directory)
        self.children[pid] = name
        self.directories[pid] = directory
        self.began[pid] = millis()
        self.send(client, {"event": "started", "id": name, "pid": pid, "at": self.began[pid]})

    def become(self, task, directory):
        """In the child: turns into the task, never returns."""
        code = 1
        try:
            os.setsid()
            become_subreaper()
            let_others_read(True)
            signal.set_wakeup_fd(-1)
            for number in self.handled:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.forget_descriptors()
            write_whole(directory, "pid", {"pid": os.getpid(), "start": start_time(os.getpid())})
            log = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(null)
            os.close(log)
            try:
                enter_view(task.get("view"))
            except OSError as error:
                text = "its view of packages and inputs cannot be made: %s" % error
                write_whole(directory, "not-begun", {"error": text})
                os._exit(1)
            os.chdir(task["cwd"])
            os.environ.clear()
            os.environ.update(task["env"])
            if "module" in task:
                use_environment(task["environment"])
                os.close(directory)
                code = run_module(task["module"], task["argv"])
            else:
                execute(task, directory)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def forget_descriptors(self):
        for directory in self.directories.values():
            os.close(directory)
        for client in list(self.clients):
            client.close()
        self.listener.close()
        self.selector.close()
        os.close(self.wake)
        os.close(self.wake_write)
        self.lock.close()

    def reap(self, wake, _mask):
        try:
            while os.read(wake, 4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ended(pid, status)

    def ended(self, pid, status):
        name = self.children.pop(pid, None)
        directory = self.directories.pop(pid, None)
        self.kill_at.pop(pid, None)
        self.began.pop(pid, None)
        try:
            # What the task left running belongs to it and ends with it.
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
        if name is None:
            # It was left by an attempt, and what it started has come to us now.
            self.end_strays()
            return
        self.end_strays()
        document = {"at": millis()}
        if os.WIFSIGNALED(status):
            document["signal"] = os.WTERMSIG(status)
        else:
            document["code"] = os.WEXITSTATUS(status)
        try:
            write_over(directory, "exit", document)
        except OSError as error:
            sys.stderr.write("%s: exit not recorded: %s\n" % (name, error))
        os.close(directory)
        for client in list(self.clients):
            self.send(client, {"event": "exited", "id": name, "exit": document})

    def end_strays(self):
        """Kills what attempts left running in sessions of their own. While a task's own process lives, that is the
        parent of what was left (`become`): whoever comes to us was left by one that has ended."""
        for pid in adopted_children():
            if pid not in self.children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass

    def cancel(self, name, grace):
        for pid, known in list(self.children.items()):
            if known == name:
                try:
                    os.killpg(pid, signal.SIGTERM)
                except OSError:
                    pass
                self.kill_at.setdefault(pid, time.monotonic() + grace)

    def kill_overdue(self):
        now = time.monotonic()
        for pid, at in list(self.kill_at.items()):
            if at <= now:
                del self.kill_at[pid]
                try:
                    os.killpg(pid, signal.SIGKILL)
                except OSError:
                    pass


def rehearse():
    """Does once what every task would do anew: half of a task's start were imports and patterns of the parser's."""
    import argparse
    import locale
    import shutil

    parser = argparse.ArgumentParser(prog="rehearsal")
    parser.add_argument("--name", type=str, required=True)
    parser.parse_known_args(["--name", "value"])
    parser.format_help()
    return locale, shutil


def handled_signals():
    """Signals that a task takes as a new process has them: those that this process handles, and also what whoever
    started us ignores, as a shell does for what it has in the background. Not SIGXFSZ, which Python ignores for itself:
    the task may go on as one."""
    own = {signal.SIGKILL, signal.SIGSTOP, signal.SIGXFSZ}
    return [one for one in signal.valid_signals() - own if signal.getsignal(one) is not signal.SIG_DFL]


# Looked up once: a task's start would do it three times.
SYSTEM = ctypes.CDLL(None, use_errno=True)


def become_subreaper():
    """What descendants of this process leave becomes its child, as of the first process of a container (Linux)."""
    if sys.platform == "linux":
        SYSTEM.prctl(36, 1, 0, 0, 0)


def let_others_read(allowed):
    """Whether other processes of this user may read this process's memory and variables, and trace it (Linux)."""
    if sys.platform == "linux":
        SYSTEM.prctl(4, 1 if allowed else 0, 0, 0, 0)


def adopted_children():
    """Process ids of the children of the main thread, those included that came to it as a subreaper; empty where /proc
    does not say."""
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as children:
            return [int(pid) for pid in children.read().split()]
    except (OSError, ValueError):
        return []


CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000


def enter_view(view):
    """Gives this process the view. OSError when the machine cannot; the process must end then.

    `overlays` are [lower, target, scratch]: at `target` lies what is in `lower`, and what is written there goes to the
    empty directory `scratch`, or is kept in memory when that is null, which takes no entries on a disk.
    Below one of them the directories `through` are what they were.
    """
    if not view:
        return
    in_user_namespace = enter_namespaces()
    mount(None, "/", None, MS_REC | MS_PRIVATE, None)
    # Held open: their paths lead elsewhere once something is mounted above them.
    through = [(os.open(path, os.O_PATH | os.O_DIRECTORY), path) for path in view["through"]]
    for lower, target, scratch in view["overlays"]:
        shown = os.open(lower, os.O_PATH | os.O_DIRECTORY)
        if scratch is None:
            mount("tmpfs", target, "tmpfs", 0, "mode=0700")
            lower, scratch = "/proc/self/fd/%d" % shown, target
        upper, work = os.path.join(scratch, "upper"), os.path.join(scratch, "work")
        for directory in (upper, work):
            os.makedirs(directory, exist_ok=True)
        options = "lowerdir=%s,upperdir=%s,workdir=%s" % tuple(map(escaped, (lower, upper, work)))
        # Nothing of it has to survive: without `volatile` the end of every task would sync the whole file system.
        options += ",volatile"
        if in_user_namespace:
            mount("overlay", target, "overlay", 0, options + ",userxattr")
        else:
            try:
                # So that directories of an input can be renamed.
                mount("overlay", target, "overlay", 0, options + ",redirect_dir=on")
            except OSError:
                # We are root of a user namespace, as in a container, or the file system keeps no such attribute.
                mount("overlay", target, "overlay", 0, options)
        os.close(shown)
    for descriptor, path in through:
        mount("/proc/self/fd/%d" % descriptor, path, None, MS_BIND, None)
        os.close(descriptor)


def enter_namespaces():
    """A mount namespace, with a user namespace around it where that takes one; returns whether it did."""
    user, group = os.getuid(), os.getgid()
    if SYSTEM.unshare(CLONE_NEWNS) == 0:
        return False
    if SYSTEM.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "no mount namespace: %s" % os.strerror(number))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", "%d %d 1" % (user, user)),
        ("gid_map", "%d %d 1" % (group, group)),
    ):
        with open("/proc/self/" + name, "w") as out:
            out.write(text)
    return True


def escaped(path):
    """As an option of an overlay, where commas and colons mean something."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def mount(source, target, kind, flags, options):
    """mount(2). An OSError names the target."""
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    if SYSTEM.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(flags), arguments[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "mount at %s: %s" % (target, os.strerror(number)))


def use_environment(environment):
    """Makes this process one of the attempt's Python, as if that had been started instead of forked from here."""
    sys.executable = environment["python"]
    sys.prefix = sys.exec_prefix = environment["path"]
    # In front of the cached packages, which are found behind it, as they are when the attempt's Python starts.
    first = min([sys.path.index(path) for path in environment["layers"] if path in sys.path] or [len(sys.path)])
    sys.path.insert(first, environment["packages"])
    sys.path.extend(path for path in environment["layers"] if path not in sys.path)
    importlib.invalidate_caches()
    if "site" in sys.modules:
        setattr(sys.modules["site"], "PREFIXES", [sys.prefix, sys.exec_prefix])  # noqa: B010 - not in its stub
    # It remembers the prefixes of the process that it was first asked in.
    sys.modules.pop("sysconfig", None)


def run_module(name, argv):
    """What `python -m NAME ARGV` does, in this process; the exit code."""
    import atexit
    import threading

    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    module = importlib.import_module(name)
    sys.argv = [getattr(module, "__file__", name)] + argv
    sys.path.insert(0, os.getcwd())
    code = 0
    try:
        getattr(module, name.rsplit(".", 1)[-1])()
    except SystemExit as exit_:
        if isinstance(exit_.code, int):
            code = exit_.code
        elif exit_.code is not None:
            sys.stderr.write("%s\n" % exit_.code)
            code = 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()  # noqa: SLF001 - the child leaves by os._exit, which runs none
    return code


def begun_with():
    """The program that becomes a command, for this machine; empty when there is none."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "begin-" + machine)
    return program if sys.platform == "linux" and os.access(program, os.X_OK) else ""


BEGIN = begun_with()


def begin(task, directory):
    """Starts a command without a fork of this process; its process id. None when nothing was started."""
    if not BEGIN or "argv" not in task or "module" in task:
        return None
    try:
        view = task.get("view") or {"overlays": [], "through": []}
        words = [BEGIN, directory, task["log"], task["cwd"], len(view["overlays"])]
        words += [path or "" for overlay in view["overlays"] for path in overlay]
        words += [len(view["through"])] + view["through"] + task["argv"]
        process = subprocess.Popen(  # noqa: S603 - the command of the task, which is a list of words
            list(map(str, words)), env=task["env"], pass_fds=(directory,), start_new_session=True
        )
    except (OSError, ValueError, TypeError, KeyError):
        # As when the words are too long. The fork says what is wrong with them.
        return None
    # It is waited for with all others.
    process.returncode = 0
    return process.pid


def execute(task, directory):
    """Turns this process into the task's command; when there is none, leaves `spawn-error` and exits with 127."""
    argv = task["argv"]
    # Python ignores it for itself.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, os.environ)  # noqa: S606 - the command of the task, which is a list of words
    except OSError as error:
        reason = "not found" if error.errno in (errno.ENOENT, errno.ENOTDIR) else os.strerror(error.errno or 0)
        write_whole(directory, "spawn-error", {"command": argv[0], "reason": reason, "errno": error.errno or 0})
        os._exit(127)


def claim_whole(directory, path):
    """Says whose the attempt is, once: appears with its content, so nobody reads an empty one. FileExistsError."""
    temporary = written(directory, "claim", path)
    try:
        os.link(temporary, "claim", src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.unlink(temporary, dir_fd=directory)


def write_whole(directory, name, document):
    """Atomic for readers. Not synced: it has to survive the death of processes, not of the machine."""
    temporary = written(directory, name, json.dumps(document))
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def write_over(directory, name, document):
    """Also where the task has made a directory of that name, or taken our rights to its own directory away."""
    os.fchmod(directory, 0o700)
    try:
        write_whole(directory, name, document)
    except IsADirectoryError:
        os.rename(name, unused(name), src_dir_fd=directory, dst_dir_fd=directory)
        write_whole(directory, name, document)


def written(directory, name, text):
    """The name of a new file with the text. Nothing that lies there is opened."""
    temporary = unused(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600, dir_fd=directory), "w") as out:
        out.write(text)
    return temporary


def unused(name):
    """A name beside `name` that nobody could have taken before."""
    return ".%s.%s" % (name, os.urandom(8).hex())


def start_time(pid):
    """Ticks since boot: tells a process from a later one with the same number. 0 where there is no /proc."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def millis():
    """Milliseconds since 1970, as in every file of an attempt."""
    return int(time.time() * 1000)


if __name__ == "__main__":
    if sys.argv[1] == "--view":
        try:
            enter_view(json.loads(sys.argv[2]))
        except OSError as error:
            sys.exit(str(error))
        sys.exit(0)
    Server(sys.argv[1], sys.argv[3] if sys.argv[2:3] == ["--preload"] else "").serve()
