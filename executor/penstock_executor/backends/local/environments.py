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
import logging
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import uv

log = logging.getLogger(__name__)

_TRIES = 3
_TIMEOUT_SECONDS = 900
# What people have set for pip holds for uv: name there, separator of lists there.
_PIP_SETTINGS = {
    "PIP_INDEX_URL": ("UV_DEFAULT_INDEX", " "),
    "PIP_EXTRA_INDEX_URL": ("UV_INDEX", " "),
    "PIP_FIND_LINKS": ("UV_FIND_LINKS", ","),
    "PIP_TRUSTED_HOST": ("UV_INSECURE_HOST", " "),
    "PIP_CERT": ("SSL_CERT_FILE", " "),
}
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
            await self._bare(target, lock)
            return
        await self._uv(lock, "venv", "--quiet", "--no-project", "--python", self._python, str(target))
        no_index = ["--no-index"] if self._base.get("PIP_NO_INDEX", "0") not in ("", "0", "false", "no", "off") else []
        for arguments in installs:
            python = str(target / "bin" / "python")
            await self._uv(lock, "pip", "install", "--quiet", *no_index, "--python", python, *arguments)

    async def _bare(self, target: Path, lock: int) -> None:
        """With pip, for commands that install by themselves; the standard library's own needs no network."""
        try:
            await self._run(lock, self._python, "-m", "venv", str(target))
        except EnvironmentFailedError as error:
            # Distributions leave it out of their Python. A task whose command needs no pip runs all the same.
            if "ensurepip" not in str(error):
                raise
            log.warning("task environments have no pip: %s", error)
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            await self._uv(lock, "venv", "--quiet", "--no-project", "--python", self._python, str(target))

    async def _uv(self, lock: int, *arguments: str) -> None:
        await self._run(lock, uv.find_uv_bin(), *arguments)

    async def _run(self, lock: int, program: str, *arguments: str) -> None:
        environment = {**self._base, "UV_NO_CONFIG": "1", "UV_LINK_MODE": "hardlink", "UV_PYTHON_DOWNLOADS": "never"}
        for name, (for_uv, separator) in _PIP_SETTINGS.items():
            if name in self._base:
                environment.setdefault(for_uv, separator.join(self._base[name].split()))
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            # The `venv` module says on stdout what is wrong.
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(lock,),
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
        except asyncio.TimeoutError as error:
            process.kill()
            await process.wait()
            raise EnvironmentFailedError("installing the task's packages took too long", transient=True) from error
        if process.returncode != 0:
            text = output.decode("utf-8", "replace").strip()[-2000:]
            transient = any(word in text.lower() for word in _NETWORK)
            wanted = " ".join(arguments[-8:])
            raise EnvironmentFailedError(
                f"the task's environment cannot be made ({wanted}): {text}", transient=transient
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
