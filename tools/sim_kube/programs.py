"""Programs that `exec` runs in the container of a simulated Pod: those that tests of the connection need.

Invariant: a real container with a shell does the same: `cat` gives back what it hears; `sh -c SCRIPT TOLD` does here
what TOLD says, which the script itself does there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tools.sim_kube.exec_calls import STDERR, STDOUT, Call, NotBegunError, Program


@dataclass(frozen=True)
class Told:
    """What a script writes, and how it ends."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0

    def carry_out(self, call: Call) -> None:
        for channel, text in ((STDOUT, self.stdout), (STDERR, self.stderr)):
            if text:
                call.say(channel, text.encode())
        call.exit(self.exit_code)


class Cat:
    def __init__(self, call: Call) -> None:
        self._call = call

    def hear(self, data: bytes) -> None:
        self._call.say(STDOUT, data)

    def hang_up(self) -> None:
        self._call.exit(0)


class Deaf:
    """One that does not read."""

    def hear(self, data: bytes) -> None:
        pass

    def hang_up(self) -> None:
        pass


def begin(command: Sequence[str], call: Call) -> Program:
    """Raises NotBegunError."""
    if list(command) == ["cat"]:
        return Cat(call)
    if list(command[:2]) == ["sh", "-c"] and len(command) == 4:
        Told(**json.loads(command[3])).carry_out(call)
        return Deaf()
    why = f'exec: "{command[0]}": executable file not found in $PATH: unknown'
    raise NotBegunError(
        f"error executing command in container: failed to exec in container: OCI runtime exec failed: {why}"
    )
