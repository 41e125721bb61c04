"""Prepares what an attempt needs before it can be started: inputs, an environment, the message for its fork server.

Invariants: nothing here starts the attempt; preparation may be cancelled at any point, and repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.local import unstartable
from penstock_executor.backends.local.attempt_environment import AttemptEnvironment
from penstock_executor.backends.local.commands import LightweightCommand, recognise
from penstock_executor.backends.local.connection import ForkServerConnection
from penstock_executor.backends.local.directory import AttemptDirectory, millis
from penstock_executor.backends.local.environment_pool import EnvironmentPool
from penstock_executor.backends.local.environments import TaskEnvironments, shown
from penstock_executor.backends.local.fork_servers import ForkServers
from penstock_executor.backends.local.inputs import LocalInputs, TaskFiles
from penstock_executor.backends.local.views import Overlay, View

# Settings of the interpreter itself, which a process that is forked from a running one cannot take up any more.
_INTERPRETER = "PYTHON"
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Gathered:
    """What an attempt needs that may take long. `layers` are the cached environment that its own will lie over, and the
    one with pip; `brought_at` is when its inputs were there, in milliseconds."""

    files: TaskFiles
    lightweight: LightweightCommand | None
    layers: tuple[Path, Path]
    brought_at: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """An attempt that only has to be started: what its fork server is sent."""

    message: Mapping[str, Any]
    connection: ForkServerConnection


class Preparation:
    """`variables` are those that every task starts from."""

    def __init__(
        self,
        inputs: LocalInputs,
        environments: TaskEnvironments,
        pool: EnvironmentPool,
        fork_servers: ForkServers,
        variables: Mapping[str, str],
    ) -> None:
        self.inputs = inputs
        self.protected: Path | None = None
        """The directory of the cached environments, its links followed, when tasks can have views of it."""
        self._environments = environments
        self._pool = pool
        self._fork_servers = fork_servers
        self._variables = variables

    async def gather(self, task: TaskLaunch, directory: AttemptDirectory, waits: Callable[[str], None]) -> Gathered:
        """`waits` is told what is waited for, empty when it is over.

        Raises ArtifactStoreError, EnvironmentFailedError, UnstartableError, OSError.
        """
        directory.prepare()
        files = await self.inputs.prepare(task, directory)
        brought_at = millis()
        own = dict(task.env)
        unstartable.check(files.argv, own)
        lightweight = recognise(files.argv, {**self._variables, **own})
        return Gathered(files, lightweight, await self._layers(lightweight, own, waits), brought_at)

    def finish(self, task: TaskLaunch, directory: AttemptDirectory, gathered: Gathered) -> Prepared:
        """For an attempt that may start at once: its environment is taken now, since attempts that wait would take all
        that were left by others, and many more would have to be made. Raises OSError."""
        files, lightweight = gathered.files, gathered.lightweight
        own = dict(task.env)
        cached, seed = gathered.layers
        environment = self._pool.take(directory.environment, cached, seed)
        message: dict[str, Any] = {
            "dir": str(directory.path),
            "log": str(files.log),
            "cwd": str(directory.working),
            "env": {**self._task_variables(directory, environment), **own},
            "view": view.message() if (view := self._view(files)) else None,
        }
        if lightweight is None:
            message["argv"] = list(files.argv)
            return Prepared(message, self._fork_servers.of_commands())
        source = directory.path / "ephemeral_component.py"
        source.write_text(lightweight.source)
        arguments = ["--component_module_path", str(source), *lightweight.args]
        message["env"].update(lightweight.variables)
        if any(name.startswith(_INTERPRETER) for name in own):
            message["argv"] = [str(environment.python), "-m", lightweight.module, *arguments]
            connection = self._fork_servers.of_commands()
        else:
            message.update(module=lightweight.module, argv=arguments, environment=environment.message())
            connection = self._fork_servers.of_environment(cached, lightweight.module)
        return Prepared(message, connection)

    def _view(self, files: TaskFiles) -> View | None:
        if self.protected is None:
            return files.view
        view = files.view or View(())
        overlay = Overlay(self.protected, self.protected, None)
        return replace(view, overlays=(overlay, *view.overlays))

    async def _layers(
        self, lightweight: LightweightCommand | None, own: Mapping[str, str], waits: Callable[[str], None]
    ) -> tuple[Path, Path]:
        """The cached environments under the attempt's own: with its packages, and with pip for what it installs by
        itself. Raises EnvironmentFailedError, OSError."""
        installs = lightweight.installs if lightweight else ()
        variables = own if installs else None
        cached = self._environments.ready(installs, variables)
        if cached is None:
            waits(_being_made(installs))
            cached = await self._environments.get(installs, variables)
            seed = await self._environments.get(())
            waits("")
            return cached, seed
        return cached, await self._environments.get(()) if installs else cached

    def _task_variables(self, directory: AttemptDirectory, environment: AttemptEnvironment) -> dict[str, str]:
        return {
            **self._variables,
            **environment.variables(),
            "PATH": environment.search_path(self._variables["PATH"]),
            "HOME": str(directory.working),
            "TMPDIR": str(directory.temporary),
            "PYTHONUNBUFFERED": "1",
        }


def _being_made(installs: tuple[tuple[str, ...], ...]) -> str:
    wanted = shown(word for words in installs for word in words)
    if not wanted:
        return "an environment with pip is being made for it, once on this machine"
    cut = wanted if len(wanted) <= _SHOWN_CHARACTERS else f"{wanted[: _SHOWN_CHARACTERS - 3]}..."
    return f"its packages are being installed: {cut}"
