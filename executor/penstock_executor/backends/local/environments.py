"""Task environments: one virtual environment per Python and list of requirements, created once and kept.

Invariants: an environment is used only when it has its `complete` mark. Creating it holds a file lock, which other
executors respect and which the installing programs hold as well, since these may outlive an executor that is killed. A
bounded number is created at a time, and all attempts that wait for one share the result; an installation that failed is
not tried again for a minute, and one that nobody waits for any more is broken off. No environment shares files with the
installer's cache, and tasks never change one: they see it under an overlay (`preparation`), or its files are read-only.

The one with pip, which every task has below its own, is needed before the first task of a machine can start, and few
tasks use it: the first is put together without compiling it (`.plain`), and replaced once nobody is waiting.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import itertools
import json
import logging
import os
import random
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import uv

from penstock_executor.backends.local import old_sdks, pip_settings
from penstock_executor.backends.local.attempt_environment import share_scripts
from penstock_executor.backends.local.programs import output_of
from penstock_executor.backoff import retried

log = logging.getLogger(__name__)

_TRIES = 3
_TIMEOUT_SECONDS = 900
_REMEMBERED_SECONDS = 60.0
_LOCK_POLL_SECONDS = 0.05
_COMPILE_AFTER_SECONDS = 5.0
_PLAIN = ".plain"
# Of an environment on disk; another number when older ones cannot be used any more.
_FORM = 3
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
# Prints what ensurepip would install; nothing when it brings no wheels of its own.
_BUNDLED = """
import ensurepip, glob, os, sys, sysconfig
places = (sysconfig.get_config_var("WHEEL_PKG_DIR"), os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
for name in ("pip", "setuptools") if sys.version_info < (3, 12) else ("pip",):
    found = [wheel for place in places if place for wheel in sorted(glob.glob(os.path.join(place, name + "-*.whl")))]
    print(*found[:1])
"""
_NETWORK = ("error sending request", "timed out", "connection", "temporarily", "dns error", "503", "502")


class EnvironmentFailedError(Exception):
    """The environment cannot be made; the text holds the installer's last lines."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(slots=True)
class _Build:
    """An environment that is being made, and how many attempts wait for it."""

    task: asyncio.Task[Path]
    waiters: int = 0


class TaskEnvironments:
    """`directory` holds them; `base` is what the programs that make them run with, `builds` how many at a time."""

    def __init__(self, directory: Path, python: str, base: Mapping[str, str], builds: int = 2) -> None:
        self._directory = directory
        self._python = python
        self._base = dict(base)
        self._build_slots = asyncio.Semaphore(builds)
        self._read_only = False
        self._builds: dict[str, _Build] = {}
        self._ready: dict[str, Path] = {}
        self._failed: dict[str, tuple[float, EnvironmentFailedError]] = {}
        self._compiling: asyncio.Task[None] | None = None

    async def get(self, installs: tuple[tuple[str, ...], ...], variables: Mapping[str, str] | None = None) -> Path:
        """The directory of an environment with these `uv pip install` argument lists carried out; without any, of one
        with pip. What `variables`, those of the task, and pip's files say about where packages come from holds.

        Raises EnvironmentFailedError: for a while also when the same installation failed before. Cancelled, it ends
        the installation unless somebody else waits for it.
        """
        settings = self._settings(variables)
        name = self._name(installs, settings)
        if name in self._ready:
            return self._ready[name]
        self._raise_remembered(name)
        build = self._builds.get(name)
        if build is None:
            build = self._builds[name] = _Build(asyncio.create_task(self._made(name, installs, settings)))
        build.waiters += 1
        try:
            return await asyncio.shield(build.task)
        finally:
            build.waiters -= 1
            if not build.waiters:
                # Whoever asks next begins anew: this one may be on its way out.
                if self._builds.get(name) is build:
                    del self._builds[name]
                build.task.cancel()

    @property
    def directory(self) -> Path:
        return self._directory

    def make_read_only(self) -> None:
        """For tasks that see the environments themselves: the files of those it gives from now on are read-only."""
        self._read_only = True

    def ready(self, installs: tuple[tuple[str, ...], ...], variables: Mapping[str, str] | None = None) -> Path | None:
        """What `get` would give at once; None when it would have to wait."""
        return self._ready.get(self._name(installs, self._settings(variables)))

    def _settings(self, variables: Mapping[str, str] | None) -> Mapping[str, str]:
        return pip_settings.of_installations({**self._base, **(variables or {})}) or {}

    def _raise_remembered(self, name: str) -> None:
        until, error = self._failed.get(name, (0.0, None))
        if error is not None and asyncio.get_running_loop().time() < until:
            raise EnvironmentFailedError(str(error), transient=False)

    def _name(self, installs: tuple[tuple[str, ...], ...], settings: Mapping[str, str]) -> str:
        text = json.dumps([_FORM, self._python, self._read_only, installs, sorted(settings.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    async def _made(self, name: str, installs: tuple[tuple[str, ...], ...], settings: Mapping[str, str]) -> Path:
        async with self._build_slots:
            try:
                made = await self._make(self._path(name, installs), installs, settings)
            except EnvironmentFailedError as error:
                if not error.transient:
                    now = asyncio.get_running_loop().time()
                    self._failed = {one: kept for one, kept in self._failed.items() if kept[0] > now}
                    self._failed[name] = (now + _REMEMBERED_SECONDS, error)
                raise
        self._ready[name] = await self._finished(made)
        if made.suffix == _PLAIN and self._compiling is None:
            self._compiling = asyncio.create_task(self._compile(name, settings))
        return made

    def _path(self, name: str, installs: tuple[tuple[str, ...], ...]) -> Path:
        whole = self._directory / name
        # Where files are read-only, tasks would compile it in its own place.
        return whole if installs or self._read_only or (whole / "complete").exists() else whole.with_suffix(_PLAIN)

    async def _finished(self, made: Path) -> Path:
        if await asyncio.to_thread(old_sdks.prepare, made):
            # Imports, and so compiles, what was put there.
            await output_of(str(made / "bin" / "python"), "-c", "", timeout=_TIMEOUT_SECONDS, variables=self._base)
        if self._read_only:
            await asyncio.to_thread(_make_read_only, made)
        return made

    async def _compile(self, name: str, settings: Mapping[str, str]) -> None:
        """Makes the compiled environment with pip. Not in the place of the plain one, over which tasks may lie."""
        await asyncio.sleep(_COMPILE_AFTER_SECONDS)
        try:
            async with self._build_slots:
                made = await self._make(self._directory / name, (), settings)
            self._ready[name] = await self._finished(made)
        except (EnvironmentFailedError, OSError) as error:
            log.warning("pip of tasks stays uncompiled: %s", error)

    async def _make(self, target: Path, installs: tuple[tuple[str, ...], ...], settings: Mapping[str, str]) -> Path:
        complete = target / "complete"
        if complete.exists():
            return target
        self._directory.mkdir(parents=True, exist_ok=True)
        with target.with_suffix(".lock").open("w") as lock:
            await _locked(lock)
            if complete.exists():
                return target
            installer = _Installer(self._base, settings, lock.fileno())
            pauses = (random.uniform(0.5, 1.5) * failures for failures in itertools.count(1))  # noqa: S311 - a delay
            await retried(lambda: self._build(target, installs, installer), tries=_TRIES, pauses=pauses)
            complete.write_text(json.dumps(installs))
        return target

    async def _build(self, target: Path, installs: tuple[tuple[str, ...], ...], installer: _Installer) -> None:
        if target.exists():
            await asyncio.to_thread(shutil.rmtree, target)
        if not installs:
            await self._bare(target, installer)
            return
        await installer.uv("venv", "--quiet", "--no-project", "--python", self._python, str(target))
        for arguments in installs:
            python = str(target / "bin" / "python")
            await installer.uv("pip", "install", "--quiet", *installer.no_index(), "--python", python, *arguments)
        await asyncio.to_thread(share_scripts, target)

    async def _bare(self, target: Path, installer: _Installer) -> None:
        """With pip; the standard library's own needs no network."""
        if await self._bundled(target, installer):
            await asyncio.to_thread(share_scripts, target)
            return
        try:
            await installer.run(self._python, "-m", "venv", str(target))
            await asyncio.to_thread(share_scripts, target)
        except EnvironmentFailedError as error:
            # Distributions leave it out of their Python. A task that needs no pip runs all the same.
            if "ensurepip" not in str(error):
                raise
            log.warning("task environments have no pip: %s", error)
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            await installer.uv("venv", "--quiet", "--no-project", "--python", self._python, str(target))

    async def _bundled(self, target: Path, installer: _Installer) -> bool:
        """Does what `python -m venv` does, whose pip takes seconds to install itself. False when that has to."""
        try:
            wheels = (await installer.run(self._python, "-I", "-c", _BUNDLED)).split("\n")
            if not all(os.path.isfile(wheel) for wheel in wheels):  # noqa: PTH113 - a line may be anything
                return False
            await installer.run(self._python, "-m", "venv", "--without-pip", str(target))
            options = ("--quiet", "--offline", "--no-index", "--no-deps", "--python", str(target / "bin" / "python"))
            await installer.uv("pip", "install", *options, *wheels, compiles=target.suffix != _PLAIN)
        except EnvironmentFailedError as error:
            log.info("pip for tasks is installed by itself: %s", error)
            await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
            return False
        return True


def shown(arguments: Iterable[str]) -> str:
    """Arguments of an installation as people may see them: without the credentials of an index."""
    return _CREDENTIALS.sub("//…@", " ".join(arguments))


def _make_read_only(environment: Path) -> None:
    """Its files, not its directories: whoever removes it must not need to change them first. Raises OSError."""
    for directory, _, names in os.walk(environment):
        for file in (Path(directory) / name for name in names):
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & 0o222:
                file.chmod(stat.S_IMODE(mode) & ~0o222)


async def _locked(lock: IO[str]) -> None:
    """Waits for the file's lock: an executor that died may have left programs that hold it."""
    # No retry of a failed call: it polls, because a blocking wait for the lock could not be cancelled.
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_LOCK_POLL_SECONDS)
        else:
            return


class _Installer:
    """Runs the programs that make one environment, all of which hold its `lock`; `variables` are theirs, `settings`
    are for uv, by the names of pip's variables."""

    def __init__(self, variables: Mapping[str, str], settings: Mapping[str, str], lock: int) -> None:
        self._variables = variables
        self._settings = settings
        self._lock = lock

    def no_index(self) -> list[str]:
        return ["--no-index"] if "PIP_NO_INDEX" in self._settings else []

    async def uv(self, *arguments: str, compiles: bool = True) -> None:
        await self.run(uv.find_uv_bin(), *arguments, compiles=compiles)

    async def run(self, program: str, *arguments: str, compiles: bool = True) -> str:
        """What it wrote. Raises EnvironmentFailedError."""
        environment = {
            **self._variables,
            "UV_NO_CONFIG": "1",
            # Not "clone": where blocks cannot be shared, that makes hard links. A copy shares them where it can.
            "UV_LINK_MODE": "copy",
            # As pip does. What a task compiles is there for that task alone.
            "UV_COMPILE_BYTECODE": "1" if compiles else "0",
            "UV_PYTHON_DOWNLOADS": "never",
            # As pip does: the best version of all indexes.
            "UV_INDEX_STRATEGY": "unsafe-best-match",
        }
        for name, (for_uv, separator) in pip_settings.FOR_UV.items():
            if name in self._settings:
                environment.setdefault(for_uv, separator.join(self._settings[name].split()))
        try:
            code, text = await output_of(
                program, *arguments, timeout=_TIMEOUT_SECONDS, variables=environment, keeps=[self._lock]
            )
        except asyncio.TimeoutError as error:
            raise EnvironmentFailedError("installing the task's packages took too long", transient=True) from error
        if code != 0:
            text = text[-2000:]
            transient = any(word in text.lower() for word in _NETWORK)
            raise EnvironmentFailedError(
                f"the task's environment cannot be made ({shown(arguments[-8:])}): {_CREDENTIALS.sub('//…@', text)}",
                transient=transient,
            )
        return text
