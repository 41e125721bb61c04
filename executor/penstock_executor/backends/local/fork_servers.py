"""The fork servers of one machine: one for each cached environment whose SDK is imported ahead, and one for all other
commands.

Invariant: the path of a fork server's socket follows from what it serves, so a later executor finds those that run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from penstock_executor.backends.local.connection import ForkServerConnection
from penstock_executor.backends.local.temporary import private_temporary

_SOCKET_NAME_BYTES = 100


class ForkServers:
    """`python` starts those without an environment; `variables` are what fork servers themselves run with."""

    def __init__(self, work_dir: Path, python: str, variables: Mapping[str, str]) -> None:
        self._work_dir = work_dir
        self._python = python
        # The SDK asks for it when it is imported.
        self._variables = {**variables, "_KFP_RUNTIME": "true"}
        self._connections: dict[Path, ForkServerConnection] = {}

    def of_environment(self, environment: Path, module: str) -> ForkServerConnection:
        """The one that has `module` imported, from a cached environment."""
        return self._named(f"{environment}\n{module}", str(environment / "bin" / "python"), module)

    def of_commands(self) -> ForkServerConnection:
        return self._named(str(self._work_dir), self._python, "")

    def at(self, socket: Path) -> ForkServerConnection:
        """The one behind a socket, whoever started it."""
        return self._connections.get(socket) or self._new(socket, self._python, "")

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()

    def _named(self, name: str, python: str, preload: str) -> ForkServerConnection:
        digest = hashlib.sha256(f"{self._work_dir}\n{name}".encode()).hexdigest()[:16]
        socket = self._work_dir / f"{digest}.sock"
        if len(str(socket).encode()) > _SOCKET_NAME_BYTES:
            socket = private_temporary(self._work_dir) / f"{digest}.sock"
        return self._connections.get(socket) or self._new(socket, python, preload)

    def _new(self, socket: Path, python: str, preload: str) -> ForkServerConnection:
        log_file = self._work_dir / "fork-servers.log"
        connection = ForkServerConnection(socket, python, preload, self._variables, log_file)
        self._connections[socket] = connection
        return connection
