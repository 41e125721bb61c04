"""The user's container (docs/pods.md): its command under the wrapper, or its image's entrypoint as it is.

Invariant: what the program gets is what the placeholders gave, byte for byte, whatever characters are in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_executor.agent.protocol import SHARE, WRAPPER_DIR
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.kubernetes.agent_container import LOG
from penstock_executor.backends.kubernetes.environment import names, task_env
from penstock_executor.backends.kubernetes.security import task_security
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.variable_expansion import escaped
from penstock_executor.backends.kubernetes.view import entries, mapping
from penstock_executor.backends.kubernetes.volumes import (
    certificates_mount,
    directory_mounts,
    file_mounts,
    home_mounts,
    lies_at_home,
    with_users_mounts,
    wrapper_mount,
)
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import Transfers
from penstock_executor.engine.names import attempt_id
from penstock_executor.engine.task_config import kubernetes_resources
from penstock_executor.pod_paths import HOME, OUTPUT_PARAMETERS, SCRATCH

Json = dict[str, Any]

NAME = "main"
MESSAGE = "/dev/termination-log"


def main_container(
    task: TaskLaunch,
    paths: TaskPaths,
    moved: Transfers,
    settings: PodSettings,
    policy: NamespacePolicy,
    *,
    agent: bool,
    architecture: str,
) -> Json:
    """Raises PodSpecError."""
    platform: Any = task.kubernetes
    env = task_env(task, settings)
    argv = checked_arguments(paths.command(), "argument")
    container: Json = {"name": NAME, "image": task.image}
    if platform.get("imagePullPolicy"):
        container["imagePullPolicy"] = platform["imagePullPolicy"]
    container["env"] = env
    resources = kubernetes_resources(task.resources)
    if resources:
        container["resources"] = resources
    users = [*(platform.get("volumeMounts") or ()), *(platform.get("ownVolumeMounts") or ())]
    at_home = lies_at_home([*users, *mounts_of_template(policy)])
    given = [*argv, *(one["value"] for one in env if "value" in one)]
    has_root = agent or not task.command or paths.root == SCRATCH or paths.names_root(given)
    if task.command:
        wrapper = wrapper_command(task, paths, moved, agent=agent, home="" if at_home else HOME, has_root=has_root)
        wrapped = [*wrapper, "--", *argv]
        container["command"] = [escaped(text, names(env)) for text in wrapped]
    elif argv:
        container["args"] = [escaped(text, names(env)) for text in argv]
    ours = [
        *file_mounts([*([paths.root] if has_root else ()), *moved.paths()], share=agent and bool(task.command)),
        *(home_mounts() if at_home or not task.command else ()),
        *([wrapper_mount(architecture)] if task.command else directory_mounts(OUTPUT_PARAMETERS, paths.root)),
        *certificates_mount(settings),
    ]
    container["volumeMounts"] = with_users_mounts(ours, users, paths.root, workspace="workspace" in platform)
    container["securityContext"] = task_security(platform.get("securityContext") or {}, policy)
    return container


def mounts_of_template(policy: NamespacePolicy) -> list[Mapping[str, Any]]:
    """What the namespace's template mounts in `main`; whether it is right is told when it is merged."""
    containers = entries(mapping(policy.pod_template, "spec"), "containers")
    return [one for main in containers if main.get("name") == NAME for one in entries(main, "volumeMounts")]


def wrapper_command(
    task: TaskLaunch, paths: TaskPaths, moved: Transfers, *, agent: bool, home: str, has_root: bool
) -> list[str]:
    """The wrapper and its options, without the user's command. `home` is empty when the program has one."""
    command = [f"{WRAPPER_DIR}/run"]
    if agent:
        command += ["--share", SHARE]
        if moved.inputs:
            command.append("--wait")
        command += ["--log", LOG]
    command += ["--mkdir", OUTPUT_PARAMETERS]
    if has_root:
        command += ["--mkdir", paths.root, "--metadata", paths.metadata]
    if home:
        command += ["--home", home]
    if agent:
        return command
    for name in task.output_parameters:
        command += ["--parameter", f"{name}={paths.parameter(name)}"]
    token = attempt_id(task.key.run_id, task.key.path, task.key.attempt)
    return [*command, "--count", "--message", MESSAGE, "--token", token]
