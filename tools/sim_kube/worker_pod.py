"""A warm worker's Pod: its agent is the real one, beside a program that only pretends to run attempts.

Invariants: the agent speaks the protocol that it speaks everywhere, since it is the same class. The Pod's containers
end when the agent is over; whatever ends the Pod before ends the agent and cuts its connections.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from signal import SIGTERM
from typing import Any, NamedTuple

from penstock_executor.agent.worker import Worker

from tools.sim_kube.container_log import ContainerLog
from tools.sim_kube.exec_calls import Call, NotBegunError, not_running
from tools.sim_kube.fake_program import FakeHandOver, FakeProcesses, FakeProgram
from tools.sim_kube.outcome import Outcome
from tools.sim_kube.relays import Relay

MAIN, AGENT = "main", "agent"
_OWN_FAILURE, _AGENT_FAILURE = 125, 70


class WorkerEnd(NamedTuple):
    """Exit codes of the containers."""

    main: int
    agent: int


def is_worker(spec: Mapping[str, Any]) -> bool:
    """Whether a Pod is one, by the command of its container `main`."""
    return any(
        container.get("name") == MAIN and any(str(word).endswith("/worker") for word in container.get("command") or ())
        for container in spec.get("containers") or ()
    )


class WorkerPod:
    """One that runs. `usual`, `seconds` and `breaks` are those of its attempts; `over` is called when the agent is;
    `variables` are those of `main`."""

    def __init__(
        self,
        log: ContainerLog,
        *,
        usual: Outcome,
        seconds: Callable[[], float],
        breaks: Callable[[Outcome], None],
        over: Callable[[WorkerEnd], None],
        variables: Mapping[str, str],
    ) -> None:
        self._program = FakeProgram(log, usual=usual, seconds=seconds, breaks=breaks, variables=variables)
        self._message: Sequence[str] = ()
        self._relays: set[Relay] = set()
        self.alone = False
        """Whether its agent was killed."""
        self._agent = Worker(
            FakeHandOver(self._program), FakeProcesses(self._program), leave_message=self._leave_message
        )
        self._over = over
        self._life = asyncio.ensure_future(self._live())

    @property
    def message(self) -> str:
        """The termination message of the agent's container."""
        return json.dumps({"begun": list(self._message)}, separators=(",", ":"))

    def begin(self, container: str, command: Sequence[str], call: Call) -> Relay:
        """What `exec` runs in it. Raises NotBegunError."""
        if (container == MAIN and self._program.gone) or (container == AGENT and self.alone):
            raise not_running(container)
        if container != AGENT or not command or command[-1] != "relay":
            raise NotBegunError(f"error executing command in container: no simulation of {' '.join(command)}")
        relay = Relay(call, self._serve)
        self._relays.add(relay)
        return relay

    def terminate(self) -> None:
        """The Pod is deleted: both containers get SIGTERM."""
        if not self.alone:
            self._agent.pod_ends()
        self._program.signal(SIGTERM)
        self._program.gone = "the Pod ends"

    def kill_main(self, why: str) -> None:
        """The container `main` ends, with what runs in it; the agent finds out."""
        self._program.die(why)

    def kill_agent(self) -> None:
        self.alone = True
        self._life.cancel()
        for relay in list(self._relays):
            relay.kill()

    def kill(self) -> None:
        """Nothing of it is there any more."""
        self._program.die("the Pod was ended")
        self._life.cancel()
        for relay in list(self._relays):
            relay.kill()

    def freeze(self) -> None:
        """The node is away: connections stay, nothing passes."""
        for relay in self._relays:
            relay.freeze()

    async def _serve(self, relay: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._agent.client(reader, writer)
        finally:
            self._relays.discard(relay)

    async def _live(self) -> None:
        await self._agent.live()
        stuck = self._agent.stuck
        self._over(WorkerEnd(_OWN_FAILURE if stuck else 0, _AGENT_FAILURE if stuck else 0))

    def _leave_message(self, identities: Sequence[str]) -> None:
        self._message = identities
