"""Which container runtime this machine has, and which options it needs to run a container here.

Why by trial: no version number says what the machine's kernel, cgroups and limits allow. A trial needs neither an image
nor a network: its root file system holds the wrapper alone, which prints that it was given no program.

Invariants: bounded in time. The first set of options that works is taken, the plainest first; the user's options are
part of every set, and come last.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

PROGRAMS = ("podman", "docker")
PODMAN, DOCKER = PROGRAMS
_SECONDS = 20.0
_ALIVE = "the wrapper was given no program"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_GLOBAL: tuple[tuple[str, ...], ...] = (
    (),
    ("--cgroup-manager=cgroupfs",),
    ("--runtime", "runc"),
    ("--runtime", "runc", "--cgroup-manager=cgroupfs"),
    ("--runtime", "crun", "--cgroup-manager=cgroupfs"),
)
# A service manager may give us fewer files and processes than podman gives a container unasked.
_RUN: tuple[tuple[str, ...], ...] = (
    (),
    ("--ulimit", "host"),
    ("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096"),
)


class NoRuntimeError(Exception):
    """No container can be run here; the text says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class DetectedRuntime:
    """`options` come before the runtime's subcommand, `run_options` after `run`. `overlays`: a directory can be
    mounted such that writes stay in the container; `limits`: memory and CPU can be bounded."""

    program: str
    kind: str
    version: str
    options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    overlays: bool = False
    limits: bool = True

    def __str__(self) -> str:
        return " ".join((f"{self.kind} {self.version}:", self.program, *self.options, "run", *self.run_options))

    def lacking(self) -> list[str]:
        """What tasks do without on this machine, a text for each."""
        texts = []
        if not self.overlays:
            texts.append("inputs are copied, since it has no overlay mounts")
        if not self.limits:
            texts.append("limits of memory and CPU are left aside, since its cgroups refuse them")
        if "--network=host" in self.run_options:
            texts.append("containers use the machine's network, since it cannot make one of their own")
        return texts


def find(program: str = "", options: Sequence[str] = ()) -> DetectedRuntime:
    """What runs containers here. `program` empty: podman, else docker. `options`: of `run`, for every container.

    Blocks for as long as the trials take. Raises NoRuntimeError.
    """
    reasons = []
    for name in [program] if program else PROGRAMS:
        where = shutil.which(name)
        if where is None:
            reasons.append(f"{name} is not installed")
            continue
        try:
            return _tried(where, tuple(options))
        except NoRuntimeError as error:
            reasons.append(str(error))
    raise NoRuntimeError("; ".join(reasons))


def wrapper(architecture: str) -> Path:
    """The wrapper's binary. Raises FileNotFoundError."""
    return Path(str(resources.files("penstock_executor.agent") / "bin" / f"run-{architecture}"))


def _tried(program: str, options: tuple[str, ...]) -> DetectedRuntime:
    said = _call([program, "--version"]).stdout.strip()
    kind = PODMAN if "podman" in said.lower() else DOCKER
    version = said.split(",")[0].split()[-1] if said else "unknown"
    if kind == DOCKER:
        answer = _call([program, "version", "--format", "{{.Server.Version}}"])
        if answer.returncode:
            raise NoRuntimeError(f"docker's daemon does not answer: {_last_line(answer.stderr)}")
        return DetectedRuntime(program, kind, version, run_options=options)
    with tempfile.TemporaryDirectory(prefix="penstock-probe-") as directory:
        root = _root_file_system(Path(directory))
        reason = ""
        for candidate in _candidates(DetectedRuntime(program, kind, version), options):
            failure = _trial(candidate, root)
            if not failure:
                return _with_features(candidate, root, Path(directory))
            reason = reason or failure
    raise NoRuntimeError(f"{program} runs no container: {reason}")


def _candidates(plain: DetectedRuntime, options: tuple[str, ...]) -> Iterator[DetectedRuntime]:
    for network in ((), ("--network=host",)):
        for before in _GLOBAL:
            for limits in _RUN if not network else _RUN[-1:]:
                yield replace(plain, options=before, run_options=(*limits, *network, *options))


def _with_features(runtime: DetectedRuntime, root: Path, directory: Path) -> DetectedRuntime:
    (directory / "lower").mkdir()
    overlays = not _trial(runtime, root, "--volume", f"{directory / 'lower'}:/tmp:O")
    limits = not _trial(runtime, root, "--memory", "67108864", "--cpus", "1", refused="ignored")
    return replace(runtime, overlays=overlays, limits=limits)


def _trial(runtime: DetectedRuntime, root: Path, *more: str, refused: str = "") -> str:
    """Why the container did not run, empty when it did; `refused`: a word with which the runtime says that it ran
    without what it was told."""
    command = [
        runtime.program,
        *runtime.options,
        "run",
        "--rm",
        *runtime.run_options,
        *more,
        "--rootfs",
        str(root),
        "/wrapper",
    ]
    done = _call(command)
    if refused and refused in done.stderr:
        return refused
    return "" if _ALIVE in done.stderr else _last_line(done.stderr) or f"it ended with code {done.returncode}"


def _root_file_system(directory: Path) -> Path:
    root = directory / "root"
    for name in ("dev", "etc", "proc", "run", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    try:
        shutil.copyfile(wrapper(architecture), root / "wrapper")
    except FileNotFoundError as error:
        raise NoRuntimeError(f"this installation has no wrapper for {architecture}: {error}") from error
    (root / "wrapper").chmod(0o555)
    return root


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - the container runtime of this machine
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it did not answer within {_SECONDS:g} seconds")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]}: {error.strerror}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ") if lines else ""
