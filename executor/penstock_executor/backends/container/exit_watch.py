"""Notices that containers have exited: by the runtime's events, and by polling, since events may be lost.

Invariants: polling alone would find every exit; an event only makes it known sooner. Without events an exit is found
up to a second later, and one whose event was lost up to five. The runtime is not polled while no container runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.container.state import LABEL_INSTANCE, status_of
from penstock_executor.backoff import delays

log = logging.getLogger(__name__)

_POLL_SECONDS = 5.0
_POLL_WITHOUT_EVENTS_SECONDS = 1.0


class ExitWatch:
    """`ended(name)` is called for an event of an exit, `seen` after each poll with the status of all containers by
    name; `running` says whether there is a container to wait for."""

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
        self._listening = False

    async def listen(self) -> None:
        """Follows events until cancelled."""
        podman = self._runtime.is_podman
        event, name = ("died", "{{.Name}}") if podman else ("die", "{{.Actor.Attributes.name}}")
        pauses = delays(1.0, 60.0)
        # No retry of one call: the stream is opened again whenever it ends, also without an error.
        while True:
            try:
                self._listening = True
                async for line in self._runtime.lines(
                    "events", *self._filter, "--filter", f"event={event}", "--format", name
                ):
                    pauses = delays(1.0, 60.0)
                    self._ended(line)
            except RuntimeFailedError as error:
                log.warning("no events of containers: %s", error)
            self._listening = False
            await asyncio.sleep(next(pauses))

    async def poll(self) -> None:
        """Polls until cancelled."""
        # No retry of a failed call: it polls at its interval whether the last poll failed or not.
        while True:
            await asyncio.sleep(_POLL_SECONDS if self._listening else _POLL_WITHOUT_EVENTS_SECONDS)
            if not self._running():
                continue
            try:
                self._seen(await self.statuses())
            except RuntimeFailedError as error:
                log.warning("the containers cannot be listed: %s", error)

    async def statuses(self) -> dict[str, str]:
        """Of all containers of the installation, by name. Raises RuntimeFailedError."""
        text = await self._runtime.call("ps", "--all", *self._filter, "--format", "{{.Names}}\t{{.State}}")
        lines = (line.partition("\t") for line in text.splitlines())
        return {name: status_of(status) for name, separator, status in lines if separator}
