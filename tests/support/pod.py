"""A task's Pod in a directory: the committed wrapper and a real agent process, with every place under one root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Union

from penstock_executor.agent.protocol import AgentTask, AttemptResult, Transfer
from penstock_executor.agent.results import FramedResult, StoredResult, parse_message
from penstock_executor.pod_paths import SCRATCH, local_form

from tools.testing.wrapper import CONTAINER, start


class PodDirectory:
    """`pipeline_root` is a URI; the task's root lies four levels under it."""

    def __init__(self, directory: Path, pipeline_root: str, **task: Any) -> None:
        self.directory = directory
        self.share = directory / "share"
        self.root = directory / "root"
        self.message = directory / "message"
        self.task_root = f"{pipeline_root}/pipeline/run/task/uuid"
        self.share.mkdir()
        self.task = AgentTask(
            task_root=self.task_root,
            metadata=str(self.place(self.task_root) / "output_metadata.json"),
            log=str(self.share / "log"),
            **task,
        )

    def place(self, uri: str) -> Path:
        """Where the task finds the bytes of a URI."""
        return Path(f"{self.root}{local_form(uri)}")

    def input(self, uri: str) -> Path:
        self.task = replace(self.task, inputs=(*self.task.inputs, Transfer(uri, str(self.place(uri)))))
        return self.place(uri)

    def output(self, port: str) -> Path:
        uri = f"{self.task_root}/{port}"
        self.task = replace(self.task, outputs={**self.task.outputs, port: Transfer(uri, str(self.place(uri)))})
        return self.place(uri)

    def parameter(self, name: str) -> Path:
        path = Path(f"{self.root}{SCRATCH}/outputs/{name}")
        self.task = replace(self.task, parameters={**self.task.parameters, name: str(path)})
        return path

    def wrapper(self, script: str, *, prefix: tuple[str, ...] = CONTAINER, **options: Any) -> subprocess.Popen[bytes]:
        """The user's program is a shell."""
        arguments = ["--share", str(self.share), *(["--wait"] if self.task.inputs else []), "--log", self.task.log]
        for directory in (f"{self.root}{SCRATCH}/outputs", str(self.place(self.task_root))):
            arguments += ["--mkdir", directory]
        arguments += ["--metadata", self.task.metadata, "--message", str(self.directory / "main-message")]
        return start(*arguments, "--", "sh", "-euc", script, prefix=prefix, cwd=self.directory, **options)

    def agent(self, command: str = "run", env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        text = self.task.to_json()
        cut = len(text) // 2
        pieces = {"PENSTOCK_TASK_0": text[:cut], "PENSTOCK_TASK_1": text[cut:]}
        places = ["--share", str(self.share), "--root", str(self.root), "--message", str(self.message)]
        return subprocess.Popen(
            [sys.executable, "-m", "penstock_executor.agent", command, *places],
            env={"PATH": os.environ["PATH"], **pieces, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def both(self, script: str, **options: Any) -> AttemptResult:
        """Runs wrapper and agent to the end; the result that is in the message itself."""
        agent = self.agent(**options)
        finished(self.wrapper(script))
        finished(agent)
        result = self.left()
        assert isinstance(result, AttemptResult)
        return result

    def left(self) -> Union[AttemptResult, StoredResult, FramedResult, None]:
        assert self.message.stat().st_size <= 4096
        return parse_message(self.message.read_text("utf-8"))

    def say(self, artifacts: Mapping[str, list[dict[str, Any]]], **more: Any) -> str:
        """A piece of shell that writes output_metadata.json."""
        document = {"artifacts": {port: {"artifacts": many} for port, many in artifacts.items()}, **more}
        return f"cat > {self.task.metadata} <<'END'\n{json.dumps(document)}\nEND\n"


def finished(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit code and stderr."""
    _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()
