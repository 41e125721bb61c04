"""A warm worker in a directory: its first process as PID 1 of namespaces of its own, and a real agent beside it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from penstock_executor.agent.protocol import AgentTask, AttemptResult
from penstock_executor.pod_paths import OUTPUT_PARAMETERS, local_form

from tools.testing import wrapper
from tools.testing.wrapper import CONTAINER

RESTRICTED = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
AS_USER = (*RESTRICTED, "--reuid=1000", "--regid=1000", "--clear-groups") if os.geteuid() == 0 else RESTRICTED


class WorkerPod:
    """`directory` is open to every user. The places of attempts are below `root`."""

    def __init__(self, directory: Path, program: Path) -> None:
        self.directory = directory
        self.share, self.root, self.kept = (directory / name for name in ("share", "root", "kept"))
        self.temporary, self.message = directory / "tmp", directory / "message"
        self.socket = directory / "socket"
        self._program = program
        for place in (self.share, self.root, self.kept, self.temporary):
            place.mkdir(mode=0o777)
            place.chmod(0o777)
        self.message.touch()
        self.message.chmod(0o666)
        self.main: subprocess.Popen[bytes] | None = None
        self.agent: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._said: list[dict[str, Any]] = []

    def start(self) -> None:
        places = [
            option for place in (self.root, self.temporary, Path("/dev/shm")) for option in ("--clear", str(place))
        ]
        command = [str(self._program), "--run", str(wrapper.WRAPPER), "--share", str(self.share), *places]
        mounted = 'mount -t tmpfs tmpfs /dev/shm && chmod 1777 /dev/shm && exec "$@"'
        files = [(self.directory / name).open("ab") for name in ("stdout", "stderr", "agent-stderr")]
        self.main = subprocess.Popen(
            [*CONTAINER, "--ipc", "sh", "-c", mounted, "sh", *AS_USER, *command, "--message", str(self.message)],
            # The program with checks handles signals by itself, and looks for leaks by tracing itself.
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0"},
            cwd=self.directory,
            stdout=files[0],
            stderr=files[1],
        )
        self.agent = subprocess.Popen(
            [
                sys.executable, "-m", "penstock_executor.agent", "work", "--socket", str(self.socket),
                "--share", str(self.share), "--root", str(self.root),
            ],
            stderr=files[2],
        )  # fmt: skip
        for file in files:
            file.close()

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        for process in (self.main, self.agent):
            if process is None:
                continue
            below = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
            # Its first process has another user, so that the end of the one above it does not end it.
            for one in below:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.kill()
            process.wait()
            # What they have in the directory goes with them.
            await asyncio.to_thread(psutil.wait_procs, below, 60)

    async def connect(self) -> None:
        while self._writer is None:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                self._reader, self._writer = await asyncio.open_unix_connection(str(self.socket), limit=2**24)
            await asyncio.sleep(0.01)

    async def send(self, **message: Any) -> None:
        assert self._writer is not None
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def heard(self, event: str, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
        """The next message of that kind; others are kept for later."""
        assert self._reader is not None

        def fits(message: Mapping[str, Any]) -> bool:
            return message["event"] == event and all(message.get(key) == value for key, value in wanted.items())

        while True:
            for said in self._said:
                if fits(said):
                    self._said.remove(said)
                    return said
            line = await asyncio.wait_for(self._reader.readline(), seconds)
            assert line, "the agent has gone"
            self._said.append(json.loads(line))

    def place(self, name: str) -> str:
        """Where an attempt finds its task root."""
        return f"{self.root}{local_form(self._task_root(name))}"

    def _task_root(self, name: str) -> str:
        return f"file://{self.kept}/root/pipeline/run/{name}/uuid"

    def task(self, name: str, **task: Any) -> AgentTask:
        return AgentTask(
            task_root=self._task_root(name),
            metadata=f"{self.place(name)}/output_metadata.json",
            log=str(self.share / "log"),
            parameters={"out": f"{self.root}{OUTPUT_PARAMETERS}/out"},
            **task,
        )

    async def begin(self, name: str, script: str, **message: Any) -> None:
        await self.begin_program(name, ["sh", "-euc", script], **message)

    async def begin_program(self, name: str, program: Sequence[str], **message: Any) -> None:
        task = self.task(name)
        arguments = ["--share", str(self.share), "--log", task.log, "--metadata", task.metadata]
        arguments += ["--message", str(self.share / "message"), "--mkdir", f"{self.root}{OUTPUT_PARAMETERS}"]
        arguments += ["--mkdir", self.place(name)]
        await self.send(
            op="run", id=name, run_id="run", fence=1, task=json.loads(task.to_json()),
            arguments=[*arguments, "--", *program], log_token=f"log{name}",
            variables={"OUT": task.parameters["out"], "TMPDIR": str(self.temporary), **message},
        )  # fmt: skip

    async def run(self, name: str, script: str, **message: Any) -> AttemptResult:
        """An attempt whose program is a shell, from the worker's being ready to the result."""
        await self.heard("state", ready=True)
        await self.begin(name, script, **message)
        await self.heard("started", id=name)
        return await self.result(name)

    async def result(self, name: str) -> AttemptResult:
        ended = await self.heard("ended", id=name)
        return AttemptResult.from_json(json.dumps(ended["result"]))

    def said(self) -> str:
        """What the container's log has."""
        return (self.directory / "stdout").read_text()

    def terminate(self) -> None:
        """As the kubelet ends a container."""
        assert self.main is not None
        (first,) = psutil.Process(self.main.pid).children()
        first.terminate()

    def log(self, name: str) -> str:
        return (self.kept / "root" / "pipeline" / "run" / name / "uuid" / "executor-logs").read_text()


@asynccontextmanager
async def warm_worker(directory: Path, program: Path) -> AsyncIterator[WorkerPod]:
    pod = WorkerPod(directory, program)
    pod.start()
    try:
        await pod.connect()
        yield pod
    finally:
        await pod.stop()
