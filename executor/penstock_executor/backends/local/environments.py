"""Task environments: one virtual environment per Python and list of requirements, made once and kept.

Invariants: an environment is used only when its `complete` mark is there; making it is serialised by a file lock,
between executors too, and the programs that make it hold that lock as well: they may outlive an executor that is
killed. A failed one is made anew the next time. The server's own environment is never used for tasks.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import uv

_TRIES = 3
_TIMEOUT_SECONDS = 900
_NETWORK = ("error sending request", "timed out", "connection", "temporarily", "dns error", "503", "502")


class EnvironmentFailedError(Exception):
    """The environment cannot be made; the text holds the installer's last lines."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class TaskEnvironments:
    """`directory` holds them; `base` is the environment for processes of ours and of tasks."""

    def __init__(self, directory: Path, python: str, base: Mapping[str, str]) -> None:
        self._directory = directory
        self._python = python
        self._base = dict(base)
        self._locks: dict[str, asyncio.Lock] = {}
        self._ready: dict[str, Path] = {}

    async def get(self, installs: tuple[tuple[str, ...], ...]) -> Path:
        """The directory of an environment with these `uv pip install` argument lists carried out.

        Raises EnvironmentFailedError.
        """
        name = self._name(installs)
        if name in self._ready:
            return self._ready[name]
        async with self._locks.setdefault(name, asyncio.Lock()):
            if name not in self._ready:
                self._ready[name] = await self._make(self._directory / name, installs)
        return self._ready[name]

    def _name(self, installs: tuple[tuple[str, ...], ...]) -> str:
        text = json.dumps([self._python, installs])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    async def _make(self, target: Path, installs: tuple[tuple[str, ...], ...]) -> Path:
        complete = target / "complete"
        if complete.exists():
            return target
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = target.with_suffix(".lock").open("w")
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if complete.exists():
                return target
            for attempt in range(1, _TRIES + 1):
                try:
                    await self._build(target, installs, lock.fileno())
                    break
                except EnvironmentFailedError as error:
                    if not error.transient or attempt == _TRIES:
                        raise
                await asyncio.sleep(random.uniform(0.5, 1.5) * attempt)
            complete.write_text(json.dumps(installs))
        finally:
            lock.close()
        return target

    async def _build(self, target: Path, installs: tuple[tuple[str, ...], ...], lock: int) -> None:
        if target.exists():
            await asyncio.to_thread(shutil.rmtree, target)
        if not installs:
            # With pip, for commands that install by themselves; the standard library's own needs no network.
            await self._run(lock, self._python, "-m", "venv", str(target))
            return
        await self._uv(lock, "venv", "--quiet", "--no-project", "--python", self._python, str(target))
        for arguments in installs:
            python = str(target / "bin" / "python")
            await self._uv(lock, "pip", "install", "--quiet", "--python", python, *arguments)

    async def _uv(self, lock: int, *arguments: str) -> None:
        await self._run(lock, uv.find_uv_bin(), *arguments)

    async def _run(self, lock: int, program: str, *arguments: str) -> None:
        environment = {**self._base, "UV_NO_CONFIG": "1", "UV_LINK_MODE": "hardlink", "UV_PYTHON_DOWNLOADS": "never"}
        if "PIP_INDEX_URL" in self._base:
            environment.setdefault("UV_DEFAULT_INDEX", self._base["PIP_INDEX_URL"])
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(lock,),
        )
        try:
            _, stderr = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
        except asyncio.TimeoutError as error:
            process.kill()
            await process.wait()
            raise EnvironmentFailedError("installing the task's packages took too long", transient=True) from error
        if process.returncode != 0:
            text = stderr.decode("utf-8", "replace").strip()[-2000:]
            transient = any(word in text.lower() for word in _NETWORK)
            wanted = " ".join(arguments[-8:])
            raise EnvironmentFailedError(
                f"the task's packages cannot be installed ({wanted}): {text}", transient=transient
            )


def clean_environment(environment: Mapping[str, str], own_prefix: str) -> dict[str, str]:
    """What a task inherits: nothing that belongs to Penstock or to the Python it runs in."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(("PENSTOCK_", "PYTHON", "GRPC_", "VIRTUAL_ENV", "COVERAGE_"))
    }
    own = str(Path(own_prefix) / "bin")
    parts = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part and part != own]
    kept["PATH"] = os.pathsep.join(parts)
    return kept
