"""Hears of containers that ended: by the runtime's events, and by looking, since events may be lost.

Invariants: what a look shows is the truth, an event only makes it come sooner; a runtime that tells no events costs a
second more at the end of a task, nothing else; nothing is asked while nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.container.state import LABEL_INSTANCE, status_of
from penstock_executor.backoff import delays

log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_LOOK_WITHOUT_EVENTS_SECONDS = 1.0


class ExitWatch:
    """`ended(name)` hears of one that ended, `seen` the status of all by name after a look, `running` says whether
    somebody waits for one."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        instance: str,
        ended: Callable[[str], None],
        seen: Callable[[Mapping[str, str]], None],
        running: Callable[[], bool],
    ) -> None:
        self._runtime = runtime
        self._filter = ("--filter", f"label={LABEL_INSTANCE}={instance}")
        self._ended = ended
        self._seen = seen
        self._running = running
        self._hearing = False

    async def listen(self) -> None:
        """Until cancelled."""
        podman = self._runtime.is_podman
        event, name = ("died", "{{.Name}}") if podman else ("die", "{{.Actor.Attributes.name}}")
        pauses = delays(1.0, 60.0)
        while True:
            try:
                self._hearing = True
                async for line in self._runtime.lines(
                    "events", *self._filter, "--filter", f"event={event}", "--format", name
                ):
                    pauses = delays(1.0, 60.0)
                    self._ended(line)
            except RuntimeFailedError as error:
                log.warning("no events of containers: %s", error)
            self._hearing = False
            await asyncio.sleep(next(pauses))

    async def look(self) -> None:
        """Again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS if self._hearing else _LOOK_WITHOUT_EVENTS_SECONDS)
            if not self._running():
                continue
            try:
                self._seen(await self.statuses())
            except RuntimeFailedError as error:
                log.warning("the containers cannot be listed: %s", error)

    async def statuses(self) -> dict[str, str]:
        """Of all containers of the installation, by name. Raises RuntimeFailedError."""
        text = await self._runtime.call("ps", "--all", *self._filter, "--format", "{{.Names}}\t{{.State}}")
        found = (line.partition("\t") for line in text.splitlines())
        return {name: status_of(said) for name, separator, said in found if separator}
