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


class AgentClient:
    """A connection to the agent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._said: list[dict[str, Any]] = []

    async def send(self, **message: Any) -> None:
        await self.write(json.dumps(message).encode() + b"\n")

    async def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def heard(self, event: str, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
        """The next message of that kind; others are kept for later."""

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

    async def count(self, event: str, **wanted: Any) -> int:
        """How many of that kind were said until now."""
        await self.send(op="ping")
        await self.heard("pong")
        items = wanted.items()
        return sum(said["event"] == event and all(said[key] == value for key, value in items) for said in self._said)

    async def hung_up(self, seconds: float = 60) -> None:
        """Waits for it."""
        with suppress(ConnectionResetError):
            while await asyncio.wait_for(self._reader.readline(), seconds):
                continue

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def connected(socket: Path) -> AgentClient:
    """As soon as somebody listens there."""
    while True:
        with suppress(FileNotFoundError, ConnectionRefusedError):
            return AgentClient(*await asyncio.open_unix_connection(str(socket), limit=2**27))
        await asyncio.sleep(0.01)


class WorkerPod:
    """`directory` is open to every user. The places of attempts are below `root`."""

    def __init__(self, directory: Path, program: Path, agent_options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.share, self.root, self.kept = (directory / name for name in ("share", "root", "kept"))
        self.temporary, self.message = directory / "tmp", directory / "message"
        self.socket = directory / "socket"
        self.agent_message = directory / "agent-message"
        self._program = program
        self._agent_options = agent_options
        for place in (self.share, self.root, self.kept, self.temporary):
            place.mkdir(mode=0o777)
            place.chmod(0o777)
        self.message.touch()
        self.message.chmod(0o666)
        self.main: subprocess.Popen[bytes] | None = None
        self.agent: subprocess.Popen[bytes] | None = None
        self._client: AgentClient | None = None

    @property
    def client(self) -> AgentClient:
        assert self._client is not None
        return self._client

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
                "--share", str(self.share), "--root", str(self.root), "--message", str(self.agent_message),
                *self._agent_options,
            ],
            stderr=files[2],
        )  # fmt: skip
        for file in files:
            file.close()

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
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
        """Whatever connection it had is left behind."""
        if self._client is not None:
            await self._client.close()
        self._client = await connected(self.socket)

    async def send(self, **message: Any) -> None:
        await self.client.send(**message)

    async def heard(self, event: str, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
        return await self.client.heard(event, seconds, **wanted)

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
            tail=True,
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
async def warm_worker(directory: Path, program: Path, *agent_options: str) -> AsyncIterator[WorkerPod]:
    pod = WorkerPod(directory, program, agent_options)
    pod.start()
    try:
        await pod.connect()
        yield pod
    finally:
        await pod.stop()
