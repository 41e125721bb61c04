"""The command line that makes and starts one attempt's container (docs/containers.md), as `pod_spec` makes a Pod.

Invariants: a pure function of what it is given; the wrapper is the entrypoint, and after it comes what the program
gets, byte for byte: command and arguments of the component, else what the image runs by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.container.environment import labels_of, task_env
from penstock_executor.backends.container.images import Image
from penstock_executor.backends.container.probe import PODMAN, DetectedRuntime
from penstock_executor.backends.container.resources import limit_options
from penstock_executor.backends.container.state import (
    LABEL_ATTEMPT,
    LABEL_INSTANCE,
    LABEL_MANAGED,
    LABEL_PATH,
)
from penstock_executor.backends.container.volumes import LOG, Mount
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.pod_paths import OUTPUT_PARAMETERS


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What holds for all tasks. `passed`: variables of this machine that they get."""

    runtime: DetectedRuntime
    instance: str
    passed: Mapping[str, str]
    grace_seconds: int


def run_command(
    task: TaskLaunch, paths: TaskPaths, image: Image, mounts: Sequence[Mount], options: RunOptions
) -> list[str]:
    """From `run` on. Raises TaskSpecError."""
    flags = ["run", "--detach", "--pull=never", "--name", task.pod_name, "--log-driver", "none"]
    flags += ["--stop-signal", "SIGTERM", *options.runtime.run_options]
    if options.runtime.kind == PODMAN:
        # Where SELinux is on, what is ours would have to be labelled anew for each container.
        flags += ["--security-opt", "label=disable", "--stop-timeout", str(options.grace_seconds)]
    for name, value in labels(task, options.instance).items():
        flags += ["--label", f"{name}={value}"]
    flags += _user(task, image)
    if options.runtime.limits:
        flags += limit_options(task.resources)
    for mount in mounts:
        flags += mount.options()
    for name, value in task_env(task, options.passed).items():
        # The runtime has those in its own environment, and other users see its command line.
        flags += ["--env", name if options.passed.get(name) == value else f"{name}={value}"]
    return [
        *flags,
        "--entrypoint",
        f"{WRAPPER_DIR}/run",
        image.name,
        *_wrapper(paths),
        "--",
        *_program(task, paths, image),
    ]


def labels(task: TaskLaunch, instance: str) -> dict[str, str]:
    """By which a container, and its attempt, are found again; `instance` is the installation that made it."""
    return {
        **labels_of(task),
        LABEL_MANAGED: "penstock",
        LABEL_INSTANCE: instance,
        LABEL_PATH: task.key.path,
        LABEL_ATTEMPT: str(task.key.attempt),
    }


def _wrapper(paths: TaskPaths) -> list[str]:
    directories = ["--mkdir", OUTPUT_PARAMETERS, "--mkdir", paths.root]
    return ["--share", SHARE, "--log", LOG, *directories, "--metadata", paths.metadata]


def _program(task: TaskLaunch, paths: TaskPaths, image: Image) -> list[str]:
    """As Kubernetes has it: a command replaces the image's entrypoint and its arguments, arguments the latter."""
    given = checked_arguments(paths.command(), "argument")
    argv = given if task.command else [*image.entrypoint, *(given or image.cmd)]
    if not argv:
        raise TaskSpecError(f"the task names no command, and neither does the image {task.image!r}: name one")
    return argv


def _user(task: TaskLaunch, image: Image) -> list[str]:
    """Raises TaskSpecError."""
    wanted: Any = task.kubernetes.get("securityContext") or {}
    user = str(wanted.get("runAsUser", image.user.partition(":")[0]))
    if wanted.get("runAsNonRoot") and user in ("", "0", "root"):
        raise TaskSpecError(
            f"the task must not run as root (runAsNonRoot), and the image {task.image!r} names no other user: "
            "set runAsUser"
        )
    if "runAsUser" not in wanted and "runAsGroup" not in wanted:
        return []
    group = f":{wanted['runAsGroup']}" if "runAsGroup" in wanted else ""
    return ["--user", f"{user or 0}{group}"]
